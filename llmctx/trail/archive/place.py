"""Where an archive lies: a local folder, or an object store through obstore. Nothing there is ever written twice."""

import contextlib
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from llmctx.errors import ArchiveError
from llmctx.killpoint import reached
from llmctx.private_files import FILE_MODE, make_private_directory
from llmctx.trail.archive.object_lock import ObjectLock
from llmctx.trail.disk import sync_directory

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_URL = re.compile(r"[a-z][a-z0-9]*://")
_S3 = re.compile(r"s3a?://")
_STATUS = re.compile(r"status code: (\d{3}) ([A-Za-z ]+)")
_CODE = re.compile(r"<Code>([A-Za-z]+)</Code>")


class Place(Protocol):
    """A folder or a bucket. Every method raises ArchiveError if it does not answer."""

    name: str
    """Its path or address, for messages and records; without what may be secret."""

    def put(self, name: str, raw: bytes) -> bool:
        """Store a file whole, and safe from a power cut; False if the name is taken, and then nothing changes."""
        ...

    def read(self, name: str) -> bytes | None:
        """The content of a file, None if there is none."""
        ...

    def names(self, folder: str) -> list[str]:
        """The names of all files in a folder, sorted; the empty text names the whole place."""
        ...

    def remove(self, name: str) -> None:
        """Delete a file whose time is over; nothing happens if there is none."""
        ...


def open_place(where: str, retain_until_ms: int | None = None) -> Place:
    """The place with an address: s3://, gs://, az:// and what else obstore knows, or a local path.

    Credentials come from the environment, as each provider defines them. With `retain_until_ms` whatever is put there
    is retained until then by object lock. Raises ArchiveError if it cannot be used.
    """
    if retain_until_ms is not None and not _S3.match(where):
        raise ArchiveError(f"{where} has no object lock.", "Retain on s3://, or let the bucket's own policy do it.")
    if not is_address(where):
        return FolderPlace(where)
    return ObjectPlace(where, None if retain_until_ms is None else ObjectLock(where, retain_until_ms))


def is_address(where: str) -> bool:
    """Whether a text is the address of an object store, not a local path."""
    return _URL.match(where) is not None and not where.startswith("file://")


