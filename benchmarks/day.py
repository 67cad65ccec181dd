"""A real day, traded: recorded bars go through the feed, the service decides each tick, the paper broker obeys.

The bars are those of the shared data where it lies beside the repository, otherwise simulated ones. Answers come from
the stand-in's rules in this process, so that a day takes seconds.
"""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import chain, count, takewhile
from pathlib import Path

from redis.asyncio import Redis

from benchmarks.rules import ByRules
from llmctx.assets import asset
from llmctx.flow.bars import Bar, read_bars
from llmctx.flow.feed import Feed
from llmctx.flow.lockstep import Lockstep
from llmctx.flow.simulated_market import simulate
from llmctx.flow.store import Store
from llmctx.pipeline import DecisionConfig
from llmctx.prompt.template import load_template
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import bind_instance
from llmctx.worker.home import TrailHome
from llmctx.worker.partition import serve_partition

_SHARED = Path(__file__).parents[2] / "shared" / "data"


def bars() -> Iterator[Bar]:
    """Minute bars of four symbols in time order without an end: two days again and again, a week later each time."""
    recorded = [bar for path in sorted(_SHARED.glob("bars_us4_*.csv")) for bar in read_bars(path)]
    days = sorted(bar for bar in recorded if isinstance(bar, Bar)) or sorted(simulate(seed=7, days=2).bars)
    return chain.from_iterable(
        (bar._replace(start=bar.start + week * timedelta(days=7)) for bar in days) for week in count()
    )


async def trade(
    redis: Redis, url: str, state_dir: Path, decisions: int, on_decision: Callable[[Entry], None] = lambda _: None
) -> None:
    """Trade in lockstep until so many decisions more are made, on what the server already has."""
    instance, _ = await bind_instance(redis, state_dir)
    config = DecisionConfig(load_template(asset("prompts"), "position"), ByRules())
    stop, wanted = asyncio.Event(), decisions

    def seen(entry: Entry) -> None:
        nonlocal wanted
        if wanted and entry.record["kind"] == "decision":
            on_decision(entry)
            wanted -= 1

    service = asyncio.create_task(
        serve_partition(TrailHome(redis, url, instance, state_dir), 0, config, stop, on_entry=seen)
    )
    try:
        await Feed(Store(redis, 1), lockstep=Lockstep(redis, 1)).run(takewhile(lambda _: wanted, bars()))
    finally:
        stop.set()
        await service
