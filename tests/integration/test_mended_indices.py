"""The map of ticks and the lists of symbols are deleted or changed: the service notices, and mends them from the log."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.replay.verify import verify_log
from llmctx.trail.log.log import Log
from llmctx.worker import indices, tenure
from tests.integration.alterations import LIST, MAP
from tests.integration.conftest import ByRules, hold, leaves, raise_tick, serving
from tests.integration.program import until

pytestmark = pytest.mark.usefixtures("short_pauses")

OTHER = "audit:{0}:symbol:MSFT"
ALTERED: dict[str, Callable[[Redis], Any]] = {
    "map deleted": lambda redis: redis.delete(MAP),
    "one tick removed": lambda redis: redis.hdel(MAP, "t1"),
    "one tick moved": lambda redis: redis.hset(MAP, "t1", 1),
    "one tick made no number": lambda redis: redis.hset(MAP, "t1", "x"),
    "map of another type": lambda redis: redis.eval("redis.call('DEL', KEYS[1]) redis.call('SET', KEYS[1], 1)", 1, MAP),
    "list deleted": lambda redis: redis.delete(LIST),
    "lists deleted": lambda redis: redis.delete(LIST, OTHER),
    "newest of a list removed": lambda redis: redis.rpop(LIST),
    "oldest of a list removed": lambda redis: redis.lpop(LIST),
    "list replaced": lambda redis: redis.eval("redis.call('DEL', KEYS[1]) redis.call('RPUSH', KEYS[1], 0)", 1, LIST),
    "list with a later index": lambda redis: redis.rpush(LIST, 10**6),
    "list of another type": lambda redis: redis.eval(
        "redis.call('DEL', KEYS[1]) redis.call('SET', KEYS[1], 1)", 1, LIST
    ),
}
"""What is altered at the keys while the service works."""


async def is_whole(redis: Redis) -> bool:
    return (await verify_log(Log(redis))).fault is None


def has_more(told: list[str], before: int) -> bool:
    return len(told) > before


async def ticks_of(redis: Redis) -> list[object]:
    return [leaf["tick"] for leaf in await leaves(redis) if "tick" in leaf]


async def test_it_is_noticed_and_mended_without_a_tick(
    redis: Redis, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenure, "_RENEW_S", 0.02)
    await hold(redis, "AAPL", "MSFT")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        for number in range(4):
            await raise_tick(redis, f"t{number}", "AAPL" if number % 2 else "MSFT")
            await running.until_settled(f"t{number}")
        for name, alter in ALTERED.items():
            told = len(running.troubles)
            await alter(redis)
            await until(lambda: is_whole(redis))
            await until(partial(has_more, running.troubles, told))
            key = LIST if "list" in name else MAP
            if "another type" in name:
                continue  # told as for every other key
            assert any(each.startswith(key) or OTHER in each for each in running.troubles[told:]), name
            assert "says again what the log does" in running.troubles[-1], name
        repairs = await Log(redis).repairs()
    assert await ticks_of(redis) == ["t0", "t1", "t2", "t3"]
    assert repairs["ticks"] >= len([name for name in ALTERED if "list" not in name])
    assert repairs["lists"] >= len([name for name in ALTERED if "list" in name])


async def test_no_tick_is_decided_again_before_the_map_is_mended(
    redis: Redis, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmctx.worker.tick_map._MAX_REMEMBERED", 2)
    monkeypatch.setattr(indices, "_MAX_RECENT", 3)
    await hold(redis, "AAPL")
    ticks = [f"t{number}" for number in range(5)]
    for restarts in (False, True):
        async with serving(redis, redis_url, tmp_path, ByRules()) as running:
            for tick in [] if restarts else ticks:
                await raise_tick(redis, tick, "AAPL")
                await running.until_settled(tick)
            await redis.delete(MAP)
            for tick in ticks:
                await raise_tick(redis, tick, "AAPL")
            await until(lambda: is_empty(redis))
    assert await ticks_of(redis) == ticks
    assert await is_whole(redis)


async def test_what_was_deleted_before_the_start_is_mended_at_the_start(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await hold(redis, "AAPL")
    for tick in ("one", "two"):
        async with serving(redis, redis_url, tmp_path, ByRules()) as running:
            await raise_tick(redis, tick, "AAPL")
            await running.until_settled(tick)
        if tick == "one":
            await redis.delete(MAP, LIST)
    assert await redis.llen(LIST) == 2
    assert await is_whole(redis)


async def test_a_whole_trail_is_not_read_again(
    redis: Redis, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenure, "_RENEW_S", 0.01)
    mended, mend = list[int](), indices.Indices._mend

    async def counted(self: indices.Indices) -> None:
        mended.append(1)
        await mend(self)

    monkeypatch.setattr(indices.Indices, "_mend", counted)
    await hold(redis, "AAPL", "MSFT")
    async with serving(redis, redis_url, tmp_path, ByRules(pauses=20)) as running:
        ticks = [f"t{number}" for number in range(60)]
        for tick in ticks:
            await raise_tick(redis, tick, "AAPL" if tick[-1] < "5" else "MSFT")
        await running.until_settled(*ticks)
    assert (mended, running.troubles) == ([], [])


async def is_empty(redis: Redis) -> bool:
    return not await redis.xlen("ticks:{0}")
