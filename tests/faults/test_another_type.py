"""A value of another type in place of a key that every record needs, while many symbols are decided."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.replay.verify import verify_log
from llmctx.schema import keys
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.lease import partition_key
from llmctx.trail.log.log import Log
from llmctx.worker.server_check import ServerCheck
from tests.integration.conftest import ByRules, hold, leaves, raise_tick, serving

pytestmark = pytest.mark.usefixtures("short_pauses")

SYMBOLS = [f"S{number}" for number in range(20)]
NAMES = [partition_key(0, name) for name in ("lease", "log")] + [keys.attempts(0)]


async def put_list(redis: Redis, name: str) -> None:
    async with redis.pipeline(transaction=True) as at_once:
        at_once.delete(name)
        at_once.rpush(name, "x")
        await at_once.execute()


@pytest.mark.parametrize("name", NAMES)
async def test_it_is_removed_and_no_tick_is_lost(redis: Redis, redis_url: str, tmp_path: Path, name: str) -> None:
    await hold(redis, *SYMBOLS)
    ticks = [[f"{letter}{number}" for number in range(len(SYMBOLS))] for letter in "ab"]
    async with serving(redis, redis_url, tmp_path, ByRules(pauses=50)) as running:
        for tick, symbol in zip(ticks[0], SYMBOLS, strict=True):
            await raise_tick(redis, tick, symbol)
        await running.until_settled("a0")
        await put_list(redis, name)
        for tick, symbol in zip(ticks[1], SYMBOLS, strict=True):
            await raise_tick(redis, tick, symbol)
        await running.until_settled(*ticks[1])
        await running.until_trouble(f"{name} held a list")
    records = [leaf for leaf in await leaves(redis) if "tick" in leaf]
    settled = [tick for leaf in records for tick in (leaf["tick"], *leaf.get("conflated", []))]  # type: ignore[misc]
    assert sorted(settled) == sorted(ticks[0] + ticks[1])
    assert (await verify_log(Log(redis))).fault is None


async def test_only_one_of_many_checks_removes_it(redis: Redis, tmp_path: Path) -> None:
    instance, _ = await bind_instance(redis, tmp_path)
    check = ServerCheck(redis, Log(redis), instance)
    await check.contents()
    await put_list(redis, NAMES[1])
    assert sum(await asyncio.gather(*(check.contents() for _ in range(20)))) == 1
    assert await Log(redis).repairs() == {"types": 1}
