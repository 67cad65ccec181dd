"""Verify a trail in full: the rules of the log, then each record rebuilt from its evidence."""

from collections.abc import Callable
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.errors import RecordError
from llmctx.replay.rerun import Templates, rebuild
from llmctx.trail.entry import BLOBS, Entry
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
    rebuilt: int
    """Records with a prompt that came out of their evidence again: the prompt byte for byte, decision and verdict."""
    not_reproducible: int
    """Records of another code version that do not come out here."""
    fault: Fault | None
    """The first bad record; None where all are good."""

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return self._asdict() | {"fault": None if self.fault is None else self.fault._asdict()}


async def verify_log(log: Log, on_record: Callable[[], None] = lambda: None) -> Report:
    """Check every record of a partition, in order, up to the first bad one."""
    verifier, rebuilt, unreproducible = Verifier(), 0, 0
    blobs: dict[str, bytes] = {}
    templates = Templates(blobs)
    fault: Fault | None = None
    # The map is taken first: a running service settles ticks while the log is read, and those are in no map yet.
    size, tick_map = await log.size(), await log.tick_map()
    try:
        async for entry in log.read():
            fault = verifier.check(entry) or await _check_blobs(entry, blobs, log)
            if fault is None:
                difference = rebuild(entry, templates)
                if difference is not None and difference.tampered:
                    expected = "what its evidence gives"
                    fault = Fault(entry.index, difference.rule, expected, difference.cause)
                unreproducible += difference is not None and not difference.tampered
                rebuilt += difference is None and "prompt" in entry.record
            if fault is not None:
                break
            on_record()
    except RecordError as error:
        fault = Fault(verifier.size, "record-form", "a leaf and evidence that can be unpacked", error.why)
    if fault is None:
        fault = verifier.check_map(tick_map, size)
    good = verifier.size if fault is None else min(fault.at, verifier.size)
    ticks = sum(index < good for index in verifier.settled.values())
    return Report(log.partition, good, ticks, rebuilt, unreproducible, fault)


async def _check_blobs(entry: Entry, blobs: dict[str, bytes], log: Log) -> Fault | None:
    """Every blob that a record names is there, with that digest."""
    for section, field in BLOBS:
        digest = entry.record.get(section, {}).get(field)
        if digest is None:
            continue
        if not isinstance(digest, str):
            return Fault(entry.index, "record-form", f"{field} as str", str(digest)[:120])
        if digest in blobs:
            continue
        blob = await log.blob(digest)
        if blob is None or canonical.sha256(blob) != digest:
            found = "nothing" if blob is None else canonical.sha256(blob)
            return Fault(entry.index, f"blob-digest of {field}", digest, found)
        blobs[digest] = blob
    return None
