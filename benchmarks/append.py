"""The append (checks, record, tick map, symbol index, acknowledgement in one call) against a bare XADD of that size."""

import statistics
import time
from collections.abc import Awaitable, Callable

from benchmarks.stage import SYMBOLS, Stage
from llmctx.context.tick import Tick
from llmctx.pipeline import Pipeline
from llmctx.schema import keys
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.lease import Lease
from llmctx.trail.log.log import Draft, Log, Settlement
from llmctx.trail.log.packing import pack

ROUNDS = 20
CALLS = 50
_PARTITION = 7
"""One that no service of the stage uses."""


async def measure(stage: Stage) -> dict[str, str]:
    """append_ratio: p50 of an append's round trip / p50 of a bare XADD of the same size."""
    draft = await _draft(stage)
    lease, log = Lease(stage.redis, _PARTITION), Log(stage.redis, _PARTITION)
    await lease.take()
    packed = pack(draft.leaf, draft.pieces)
    settlement = Settlement(keys.ticks(_PARTITION), keys.attempts(_PARTITION), keys.DECIDERS)
    count = 0

    async def append() -> None:
        nonlocal count
        count += 1
        made = draft._replace(tick=f"bench:{count}", blobs=())
        await log._append(made, packed, [], lease.owner, settlement)  # noqa: SLF001  the round trip without packing

    async def bare() -> None:
        await stage.redis.xadd("bench:bare", {"record": packed})

    times: dict[str, list[float]] = {"append": [], "bare": []}
    for _ in range(ROUNDS):
        times["bare"] += await _time(bare)
        times["append"] += await _time(append)
    appended, plain = statistics.median(times["append"]), statistics.median(times["bare"])
    began = time.perf_counter()
    for _ in range(CALLS):
        pack(draft.leaf, draft.pieces)
    packing = (time.perf_counter() - began) / CALLS
    print(
        f"append: {appended * 1e6:.0f} us, bare XADD of {len(packed)} bytes: {plain * 1e6:.0f} us (p50 of "
        f"{ROUNDS * CALLS}); packing beside it {packing * 1e6:.0f} us"
    )
    await lease.give_up()
    return {"append_ratio": f"{appended / plain:.2f} x"}


async def _draft(stage: Stage) -> Draft:
    drafts: list[Draft] = []

    async def keep(made: Draft, _: tuple[str, ...]) -> Entry:
        drafts.append(made)
        return Entry(made.leaf, made.pieces, index=0)

    async with stage.config() as config:
        pipeline = Pipeline(stage.redis, config, keep, partition=_PARTITION)
        await pipeline.decide(Tick.by_hand(SYMBOLS[0]))
    return drafts[0]


async def _time(call: Callable[[], Awaitable[None]]) -> list[float]:
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        await call()
        times.append(time.perf_counter() - began)
    return times
