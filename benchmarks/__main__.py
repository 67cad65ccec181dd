"""`python -m benchmarks`: run all of them; the last lines are `bench NAME VALUE UNIT`."""

import asyncio

from benchmarks import (
    append,
    archive,
    feed,
    grounding,
    grounding_cited,
    join,
    memory,
    paced,
    post,
    query,
    replay,
    spool,
    tick,
    verify,
)
from benchmarks.stage import stage


async def main() -> None:
    """Measure everything on one stage."""
    figures: dict[str, str] = {}
    async with stage() as where:
        for benchmark in (join, append, post, tick, paced, feed, verify, archive, spool, replay, memory):
            figures |= await benchmark.measure(where)
    figures |= query.measure() | grounding.measure() | grounding_cited.measure()
    for name, value in figures.items():
        print(f"bench {name} {value}")


asyncio.run(main())
