"""Verify a trail in full: the rules of the log, then the prompts rendered again from their evidence."""

from collections.abc import Callable
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.replay.rerun import Templates, rebuild_prompt
from llmctx.trail.entry import BLOBS
from llmctx.trail.log import Log
from llmctx.trail.verify import Fault, Verifier


class Report(NamedTuple):
    """What a check of one partition found."""

    partition: int
    """The partition."""
    records: int
    """Records found good."""
    ticks: int
    """Distinct ticks that they settle."""
    prompts: int
    """Prompts that came out again, byte for byte."""
    not_reproducible: int
    """Prompts recorded by another code version that do not come out here."""
    fault: Fault | None
    """The first bad record; None where all are good."""

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return self._asdict() | {"fault": None if self.fault is None else self.fault._asdict()}


async def verify_log(log: Log, on_record: Callable[[], None] = lambda: None) -> Report:
    """Check every record of a partition, in order, up to the first bad one."""
    verifier, prompts, unreproducible = Verifier(), 0, 0
    blobs: dict[str, bytes] = {}
    templates = Templates(blobs)
    fault: Fault | None = None
    async for entry in log.read():
        fault = verifier.check(entry)
        if fault is None:
            fault = await _check_blobs(entry.record, entry.index, blobs, log)
        if fault is None:
            rebuilt = rebuild_prompt(entry, templates)
            prompts += rebuilt is not None and rebuilt.same
            unreproducible += rebuilt is not None and not rebuilt.same
            if rebuilt is not None and rebuilt.tampered:
                fault = Fault(entry.index, "prompt-rebuilt", "the recorded messages, byte for byte", rebuilt.cause)
        if fault is not None:
            break
        on_record()
    if fault is None:
        fault = verifier.check_map(await log.tick_map())
    return Report(log.partition, verifier.size, len(verifier.settled), prompts, unreproducible, fault)


async def _check_blobs(record: dict[str, Any], index: int, blobs: dict[str, bytes], log: Log) -> Fault | None:
    """Every blob that a record names is there, with that digest."""
    for section, field in BLOBS:
        digest = record.get(section, {}).get(field)
        if digest is None or digest in blobs:
            continue
        blob = await log.blob(digest)
        if blob is None or canonical.sha256(blob) != digest:
            found = "nothing" if blob is None else canonical.sha256(blob)
            return Fault(index, f"blob-digest of {field}", digest, found)
        blobs[digest] = blob
    return None
