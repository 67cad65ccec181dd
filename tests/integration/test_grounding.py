"""Grounding on packages of recorded days: the same labelled texts, other numbers."""

from pathlib import Path

from redis.asyncio import Redis

from benchmarks.grounding import score
from benchmarks.reasonings import reasonings
from llmctx.context.package import Package, build_package
from llmctx.context.reader import read_snapshot
from llmctx.context.snapshot import ReadRules
from llmctx.flow.bars import read_bars
from llmctx.flow.feed import Feed
from llmctx.flow.rules import FeedRules
from llmctx.flow.store import Store
from tests.days import Day


async def recorded_packages(redis: Redis, file: Path) -> list[Package]:
    """Packages of the positions that the paper broker held at each thirtieth row of a file."""
    feed, found = Feed(Store(redis, 1), FeedRules()), []
    for number, bar in enumerate(read_bars(file)):
        if number == 900:
            break
        await feed.run([bar])
        if number % 30 == 29:
            keys = [bytes(key) async for key in redis.scan_iter("positions:active:*")]
            symbols = [key.decode().rpartition(":")[2] for key in keys]
            packages = [build_package(await read_snapshot(redis, symbol, 0, ReadRules())) for symbol in symbols]
            found += [package for package in packages if package.refusal is None]
    return found


async def test_it_holds_on_whole_days(valkey: Redis, day: Day) -> None:
    packages = await recorded_packages(valkey, day.bars)
    assert len(packages) >= 5
    got = score(reasonings("held_out", packages))
    assert got.planted >= 60
    assert got.precision >= 0.93
    assert got.recall >= 0.9
