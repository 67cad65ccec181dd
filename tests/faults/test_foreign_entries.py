"""An insider with redis-cli and no key: nothing that they put into the log is copied, published or signed."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.connection.streams import StreamEntry, read_stream, read_stream_back
from llmctx.functions import execute
from llmctx.llm.standin import Standin
from llmctx.replay.partition_check import PartitionReport
from llmctx.replay.verify import Expected, verify_partition
from llmctx.schema import keys
from llmctx.trail.log.entry import restored
from llmctx.trail.log.instance import Instance, read_instance
from llmctx.trail.log.log import Log
from llmctx.trail.proof.key import load_or_make_key
from llmctx.trail.proof.notary_service import cover_now
from tests.faults.conftest import Worker, end_lease
from tests.integration.conftest import ByRules, Running, decided, hold, raise_tick, serving
from tests.integration.program import until
from tests.unit.makers import stored

pytestmark = pytest.mark.usefixtures("short_pauses")

LOG, TICKS, AAPL, DURABLE = "audit:{0}:log", "audit:{0}:ticks", "audit:{0}:symbol:AAPL", "audit:{0}:durable"
Forge = Callable[[Redis], Awaitable[None]]


async def newest(redis: Redis) -> StreamEntry:
    return (await read_stream_back(redis, LOG, count=1))[0]


async def invent(redis: Redis, *, ahead: int = 0, sequence: int = 1, tick: str = "forged", **fields: bytes) -> None:
    """Append an invented decision as the append function would, with map and index to fit."""
    made = await decided(redis, "AAPL", tick)
    index = (await newest(redis)).number + (1 if sequence == 1 else 0) + ahead
    entry = stored(made.leaf, made.pieces) | {name.encode(): value for name, value in fields.items()}
    await redis.xadd(LOG, entry, id=f"{index}-{sequence}")  # type: ignore[arg-type]
    await redis.hset(TICKS, tick, str(index))
    await redis.rpush(AAPL, index)
    await redis.set(DURABLE, index + 1)


async def replay(redis: Redis, index: int = 1) -> None:
    """Append a genuine record again, with its proof."""
    (found,) = await read_stream(redis, LOG, f"{index}-1", f"{index}-1")
    at = (await newest(redis)).number + 1
    await redis.xadd(LOG, found.fields, id=f"{at}-1")  # type: ignore[arg-type]
    if index == 1:
        await redis.hset(TICKS, "t1", str(at))
    await redis.set(DURABLE, at + 1)


async def borrowed_proof(redis: Redis) -> None:
    await invent(redis, proof=(await newest(redis)).fields[b"proof"])


async def many(redis: Redis) -> None:
    for number in range(7):
        await invent(redis, tick=f"forged-{number}")


async def of_another_form(redis: Redis) -> None:
    await redis.xadd(LOG, {"a": "b"}, id=f"{(await newest(redis)).number + 1}-1")


FORGERIES: dict[str, Forge] = {
    "invented": invent,
    "invented with a proof that is none": lambda redis: invent(redis, proof=b"x" * 68),
    "invented with another record's proof": borrowed_proof,
    "far ahead": lambda redis: invent(redis, ahead=5_000_000),
    "a little ahead": lambda redis: invent(redis, ahead=3),
    "at the highest id": lambda redis: invent(redis, ahead=2**63),
    "of another sequence": lambda redis: invent(redis, sequence=2),
    "several": many,
    "of another form": of_another_form,
    "a decision again": replay,
    "a notice again": lambda redis: replay(redis, 0),
}


async def verified(redis: Redis, state_dir: Path) -> PartitionReport:
    """What `llmctx verify` reports, once all is signed that may be."""
    instance = await read_instance(redis)
    assert isinstance(instance, Instance)
    signing = load_or_make_key(state_dir, instance.id)
    await cover_now(redis, instance, state_dir, signing)
    return await verify_partition(Log(redis), instance, state_dir, Expected(signing.key))


async def check(redis: Redis, state_dir: Path, *ticks: str) -> list[int]:
    """The trail verifies, settles exactly these ticks and publishes them alone; returns its incidents about entries."""
    report = await verified(redis, state_dir)
    assert report.fault is None, report.fault
    assert report.covered == await Log(redis).size()
    entries = [restored(each.fields, each.number, 0) for each in await read_stream(redis, LOG)]
    settled = [entry.record["tick"] for entry in entries if "tick" in entry.record]
    assert sorted(settled) == sorted(ticks)
    published = [json.loads(each.fields[b"decision"]) for each in await read_stream(redis, keys.decisions(0))]
    assert sorted(each["tick"] for each in published) == sorted(ticks)
    found = [entry for entry in entries if entry.record.get("incident", {}).get("what") == "foreign"]
    assert all(entry.pieces["foreign"] for entry in found if "sha256" in entry.record["incident"])
    return [entry.index for entry in found]


async def decide(redis: Redis, running: Running, tick: str) -> None:
    await running.decide(redis, tick, "AAPL")


@pytest.mark.parametrize("name", FORGERIES)
async def test_what_an_insider_appends_while_a_worker_runs_becomes_an_incident(
    redis: Redis, redis_url: str, tmp_path: Path, name: str
) -> None:
    await hold(redis, "AAPL")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await decide(redis, running, "t1")
        await FORGERIES[name](redis)
        await decide(redis, running, "t2")
        await running.until_trouble("is foreign")
        await decide(redis, running, "t3")
    assert await check(redis, tmp_path, "t1", "t2", "t3")


async def test_an_idle_worker_finds_it_too(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await decide(redis, running, "t1")
        await invent(redis)
        await running.until_trouble("is foreign")
    assert await check(redis, tmp_path, "t1") == [3]


@pytest.mark.parametrize("name", FORGERIES)
async def test_what_an_insider_appends_while_no_worker_runs_becomes_an_incident(
    redis: Redis, redis_url: str, tmp_path: Path, name: str
) -> None:
    await hold(redis, "AAPL")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await decide(redis, running, "t1")
    await FORGERIES[name](redis)
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await decide(redis, running, "t2")
    assert await check(redis, tmp_path, "t1", "t2") == [3]


@pytest.mark.parametrize("running_too", [True, False])
@pytest.mark.parametrize("remove", ["XDEL", "XTRIM", "XSETID"])
async def test_deleted_records_come_back_from_the_spool(
    redis: Redis, redis_url: str, tmp_path: Path, remove: str, running_too: bool
) -> None:
    async def delete() -> None:
        if remove == "XDEL":
            last = (await newest(redis)).number
            await redis.xdel(LOG, f"{last}-1", f"{last - 1}-1")
        elif remove == "XTRIM":
            await redis.xtrim(LOG, maxlen=0, approximate=False)
        else:
            await execute(redis, "XSETID", LOG, "99999-1")

    await hold(redis, "AAPL")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        for tick in ("t1", "t2", "t3"):
            await decide(redis, running, tick)
        if running_too:
            await delete()
            await decide(redis, running, "t4")
    if not running_too:
        await delete()
        async with serving(redis, redis_url, tmp_path, ByRules()) as running:
            await decide(redis, running, "t4")
    assert await check(redis, tmp_path, "t1", "t2", "t3", "t4") == []


async def test_a_record_replaced_after_it_was_spooled_comes_back(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await decide(redis, running, "t1")
        await decide(redis, running, "t2")
    kept = await read_stream(redis, LOG)
    await redis.delete(LOG)
    for each in kept[:3]:
        await redis.xadd(LOG, each.fields, id=each.id)  # type: ignore[arg-type]
    await invent(redis, tick="t2")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await decide(redis, running, "t3")
    assert await check(redis, tmp_path, "t1", "t2", "t3") == [4]


async def test_a_record_that_was_given_more_fields_comes_back(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await decide(redis, running, "t1")
    kept = await read_stream(redis, LOG)
    await redis.delete(LOG)
    for each in kept:
        further = dict.fromkeys((f"f{number}" for number in range(9000)), "x") if each == kept[-1] else {}
        await redis.xadd(LOG, each.fields | further, id=each.id)  # type: ignore[arg-type]
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await decide(redis, running, "t2")
    await check(redis, tmp_path, "t1", "t2")


@pytest.mark.parametrize("act", ["beside", "deleted"])
async def test_a_running_worker_finds_what_is_behind_the_newest_record(
    valkey: Redis, valkey_url: str, tmp_path: Path, act: str
) -> None:
    await hold(valkey, "AAPL")
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        await decide(valkey, running, "t1")
        at = await newest(valkey)
        if act == "beside":
            await valkey.xadd(LOG, {"record": "x"}, id=f"{at.number}-7")
        await decide(valkey, running, "t2")
        if act == "deleted":
            await valkey.xdel(LOG, at.id)
        expected = [f"{number}-1" for number in range((await newest(valkey)).number + 1)]
        await until(lambda: holds_exactly(valkey, expected))
    await check(valkey, tmp_path, "t1", "t2")


async def holds_exactly(redis: Redis, ids: list[str]) -> bool:
    return [each.id for each in await read_stream(redis, LOG)][: len(ids)] == ids


@pytest.mark.parametrize(("point", "times"), [("unlisted", 1), ("copied", 1), ("copied", 2), ("copied", 3)])
async def test_a_kill_in_the_middle_of_the_rebuild_loses_nothing(
    redis: Redis, redis_url: str, tmp_path: Path, standin: Standin, point: str, times: int
) -> None:
    await hold(redis, "AAPL")
    state_dir = tmp_path / "state"
    async with serving(redis, redis_url, state_dir, ByRules()) as running:
        await decide(redis, running, "t1")
        await decide(redis, running, "t2")
    await invent(redis)
    before = await read_stream(redis, LOG)
    worker = Worker(redis_url, state_dir, standin.base_url)
    copy_two = "from llmctx.trail.spool import foreign; foreign._COPIED_AT_ONCE = 2; "
    await worker.until_killed(point, times, copy_two)
    kept = await read_stream(redis, LOG)
    assert kept[:4] == before[:4]
    assert (kept == before) == (times < 3), "the log is replaced at once, by the last call"
    await end_lease(redis)
    await raise_tick(redis, "t3", "AAPL")
    await worker.drain(redis)
    assert await check(redis, state_dir, "t1", "t2", "t3") == [4]
    assert await redis.exists(f"{LOG}:copy") == 0


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_notary_alone_signs_nothing_of_it(redis: Redis, redis_url: str, tmp_path: Path, name: str) -> None:
    await hold(redis, "AAPL")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await decide(redis, running, "t1")
    assert (await verified(redis, tmp_path)).covered == 3
    await FORGERIES[name](redis)
    report = await verified(redis, tmp_path)
    assert report.covered == 3
    assert await Log(redis).size() > 3 or name == "of another sequence", "it still stands there"
