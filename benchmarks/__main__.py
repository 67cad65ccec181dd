"""`python -m benchmarks [NAME ...]`: run all, or those named; figures are printed as `bench NAME VALUE UNIT`."""

import asyncio
import sys
import time

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

ON_THE_STAGE = {
    "join": join.measure,
    "append": append.measure,
    "post": post.measure,
    "tick": tick.measure,
    "paced": paced.measure,
    "feed": feed.measure,
    "verify": verify.measure,  # of the records that `tick` made
    "archive": archive.measure,
    "spool": spool.measure,
    "replay": replay.measure,
    "memory": memory.measure,
}
ALONE = {"query": query.measure, "grounding": grounding.measure, "grounding_cited": grounding_cited.measure}


async def main(names: list[str]) -> None:
    """Run the named benchmarks on one stage, or all of them, and say how long each took."""
    unknown = [name for name in names if name not in ON_THE_STAGE | ALONE]
    if unknown:
        sys.exit(f"no benchmark is called {unknown[0]}; there are {', '.join(ON_THE_STAGE | ALONE)}")
    wanted = set(names or ON_THE_STAGE | ALONE) | ({"tick"} if "verify" in names else set())
    figures: dict[str, str] = {}
    async with stage() as where:
        for name in (name for name in ON_THE_STAGE if name in wanted):
            began = time.monotonic()
            figures |= await ON_THE_STAGE[name](where)
            print(f"{name} took {time.monotonic() - began:.0f} s", flush=True)
    for name in (name for name in ALONE if name in wanted):
        figures |= ALONE[name]()
    for name, value in figures.items():
        print(f"bench {name} {value}")


asyncio.run(main(sys.argv[1:]))
