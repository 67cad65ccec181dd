"""How long an owner's start takes on a spool of a million records: spool, anchor and log compared, a segment begun."""

import asyncio
import time
from pathlib import Path

from benchmarks.stage import Stage
from llmctx import canonical
from llmctx.trail.log.entry import FIELD
from llmctx.trail.log.instance import Instance, bind_instance
from llmctx.trail.log.lease import Lease
from llmctx.trail.log.log import Draft, Log
from llmctx.trail.log.packing import pack
from llmctx.trail.proof.anchor import Anchor, anchor_directory
from llmctx.trail.proof.key import load_or_make_key
from llmctx.trail.proof.merkle import leaf_hash
from llmctx.trail.proof.roster import Roster
from llmctx.trail.spool.recovery import Recovery
from llmctx.trail.spool.segment import RECORD, Segment, numbered
from llmctx.trail.spool.spool import spool_directory
from llmctx.trail.spool.spooler import SEGMENT_BYTES

RECORDS = 1_000_000
RECORD_BYTES = 800
"""About what a packed decision takes."""
IN_LOG = 2000
"""How many of the newest records the log holds: more than are compared."""
STARTS = 3
_PARTITION = 6
"""One that no service of the stage uses."""


async def measure(stage: Stage) -> dict[str, str]:
    """spool_start_s: the slowest of three starts on a spool, an anchor and a log that end at the same record."""
    instance, _ = await bind_instance(stage.redis, stage.state_dir)
    leaf = canonical.dumps({"kind": "notice", "v": 1})
    packed = pack(leaf, {"completion": _incompressible(RECORD_BYTES)})
    segments = await asyncio.to_thread(_fill_spool, stage.state_dir, instance, packed)
    anchor = Anchor(anchor_directory(stage.state_dir, instance.id, _PARTITION))
    await asyncio.to_thread(anchor.append, 0, [leaf_hash(leaf)] * RECORDS)
    log = Log(stage.redis, _PARTITION)
    async with stage.redis.pipeline(transaction=False) as pipe:
        for index in range(RECORDS - IN_LOG, RECORDS):
            pipe.xadd(log.key("log"), {FIELD: packed}, id=f"{index}-1")
        await pipe.execute()
    starts = [await _start(stage, instance) for _ in range(STARTS)]
    print(
        f"spool: {RECORDS} records of {len(packed)} bytes in {segments} segments; starts of "
        + ", ".join(f"{took_s:.2f} s" for took_s in starts)
    )
    return {"spool_start_s": f"{max(starts):.2f} s"}


def _incompressible(size: int) -> bytes:
    return b"".join(bytes.fromhex(canonical.sha256(b"%d" % number)) for number in range(size // 32))


def _fill_spool(state_dir: Path, instance: Instance, packed: bytes) -> int:
    directory = spool_directory(state_dir, instance.id, _PARTITION)
    per_segment = SEGMENT_BYTES // len(packed)
    starts = range(0, RECORDS, per_segment)
    for number, start in enumerate(starts):
        segment = Segment(directory, number, start)
        stop = min(start + per_segment, RECORDS)
        segment.write([numbered(RECORD, index, packed) for index in range(start, stop)])
        segment.close()
    return len(starts)


async def _start(stage: Stage, instance: Instance) -> float:
    log, lease = Log(stage.redis, _PARTITION), Lease(stage.redis, _PARTITION)
    await lease.take()

    async def advance(size: int) -> None:
        await log.advance(size, lease.owner)

    async def compose(reason: str, evidence: bytes, count: int) -> Draft:
        raise AssertionError((reason, evidence, count))

    load_or_make_key(stage.state_dir, instance.id)
    roster = Roster(stage.state_dir, instance.id, _PARTITION)
    recovery = Recovery(stage.redis, log, lease, instance, stage.state_dir, compose)
    began = time.perf_counter()
    assert await recovery.open(roster, advance) is None
    took_s = time.perf_counter() - began
    await recovery.close()
    await lease.give_up()
    return took_s
