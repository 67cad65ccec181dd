"""A partition's anchor: what is kept outside Redis, so that a trail cannot be rewritten unnoticed.

    STATE_DIR/anchor/<instance>/<partition>/leaves       32 bytes a record: the leaf hashes in index order
                                            checkpoints  signed notes, separated by one blank line
                                            lock         held by whoever appends

Rules of order: leaf hashes are on disk before the checkpoint that covers them. Both files only grow. Readers ignore
what a kill left half written, and the next append cuts it off.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import overload

from llmctx.errors import AnchorBusyError, AnchorError, CheckpointError, ForkError
from llmctx.killpoint import reached
from llmctx.trail.disk import make_directory, sync_directory
from llmctx.trail.proof.merkle import HASH_BYTES, CompactRange
from llmctx.trail.proof.notes import last_whole, split_notes

_ZERO = bytes(HASH_BYTES)
_TAIL_BYTES = 16_384


def anchor_directory(state_dir: Path, instance: str, partition: int) -> Path:
    """The folder of a partition's anchor."""
    return state_dir / "anchor" / instance / str(partition)


class PackedHashes(Sequence[bytes]):
    """Leaf hashes in index order."""

    def __init__(self, raw: bytes = b"") -> None:
        """`raw` has 32 bytes for each."""
        self._raw = raw

    def __len__(self) -> int:
        return len(self._raw) // HASH_BYTES

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> "PackedHashes": ...
    def __getitem__(self, index: int | slice) -> "bytes | PackedHashes":
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self))
            return PackedHashes(self._raw[start * HASH_BYTES : stop * HASH_BYTES])
        start = range(len(self))[index] * HASH_BYTES
        return self._raw[start : start + HASH_BYTES]


