"""No single write to a key of the trail stops the service: the next tick is settled and published all the same."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from llmctx.canonical import sha256
from llmctx.connection.streams import read_stream
from llmctx.functions import execute
from llmctx.replay.verify import verify_log
from llmctx.schema import keys
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.lease import Lease, newest_format, read_holder
from llmctx.trail.log.log import Log
from llmctx.trail.log.people import PEOPLE_KEY
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner
from tests.integration.conftest import ByRules, decided, hold, raise_tick, serving
from tests.integration.program import until
from tests.integration.test_effects import effect

Act = Callable[[Redis], Awaitable[object]]
LAST_ID = "18446744073709551615-18446744073709551615"


def command(*words: str) -> Act:
    return lambda redis: execute(redis, *words)


def another_type(key: str) -> Act:
    async def act(redis: Redis) -> None:
        kind = await redis.type(key)
        await redis.delete(key)
        await (redis.hset(key, "a", "b") if kind == b"string" else redis.set(key, "garbage"))

    return act


HOSTILE: dict[str, Act] = {
    "the durable size is no number": command("SET", "audit:{0}:durable", "abc"),
    "the durable size is no string": another_type("audit:{0}:durable"),
    "the log is no stream": another_type("audit:{0}:log"),
    "the tick map is no hash": another_type("audit:{0}:ticks"),
    "a symbol's list is no list": another_type("audit:{0}:symbol:AAPL"),
    "the lease is no hash": another_type("audit:{0}:lease"),
    "the lease never ends": command("HSET", "audit:{0}:lease", "owner", "x", "ends_ms", "9007199254740991"),
    "the tick stream is no stream": another_type(keys.ticks(0)),
    "the last possible tick is raised": command("XADD", keys.ticks(0), LAST_ID, "id", "z", "symbol", "AAPL"),
    "it has more fields than Lua can pass": command(
        "XADD", keys.ticks(0), LAST_ID, "id", "y", "symbol", "AAPL", *["x"] * 20_000
    ),
    "attempts are no hash": another_type(keys.attempts(0)),
    "effects are no stream": another_type(keys.effects(0)),
    "the last possible effect is reported": command("XADD", keys.effects(0), LAST_ID, "effect", "{}"),
    "the group of effects is gone": command("XGROUP", "DESTROY", keys.effects(0), keys.DECIDERS),
    "the group of effects is ahead": command("XGROUP", "SETID", keys.effects(0), keys.DECIDERS, LAST_ID),
    "the map of effects is no hash": another_type("audit:{0}:effects"),
    "what is archived is no hash": another_type("audit:{0}:base"),
    "archived ticks are no hash": another_type("audit:{0}:archived"),
    "kept records are no hash": another_type("audit:{0}:kept"),
    "dictionaries are no hash": another_type("audit:{0}:dictionaries"),
    "the checkpoint is no string": another_type("audit:{0}:checkpoint"),
    "repairs are no hash": another_type("audit:{0}:repairs"),
    "a row of people is no text": command("HSET", PEOPLE_KEY, "\x00", "x"),
    "the table of people is no hash": another_type(PEOPLE_KEY),
    "a reservation is garbage": command("HSET", keys.RESERVED, "x", "{"),
    "reservations are no hash": another_type(keys.RESERVED),
    "the budget is no hash": another_type(keys.BUDGET),
    "the workers are no sorted set": another_type(keys.WORKERS),
    "the latest decision is no string": another_type(keys.latest(0, "AAPL")),
    "the portfolio is garbage": command("SET", keys.PORTFOLIO, "{"),
}


async def is_raised(redis: Redis, tick: str) -> bool:
    """Whether the stream took a tick; it may have to be mended first."""
    try:
        await raise_tick(redis, tick, "AAPL")
    except ResponseError:
        return False
    return True


async def is_reported(redis: Redis, number: int) -> bool:
    """Whether the stream took an effect; it may have to be mended first."""
    try:
        await redis.xadd(keys.effects(0), {"effect": effect(number).model_dump_json(exclude_none=True)})
    except ResponseError:
        return False
    return True


async def is_published(redis: Redis, tick: str) -> bool:
    entries = await read_stream(redis, keys.decisions(0))
    return any(f'"tick":"{tick}"'.encode() in found.fields.get(b"decision", b"") for found in entries)


@pytest.mark.usefixtures("short_pauses")
async def test_no_single_write_to_a_key_stops_publishing(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    async with serving(redis, redis_url, tmp_path, ByRules()):
        for number, act in enumerate([command("PING"), *HOSTILE.values()]):
            await act(redis)
            await until(partial(is_raised, redis, f"t{number}"))
            await until(partial(is_reported, redis, number))
            async with asyncio.timeout(20):
                await until(partial(is_published, redis, f"t{number}"))
    records = [entry.record async for entry in Log(redis).read()]
    numbers = range(len(HOSTILE) + 1)
    assert {f"t{number}" for number in numbers} <= {str(leaf.get("tick")) for leaf in records}
    assert {f"fill-{number}" for number in numbers} <= {str(leaf.get("id")) for leaf in records}


@pytest.mark.more
@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("name", HOSTILE)
async def test_no_single_write_while_no_worker_runs_stops_the_next_one(
    valkey: Redis, valkey_url: str, tmp_path: Path, name: str
) -> None:
    await hold(valkey, "AAPL")
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        await running.decide(valkey, "before", "AAPL")
    await HOSTILE[name](valkey)
    async with serving(valkey, valkey_url, tmp_path, ByRules()):
        await until(partial(is_raised, valkey, "after"))
        await until(partial(is_reported, valkey, 1))
        async with asyncio.timeout(20):
            await until(partial(is_published, valkey, "after"))
    assert "fill-1" in {entry.record.get("id") async for entry in Log(valkey).read()}


async def test_a_lease_that_ends_beyond_all_reason_can_be_taken(redis: Redis) -> None:
    await redis.hset("audit:{0}:lease", mapping={"owner": "x", "ends_ms": "9007199254740991", "format": "x"})
    assert await Lease(redis, 0).take() is None


async def test_a_lease_that_holds_garbage_is_held_by_nobody(redis: Redis) -> None:
    await redis.hset("audit:{0}:lease", mapping={"ends_ms": "x", "format": "x", "owner": b"\xff"})
    assert await read_holder(redis, 0) is None
    assert await newest_format(redis, 0) == 1


@pytest.mark.parametrize(("key", "rule"), [("ticks", "tick-map"), ("symbol:AAPL", "symbol-index")])
async def test_verify_names_an_index_of_another_type(
    redis: Redis, redis_url: str, tmp_path: Path, key: str, rule: str
) -> None:
    await hold(redis, "AAPL")
    instance, _ = await bind_instance(redis, tmp_path)
    async with Owner(TrailHome(redis, redis_url, instance, tmp_path)) as owner:
        await owner.settle(await decided(redis, "AAPL", "a"))
        await another_type(f"audit:{{0}}:{key}")(redis)
        assert [entry.index async for entry in Log(redis).read_back_of("AAPL")] == [1]
        fault = (await verify_log(Log(redis))).fault
    assert fault is not None
    assert fault.rule == rule


@pytest.mark.usefixtures("short_pauses")
async def test_blobs_and_dictionaries_that_somebody_altered_are_back_after_a_start(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    await hold(valkey, "AAPL")
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        for number in range(12):  # the first dictionary is trained on eight records
            await running.decide(valkey, f"t{number}", "AAPL")
    blobs = {key: await valkey.get(key) async for key in valkey.scan_iter("audit:{0}:blob:*")}
    listed = await valkey.hgetall("audit:{0}:dictionaries")
    assert listed
    refused = b"\x37\xa4\x30\xec" + b"x" * 300  # a dictionary by its first bytes, which zstd refuses
    digest = sha256(refused)
    await valkey.set(f"audit:{{0}}:blob:{digest}", refused)
    await valkey.hset("audit:{0}:dictionaries", mapping={digest[:16]: f"9 {digest}", **dict.fromkeys(listed, b"\xff")})
    for number, key in enumerate(blobs):
        await another_type(key.decode())(valkey) if number % 2 else await valkey.set(key, b"x" * 2_000_000)
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        await running.decide(valkey, "after", "AAPL")
    assert {key: await valkey.get(key) for key in blobs} == blobs
    assert (await verify_log(Log(valkey))).fault is None
