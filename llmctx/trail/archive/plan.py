"""What may be archived next: a range that begins where the last one ended, and ends where a checkpoint's tree does.

Rules: only what a signed checkpoint covers; one UTC day at a time, by the time of the checkpoint that first covers a
record, which is seconds after the record's own; never more records at once than fit into memory.
"""

from collections.abc import Sequence
from typing import NamedTuple

from llmctx.trail.proof.checkpoint import read_note

MAX_RECORDS = 100_000
"""The most records of a segment, unless a single checkpoint covers more."""
DAY_MS = 86_400_000


class Limits(NamedTuple):
    """Up to where a partition may be archived."""

    size: int
    """Records from this index on stay."""
    before_ms: int
    """Records that were first signed at or after this time stay, in milliseconds since 1970."""


class Cut(NamedTuple):
    """One range to be archived."""

    first: int
    """The index of its first record."""
    end: int
    """One more than the index of its last record."""
    signed_ms: int
    """When its first record was first signed, in milliseconds since 1970."""
    notes: tuple[str, ...]
    """The signed checkpoints from that over `first` records to that over `end`, in their order."""

    @property
    def checkpoint(self) -> str:
        """The signed checkpoint over all records below `end`."""
        return next(note for note in self.notes if read_note(note).size == self.end)


class Plan:
    """The checkpoints of a partition's anchor, by which it is cut."""

    def __init__(self, notes: Sequence[str]) -> None:
        self._notes = notes
        self._places = [(read.size, read.time_ms) for read in map(read_note, notes)]

    def next(self, first: int, limits: Limits) -> Cut | None:
        """The next range from an index on; None if nothing may be archived."""
        places = [(size, time_ms) for size, time_ms in self._places if size > first]
        if not places:
            return None
        day = places[0][1] // DAY_MS
        ends = [size for size, time_ms in places if time_ms // DAY_MS == day and time_ms < limits.before_ms]
        allowed = [size for size in ends if size <= limits.size]
        fitting = [size for size in allowed if size - first <= MAX_RECORDS] or allowed[:1]
        return self.cut(first, fitting[-1]) if fitting else None

    def cut(self, first: int, end: int) -> Cut | None:
        """The range between two indices; None if no checkpoint ends there."""
        later = [time_ms for size, time_ms in self._places if size > first]
        if not any(size == end for size, _ in self._places) or end <= first:
            return None
        notes = [note for note, (size, _) in zip(self._notes, self._places, strict=True) if first <= size <= end]
        return Cut(first, end, later[0], tuple(notes))
