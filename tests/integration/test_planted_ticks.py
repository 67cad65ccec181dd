"""A tick that only the map calls settled is decided: the map is held against the records, and put right loudly."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.replay.verify import verify_log
from llmctx.schema import keys
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Log
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner
from tests.integration.conftest import ByRules, decided, hold, leaves, raise_tick, serving
from tests.integration.program import until

MAP = "audit:{0}:ticks"
WRONG = ["0", "1", "7", "-1", "x", "1e3", "99999999999999999999", ""]
"""A notice, a record of another tick, no record, no number."""


async def ticks_of(redis: Redis) -> list[object]:
    return [leaf["tick"] for leaf in await leaves(redis) if "tick" in leaf]


async def test_a_planted_tick_is_decided(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    planted = {f"planted-{number}": index for number, index in enumerate(WRONG)}
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await running.decide(redis, "first", "AAPL")
        for tick, index in planted.items():
            await redis.hset(MAP, tick, index)
            await running.decide(redis, tick, "AAPL")
    assert await ticks_of(redis) == ["first", *planted]
    assert await Log(redis).repairs() == {"ticks": len(planted)}
    assert (await verify_log(Log(redis))).fault is None
    loud = [trouble for trouble in running.troubles if MAP in trouble]
    for tick, trouble in zip(planted, loud, strict=True):
        assert f"had {tick} at" in trouble
        assert "recorded now" in trouble


async def test_a_settled_tick_that_the_map_has_elsewhere_is_not_decided_again(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await hold(redis, "AAPL", "MSFT")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        for tick, symbol in (("one", "AAPL"), ("two", "MSFT")):
            await running.decide(redis, tick, symbol)
        await redis.hset(MAP, "one", 2)
        await raise_tick(redis, "one", "AAPL")
        await running.decide(redis, "three", "AAPL")
    assert await ticks_of(redis) == ["one", "two", "three"]
    assert await redis.hget(MAP, "one") == b"1"
    assert (await verify_log(Log(redis))).fault is None


async def test_a_tick_raised_twice_is_no_cause_for_a_repair(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        for _ in range(2):
            await running.decide(redis, "one", "AAPL")
        await running.decide(redis, "two", "AAPL")
    assert await ticks_of(redis) == ["one", "two"]
    assert (await Log(redis).repairs(), running.troubles) == ({}, [])


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_settled_tick_that_the_map_has_no_more_is_not_decided_again(
    redis: Redis, redis_url: str, tmp_path: Path, restarts: bool, logged: list[str]
) -> None:
    await hold(redis, "AAPL")

    async def settle(tick: str) -> None:
        async with serving(redis, redis_url, tmp_path, ByRules()) as running:
            await running.decide(redis, tick, "AAPL")
            if not restarts:
                await raise_again(redis, tick)
                await running.decide(redis, f"after-{tick}", "AAPL")

    await settle("one")
    if restarts:
        await raise_again(redis, "one")
        await settle("two")
    assert (await ticks_of(redis)).count("one") == 1
    assert await redis.hget(MAP, "one") == b"1"
    assert await redis.xlen("ticks:{0}") == 0
    assert any(message.startswith(MAP) for message in logged)
    assert (await verify_log(Log(redis))).fault is None


async def raise_again(redis: Redis, tick: str) -> None:
    assert await redis.hdel(MAP, tick) == 1
    await raise_tick(redis, tick, "AAPL")


@pytest.mark.more
@pytest.mark.parametrize("planted", ["asked", "older"], ids=["main", "conflated"])
async def test_a_tick_planted_while_the_model_is_asked_is_recorded(
    redis: Redis, redis_url: str, tmp_path: Path, planted: str
) -> None:
    await hold(redis, "AAPL")
    completer, raised = ByRules(), ["first"]
    async with serving(redis, redis_url, tmp_path, completer) as running:
        await running.decide(redis, "first", "AAPL")
        for number, index in enumerate(WRONG):
            completer.gate.clear()
            busy, older, newer = (f"{name}-{number}" for name in ("busy", "older", "asked"))
            await raise_tick(redis, busy, "AAPL")
            await until(lambda: completer.busy)
            for tick in (older, newer):
                await raise_tick(redis, tick, "AAPL")
            await until(lambda: _all_are_read(redis))
            await redis.hset(MAP, f"{planted}-{number}", index)
            completer.gate.set()
            await running.until_settled(newer, older)
            raised += [busy, older, newer]
    settled = sorted(tick for entry in running.entries for tick in entry.ticks)
    assert settled == sorted(raised)
    assert (await verify_log(Log(redis))).fault is None
    assert await Log(redis).repairs() == {"ticks": len(WRONG)}


async def _all_are_read(redis: Redis) -> bool:
    """Whether the service has read every tick, those that wait included."""
    stream, (group,) = await redis.xinfo_stream(keys.ticks(0)), await redis.xinfo_groups(keys.ticks(0))
    return bool(stream["last-generated-id"] == group["last-delivered-id"])


async def test_an_owner_appends_over_a_planted_tick(
    redis: Redis, redis_url: str, tmp_path: Path, logged: list[str]
) -> None:
    await hold(redis, "AAPL")
    instance, _ = await bind_instance(redis, tmp_path)
    async with Owner(TrailHome(redis, redis_url, instance, tmp_path)) as owner:
        await redis.hset(MAP, "t1", 999)
        assert (await owner.settle(await decided(redis, "AAPL", "t1"))).index == 1
        assert (await owner.settle(await decided(redis, "AAPL", "t2"))).index == 2
    assert any("had t1 at" in message for message in logged)


async def test_a_service_that_stops_tries_again_what_it_could_not_settle(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await hold(redis, "AAPL")
    completer = ByRules()
    async with serving(redis, redis_url, tmp_path, completer) as running:
        completer.gate.clear()
        await raise_tick(redis, "busy", "AAPL")
        await until(lambda: completer.asked["AAPL"] == 1)
        await raise_tick(redis, "older", "AAPL")
        await raise_tick(redis, "asked", "AAPL")
        await until(lambda: _all_are_read(redis))
        running.stop.set()
        await redis.hset(MAP, "older", "0")
        completer.gate.set()
    assert sorted(tick for entry in running.entries for tick in entry.ticks) == ["asked", "busy", "older"]
    assert await redis.xlen("ticks:{0}") == 0
