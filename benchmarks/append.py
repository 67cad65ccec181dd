"""An append (packing, checks, record, tick map, symbol index, acknowledgement) against a bare XADD of that size."""

import statistics
import time
from collections.abc import Awaitable, Callable

from benchmarks.stage import SYMBOLS, Stage
from llmctx.context.tick import Tick
from llmctx.pipeline import Pipeline
from llmctx.schema import keys
from llmctx.trail.log.dictionary import Trainer
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.lease import Lease
from llmctx.trail.log.log import Draft, Log, Settlement
from llmctx.trail.log.packing import lay_out, pack

ROUNDS = 20
CALLS = 50
_PARTITION = 7
"""A partition that no service of the stage uses."""


async def measure(stage: Stage) -> dict[str, str]:
    """append_ratio: p50 of an append, packing included / p50 of a bare XADD of the same bytes.

    Records are those of a running service: whole decisions, compressed with a dictionary trained on earlier ones.
    """
    drafts = await _drafts(stage)
    lease, log = Lease(stage.redis, _PARTITION), Log(stage.redis, _PARTITION)
    await lease.take()
    trainer = Trainer()
    for draft in drafts:
        trainer.add(lay_out(draft.leaf, draft.pieces).text, 0)
    log.dictionary = trainer.train(len(drafts))
    packed = [pack(draft.leaf, draft.pieces, log.dictionary) for draft in drafts]
    settlement = Settlement(keys.ticks(_PARTITION), keys.attempts(_PARTITION), keys.DECIDERS)
    count = 0

    async def append() -> None:
        nonlocal count
        count += 1
        await log.append(drafts[count % len(drafts)]._replace(tick=f"bench:{count}"), lease.owner, settlement)

    async def bare() -> None:
        await stage.redis.xadd("bench:bare", {"record": packed[count % len(packed)]})

    await append()  # keeps template, schema and dictionary
    times: dict[str, list[float]] = {"append": [], "bare": []}
    for _ in range(ROUNDS):
        times["bare"] += await _time(bare)
        times["append"] += await _time(append)
    appended, plain = statistics.median(times["append"]), statistics.median(times["bare"])
    mean_bytes = statistics.mean(map(len, packed))
    print(
        f"append: {appended * 1e6:.0f} us with packing, bare XADD of {mean_bytes:.0f} bytes: {plain * 1e6:.0f} us "
        f"(p50 of {ROUNDS * CALLS})"
    )
    await lease.give_up()
    return {"append_ratio": f"{appended / plain:.2f} x"}


async def _drafts(stage: Stage) -> list[Draft]:
    drafts: list[Draft] = []

    async def keep(made: Draft, _: tuple[str, ...]) -> Entry:
        drafts.append(made)
        return Entry(made.leaf, made.pieces, index=0)

    async with stage.config() as config:
        pipeline = Pipeline(stage.redis, config, keep, partition=_PARTITION)
        for symbol in SYMBOLS:
            await pipeline.decide(Tick.by_hand(symbol))
    return drafts


async def _time(call: Callable[[], Awaitable[None]]) -> list[float]:
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        await call()
        times.append(time.perf_counter() - began)
    return times
