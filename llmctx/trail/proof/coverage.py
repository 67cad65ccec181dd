"""Coverage: what a partition's signed checkpoints say about its records, and how soon they were signed.

These are the rules about checkpoints, and about the time between a record and the first checkpoint that covers it
(audit/README.md states them).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from llmctx import clock
from llmctx.errors import CheckpointError
from llmctx.trail.log.leaf_schema import Fault, FaultError
from llmctx.trail.proof.checkpoint import Checkpoint, Key, is_signed_by, open_note, read_note
from llmctx.trail.proof.merkle import EMPTY_ROOT, CompactRange
from llmctx.trail.proof.rotation import Rotation, handover, rotation_of

BOUND_MS = 120_000
"""The longest time between a record and the first checkpoint that covers it, unless the checkpoint declares it late."""
GAP_MS = 180_000
"""A longer time between two checkpoints gives a warning."""


class Coverage:
    """The checkpoints of one partition, oldest first, checked against its tree as that grows."""

    def __init__(self, checkpoints: Sequence[Checkpoint] = (), *, complete: bool = True) -> None:
        self._checkpoints = checkpoints
        self._complete = complete
        self._next = len([each for each in checkpoints if each.size == 0])  # they cover nothing
        self._last_good = 0
        self.late = 0
        """How many records were signed late, as their checkpoints declare."""

    @property
    def count(self) -> int:
        """The number of checkpoints."""
        return len(self._checkpoints)

    @property
    def size(self) -> int:
        """How many records they cover."""
        return self._checkpoints[-1].size if self._checkpoints else 0

    def begin_at(self, size: int) -> None:
        """Skip the checkpoints over fewer records, which are archived."""
        self._next = len([each for each in self._checkpoints if each.size < max(1, size)])
        self._last_good = size

    def check_root(self, tree: CompactRange) -> Fault | None:
        """The fault if a checkpoint of this size has another root than the tree."""
        while self._next < len(self._checkpoints) and self._checkpoints[self._next].size == tree.size:
            signed, found = self._checkpoints[self._next], tree.root()
            if signed.root != found:
                return Fault(self._last_good, "root", f"{signed.root.hex()} over {signed.size} records", found.hex())
            self._next += 1
            self._last_good = tree.size
        return None

    def check_time(self, index: int, recorded_ms: int) -> Fault | None:
        """The fault if the first checkpoint that covers a record is too far from it in time."""
        if not self._complete or self._next == len(self._checkpoints):
            return None
        covering = self._checkpoints[self._next]
        waited_ms = covering.time_ms - recorded_ms
        if abs(waited_ms) <= BOUND_MS:
            return None
        late_since_ms = covering.late_since_ms
        # A checkpoint over a part of what this one signed has its time, and says nothing about when the rest was there.
        earlier = (self._checkpoints[at] for at in reversed(range(self._next)))
        before = next((each for each in earlier if each.time_ms != covering.time_ms), None)
        is_declared = waited_ms > 0 and late_since_ms is not None and late_since_ms <= recorded_ms
        if is_declared and (before is None or before.time_ms - recorded_ms <= BOUND_MS):
            self.late += 1
            return None
        found = f"recorded at {recorded_ms}, first covered at {covering.time_ms}"
        return Fault(index, "late-signing", f"at most {BOUND_MS} ms between record and checkpoint", found)

    def warnings(self) -> list[str]:
        """What an auditor should know although it breaks no rule."""
        if not self._complete:
            return []
        found = []
        spans = [later.time_ms - earlier.time_ms for earlier, later in pairwise(self._checkpoints)]
        if gaps := [span for span in spans if span > GAP_MS]:
            found.append(f"gaps between checkpoints: {len(gaps)}, the longest of {clock.in_words(max(gaps))}")
        if backward := [span for span in spans if span < 0]:
            found.append(f"{len(backward)} checkpoints are older than the one before them: a clock was set back")
        if self.late:
            found.append(f"{self.late} records were signed late, as their checkpoints declare")
        return found


class Trusted(NamedTuple):
    """What a check trusts: whose signature, on which log."""

    key: Key
    """The notary's public key."""
    origin: str
    """The origin that the partition's checkpoints must have."""
    partitions: int | None = None
    """The number of partitions, which checkpoints must agree with; None if it is unknown."""
    chain: tuple[Key, ...] = ()
    """The instance keys that followed one another, oldest first, `key` among them; empty if there is only `key`."""

    @property
    def keys(self) -> tuple[Key, ...]:
        """Every key that signed the trail, oldest first."""
        return self.chain or (self.key,)

    def signed(self, key: Key) -> "Trusted":
        """The same, limited to what one key alone must have signed."""
        return self._replace(key=key, chain=())


