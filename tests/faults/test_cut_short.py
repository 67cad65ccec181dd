"""Work that is cut short: tasks cancelled at each await, groups and functions that vanish, ticks that are trimmed."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx import clock
from llmctx.connection.streams import read_stream
from llmctx.schema import keys
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Log
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner
from tests.faults.conftest import check_oracle
from tests.integration.conftest import ByRules, decided, hold, leaves, raise_tick, serving
from tests.integration.program import until

pytestmark = pytest.mark.usefixtures("short_pauses")

SYMBOLS = [f"S{n}" for n in range(6)]


async def test_a_record_whose_task_is_cancelled_at_any_await_is_settled_once(redis: Redis, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    instance, _ = await bind_instance(redis, tmp_path)
    ticks = []
    async with Owner(TrailHome(redis, "", instance, tmp_path)) as owner:
        for turns in range(40):
            ticks.append(f"t{turns}")
            made = await decided(redis, "AAPL", ticks[-1])
            task = asyncio.create_task(owner.settle(made))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.wait_for(owner.settle(made), 120)
    await check_oracle(redis, ticks)


@pytest.mark.parametrize("what", ["group", "functions", "blobs", "publications", "durable"])
async def test_what_vanishes_under_load_costs_no_tick(redis: Redis, redis_url: str, tmp_path: Path, what: str) -> None:
    await hold(redis, *SYMBOLS)
    raised: list[str] = []
    async with serving(redis, redis_url, tmp_path, ByRules(pauses=3)) as running:
        for n in range(6):
            for symbol in SYMBOLS:
                raised.append(f"{symbol}-{n}")
                await raise_tick(redis, raised[-1], symbol)
            await until(lambda: running.entries)
            if what == "group":
                await redis.xgroup_destroy(keys.ticks(0), keys.DECIDERS)
            elif what == "functions":
                await redis.function_flush()
            elif what == "blobs":
                await redis.delete(*[name async for name in redis.scan_iter("audit:{0}:blob:*")], "none")
            elif what == "publications":
                await redis.delete(keys.decisions(0))
            else:
                await redis.delete("audit:{0}:durable")
        await until(lambda: _settled(redis, raised))
        await running.decide(redis, "last", SYMBOLS[0])
    await check_oracle(redis, [*raised, "last"])


async def _settled(redis: Redis, ticks: list[str]) -> bool:
    return None not in await Log(redis).settled(ticks)


async def test_a_tick_trimmed_below_the_pending_list_is_an_incident(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await hold(redis, *SYMBOLS)
    await redis.xgroup_create(keys.ticks(0), keys.DECIDERS, id="0", mkstream=True)
    for symbol in SYMBOLS:
        await raise_tick(redis, symbol, symbol)
    await redis.xreadgroup(keys.DECIDERS, "owner", {keys.ticks(0): ">"})
    await redis.xtrim(keys.ticks(0), minid=(await read_stream(redis, keys.ticks(0)))[2].id, approximate=False)
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await running.until_settled(*SYMBOLS[2:])
    kinds = [leaf["kind"] for leaf in await leaves(redis)]
    assert kinds.count("incident") == 2
    await check_oracle(redis, SYMBOLS[2:])


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_is_an_hour_off_changes_nothing(
    redis: Redis, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    await hold(redis, *SYMBOLS)
    right = clock.now_ms
    monkeypatch.setattr(clock, "now_ms", lambda: right() + hours * 3_600_000)
    for symbol in SYMBOLS:
        await raise_tick(redis, symbol, symbol)
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await running.until_settled(*SYMBOLS)
    times = [leaf["recorded_at_ms"] for leaf in await leaves(redis)]
    assert all(abs(int(str(time)) - right()) < 60_000 for time in times)
    await check_oracle(redis, SYMBOLS)