class FolderPlace:
    """A local folder."""

    def __init__(self, where: str) -> None:
        self._folder = Path(where.removeprefix("file://"))
        self.name = str(self._folder.absolute())
        """Its path."""

    def put(self, name: str, raw: bytes) -> bool:
        """Store a file under another name, sync it, and give it its own name unless that is taken."""
        target = self._folder / name
        draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
        try:
            make_private_directory(target.parent)
            _write_synced(draft, raw)
            reached("drafted")
            try:
                os.link(draft, target)  # unlike a rename, it never replaces a file
            except FileExistsError:
                return False
            finally:
                draft.unlink()
            for folder in (target.parent, *list(target.parent.parents)[:2]):
                sync_directory(folder)
        except OSError as error:
            raise ArchiveError(
                f"{target} could not be written: {error}.",
                "Free disk space there, or see the folder's permissions. Nothing was trimmed.",
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

    def remove(self, name: str) -> None:
        """Delete a file, and sync its folder."""
        try:
            (self._folder / name).unlink(missing_ok=True)
            sync_directory((self._folder / name).parent)
        except OSError as error:
            raise ArchiveError(f"{self._folder / name} could not be deleted: {error}.", "See who may.") from error

    def names(self, folder: str) -> list[str]:
        """The names of all files in a folder, sorted, without those that a kill left unfinished."""
        root = self._folder / folder
        paths = root.rglob("*") if not folder else root.glob("*")
        found = [path.relative_to(self._folder).as_posix() for path in paths if path.is_file()]
        return sorted(name for name in found if not name.rpartition("/")[2].startswith("."))


def _write_synced(path: Path, raw: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(file, "wb") as opened:
        opened.write(raw)
        opened.flush()
        os.fsync(opened.fileno())


class ObjectPlace:
    """A bucket, or a prefix in one."""

    def __init__(self, url: str, lock: ObjectLock | None = None) -> None:
        self._lock = lock
        parts = urlsplit(url)
        self.name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        """Its address."""
        try:
            from obstore import exceptions, store  # noqa: PLC0415  an optional extra
        except ImportError as error:
            raise ArchiveError("obstore is not installed.", "pip install 'llmctx[archive]'", exit_code=3) from error
        self._errors = exceptions
        # S3 wants a checksum of what is written under object lock.
        options = {"checksum_algorithm": "SHA256"} if _S3.match(url) else {}
        try:
            self._store: ObjectStore = store.from_url(url, **options)  # type: ignore[call-overload]
        except (exceptions.BaseError, ValueError) as error:
            raise ArchiveError(f"{self.name} cannot be used: {error}", "See docs/operations.md, Archive.") from error

    def put(self, name: str, raw: bytes) -> bool:
        """Store an object unless its name is taken (`If-None-Match: *`)."""
        import obstore  # noqa: PLC0415  an optional extra

        try:
            # The parts of a multipart upload could not be made conditional.
            obstore.put(self._store, name, raw, mode="create", use_multipart=False)
            is_new = True
        except self._errors.AlreadyExistsError:
            is_new = False
        except (self._errors.BaseError, OSError) as error:  # a bucket that is missing is a FileNotFoundError
            raise self._failed(name, "written", error) from error
        if self._lock is not None:
            self._lock.retain(name)
        return is_new

    def read(self, name: str) -> bytes | None:
        """The content of an object, None if there is none."""
        import obstore  # noqa: PLC0415  an optional extra

        try:
            return bytes(obstore.get(self._store, name).bytes())
        except (self._errors.NotFoundError, FileNotFoundError):
            return None
        except self._errors.BaseError as error:
            raise self._failed(name, "read", error) from error

    def upload(self, name: str, file: Path) -> None:
        """Store a file of any size, in parts if it is large; an object of this name is replaced."""
        import obstore  # noqa: PLC0415  an optional extra

        try:
            obstore.put(self._store, name, file)
        except (self._errors.BaseError, OSError) as error:
            raise self._failed(name, "written", error) from error

    def chunks(self, name: str) -> Iterator[bytes]:
        """The content of an object of any size, piece by piece."""
        import obstore  # noqa: PLC0415  an optional extra

        try:
            for chunk in obstore.get(self._store, name).stream():
                yield bytes(chunk)
        except (self._errors.BaseError, OSError) as error:
            raise self._failed(name, "read", error) from error

    def names(self, folder: str) -> list[str]:
        """The names of all objects in a folder, sorted."""
        import obstore  # noqa: PLC0415  an optional extra

        with contextlib.suppress(FileNotFoundError):
            try:
                pages = obstore.list(self._store, prefix=folder or None)
                return sorted(found["path"] for page in pages for found in page)
            except self._errors.BaseError as error:
                raise self._failed(folder, "listed", error) from error
        return []

    def remove(self, name: str) -> None:
        """Delete an object; where objects have versions, what is left is for the bucket's lifecycle rules."""
        import obstore  # noqa: PLC0415  an optional extra

        with contextlib.suppress(FileNotFoundError):
            try:
                obstore.delete(self._store, name)
            except self._errors.BaseError as error:
                raise self._failed(name, "deleted", error) from error

    def _failed(self, name: str, act: str, error: Exception) -> ArchiveError:
        why, remedy = _explain(str(error))
        return ArchiveError(f"{name or 'the place'} in {self.name} could not be {act}: {why}.", remedy)


def _explain(error: str) -> tuple[str, str]:
    """What an object store answered, and what to do."""
    status, code = _STATUS.search(error), _CODE.search(error)
    if status is None:
        why = error.partition("\n")[0].rpartition(" - ")[2]
        return why.rstrip("."), "See that the object store is running, and its address: docs/operations.md, Archive."
    remedy = {
        "401": "See that the credentials are those of this object store.",
        "403": "Give its user the right to list, read and write there; to rotate backups or erase, also to delete.",
        "404": "See that the bucket exists; llmctx makes none.",
    }.get(status[1], "See address and credentials: docs/operations.md, Archive.")
    return f"{status[1]} {status[2]}{'' if code is None else f', {code[1]}'}", remedy
