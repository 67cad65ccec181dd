"""What may be archived next: a range that begins where the last one ended, and ends where a checkpoint's tree does.

Rules: only what a signed checkpoint covers; one UTC day at a time, by the time of the checkpoint that first covers a
record, which is seconds after the record's own; never more records at once than fit into memory.

Whoever has the instance key can end a range between two checkpoints: the records below its end are a prefix of what
the next checkpoint signed, so a checkpoint over the prefix is signed with that one's extension lines (its time among
them). It is the same however often it is signed, and stands in the archive and in the base, never in the anchor.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

from llmctx.trail.proof.checkpoint import read_note

MAX_RECORDS = 100_000
"""The most records of a segment, unless a single checkpoint covers more and nobody can sign a part of them."""
DAY_MS = 86_400_000

SignPrefix = Callable[[int, str], str | None]
"""Signs a checkpoint over fewer records than a signed note covers; None if that note's key is not at hand."""


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

    def __init__(self, notes: Sequence[str], sign_prefix: SignPrefix = lambda *_: None, *, base_note: str = "") -> None:
        """`base_note` is the signed checkpoint over what was trimmed, which the anchor need not have."""
        self._sign_prefix = sign_prefix
        self._notes = list(notes)
        self._places = [(read.size, read.time_ms) for read in map(read_note, notes)]
        if base_note:
            self._add(base_note)

    def next(self, first: int, limits: Limits) -> Cut | None:
        """The next range from an index on; None if nothing may be archived."""
        places = self._places[self._after(first) :]
        if not places:
            return None
        day = places[0][1] // DAY_MS
        ends = [size for size, time_ms in places if time_ms // DAY_MS == day and time_ms < limits.before_ms]
        allowed = [size for size in ends if size <= limits.size]
        fitting = [size for size in allowed if size - first <= MAX_RECORDS]
        if ends and (limits.size < ends[-1] or not fitting):
            end = min(limits.size, ends[-1], first + MAX_RECORDS)
            if (end < first + MAX_RECORDS or not fitting) and (found := self.cut(first, end)) is not None:
                return found
        whole = fitting or allowed[:1]
        return self.cut(first, whole[-1]) if whole else None

    def cut(self, first: int, end: int) -> Cut | None:
        """The range between two indices; None if no checkpoint ends there and none can be signed."""
        at = self._after(end - 1)
        if end <= first or at == len(self._places):
            return None
        if self._places[at][0] != end:
            note = self._sign_prefix(end, self._notes[at])
            if note is None:
                return None
            self._add(note)
        begin = bisect_left(self._places, (first,))
        return Cut(first, end, self._places[self._after(first)][1], tuple(self._notes[begin : self._after(end)]))

    def _after(self, size: int) -> int:
        """The place of the first checkpoint over more records than this."""
        return bisect_left(self._places, (size + 1,))

    def _add(self, note: str) -> None:
        read = read_note(note)
        at = bisect_left(self._places, (read.size,))
        if at == len(self._places) or self._places[at][0] != read.size:
            self._notes.insert(at, note)
            self._places.insert(at, (read.size, read.time_ms))
