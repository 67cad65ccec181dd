"""The doctor finds what is wrong with a trail, its endpoint and its host."""

import json
import shutil
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.assets import asset
from llmctx.context.tick import Tick
from llmctx.llm.completion import Completion, Outcome
from llmctx.llm.output import OutputSchema
from llmctx.ops.doctor.subject import Places
from llmctx.pipeline import DecisionConfig
from llmctx.prompt.render import Prompt
from llmctx.prompt.template import load_template
from llmctx.schema import keys
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Log
from llmctx.trail.proof.key import key_file, load_or_make_key
from llmctx.worker.home import TrailHome
from llmctx.worker.partition import own_partition
from tests.integration.conftest import ByRules, hold
from tests.integration.doctor.conftest import Configure, back_up, examined, record
from tests.integration.program import Program

DAY_MS = 86_400_000


class Dead:
    """An endpoint that does not answer."""

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:  # noqa: ARG002
        return Completion(outcome=Outcome.UNREACHABLE, detail="http 404", request={"schema": output.name})


async def decide(redis: Redis, url: str, places: Places, completer: ByRules | Dead, ticks: int) -> None:
    """Make so many decisions, without a notary, and let the lease go."""
    await hold(redis, "AAPL")
    instance, _ = await bind_instance(redis, places.state_dir)
    config = DecisionConfig(load_template(places.prompts, "position"), completer)
    async with own_partition(TrailHome(redis, url, instance, places.state_dir), 0, config) as (_, pipeline):
        for number in range(ticks):
            await pipeline.decide(Tick(id=f"t{number}", symbol="AAPL"))


async def test_a_trail_that_is_served_signed_and_backed_up_is_green(
    program: Program, valkey: Redis, valkey_url: str, places: Places
) -> None:
    await hold(valkey, "AAPL")
    async with program.running(valkey) as process:
        await program("decide", "AAPL")
        found = await examined(valkey_url, places)
        await program.stop(process)
    sound = [
        "key", "instance", "functions", "leases", "backlog", "dead_letters", "incidents", "expiring_trail", "calls",
        "templates", "disk",
    ]  # fmt: skip
    assert {name: found[name].level for name in sound} == dict.fromkeys(sound, "green")
    signed = await examined(valkey_url, places)  # a service signs what it leaves
    assert signed["checkpoints"].level == "green", signed["checkpoints"]
    assert signed["leases"].level == "amber"


async def test_a_state_directory_of_another_trail_is_found(redis: Redis, redis_url: str, places: Places) -> None:
    await record(redis, places.state_dir)
    (places.state_dir / "instance.json").write_text(json.dumps({"id": "other", "partitions": 1}))
    assert (await examined(redis_url, places))["instance"].level == "red"


async def test_ticks_that_wait_for_nobody_are_found(redis: Redis, redis_url: str, places: Places) -> None:
    await record(redis, places.state_dir)
    await redis.xadd(keys.ticks(0), Tick(id="old", symbol="AAPL").fields(), id="1000-0")
    found = await examined(redis_url, places)
    assert (found["leases"].level, found["backlog"].level) == ("red", "red")
    assert found["leases"].consequence == "No tick is decided meanwhile; waiting: 1."


async def test_dead_letters_are_found(redis: Redis, redis_url: str, places: Places) -> None:
    await record(redis, places.state_dir, kind="dead_letter")
    letters = (await examined(redis_url, places))["dead_letters"]
    assert (letters.level, letters.what) == ("red", "1 among the newest 1 records: it is broken")


async def test_a_halt_is_found(redis: Redis, redis_url: str, places: Places) -> None:
    await record(redis, places.state_dir)
    assert (await examined(redis_url, places))["halts"].level == "green"
    await redis.set(keys.halt("AAPL"), "x")
    halts = (await examined(redis_url, places))["halts"]
    assert (halts.level, halts.what) == ("amber", "halted: AAPL")


async def test_records_that_nobody_signed_are_found(redis: Redis, redis_url: str, places: Places) -> None:
    await record(redis, places.state_dir)
    assert (await examined(redis_url, places))["checkpoints"].level == "green"  # the notary had no time yet
    await redis.flushall()
    await record(redis, places.state_dir / "old", age_ms=121_000)
    unsigned = (await examined(redis_url, places))["checkpoints"]
    assert (unsigned.level, unsigned.what) == ("red", "none over 1 records")
    await redis.set(Log(redis).key("checkpoint"), "no note")
    assert (await examined(redis_url, places))["checkpoints"].level == "red"


async def test_a_key_of_the_trail_that_expires_is_found(redis: Redis, redis_url: str, places: Places) -> None:
    await record(redis, places.state_dir)
    await redis.expire(Log(redis).key("log"), 1000)
    assert (await examined(redis_url, places))["expiring_trail"].level == "red"


