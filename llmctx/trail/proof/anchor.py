"""The door to one partition's anchor: what is kept outside Redis so that a trail cannot be made again in silence.

    STATE_DIR/anchor/<instance>/<partition>/leaves       32 bytes a record, the leaf hashes in index order
                                            checkpoints  signed notes, one blank line between
                                            lock         held by whoever appends

Rules of order: leaf hashes are on disk before the checkpoint that covers them. Both files only grow; what a kill
left half written is passed over by readers and cut off by the next append.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from llmctx.errors import AnchorBusyError, AnchorError, CheckpointError, ForkError
from llmctx.killpoint import reached
from llmctx.trail.proof.checkpoint import split_notes
from llmctx.trail.proof.merkle import HASH_BYTES

_ZERO = bytes(HASH_BYTES)


def anchor_directory(state_dir: Path, instance: str, partition: int) -> Path:
    """Where a partition's anchor lies."""
    return state_dir / "anchor" / instance / str(partition)


class Anchor:
    """One partition's anchor. Reading needs no lock; appending takes it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        """Where it lies; made by the first append."""
        self._leaves = directory / "leaves"
        self._checkpoints = directory / "checkpoints"
        self._held = False
        self._notes_end: int | None = None

    @property
    def size(self) -> int:
        """How many leaf hashes it has; a torn one at the end does not count."""
        with self._door("read"):
            try:
                with self._leaves.open("rb") as file:
                    count = os.fstat(file.fileno()).st_size // HASH_BYTES
                    # After a power cut a file can end in zeros that nobody wrote: no hash is zero.
                    while count and _at(file.fileno(), count - 1) == _ZERO:
                        count -= 1
                    return count
            except FileNotFoundError:
                return 0

    def hash_at(self, index: int) -> bytes:
        """The leaf hash of an index.

        Raises AnchorError where there is none.
        """
        found = self.hashes(index, index + 1)
        if not found:
            raise AnchorError(f"The anchor {self.directory} has no leaf hash {index}.", "It has as many as its size.")
        return found[0]

    def hashes(self, start: int = 0, stop: int | None = None) -> list[bytes]:
        """The leaf hashes from `start` up to but not including `stop`, as far as there are any."""
        size = self.size
        end = size if stop is None else min(stop, size)
        if start >= end:
            return []
        with self._door("read"), self._leaves.open("rb") as file:
            raw = os.pread(file.fileno(), (end - start) * HASH_BYTES, start * HASH_BYTES)
        return [raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES)]

    def checkpoints(self) -> list[str]:
        """Every checkpoint, oldest first; a torn one at the end is none.

        Raises AnchorError where the file is damaged.
        """
        return self._read_notes()[0]

    def newest(self) -> str | None:
        """The newest checkpoint, None where there is none."""
        notes = self.checkpoints()
        return notes[-1] if notes else None

    def _read_notes(self) -> tuple[list[str], int]:
        with self._door("read"):
            try:
                return split_notes(self._checkpoints.read_bytes())
            except FileNotFoundError:
                return [], 0
            except CheckpointError as error:
                raise AnchorError(
                    f"{self._checkpoints}: {error.what}",
                    "Put the file back from a backup; what llmctx writes is only ever cut off at its end.",
                ) from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other writer out, in this process and in others; an append inside needs no lock of its own.

        Raises AnchorBusyError where another one has it.
        """
        with self._door("lock"):
            self._make_directory()
            lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise AnchorBusyError(
                    f"Another notary appends to the anchor {self.directory}.",
                    "One notary a state directory is enough; stop the other one, or let it go on alone.",
                ) from error
            self._held = True
            yield
        finally:
            self._held = False
            os.close(lock)  # lets go of the lock too

    def append(self, start: int, hashes: Sequence[bytes], note: str | None = None) -> None:
        """Add leaf hashes from index `start` on, then the checkpoint that covers them; each is on disk before the next.

        Hashes that are there already may be given again: equal ones change nothing.

        Raises ForkError where another hash stands at an index, AnchorBusyError where somebody else appends,
        AnchorError where the disk does not take it; what was there before is untouched then.
        """
        if not self._held:
            with self.lock():
                self.append(start, hashes, note)
            return
        size = self.size
        if start > size:
            raise AnchorError(
                f"The anchor {self.directory} has {size} leaf hashes; those from {start} on would leave a gap.",
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
        with self._door("read"):
            return path.stat().st_size if path.exists() else 0

    def _write(self, path: Path, end: int, raw: bytes) -> None:
        """Put `raw` behind the first `end` bytes of a file, in place of whatever torn rest there is."""
        with self._door("written"):
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
        self.directory.mkdir(parents=True, exist_ok=True)
        for folder in list(self.directory.parents)[:3]:
            _sync_directory(folder)

    @contextmanager
    def _door(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AnchorError(
                f"The anchor {self.directory} could not be {what}: {error}.",
                "Nothing is signed until it can be: see that the disk has room and the folder may be written to.",
            ) from error


def _at(file: int, index: int) -> bytes:
    return os.pread(file, HASH_BYTES, index * HASH_BYTES)


def _write_all(file: int, raw: bytes, offset: int) -> None:
    done = 0
    while done < len(raw):
        done += os.pwrite(file, raw[done:], offset + done)


def _sync_directory(directory: Path) -> None:
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
