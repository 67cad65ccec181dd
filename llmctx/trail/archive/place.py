"""Where an archive lies: a local folder, or an object store through obstore. Nothing there is ever written twice."""

import contextlib
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from llmctx import clock
from llmctx.errors import ArchiveError
from llmctx.killpoint import reached
from llmctx.private_files import FILE_MODE, make_private_directory
from llmctx.trail.archive.object_lock import ObjectLock
from llmctx.trail.archive.object_place import S3, ObjectPlace
from llmctx.trail.disk import sync_directory

_URL = re.compile(r"[a-z][a-z0-9]*://")
_DRAFT = ".part"
CHUNK_BYTES = 1 << 20
"""How much of a file of any size is in memory at a time."""
_DAY_MS = 86_400_000


class Place(Protocol):
    """A folder or a bucket. Every method raises ArchiveError if it does not answer."""

    name: str
    """Its path or address, for messages and records; without what may be secret."""

    def put(self, name: str, content: bytes | BinaryIO) -> bool:
        """Store a file whole, and safe from a power cut; False if the name is taken, and then nothing changes."""
        ...

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if it does not exist."""
        ...

    def chunks(self, name: str) -> Iterator[bytes]:
        """The content of a file of any size, piece by piece. Raises ArchiveError if it does not exist."""
        ...

    def names(self, folder: str) -> list[str]:
        """The names of all files in a folder, sorted; the empty text names the whole place."""
        ...

    def remove(self, name: str) -> bool:
        """Delete a file if there is one; True if the place keeps a version of it."""
        ...


def open_place(where: str, retain_until_ms: int | None = None) -> Place:
    """The place with an address: s3://, gs://, az:// and what else obstore knows, or a local path.

    Credentials come from the environment, as each provider defines them. With `retain_until_ms` whatever is put there
    is retained until then by object lock. Raises ArchiveError if it cannot be used.
    """
    if retain_until_ms is not None and not S3.match(where):
        raise ArchiveError(f"{where} has no object lock.", "Retain on s3://, or let the bucket's own policy do it.")
    if not is_address(where):
        return FolderPlace(where)
    return ObjectPlace(where, None if retain_until_ms is None else ObjectLock(where, retain_until_ms))


def is_address(where: str) -> bool:
    """Whether a text is the address of an object store, not a local path."""
    return _URL.match(where) is not None and not where.startswith("file://")


def digest_of(chunks: Iterable[bytes], copy: BinaryIO | None = None) -> str:
    """The SHA-256 in hex of what comes in chunks, which are copied into a file on the way."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
        if copy is not None:
            copy.write(chunk)
    return digest.hexdigest()


class FolderPlace:
    """A local folder."""

    def __init__(self, where: str) -> None:
        self._folder = Path(where.removeprefix("file://"))
        self.name = str(self._folder.absolute())
        """Its path."""

    def put(self, name: str, content: bytes | BinaryIO) -> bool:
        """Store a file under another name, sync it, and give it its own name unless that is taken."""
        target = self._folder / name
        draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}{_DRAFT}")
        try:
            make_private_directory(target.parent)
            _remove_old_drafts(target.parent)
            try:
                _write_synced(draft, content)
                reached("drafted")
                os.link(draft, target)  # unlike a rename, it never replaces a file
            except FileExistsError:
                return False
            finally:
                draft.unlink(missing_ok=True)
            for folder in (target.parent, *list(target.parent.parents)[:2]):
                sync_directory(folder)
        except OSError as error:
            raise ArchiveError(
                f"{target} could not be written: {error}.",
                "Free disk space there, or see the folder's permissions. No record was removed from Redis.",
            ) from error
        return True

    def read(self, name: str) -> bytes | None:
        """The content of a file, None if there is none."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ArchiveError(f"{self._folder / name} could not be read: {error}.", "See its permissions.") from error

    def chunks(self, name: str) -> Iterator[bytes]:
        """The content of a file of any size, piece by piece."""
        try:
            with (self._folder / name).open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except OSError as error:
            raise ArchiveError(f"{self._folder / name} could not be read: {error}.", "See its permissions.") from error

    def remove(self, name: str) -> bool:
        """Delete a file, and sync its folder."""
        try:
            (self._folder / name).unlink(missing_ok=True)
            sync_directory((self._folder / name).parent)
        except OSError as error:
            raise ArchiveError(f"{self._folder / name} could not be deleted: {error}.", "See who may.") from error
        return False

    def names(self, folder: str) -> list[str]:
        """The names of all files in a folder, sorted, without those that a kill left unfinished."""

        def refuse(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise ArchiveError(f"{error.filename} could not be listed: {error}.", "See its permissions.") from error

        found = list[str]()
        for parent, folders, files in os.walk(self._folder / folder, onerror=refuse):
            found += [(Path(parent) / name).relative_to(self._folder).as_posix() for name in files if name[0] != "."]
            if folder:
                folders.clear()
        return sorted(found)


def _remove_old_drafts(folder: Path) -> None:
    """Remove what killed runs left: it has evidence, and nothing else would ever erase it."""
    for draft in folder.glob(f".*{_DRAFT}"):
        with contextlib.suppress(FileNotFoundError):  # another run does the same
            if clock.now_ms() - draft.stat().st_mtime * 1000 > _DAY_MS:
                draft.unlink()


def _write_synced(path: Path, content: bytes | BinaryIO) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(file, "wb") as opened:
        if isinstance(content, bytes):
            opened.write(content)
        else:
            shutil.copyfileobj(content, opened, CHUNK_BYTES)
        opened.flush()
        os.fsync(opened.fileno())