async def test_the_days_until_memory_is_full_are_counted(
    redis: Redis, redis_url: str, configure: Configure, places: Places
) -> None:
    await record(redis, places.state_dir, count=48, age_ms=DAY_MS // 2)
    plenty = (await examined(redis_url, places))["days_until_full"]
    assert (plenty.level, " at 96 records a day of " in plenty.what) == ("green", True)
    used = (await redis.info("memory"))["used_memory"]
    await configure("maxmemory", str(int((used + 100_000) / 0.85)))
    assert (await examined(redis_url, places))["days_until_full"].level == "red"


async def test_old_records_that_are_in_no_archive_are_found(redis: Redis, redis_url: str, places: Places) -> None:
    await record(redis, places.state_dir, count=2, age_ms=29 * DAY_MS)
    assert (await examined(redis_url, places))["archive"].level == "green"
    await redis.flushall()
    await record(redis, places.state_dir / "old", count=2, age_ms=31 * DAY_MS)
    assert (await examined(redis_url, places))["archive"].level == "amber"


@pytest.mark.parametrize(("failures", "level"), [(1, "amber"), (8, "red")])
async def test_calls_that_fail_in_a_row_are_found(
    valkey: Redis, valkey_url: str, places: Places, failures: int, level: str
) -> None:
    await decide(valkey, valkey_url, places, Dead(), failures)
    calls = (await examined(valkey_url, places))["calls"]
    assert (calls.level, calls.what) == (level, f"the last {failures} of {failures} failed: http 404")
    assert calls.do.startswith("Check the endpoint's path")


async def test_a_prompt_that_was_edited_is_found(
    valkey: Redis, valkey_url: str, places: Places, tmp_path: Path
) -> None:
    places = places._replace(prompts=tmp_path / "prompts")
    shutil.copytree(asset("prompts"), places.prompts)
    await decide(valkey, valkey_url, places, ByRules(), 1)
    assert (await examined(valkey_url, places))["templates"].level == "green"
    newest = max(places.prompts.glob("position/*"))
    newest.write_text(newest.read_text() + "\nBe bold.\n")
    assert (await examined(valkey_url, places))["templates"].level == "red"
    newest.unlink()
    assert (await examined(valkey_url, places))["templates"].level == "amber"


async def test_a_missing_old_or_bad_backup_is_found(valkey: Redis, valkey_url: str, places: Places) -> None:
    instance = await record(valkey, places.state_dir)

    async def level() -> str:
        return (await examined(valkey_url, places))["backup"].level

    assert await level() == "red"
    back_up(places.backups, instance, 9 * DAY_MS)
    assert await level() == "red"
    back_up(places.backups, instance, 2 * DAY_MS)
    assert await level() == "amber"
    newest = back_up(places.backups, instance, 1000)
    assert await level() == "green"
    newest.rename(f"{newest}.bad")
    assert await level() == "red"


async def test_a_disk_that_is_full_is_found(valkey_url: str, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    places.state_dir.mkdir()
    full = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    assert (await examined(valkey_url, places))["disk"].level == "red"


async def test_the_exit_code_and_the_screen_say_what_is_wrong(dumb: Program, valkey: Redis) -> None:
    assert (await dumb("doctor", "--backups", "none")).code == 1  # there is no backup
    instance = await record(valkey, dumb.folder / "var")
    back_up(dumb.folder / "backups", instance, 1000)
    await valkey.delete(Log(valkey).key("log"), "audit:instance")
    amber = await dumb("doctor", "--state-dir", "none")
    assert (amber.code, "amber  instance" in amber.out) == (0, True)
    assert (await dumb("doctor", "--state-dir", "none", "--strict")).code == 1
    ended = await dumb("doctor", "--state-dir", "none", "--json")
    assert {tuple(finding) for finding in ended.document["findings"]} == {
        ("name", "level", "what", "consequence", "do")
    }


async def test_a_key_that_others_can_read_and_a_missing_spool_are_found(
    valkey: Redis, valkey_url: str, places: Places
) -> None:
    await decide(valkey, valkey_url, places, ByRules(), 1)
    instance, _ = await bind_instance(valkey, places.state_dir)
    path = key_file(places.state_dir, instance.id)
    load_or_make_key(places.state_dir, instance.id)
    assert (await examined(valkey_url, places))["key"].level == "green"
    path.chmod(0o644)
    shutil.rmtree(places.state_dir / "spool")
    found = await examined(valkey_url, places)
    assert (found["key"].level, found["disk"].level) == ("red", "red")
    path.unlink()
    assert (await examined(valkey_url, places))["key"].level == "amber"


async def test_a_server_that_does_not_answer_ends_with_3(dumb: Program) -> None:
    ended = await dumb("doctor", "--redis-url", "redis://127.0.0.1:1/0")
    assert (ended.code, ended.out.startswith("red    server  No Redis answers at redis://127.0.0.1:1/0")) == (3, True)