class Anchor:
    """One partition's anchor. Reading needs no lock; appending takes one.

    Everything here raises AnchorError if the disk fails or the file of checkpoints is damaged.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        """Its folder; created by the first append."""
        self._leaves = directory / "leaves"
        self._checkpoints = directory / "checkpoints"
        self._is_locked = False
        self._notes_end: int | None = None

    @property
    def size(self) -> int:
        """How many leaf hashes it holds, without a torn one at the end."""
        with self._disk_errors("read"):
            try:
                with self._leaves.open("rb") as file:
                    count = os.fstat(file.fileno()).st_size // HASH_BYTES
                    # After a power cut a file can end in zeros that nobody wrote; no hash is zero.
                    while count and os.pread(file.fileno(), HASH_BYTES, (count - 1) * HASH_BYTES) == _ZERO:
                        count -= 1
                    return count
            except FileNotFoundError:
                return 0

    def hashes(self, start: int = 0, stop: int | None = None) -> list[bytes]:
        """The leaf hashes from `start` up to but not including `stop` (None: the end), as far as there are any."""
        size = self.size
        end = size if stop is None else min(stop, size)
        raw = self._raw(start, end)
        return [raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES)]

    def has(self, hashed: bytes) -> bool:
        """Whether it has a leaf hash at any index."""
        raw, at = self._raw(0, self.size), -1
        while (at := raw.find(hashed, at + 1)) % HASH_BYTES:
            if at < 0:
                return False
        return True

    def packed(self) -> "PackedHashes":
        """All its leaf hashes; they take as much memory as on the disk."""
        return PackedHashes(self._raw(0, self.size))

    def grow(self, tree: CompactRange) -> CompactRange:
        """A tree over its first leaf hashes, grown by all that follow."""
        for each in self.hashes(tree.size):
            tree.append(each)
        return tree

    def _raw(self, start: int, end: int) -> bytes:
        if start >= end:
            return b""
        with self._disk_errors("read"), self._leaves.open("rb") as file:
            return os.pread(file.fileno(), (end - start) * HASH_BYTES, start * HASH_BYTES)

    def checkpoints(self) -> list[str]:
        """Every checkpoint, oldest first, without a torn one at the end."""
        return self._read_notes()[0]

    def newest(self) -> str | None:
        """The newest checkpoint, None if there is none."""
        notes = self.checkpoints()
        return notes[-1] if notes else None

    def last_note(self) -> str | None:
        """The same as `newest`, without reading all that is older; a damaged file is not noticed."""
        with self._disk_errors("read"):
            try:
                with self._checkpoints.open("rb") as file:
                    begin = max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES)
                    file.seek(begin)
                    return last_whole(file.read())
            except FileNotFoundError:
                return None

    def _read_notes(self) -> tuple[list[str], int]:
        with self._disk_errors("read"):
            try:
                return split_notes(self._checkpoints.read_bytes())
            except FileNotFoundError:
                return [], 0
            except CheckpointError as error:
                raise AnchorError(
                    f"{self._checkpoints}: {error.what}",
                    "Restore the file from a backup: this damage is not what a kill or a power cut leaves.",
                ) from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock out every other writer, in this process and in others; `append` uses a lock that is already held.

        Raises AnchorBusyError if another writer holds the lock.
        """
        with self._disk_errors("locked"):
            make_directory(self.directory)
            lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise AnchorBusyError(
                    f"Another notary holds the anchor {self.directory}.",
                    "A state directory needs only one notary: stop this one or the other one.",
                ) from error
            self._is_locked = True
            yield
        finally:
            self._is_locked = False
            os.close(lock)  # releases the lock too

    def append(self, start: int, hashes: Sequence[bytes], note: str | None = None) -> None:
        """Append leaf hashes from index `start` on, then the checkpoint that covers them, each synced before the next.

        Hashes that the anchor already holds may be given again if they are equal.

        Raises ForkError if the anchor holds another hash at an index, AnchorBusyError if another writer holds the lock.
        What was there before stays as it was then, and also if the disk fails.
        """
        if not self._is_locked:
            with self.lock():
                self.append(start, hashes, note)
            return
        size = self.size
        if start > size:
            raise AnchorError(
                f"The anchor {self.directory} has {size} leaf hashes; appending from {start} on would leave a gap.",
                f"Append from index {size} on.",
            )
        for index, (there, given) in enumerate(zip(self.hashes(start, size), hashes, strict=False), start):
            if there != given:
                raise ForkError(index, f"anchor {self.directory}", there.hex(), given.hex())
        fresh = hashes[size - start :]
        if fresh:
            self._write(self._leaves, size * HASH_BYTES, b"".join(fresh))
        reached("anchored")
        if note is not None:
            self._append_note(note.encode())
        reached("checkpointed")

    def _append_note(self, note: bytes) -> None:
        with self._disk_errors("read"):
            length = self._checkpoints.stat().st_size if self._checkpoints.exists() else 0
        if length != self._notes_end:
            self._notes_end = self._read_notes()[1]
        raw = (b"\n" if self._notes_end else b"") + note
        end, self._notes_end = self._notes_end, None
        self._write(self._checkpoints, end, raw)
        self._notes_end = end + len(raw)

    def _write(self, path: Path, end: int, raw: bytes) -> None:
        """Write `raw` after the first `end` bytes of a file, replacing a torn end."""
        with self._disk_errors("written"):
            made = not path.exists()
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(file, end)
                try:
                    _write_all(file, raw, end)
                    os.fdatasync(file)
                except OSError:
                    os.ftruncate(file, end)
                    raise
            finally:
                os.close(file)
            if made:
                sync_directory(self.directory)

    @contextmanager
    def _disk_errors(self, act: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AnchorError(
                f"The anchor {self.directory} could not be {act}: {error}.",
                "Nothing is signed until this is solved: free disk space and check the folder's permissions.",
            ) from error


def _write_all(file: int, raw: bytes, offset: int) -> None:
    written = 0
    while written < len(raw):
        written += os.pwrite(file, raw[written:], offset + written)
