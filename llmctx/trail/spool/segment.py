"""Segments: the files of a spool, written by one owner each and read by everybody.

    STATE_DIR/spool/<instance>/<partition>/<number>.seg

A segment is a sequence of frames: length (4 bytes), CRC-32 (4), kind (1), payload; numbers are big-endian. The kinds
are `H`, the header (JSON); `B`, a blob; `D`, a dictionary (8 bytes: the log's size when it was trained; then its
content); `R`, a record without a proof (8 bytes: its index; then the exact bytes of its log entry); `S`, a record with
one (8 bytes: its index; 68 bytes: the proof; then the same). Each segment holds every blob and dictionary that its
records name.

Rules of order: whoever takes over a partition begins a segment with the next number and a `start` index. From that
index on, it replaces everything that earlier segments say, however late they say it. A number is created only once
(O_EXCL), so an owner that lost its lease while it was looking finds the number taken. Nobody writes to another owner's
segment. A torn end is ignored.

Whatever reads a segment raises SpoolError if the disk fails.
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
from llmctx.killpoint import reached
from llmctx.trail.disk import make_directory, sync_directory

FORMAT = "llmctx-spool/1"
HEADER, BLOB, DICTIONARY, RECORD, SIGNED = b"H", b"B", b"D", b"R", b"S"
RECORDS = (RECORD, SIGNED)
"""The kinds of frame that hold a record."""
PROOF_BYTES = 68
_HEAD = struct.Struct(">II")
_NUMBER = struct.Struct(">Q")
_MAX_FRAME_BYTES = 128 * 1024 * 1024


class Frame(NamedTuple):
    """One frame of a segment."""

    kind: bytes
    """HEADER, BLOB, DICTIONARY, RECORD or SIGNED."""
    payload: bytes
    """Its content; for a record or a dictionary the number comes first, and the proof of a signed record next."""

    @property
    def number(self) -> int:
        """The index of a record, or the log's size when a dictionary was trained."""
        return int(_NUMBER.unpack_from(self.payload)[0])

    @property
    def content(self) -> bytes:
        """The payload after the number, and for a signed record after the proof."""
        return self.payload[_NUMBER.size + (PROOF_BYTES if self.kind == SIGNED else 0) :]

    @property
    def proof(self) -> bytes:
        """The proof of a record; empty if it has none."""
        return self.payload[_NUMBER.size :][:PROOF_BYTES] if self.kind == SIGNED else b""

    @property
    def digest(self) -> str:
        """The digest of a blob or a dictionary."""
        return canonical.sha256(self.payload if self.kind == BLOB else self.content)

    def encode(self) -> bytes:
        """The frame's bytes in a segment."""
        body = self.kind + self.payload
        return _HEAD.pack(len(body), zlib.crc32(body)) + body


def numbered(kind: bytes, number: int, content: bytes) -> Frame:
    """The frame of a record or of a dictionary."""
    return Frame(kind, _NUMBER.pack(number) + content)


def record_frame(index: int, packed: bytes, proof: bytes) -> Frame:
    """The frame of a record, with its proof if it has one."""
    return numbered(SIGNED, index, proof + packed) if len(proof) == PROOF_BYTES else numbered(RECORD, index, packed)


def _header(number: int, start: int) -> Frame:
    return Frame(HEADER, json.dumps({"format": FORMAT, "number": number, "start": start}).encode())


class Segment:
    """A segment that its owner writes to."""

    def __init__(self, directory: Path, number: int, start: int) -> None:
        """Create segment `number`, which is authoritative for the partition from index `start` on.

        Raises FileExistsError if the number is taken, SpoolError if the disk fails.
        """
        self.path = directory / f"{number:08}.seg"
        """The file."""
        self.number = number
        """Its number."""
        self.start = start
        """The index from which it is authoritative for the partition."""
        self.kept: set[str] = set()
        """The digests of the blobs and dictionaries in it."""
        self.size_bytes = 0
        """Its length."""
        self.has_records = False
        """Whether it holds a record."""
        with disk_errors(directory, "created"):
            make_directory(directory)
            self._file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            try:
                self.write([_header(number, start)])
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
            if frame.kind in (BLOB, DICTIONARY):
                self.kept.add(frame.digest)
            elif frame.kind in RECORDS:
                self.has_records = True

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
    """Locate every record of a segment, up to the first torn frame."""
    raw = _read(path)
    records: dict[int, int] = {}
    end = 0
    for begin, kind, stop in _scan(raw):
        if kind in RECORDS:
            records[_NUMBER.unpack_from(raw, begin + _HEAD.size + 1)[0]] = begin
        end = stop
    return Contents(records, end != len(raw))


def read_frames(path: Path) -> Iterator[Frame]:
    """The frames of a segment up to the first torn one."""
    raw = _read(path)
    for begin, kind, stop in _scan(raw):
        yield Frame(kind, raw[begin + _HEAD.size + 1 : stop])


def leave_out(path: Path, number: int, below: int) -> None:
    """Rewrite a closed segment without its records below an index, from which it is authoritative afterwards.

    Raises OSError if that fails; the segment is then unchanged.
    """
    draft = path.with_suffix(".part")
    file = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "wb") as writing:
        writing.write(_header(number, below).encode())
        for frame in read_frames(path):
            if frame.kind != HEADER and not (frame.kind in RECORDS and frame.number < below):
                writing.write(frame.encode())
        writing.flush()
        os.fsync(writing.fileno())
    reached("segment_drafted")
    draft.replace(path)
    sync_directory(path.parent)


def read_frame(path: Path, offset: int = 0) -> Frame | None:
    """The frame at an offset, None if it is torn."""
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
    """Where each complete frame begins, its kind, and where it ends."""
    view, begin = memoryview(raw), 0
    while begin + _HEAD.size < len(raw):
        length, checksum = _HEAD.unpack_from(raw, begin)
        body = begin + _HEAD.size
        stop = body + length
        if not 0 < length <= _MAX_FRAME_BYTES or stop > len(raw) or zlib.crc32(view[body:stop]) != checksum:
            return
        yield begin, raw[body : body + 1], stop
        begin = stop


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
