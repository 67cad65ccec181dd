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

from llmctx.errors import AnchorBusyError, AnchorError, CheckpointError, ForkError
from llmctx.killpoint import reached
from llmctx.private_files import make_private_directory
from llmctx.trail.proof.checkpoint import split_notes
from llmctx.trail.proof.merkle import HASH_BYTES

_ZERO = bytes(HASH_BYTES)


def anchor_directory(state_dir: Path, instance: str, partition: int) -> Path:
    """The folder of a partition's anchor."""
    return state_dir / "anchor" / instance / str(partition)


class Anchor:
    """One partition's anchor. Reading needs no lock; appending takes one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        """Its folder; created by the first append."""
        self._leaves = directory / "leaves"
        self._checkpoints = directory / "checkpoints"
        self._is_locked = False
        self._notes_end: int | None = None

    @property
    def size(self) -> int:
        """How many leaf hashes it holds, without a torn one at the end.

        Raises AnchorError if the disk fails.
        """
        with self._disk_errors("read"):
            try:
                with self._leaves.open("rb") as file:
                    count = os.fstat(file.fileno()).st_size // HASH_BYTES
                    # After a power cut a file can end in zeros that nobody wrote; no hash is zero.
                    while count and _at(file.fileno(), count - 1) == _ZERO:
                        count -= 1
                    return count
            except FileNotFoundError:
                return 0

    def hash_at(self, index: int) -> bytes:
        """The leaf hash at an index.

        Raises AnchorError if there is none or the disk fails.
        """
        found = self.hashes(index, index + 1)
        if not found:
            raise AnchorError(
                f"The anchor {self.directory} has no leaf hash {index}.", "Ask for an index below its size."
            )
        return found[0]

    def hashes(self, start: int = 0, stop: int | None = None) -> list[bytes]:
        """The leaf hashes from `start` up to but not including `stop` (None: the end), as far as there are any.

        Raises AnchorError if the disk fails.
        """
        size = self.size
        end = size if stop is None else min(stop, size)
        if start >= end:
            return []
        with self._disk_errors("read"), self._leaves.open("rb") as file:
            raw = os.pread(file.fileno(), (end - start) * HASH_BYTES, start * HASH_BYTES)
        return [raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES)]

    def checkpoints(self) -> list[str]:
        """Every checkpoint, oldest first, without a torn one at the end.

        Raises AnchorError if the file is damaged or the disk fails.
        """
        return self._read_notes()[0]

    def newest(self) -> str | None:
        """The newest checkpoint, None if there is none.

        Raises AnchorError if the file is damaged or the disk fails.
        """
        notes = self.checkpoints()
        return notes[-1] if notes else None

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
        """Lock out every other writer, in this process and in others; `append` uses a lock that is already taken.

        Raises AnchorBusyError if another writer holds the lock, AnchorError if the disk fails.
        """
        with self._disk_errors("locked"):
            self._make_directory()
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

        Raises ForkError if the anchor holds another hash at an index, AnchorBusyError if another writer holds the lock,
        AnchorError if the disk fails; what was there before stays as it was.
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
        if self._notes_end is None or self._length(self._checkpoints) != self._notes_end:
            self._notes_end = self._read_notes()[1]
        raw = (b"\n" if self._notes_end else b"") + note
        end, self._notes_end = self._notes_end, None
        self._write(self._checkpoints, end, raw)
        self._notes_end = end + len(raw)

    def _length(self, path: Path) -> int:
        with self._disk_errors("read"):
            return path.stat().st_size if path.exists() else 0

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
                _sync_directory(self.directory)

    def _make_directory(self) -> None:
        if self.directory.is_dir():
            return
        make_private_directory(self.directory)
        for folder in list(self.directory.parents)[:3]:
            _sync_directory(folder)

    @contextmanager
    def _disk_errors(self, act: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AnchorError(
                f"The anchor {self.directory} could not be {act}: {error}.",
                "Nothing is signed until this is solved: free disk space and check the folder's permissions.",
            ) from error


def _at(file: int, index: int) -> bytes:
    return os.pread(file, HASH_BYTES, index * HASH_BYTES)


def _write_all(file: int, raw: bytes, offset: int) -> None:
    written = 0
    while written < len(raw):
        written += os.pwrite(file, raw[written:], offset + written)


def _sync_directory(directory: Path) -> None:
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
