"""A backup proves itself before it counts; a bad, killed or interrupted one never takes the place of a good one."""

import asyncio
import shutil
import signal
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from llmctx.functions import execute
from llmctx.ops.acl.users import users_for
from llmctx.ops.backup.snapshot import TOOLS
from llmctx.trail.log.log import Log
from tests.conftest import answers
from tests.integration.backup.conftest import keep
from tests.integration.conftest import ByRules, hold, raise_tick, serving
from tests.integration.program import Program, until
from tests.integration.test_prove import SIZE, sign


async def test_an_altered_trail_makes_a_bad_backup_that_replaces_no_good_one(valkey: Redis, proven: Program) -> None:
    good = (await keep(proven)).document["backup"]
    await valkey.xdel("audit:{0}:log", "3-1")
    bad = await keep(proven, "--keep-daily", "1")
    assert bad.code == 1
    assert bad.document["verdict"] == "bad"
    assert bad.document["backup"].endswith(".bad")
    assert "record 3" in bad.document["fault"]
    assert bad.document["removed"] == []
    assert (proven.folder / good / "manifest.json").exists()
    assert (await proven("restore", bad.document["backup"], "--over", "--json")).code == 1
    assert (await proven("restore", "kept", "--over", "--json")).document["backup"] == good


@pytest.mark.parametrize("point", ["packed", "proving", "proven"])
async def test_a_backup_that_is_killed_leaves_none_and_the_next_one_tidies_up(proven: Program, point: str) -> None:
    armed = f"from llmctx import killpoint; killpoint.arm({point!r})"
    process = await proven.start("backup", "--to", "kept", before=armed)
    await process.communicate()
    assert process.returncode == -signal.SIGKILL
    address = (proven.folder / "kept/.partial-proof/address") if point == "proving" else None
    orphan = None if address is None else urlsplit(address.read_text()).port
    assert orphan is None or answers(orphan)
    assert (await proven("restore", "kept", "--over", "--json")).code == 2
    assert (await keep(proven)).code == 0
    assert orphan is None or not answers(orphan)
    assert [path for path in (proven.folder / "kept").iterdir() if path.name.startswith(".partial")] == []


async def test_an_interrupted_backup_tidies_up_at_once(proven: Program) -> None:
    process = await proven.start("backup", "--to", "kept")
    await until((proven.folder / "kept/.partial-proof/address").exists)
    process.send_signal(signal.SIGTERM)
    assert (await proven.ended(process)).code == 130
    assert [path.name for path in (proven.folder / "kept").iterdir()] == [".lock"]


@pytest.mark.more
async def test_a_backup_of_a_service_at_work_is_good_and_restores_to_its_newest_record(
    redis: Redis, trail: Program, empty: tuple[Redis, str]
) -> None:
    await hold(redis, "AAPL", "MSFT")
    stop = asyncio.Event()

    async def raise_ticks() -> int:
        count = 0
        while not stop.is_set():
            count += 1
            await raise_tick(redis, f"busy{count}", ("AAPL", "MSFT")[count % 2])
            await asyncio.sleep(0.01)
        return count

    async with serving(redis, trail.environment["LLMCTX_REDIS_URL"], trail.folder / "var", ByRules()):
        raising = asyncio.create_task(raise_ticks())
        backups = [await keep(trail) for _ in range(2)]
        stop.set()
        count = await raising
    await sign(redis, trail.folder / "var")
    assert [(done.code, done.document["fault"]) for done in backups] == [(0, None), (0, None)]
    size = await Log(redis).size()
    assert count > 50
    assert backups[0].document["records"][0] < backups[1].document["records"][0] < size
    client, trail.environment["LLMCTX_REDIS_URL"] = empty
    restored = await trail("restore", str(trail.folder / backups[0].document["backup"]), "--json")
    assert (restored.code, restored.document["partitions"][0]["records"]) == (0, size), restored.err
    settled = [
        tick
        async for entry in Log(client).read()
        if "tick" in entry.record
        for tick in (entry.record["tick"], *entry.record.get("conflated", []))
    ]
    assert sorted(tick for tick in settled if tick.startswith("busy")) == sorted(
        f"busy{n}" for n in range(1, count + 1)
    )


async def test_older_backups_are_rotated_out_after_a_good_one(proven: Program) -> None:
    first = (await keep(proven)).document["backup"]
    second = (await keep(proven)).document
    assert second["removed"] == []
    third = (await keep(proven, "--keep-daily", "3", "--keep-weekly", "2")).document
    assert third["removed"] == [first, second["backup"]]
    assert [path.name for path in (proven.folder / "kept").glob("2*")] == [Path(third["backup"]).name]


async def test_two_backups_at_once_do_not_disturb_each_other(proven: Program) -> None:
    ended = await proven.all("backup --to kept --json", "backup --to kept --json")
    assert sorted(each.code for each in ended) in ([0, 0], [0, 3])
    assert len([*(proven.folder / "kept").glob("2*")]) == [each.code for each in ended].count(0)


@pytest.mark.more
async def test_a_server_whose_files_cannot_be_read_is_fetched_with_its_own_tool(
    redis: Redis, trail: Program, redis_url: str
) -> None:
    operator = next(user for user in users_for(0) if user.name == "operator")
    rules = [rule.replace("+config|get", "+ping") for rule in operator.rules]  # it cannot ask where the files are
    await execute(redis, "ACL", "SETUSER", "saver", *rules, ">se/cret")
    trail.environment["LLMCTX_REDIS_URL"] = redis_url.replace("//", "//saver:se%2Fcret@")
    done = await keep(trail)
    await redis.execute_command("ACL", "DELUSER", "saver")  # type: ignore[no-untyped-call]
    if any(shutil.which(tool, path=trail.environment["PATH"]) for tool in TOOLS):
        assert (done.code, done.document["records"]) == (0, [SIZE])
        assert done.document["method"] in TOOLS
    else:
        assert (done.code, "redis-tools" in done.err) == (3, True)
