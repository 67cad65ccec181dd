"""The spool: every record of a partition on this machine's disk before anybody acts on it, because Redis may forget.

    STATE_DIR/spool/<instance>/<partition>/<number>.seg

A segment is frames: length (4 bytes), CRC-32 (4), kind (1), payload; numbers are big-endian. Kinds: `H` the header
(JSON), `B` a blob, `D` a dictionary (8 bytes: the log's size when it was trained; then its content), `R` a record
(8 bytes: index; then the exact bytes of its log entry). Each segment has the blobs that its records name.

Rules of order: whoever takes a partition over begins a segment of its own, with the next number and the index `start`
from which on it speaks for the partition: what earlier segments say from there on, however late, counts for nothing.
A number is made once (O_EXCL), so one that lost its lease between looking and making finds it taken. Nobody writes to
another's segment, and a torn end is cut by reading no further.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from llmctx import canonical
from llmctx.errors import SpoolError

FORMAT = "llmctx-spool/1"
HEADER, BLOB, DICTIONARY, RECORD = b"H", b"B", b"D", b"R"
_HEAD = struct.Struct(">II")
_NUMBER = struct.Struct(">Q")
_LARGEST = 128 * 1024 * 1024


def spool_directory(state_dir: Path, instance: str, partition: int) -> Path:
    """Where a partition's spool lies."""
    return state_dir / "spool" / instance / str(partition)


class Frame(NamedTuple):
    """One thing that a segment says."""

    kind: bytes
    """HEADER, BLOB, DICTIONARY or RECORD."""
    payload: bytes
    """What it says."""

    @property
    def number(self) -> int:
        """The index of a record, or the size at which a dictionary was trained."""
        return int(_NUMBER.unpack_from(self.payload)[0])

    @property
    def content(self) -> bytes:
        """The bytes behind the number."""
        return self.payload[_NUMBER.size :]

    def encode(self) -> bytes:
        """The frame as it stands in a segment."""
        body = self.kind + self.payload
        return _HEAD.pack(len(body), zlib.crc32(body)) + body


def numbered(kind: bytes, number: int, content: bytes) -> Frame:
    """The frame of a record or of a dictionary."""
    return Frame(kind, _NUMBER.pack(number) + content)


class Place(NamedTuple):
    """Where a record stands."""

    path: Path
    """The segment."""
    offset: int
    """Where its frame begins."""


class Segment:
    """A segment that its owner writes to."""

    def __init__(self, directory: Path, number: int, start: int) -> None:
        """Make segment `number`, which speaks from index `start` on.

        Raises FileExistsError where somebody else has made it, SpoolError where the disk does not take it.
        """
        self.path = directory / f"{number:08}.seg"
        """The file."""
        self.number = number
        """Its number."""
        self.kept: set[str] = set()
        """Digests of the blobs that it has."""
        self.size_bytes = 0
        """How long it is."""
        self.has_records = False
        """Whether a record has been put there."""
        with door(directory, "begun"):
            _make_directory(directory)
            self._file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            try:
                header = json.dumps({"format": FORMAT, "number": number, "start": start}).encode()
                self.write([Frame(HEADER, header)])
                sync_directory(directory)
            except OSError:
                self.close()
                self.path.unlink(missing_ok=True)
                raise

    def write(self, frames: list[Frame]) -> None:
        """Put frames behind the others and wait until they are on the disk.

        Raises OSError where they could not be put there; the segment must not be written to again then, because a
        failed sync may have thrown away what it says is clean.
        """
        raw = b"".join(frame.encode() for frame in frames)
        done = 0
        while done < len(raw):
            done += os.write(self._file, raw[done:])
        os.fdatasync(self._file)
        self.size_bytes += len(raw)
        for frame in frames:
            if frame.kind == BLOB:
                self.kept.add(canonical.sha256(frame.payload))
            elif frame.kind == DICTIONARY:
                self.kept.add(canonical.sha256(frame.content))
            self.has_records |= frame.kind == RECORD

    def remove(self) -> None:
        """Take it away again; nothing is in it."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let the file go."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class Found(NamedTuple):
    """A segment's file."""

    number: int
    """Its number."""
    start: int
    """The index from which on it speaks."""
    path: Path
    """The file."""


def segments(directory: Path) -> list[Found]:
    """The segments of a partition in the order of their numbers; one whose header was never finished is none."""
    found = []
    for number, path in _numbered_files(directory):
        header = next(frames_of(path), None)
        if header is not None and header[0].kind == HEADER:
            found.append(Found(number, _start_of(header[0], path), path))
    return found


