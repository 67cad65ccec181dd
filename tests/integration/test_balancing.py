"""Several workers on one trail: each holds about the same number of partitions, and nothing is lost in between."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.context.tick import Tick
from llmctx.pipeline import DecisionConfig
from llmctx.schema import keys
from llmctx.schema.keys import partition_of
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.lease import read_holder
from llmctx.trail.log.log import Log
from llmctx.worker import balancing
from llmctx.worker.balancing import Balancer
from llmctx.worker.broken_step import Breakdowns
from llmctx.worker.home import TrailHome
from llmctx.worker.memory import MemoryWatch
from llmctx.worker.partition import Admission, serve_partition
from tests.integration.conftest import POSITION, ByRules, hold
from tests.integration.program import until

PARTITIONS = 4
SYMBOLS = [f"S{number:02}" for number in range(40)]

pytestmark = pytest.mark.usefixtures("short_pauses", "_quick")


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balancing, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr("llmctx.worker.partition._RETRY_S", 0.02)


class Worker:
    """One worker: a task a partition, and its part in the balancing."""

    def __init__(self, redis: Redis, url: str, state_dir: Path) -> None:
        self._redis, self._url, self._state_dir = redis, url, state_dir
        self._stop = asyncio.Event()
        self.balancer = Balancer(redis, PARTITIONS)

    @property
    def held(self) -> int:
        return len(self.balancer._held)

    async def start(self) -> None:
        instance, _ = await bind_instance(self._redis, self._state_dir, partitions=PARTITIONS)
        config = DecisionConfig(POSITION, ByRules(pauses=3))
        home, memory = TrailHome(self._redis, self._url, instance, self._state_dir), MemoryWatch(self._redis)
        await self.balancer.beat()
        self._beating = asyncio.create_task(self.balancer.run())
        self._serving = [
            asyncio.create_task(
                serve_partition(
                    home,
                    number,
                    config,
                    self._stop,
                    admission=Admission(memory, self.balancer, Breakdowns()),
                    concurrency=2,
                )
            )
            for number in range(PARTITIONS)
        ]

    async def end(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._serving)
        self._beating.cancel()
        await asyncio.gather(self._beating, return_exceptions=True)


@asynccontextmanager
async def working(redis: Redis, url: str, state_dir: Path, count: int) -> AsyncIterator[list[Worker]]:
    workers = [Worker(redis, url, state_dir) for _ in range(count)]
    try:
        for worker in workers:
            await worker.start()
        yield workers
    finally:
        for worker in workers:
            await worker.end()


async def owners(redis: Redis) -> list[str | None]:
    """Who holds each partition, by its owner's uuid."""
    holders = [await read_holder(redis, partition) for partition in range(PARTITIONS)]
    return [None if holder is None else holder.owner for holder in holders]


async def all_held(redis: Redis) -> bool:
    return None not in await owners(redis)


async def raise_all(redis: Redis, name: str) -> list[str]:
    """A tick for each symbol."""
    for symbol in SYMBOLS:
        tick = Tick(id=f"{name}:{symbol}", symbol=symbol)
        await redis.xadd(keys.ticks(partition_of(symbol, PARTITIONS)), tick.fields())
    return [f"{name}:{symbol}" for symbol in SYMBOLS]


async def settled(redis: Redis) -> Counter[str]:
    """Every tick that a record settles, with how often."""
    found: Counter[str] = Counter()
    for partition in range(PARTITIONS):
        async for entry in Log(redis, partition).read():
            found.update([entry.record["tick"]] if "tick" in entry.record else [])
            found.update(entry.record.get("conflated", []))
    return found


async def test_two_workers_hold_two_of_four_partitions_each(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    async with working(redis, redis_url, tmp_path, 2) as workers:
        await until(lambda: [worker.held for worker in workers] == [2, 2])
        await until(lambda: all_held(redis))


async def test_the_only_worker_holds_all_and_hands_over_when_another_comes(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await hold(redis, *SYMBOLS)
    async with working(redis, redis_url, tmp_path, 1) as [first]:
        await until(lambda: all_held(redis))
        assert first.held == PARTITIONS
        raised = await raise_all(redis, "a")
        second = Worker(redis, redis_url, tmp_path)
        await second.start()
        raised += await raise_all(redis, "b")
        await until(lambda: (first.held, second.held) == (2, 2))
        raised += await raise_all(redis, "c")
        await second.end()
        await until(lambda: first.held == PARTITIONS)
        raised += await raise_all(redis, "d")
    assert await settled(redis) == Counter(raised)


async def test_a_halt_holds_from_the_next_tick_on_at_two_workers(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    """Ticks that are under way when it is set may be asked; none that is raised after it."""
    await hold(redis, *SYMBOLS)
    async with working(redis, redis_url, tmp_path, 2) as workers:
        await until(lambda: [worker.held for worker in workers] == [2, 2])
        before = await raise_all(redis, "before")
        await redis.set(keys.halt(), "old prices")
        after = await raise_all(redis, "after")
        await until(lambda: _all_settled(redis, [*before, *after]))
    records = [entry.record for number in range(PARTITIONS) async for entry in Log(redis, number).read()]
    halted = [record for record in records if record.get("tick", "").startswith("after:")]
    assert len(halted) + sum(len(record.get("conflated", ())) for record in records) >= len(SYMBOLS)
    assert {record["kind"] for record in halted} == {"skipped"}
    assert {record["verdict"]["guards"][0]["name"] for record in halted} == {"halted"}
    assert {partition_of(record["symbol"], PARTITIONS) for record in halted} == set(range(PARTITIONS))


async def _all_settled(redis: Redis, raised: list[str]) -> bool:
    return (await settled(redis)).keys() >= set(raised)


async def test_a_worker_that_is_not_heard_of_any_more_is_not_counted(redis: Redis) -> None:
    gone, left = Balancer(redis, 4), Balancer(redis, 4)
    await gone.beat()
    await left.beat()
    assert left._share == 2
    await redis.zadd(keys.WORKERS, {gone._worker: 0})
    await left.beat()
    assert left._share == 4


async def test_more_workers_than_partitions_leave_some_without(redis: Redis) -> None:
    workers = [Balancer(redis, 2) for _ in range(3)]
    for worker in [*workers, *workers]:
        await worker.beat()
    assert all(worker.take(0) is not None and worker.take(1) is None for worker in workers)
