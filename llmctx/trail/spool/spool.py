"""The spool: every record of a partition on this machine's disk before anybody acts on it, because Redis may forget.

The format and the rules of order stand in segment.py. A spool may hold millions of records, so it is read backwards:
the newest segment at first, and earlier ones only as far as a caller asks. Each segment's header says from which index
on it speaks, so nothing about the newest records depends on older segments.

Everything here raises SpoolError if the disk fails.
"""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from llmctx.errors import SpoolError
from llmctx.trail.disk import sync_directory
from llmctx.trail.spool.segment import (
    BLOB,
    DICTIONARY,
    FORMAT,
    HEADER,
    Contents,
    Frame,
    disk_errors,
    leave_out,
    read_contents,
    read_frame,
    read_frames,
)


def spool_directory(state_dir: Path, instance: str, partition: int) -> Path:
    """The folder of a partition's spool."""
    return state_dir / "spool" / instance / str(partition)


class SegmentFile(NamedTuple):
    """A segment on the disk, as its header describes it."""

    number: int
    """Its number."""
    start: int
    """The index from which it is authoritative for the partition."""
    path: Path
    """The file."""


class Spool:
    """A partition's spool, as it was when it was opened. Segments are read when they are needed."""

    def __init__(self, directory: Path) -> None:
        """Read every header and the newest segment.

        Raises SpoolError if a segment has an unknown format.
        """
        self.next_number = next_number(directory)
        """The number of the next segment."""
        self._segments = segment_files(directory)
        self._contents: dict[int, Contents] = {}
        self.base = self._segments[0].start if self._segments else 0
        """The first index that it covers; records below were pruned."""
        self.size = 0
        """One more than the last index that it covers."""
        if self._segments:
            newest = self._segments[-1]
            self.size = max([newest.start - 1, *self._read(newest).records]) + 1

    @property
    def torn(self) -> list[Path]:
        """Those of the segments read so far whose end is torn."""
        torn = {number for number, contents in self._contents.items() if contents.is_torn}
        return [segment.path for segment in self._segments if segment.number in torn]

    def load(self, start: int) -> None:
        """Read every segment that can hold records from `start` on."""
        for segment in self._from(start):
            self._read(segment)

    def record(self, index: int) -> bytes | None:
        """The exact bytes of a record's log entry, None if the spool does not hold it."""
        frame = self.frame(index)
        return None if frame is None else frame.content

    def frame(self, index: int) -> Frame | None:
        """The frame of a record, None if the spool does not hold it."""
        place = self._find(index)
        if place is None:
            return None
        path, offset = place
        frame = read_frame(path, offset)
        if frame is None:
            raise SpoolError(f"{path} cannot be read at byte {offset}.", "The disk may be failing.")
        return frame

    def indices(self, start: int, stop: int) -> list[int]:
        """The indices from `start` up to but not including `stop` whose records it holds."""
        return [index for index in range(start, stop) if self._find(index) is not None]

    def blobs(self, start: int) -> Iterator[Frame]:
        """Every blob and dictionary that records from `start` on need, once each."""
        seen = set()
        for segment in reversed(self._from(start)):
            for frame in read_frames(segment.path):
                if frame.kind in (BLOB, DICTIONARY) and frame.digest not in seen:
                    seen.add(frame.digest)
                    yield frame

    def _from(self, start: int) -> list[SegmentFile]:
        """The segments that can hold records from `start` on, newest first."""
        found = []
        for segment in reversed(self._segments):
            found.append(segment)
            if segment.start <= start:
                break
        return found

    def _find(self, index: int) -> tuple[Path, int] | None:
        """The segment and offset of a record; the newest segment that covers its index decides."""
        for segment in reversed(self._segments):
            offset = self._read(segment).records.get(index)
            if offset is not None:
                return segment.path, offset
            if index >= segment.start:
                return None
        return None

    def _read(self, segment: SegmentFile) -> Contents:
        if segment.number not in self._contents:
            self._contents[segment.number] = read_contents(segment.path)
        return self._contents[segment.number]


def segment_files(directory: Path) -> list[SegmentFile]:
    """The segments of a partition in the order of their numbers, without those whose header was never finished.

    Raises SpoolError if a segment has an unknown format.
    """
    found = []
    for number, path in _numbered_files(directory):
        header = read_frame(path)
        if header is not None and header.kind == HEADER:
            fields = json.loads(header.payload)
            if fields["format"] != FORMAT:
                raise SpoolError(
                    f"{path} has the unknown format {fields['format']}.", "Use the version of llmctx that wrote it."
                )
            found.append(SegmentFile(number, int(fields["start"]), path))
    return found


def next_number(directory: Path) -> int:
    """The number of the next segment."""
    return max((number for number, _ in _numbered_files(directory)), default=-1) + 1


def _numbered_files(directory: Path) -> list[tuple[int, Path]]:
    with disk_errors(directory, "read"):
        return sorted((int(path.stem), path) for path in directory.glob("*.seg") if path.stem.isdigit())


def prune(directory: Path, size: int, before_s: float) -> int:
    """Remove the oldest segments whose records all lie below `size` and that were last written before a time.

    Times are in seconds since 1970. The newest segment always stays. Returns how many were removed.
    """
    removed = 0
    with disk_errors(directory, "pruned"):
        for segment, after in pairwise(segment_files(directory)):
            if after.start > size or segment.path.stat().st_mtime >= before_s:
                break
            segment.path.unlink()
            removed += 1
        if removed:
            sync_directory(directory)
    return removed


def forget(directory: Path, below: int) -> int:
    """Remove every record below an index from the spool; returns how many segments were removed or rewritten.

    All of them must be archived. Blobs and dictionaries stay with the remaining records, and the newest segment, which
    its owner writes, stays as it is. After a kill at any step the spool is intact, and the next call completes the
    removal.
    """
    changed = prune(directory, below, float("inf"))
    with disk_errors(directory, "written anew"):
        segments = segment_files(directory)
        if len(segments) > 1 and segments[0].start < below:
            leave_out(segments[0].path, segments[0].number, below)
            changed += 1
    return changed