def next_number(directory: Path) -> int:
    """The number of the next segment."""
    return max((number for number, _ in _numbered_files(directory)), default=-1) + 1


def _numbered_files(directory: Path) -> list[tuple[int, Path]]:
    with door(directory, "read"):
        return sorted((int(path.stem), path) for path in directory.glob("*.seg") if path.stem.isdigit())


def _start_of(header: Frame, path: Path) -> int:
    said = json.loads(header.payload)
    if said["format"] != FORMAT:
        raise SpoolError(f"{path} has the format {said['format']}.", "Use the version of llmctx that wrote it.")
    return int(said["start"])


class SpoolIndex:
    """What a partition's spool has, as it was when it was read."""

    def __init__(self, directory: Path) -> None:
        """Raises SpoolError where a segment cannot be read."""
        self.next_number = next_number(directory)
        """The number that the next segment gets."""
        self.places: dict[int, Place] = {}
        """Where each record stands."""
        self.base = 0
        """The index from which on there is anything: what was pruned lies below it."""
        self.size = 0
        """One more than the last index that it has, or speaks from."""
        self.torn: list[Path] = []
        """Segments whose end cannot be read."""
        found = segments(directory)
        self.base = found[0].start if found else 0
        for segment in found:
            self._take(segment)

    def _take(self, segment: Found) -> None:
        if segment.start < self.size:
            for index in range(segment.start, self.size):
                self.places.pop(index, None)
        self.size = segment.start
        offset = 0
        for frame, offset, following in frames_of(segment.path):
            if frame.kind == RECORD:
                self.places[frame.number] = Place(segment.path, offset)
                self.size = max(self.size, frame.number + 1)
            offset = following  # noqa: PLW2901  the end of what is good
        with door(segment.path, "read"):
            if offset != segment.path.stat().st_size:
                self.torn.append(segment.path)

    def record(self, index: int) -> bytes | None:
        """The exact bytes of a record's log entry, None where the spool has none."""
        place = self.places.get(index)
        if place is None:
            return None
        for frame, _, _ in frames_of(place.path, place.offset):
            return frame.content
        raise SpoolError(f"{place.path} cannot be read at {place.offset}.", "Its disk may be failing.")

    def blobs(self) -> Iterator[Frame]:
        """Every blob and dictionary, once."""
        seen = set()
        for path in dict.fromkeys(place.path for place in self.places.values()):
            for frame, _, _ in frames_of(path):
                if frame.kind in (BLOB, DICTIONARY):
                    content = frame.payload if frame.kind == BLOB else frame.content
                    digest = canonical.sha256(content)
                    if digest not in seen:
                        seen.add(digest)
                        yield frame


def frames_of(path: Path, offset: int = 0) -> Iterator[tuple[Frame, int, int]]:
    """The frames of a segment from an offset on, each with where it begins and ends; up to the first torn one."""
    with door(path, "read"), path.open("rb") as file:
        file.seek(offset)
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, checksum = _HEAD.unpack(head)
            if not 0 < length <= _LARGEST:
                return
            body = file.read(length)
            if len(body) != length or zlib.crc32(body) != checksum:
                return
            following = offset + _HEAD.size + length
            yield Frame(body[:1], body[1:]), offset, following
            offset = following


def prune(directory: Path, size: int, before_s: float) -> int:
    """Remove the oldest segments whose records all lie below `size` and were written before a time; how many.

    The newest segment always stays. Times are the files' own, in seconds since 1970.
    """
    found = segments(directory)
    removed = 0
    with door(directory, "pruned"):
        for segment, after in pairwise(found):
            if after.start > size or segment.path.stat().st_mtime >= before_s:
                break
            segment.path.unlink()
            removed += 1
        if removed:
            sync_directory(directory)
    return removed


def sync_directory(directory: Path) -> None:
    """Wait until what a folder lists is on the disk."""
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _make_directory(directory: Path) -> None:
    if not directory.is_dir():
        directory.mkdir(parents=True, exist_ok=True)
        for folder in list(directory.parents)[:3]:
            sync_directory(folder)


@contextmanager
def door(path: Path, what: str) -> Iterator[None]:
    """A disk that does not answer is a SpoolError; that a file is there already is told as it is."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise SpoolError(
            f"The spool {path} could not be {what}: {error}.",
            "Nothing is published until it can be: see that the disk has room and the folder may be written to.",
        ) from error
