"""The feed: bars per second with live keys written, positions traded and ticks raised, including Redis."""

import tempfile
import time
from pathlib import Path

from benchmarks.stage import Stage
from llmctx.connection import open_redis
from llmctx.flow.feed import Feed
from llmctx.flow.rules import FeedRules
from llmctx.flow.simulated_market import simulate
from llmctx.flow.store import Store
from llmctx.ops.server import EmbeddedServer

ROUNDS = 3


async def measure(_stage: Stage) -> dict[str, str]:
    """feed_bars_per_s: bars of a simulated day of eight symbols, at full speed; the best of three rounds.

    feed_one_symbol_per_s: the same for one symbol, where every bar takes its own round trip.
    """
    market = simulate(seed=7, days=1)
    alone = [bar for bar in market.bars if bar.symbol == "ACME"]
    rates: dict[str, float] = {"all": 0.0, "one": 0.0}
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder)) as server:
        async with open_redis(server.url) as redis:
            for _round in range(ROUNDS):
                for name, items in (("all", list(market.items())), ("one", alone)):
                    await redis.flushdb()
                    feed = Feed(Store(redis, 1), FeedRules(sectors=market.sectors))
                    began = time.perf_counter()
                    summary = await feed.run(items)
                    rates[name] = max(rates[name], summary.bars / (time.perf_counter() - began))
    print(f"feed: {rates['all']:.0f} bars/s of eight symbols, {rates['one']:.0f} of one alone (best of {ROUNDS})")
    return {"feed_bars_per_s": f"{rates['all']:.0f} /s", "feed_one_symbol_per_s": f"{rates['one']:.0f} /s"}
