"""`python -m benchmarks.capacity`: what symbols and decisions take in memory and on disk, measured in a minute or two.

The last lines are the table of docs/operations/capacity.md.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis

from benchmarks.day import trade
from llmctx.connection import open_redis
from llmctx.ops.keyspace import count_families
from llmctx.ops.server import EmbeddedServer
from llmctx.schema import keys

WARM, DECISIONS = 200, 1000
ANCHOR_BYTES = 32
"""A leaf hash; the anchor has nothing more for a record."""
CASES = ((20, 50), (200, 50), (2000, 20))
"""Symbols, and decisions a day for each."""
MAXMEMORY_SHARE = 0.85
"""The share of maxmemory at which no more ticks are taken (docs/operations.md)."""
_MB, _GB = 2**20, 2**30


class Cost(NamedTuple):
    """The size of one more of each, in bytes."""

    memory: float
    """A decision in the server's memory."""
    aof: float
    """A decision in the server's append-only file, with everything written on the way to it."""
    spool: float
    """A decision in the spool."""
    symbol: float
    """The live keys of a symbol in the server's memory, bars included."""


async def measure() -> Cost:
    """Trade a simulated day on an embedded server and return the size of each decision and each symbol."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "redis") as server:
        state = Path(folder) / "state"
        async with open_redis(server.url) as redis:
            await trade(redis, server.url, state, WARM)
            before = await _taken(redis, Path(folder))
            await trade(redis, server.url, state, DECISIONS)
            after = await _taken(redis, Path(folder))
            symbol = await _per_symbol(redis)
    memory, aof, spool = ((late - early) / DECISIONS for early, late in zip(before, after, strict=True))
    return Cost(memory, aof, spool, symbol)


async def _taken(redis: Redis, folder: Path) -> tuple[int, int, int]:
    """Memory without live keys, and the sizes of append-only file and spool."""
    used = int((await redis.info("memory"))["used_memory"])
    live = [int(await redis.memory_usage(key, samples=0) or 0) async for key in redis.scan_iter("stocks:*")]
    return used - sum(live), _size(folder / "redis" / "appendonlydir"), _size(folder / "state" / "spool")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def _per_symbol(redis: Redis) -> float:
    families = {family.section: family for family in await count_families(redis)}
    symbols = families["price"].keys
    bars = [int(await redis.memory_usage(key, samples=0) or 0) async for key in redis.scan_iter(keys.bars("*"))]
    return (
        sum(families[section].memory_bytes for section in ("price", "indicators", "sentiment")) + sum(bars)
    ) / symbols


def table(cost: Cost) -> str:
    """The table, in Markdown."""
    rows = [
        "| symbols | decisions a day | live keys | memory a day | days in 2 GB | spool, two days | anchor a year |",
        "|---|---|---|---|---|---|---|",
    ]
    for symbols, each in CASES:
        a_day = symbols * each
        live, grows = symbols * cost.symbol, a_day * cost.memory
        days = (MAXMEMORY_SHARE * 2 * _GB - live) / grows
        rows.append(
            f"| {symbols:,} | {a_day:,} | {live / _MB:.1f} MB | {grows / _MB:.1f} MB | {days:,.0f} "
            f"| {2 * a_day * cost.spool / _MB:.0f} MB | {365 * a_day * ANCHOR_BYTES / _MB:.0f} MB |"
        )
    return "\n".join(rows)


def main() -> None:
    """Print the figures, and the table."""
    cost = asyncio.run(measure())
    for name, value in cost._asdict().items():
        print(f"bench capacity_{name}_bytes {value:.0f} B")
    print(table(cost))


if __name__ == "__main__":
    main()
