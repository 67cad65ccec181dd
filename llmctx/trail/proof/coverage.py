"""What the signed checkpoints say of a partition: which tree it had at which size, and when.

The rules about checkpoints, and about the time between a record and the first checkpoint that covers it
(audit/README.md states them).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from llmctx import clock
from llmctx.errors import CheckpointError
from llmctx.trail.proof.checkpoint import Checkpoint, Key, open_note, read_note
from llmctx.trail.proof.fault import Fault, FaultError
from llmctx.trail.proof.merkle import EMPTY_ROOT, CompactRange

BOUND_MS = 120_000
"""A record and the first checkpoint that covers it are not further apart, unless the checkpoint says why."""
GAP_MS = 180_000
"""Two checkpoints further apart than this are warned of."""


class Coverage:
    """The checkpoints of one partition, oldest first, followed while its tree grows."""

    def __init__(self, checkpoints: Sequence[Checkpoint] = (), *, complete: bool = True) -> None:
        self._checkpoints = checkpoints
        self._complete = complete
        self._next = sum(checkpoint.size == 0 for checkpoint in checkpoints)  # nothing is covered by those
        self._last_good = 0
        self.late = 0
        """How many records were signed late, as the checkpoints say themselves."""

    @property
    def count(self) -> int:
        """How many checkpoints there are."""
        return len(self._checkpoints)

    @property
    def size(self) -> int:
        """How many records they cover."""
        return self._checkpoints[-1].size if self._checkpoints else 0

    def check_root(self, tree: CompactRange) -> Fault | None:
        """Whether the tree at this size is the one that was signed, where it was signed."""
        while self._next < len(self._checkpoints) and self._checkpoints[self._next].size == tree.size:
            signed, found = self._checkpoints[self._next], tree.root()
            if signed.root != found:
                return Fault(self._last_good, "root", f"{signed.root.hex()} over {signed.size} records", found.hex())
            self._next += 1
            self._last_good = tree.size
        return None

    def check_time(self, index: int, recorded_ms: int) -> Fault | None:
        """Whether the record at `index` was made near the time of the first checkpoint that covers it."""
        if not self._complete or self._next == len(self._checkpoints):
            return None
        covering = self._checkpoints[self._next]
        waited_ms = covering.time_ms - recorded_ms
        if abs(waited_ms) <= BOUND_MS:
            return None
        said = covering.late_since_ms
        before = self._checkpoints[self._next - 1] if self._next else None
        explained = waited_ms > 0 and said is not None and said <= recorded_ms
        if explained and (before is None or before.time_ms - recorded_ms <= BOUND_MS):
            self.late += 1
            return None
        found = f"recorded at {recorded_ms}, first covered at {covering.time_ms}"
        return Fault(index, "late-signing", f"at most {BOUND_MS} ms between record and checkpoint", found)

    def warnings(self) -> list[str]:
        """What is no fault, but should be known."""
        if not self._complete:
            return []
        said = []
        spans = [later.time_ms - earlier.time_ms for earlier, later in pairwise(self._checkpoints)]
        gaps = [span for span in spans if span > GAP_MS]
        if gaps:
            said.append(f"{len(gaps)} gaps between checkpoints, the longest of {clock.in_words(max(gaps))}")
        if back := sum(span < 0 for span in spans):
            said.append(f"{back} checkpoints are older than the one before them: a clock was set back")
        if self.late:
            said.append(f"{self.late} records were signed late, as their checkpoint says itself")
        return said


class Trusted(NamedTuple):
    """What a check is given from outside: whose signature counts, on what."""

    key: Key
    """The notary's public key."""
    origin: str
    """The origin that its checkpoints of this partition must have."""
    partitions: int | None = None
    """How many partitions there are, which checkpoints that say so must say too; None where nothing tells."""


def read_coverage(notes: Sequence[str], trusted: Trusted, *, complete: bool = True) -> Coverage:
    """The checkpoints that these signed notes are.

    `complete` says that they are all that were ever made; only then can anything be late.

    Raises FaultError at the first one that breaks a rule; its index is where the good ones before it end.
    """
    checkpoints: list[Checkpoint] = []
    for note in notes:
        before = checkpoints[-1] if checkpoints else None
        checkpoints.append(opened(note, trusted, 0 if before is None else before.size))
        if before is not None:
            _compare(before, checkpoints[-1])
    for checkpoint in checkpoints:
        if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
            raise FaultError(Fault(0, "root", f"{EMPTY_ROOT.hex()} over 0 records", checkpoint.root.hex()))
    return Coverage(checkpoints, complete=complete)


def opened(note: str, trusted: Trusted, at: int) -> Checkpoint:
    """What a signed note says, all checked that can be said of it alone; a fault has the index `at`.

    Raises FaultError.
    """
    try:
        checkpoint = read_note(note)
        _ = checkpoint.time_ms, checkpoint.late_since_ms, checkpoint.partitions
    except CheckpointError as error:
        raise FaultError(Fault(at, "note-grammar", "a signed checkpoint with its time", error.why)) from error
    if checkpoint.origin != trusted.origin:
        raise FaultError(Fault(at, "origin", trusted.origin, checkpoint.origin))
    try:
        open_note(note, trusted.key)
    except CheckpointError as error:
        raise FaultError(Fault(at, "signature", f"a signature of {trusted.key.text}", error.why)) from error
    if checkpoint.partitions is not None and trusted.partitions not in (None, checkpoint.partitions):
        expected = f"{checkpoint.partitions} partitions, as a checkpoint says"
        raise FaultError(Fault(at, "partitions", expected, f"{trusted.partitions}"))
    return checkpoint


def _compare(before: Checkpoint, checkpoint: Checkpoint) -> None:
    if checkpoint.size < before.size:
        expected, found = f"a checkpoint over at least {before.size} records", f"one over {checkpoint.size}"
        raise FaultError(Fault(before.size, "checkpoint-order", expected, found))
    if checkpoint.size == before.size and checkpoint.root != before.root:
        expected = f"root {before.root.hex()} over {before.size} records"
        raise FaultError(Fault(before.size, "checkpoint-fork", expected, checkpoint.root.hex()))
