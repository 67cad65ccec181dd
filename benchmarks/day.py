"""A simulated day, traded: bars go through the feed, the service decides each tick, the paper broker executes it.

Answers come from the stand-in's rules in this process, so a day takes seconds.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import chain, count, takewhile
from pathlib import Path

from redis.asyncio import Redis

from benchmarks.rules import ByRules
from llmctx.assets import asset
from llmctx.connection import open_redis
from llmctx.flow.bars import Bar
from llmctx.flow.feed import Feed
from llmctx.flow.lockstep import Lockstep
from llmctx.flow.simulated_market import simulate
from llmctx.flow.store import Store
from llmctx.ops.server import EmbeddedServer
from llmctx.pipeline import DecisionConfig
from llmctx.prompt.template import load_template
from llmctx.replay.corpus import Recorded
from llmctx.trail.log.entry import Entry, named_blobs
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Log
from llmctx.worker.home import TrailHome
from llmctx.worker.partition import serve_partition


def bars() -> Iterator[Bar]:
    """Minute bars in time order without an end: two days again and again, a week later each time."""
    days = sorted(simulate(seed=7, days=2).bars)
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


async def record_day(decisions: int) -> tuple[list[Recorded], dict[str, bytes]]:
    """So many decisions in a row, each with its evidence unpacked."""
    entries: list[Entry] = []

    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "redis") as server:
        async with open_redis(server.url) as redis:
            await trade(redis, server.url, Path(folder) / "state", decisions, entries.append)
            log, blobs = Log(redis), dict[str, bytes]()
            for digest in {digest for entry in entries for digest in named_blobs(entry.record)}:
                blob = await log.blobs.blob(digest)
                assert blob is not None, digest
                blobs[digest] = blob
    return [Recorded(entry.leaf, entry.pieces, index=entry.index) for entry in entries], blobs