def read_coverage(notes: Sequence[str], trusted: Trusted, *, complete: bool = True) -> Coverage:
    """Read and check a partition's signed notes.

    `complete` says that these are all that were ever signed; only then can a record be late, and must a note of both
    keys stand where one key follows another.

    Raises FaultError at the first note that breaks a rule; its index is the size of the checkpoint before it.
    """
    checkpoints: list[Checkpoint] = []
    keys = trusted.keys
    for note in notes:
        before = checkpoints[-1] if checkpoints else None
        signers = trusted.signed(keys[0]) if complete else trusted._replace(chain=keys)
        checkpoints.append(open_checkpoint(note, signers, 0 if before is None else before.size))
        if not complete:
            keys = keys[next(at for at, key in enumerate(keys) if is_signed_by(note, key)) :]
        if before is not None:
            _check_growth(before, checkpoints[-1])
        if keys[1:] and checkpoints[-1].extensions and handover(note) == Rotation(*keys[:2]):
            keys = keys[1:]
    if checkpoints and trusted.key in keys[1:]:
        expected = f"a checkpoint signed by {trusted.key.text}"
        raise FaultError(Fault(checkpoints[-1].size, "signature", expected, f"none but those of {keys[0].text}"))
    for checkpoint in checkpoints:
        if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
            raise FaultError(Fault(0, "root", f"{EMPTY_ROOT.hex()} over 0 records", checkpoint.root.hex()))
    return Coverage(checkpoints, complete=complete)


def notes_since(notes: Sequence[str], trusted: Trusted, size: int) -> tuple[Sequence[str], Trusted]:
    """The notes over at least so many records and the one before them, and the keys that sign from there on."""
    at = next((at for at, note in enumerate(notes) if _size_of(note) >= size), len(notes))
    keys, at = trusted.keys, max(0, at - 1)
    for note in notes[:at]:
        if keys[1:] and "\nrotation " in note and handover(note) == Rotation(*keys[:2]):
            keys = keys[1:]
    return notes[at:], trusted._replace(chain=keys)


def _size_of(note: str) -> float:
    """The size that a note states, which is checked later; infinite if it states none."""
    try:
        return int(note.split("\n", 2)[1])
    except (ValueError, IndexError):
        return float("inf")


def open_checkpoint(note: str, trusted: Trusted, at: int) -> Checkpoint:
    """The checkpoint in a signed note, checked by every rule that needs this note alone.

    Raises FaultError with index `at` if it breaks one.
    """
    try:
        checkpoint = read_note(note)
        _ = checkpoint.time_ms, checkpoint.late_since_ms, checkpoint.partitions, rotation_of(checkpoint)
    except CheckpointError as error:
        raise FaultError(Fault(at, "note-grammar", "a signed checkpoint with its time", error.why)) from error
    if checkpoint.origin != trusted.origin:
        raise FaultError(Fault(at, "origin", trusted.origin, checkpoint.origin))
    try:
        open_note(note, next((key for key in trusted.keys if is_signed_by(note, key)), trusted.key))
    except CheckpointError as error:
        raise FaultError(Fault(at, "signature", f"a signature of {trusted.key.text}", error.why)) from error
    if checkpoint.partitions is not None and trusted.partitions not in (None, checkpoint.partitions):
        expected = f"{checkpoint.partitions} partitions, as a checkpoint says"
        raise FaultError(Fault(at, "partitions", expected, f"{trusted.partitions}"))
    return checkpoint


def _check_growth(before: Checkpoint, checkpoint: Checkpoint) -> None:
    if checkpoint.size < before.size:
        expected, found = f"a checkpoint over at least {before.size} records", f"one over {checkpoint.size}"
        raise FaultError(Fault(before.size, "checkpoint-order", expected, found))
    if checkpoint.size == before.size and checkpoint.root != before.root:
        expected = f"root {before.root.hex()} over {before.size} records"
        raise FaultError(Fault(before.size, "checkpoint-fork", expected, checkpoint.root.hex()))
