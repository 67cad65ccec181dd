"""Segments: the files of a spool, written by one owner each and read by everybody.

    STATE_DIR/spool/<instance>/<partition>/<number>.seg

A segment is a sequence of frames: length (4 bytes), CRC-32 (4), kind (1), payload; numbers are big-endian. The kinds
are `H`, the header (JSON); `B`, a blob; `D`, a dictionary (8 bytes: the log's size when it was trained; then its
content); `R`, a record (8 bytes: its index; then the exact bytes of its log entry). Each segment holds every blob and
dictionary that its records name.

Rules of order: whoever takes over a partition begins a segment with the next number and a `start` index. From that
index on, it replaces everything that earlier segments say, however late they say it. A number is created only once
(O_EXCL), so an owner that lost its lease while it was looking finds the number taken. Nobody writes to another owner's
segment. A torn end is ignored.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from llmctx import canonical
from llmctx.errors import SpoolError
from llmctx.private_files import make_private_directory

FORMAT = "llmctx-spool/1"
HEADER, BLOB, DICTIONARY, RECORD = b"H", b"B", b"D", b"R"
_HEAD = struct.Struct(">II")
_NUMBER = struct.Struct(">Q")
_MAX_FRAME_BYTES = 128 * 1024 * 1024


class Frame(NamedTuple):
    """One frame of a segment."""

    kind: bytes
    """HEADER, BLOB, DICTIONARY or RECORD."""
    payload: bytes
    """Its content; for a record or a dictionary the number comes first."""

    @property
    def number(self) -> int:
        """The index of a record, or the log's size when a dictionary was trained."""
        return int(_NUMBER.unpack_from(self.payload)[0])

    @property
    def content(self) -> bytes:
        """The payload after the number."""
        return self.payload[_NUMBER.size :]

    def encode(self) -> bytes:
        """The frame's bytes in a segment."""
        body = self.kind + self.payload
        return _HEAD.pack(len(body), zlib.crc32(body)) + body


def numbered(kind: bytes, number: int, content: bytes) -> Frame:
    """The frame of a record or of a dictionary."""
    return Frame(kind, _NUMBER.pack(number) + content)


class Segment:
    """A segment that its owner writes to."""

    def __init__(self, directory: Path, number: int, start: int) -> None:
        """Create segment `number`, which speaks for the partition from index `start` on.

        Raises FileExistsError if the number is taken, SpoolError if the disk fails.
        """
        self.path = directory / f"{number:08}.seg"
        """The file."""
        self.number = number
        """Its number."""
        self.start = start
        """The index from which on it speaks for the partition."""
        self.kept: set[str] = set()
        """The digests of the blobs and dictionaries in it."""
        self.size_bytes = 0
        """Its length."""
        self.has_records = False
        """Whether it holds a record."""
        with disk_errors(directory, "created"):
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
        """Append frames and wait until they are on the disk.

        Raises OSError if that fails. Do not write to the segment again then: after a failed sync the kernel may have
        dropped pages that it reports as clean.
        """
        raw = b"".join(frame.encode() for frame in frames)
        written = 0
        while written < len(raw):
            written += os.write(self._file, raw[written:])
        os.fdatasync(self._file)
        self.size_bytes += len(raw)
        for frame in frames:
            if frame.kind == BLOB:
                self.kept.add(canonical.sha256(frame.payload))
            elif frame.kind == DICTIONARY:
                self.kept.add(canonical.sha256(frame.content))
            elif frame.kind == RECORD:
                self.has_records = True

    def remove(self) -> None:
        """Delete the file; only for a segment without records."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class Contents(NamedTuple):
    """What a segment holds."""

    records: dict[int, int]
    """The offset of each record's frame, by index."""
    is_torn: bool
    """Whether its end cannot be read."""


def read_contents(path: Path) -> Contents:
    """Locate every record of a segment, up to the first torn frame.

    Raises SpoolError if the disk fails.
    """
    raw = _read(path)
    records: dict[int, int] = {}
    end = 0
    for begin, kind, stop in _scan(raw):
        if kind == RECORD:
            records[_NUMBER.unpack_from(raw, begin + _HEAD.size + 1)[0]] = begin
        end = stop
    return Contents(records, end != len(raw))


def read_frames(path: Path) -> Iterator[Frame]:
    """The frames of a segment up to the first torn one.

    Raises SpoolError if the disk fails.
    """
    raw = _read(path)
    for begin, kind, stop in _scan(raw):
        yield Frame(kind, raw[begin + _HEAD.size + 1 : stop])


def read_frame(path: Path, offset: int = 0) -> Frame | None:
    """The frame at an offset, None if it is torn.

    Raises SpoolError if the disk fails.
    """
    with disk_errors(path, "read"), path.open("rb") as file:
        file.seek(offset)
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size or not 0 < _HEAD.unpack(head)[0] <= _MAX_FRAME_BYTES:
            return None
        raw = head + file.read(_HEAD.unpack(head)[0])
    return next((Frame(kind, raw[_HEAD.size + 1 : stop]) for _, kind, stop in _scan(raw)), None)


def _read(path: Path) -> bytes:
    with disk_errors(path, "read"):
        return path.read_bytes()


def _scan(raw: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Where each whole frame begins, its kind, and where it ends."""
    view, begin = memoryview(raw), 0
    while begin + _HEAD.size < len(raw):
        length, checksum = _HEAD.unpack_from(raw, begin)
        body = begin + _HEAD.size
        stop = body + length
        if not 0 < length <= _MAX_FRAME_BYTES or stop > len(raw) or zlib.crc32(view[body:stop]) != checksum:
            return
        yield begin, raw[body : body + 1], stop
        begin = stop


def sync_directory(directory: Path) -> None:
    """Wait until a folder's entries are on the disk."""
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _make_directory(directory: Path) -> None:
    if not directory.is_dir():
        make_private_directory(directory)
        for folder in list(directory.parents)[:3]:
            sync_directory(folder)


@contextmanager
def disk_errors(path: Path, act: str) -> Iterator[None]:
    """Turn an OSError into a SpoolError, except FileExistsError; `act` says what failed, as in "read"."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise SpoolError(
            f"The spool {path} could not be {act}: {error}.",
            "Nothing is published until this is solved: free disk space and check the folder's permissions.",
        ) from error
