"""A bucket of an object store as an archive's place, through obstore."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from llmctx.errors import ArchiveError
from llmctx.trail.archive.object_lock import ObjectLock

if TYPE_CHECKING:
    from obstore.store import ObjectStore

S3 = re.compile(r"s3a?://")
"""How the address of a bucket in S3 begins."""
_STATUS = re.compile(r"status code: (\d{3}) ([A-Za-z ]+)")
_CODE = re.compile(r"<Code>([A-Za-z]+)</Code>")


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
        options = {"checksum_algorithm": "SHA256"} if S3.match(url) else {}
        try:
            self._store: ObjectStore = store.from_url(url, **options)  # type: ignore[call-overload]
        except (exceptions.BaseError, ValueError) as error:
            raise ArchiveError(f"{self.name} cannot be used: {error}", "See docs/operations.md, Archive.") from error

    def put(self, name: str, content: bytes | BinaryIO) -> bool:
        """Store an object unless its name is taken (`If-None-Match: *`)."""
        import obstore  # noqa: PLC0415  an optional extra

        try:
            # The parts of a multipart upload could not be made conditional.
            obstore.put(self._store, name, content, mode="create", use_multipart=False)
            is_new = True
        except self._errors.AlreadyExistsError:
            is_new = False
        except (self._errors.BaseError, OSError) as error:  # a bucket that is missing is a FileNotFoundError
            raise self._failed(name, "written", error) from error
        if self._lock is not None:
            self._lock.retain(name)
        return is_new

    def read(self, name: str) -> bytes | None:
        """The content of an object; None if it does not exist."""
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

    def remove(self, name: str) -> bool:
        """Delete an object; where objects have versions, what is left is for the bucket's lifecycle rules."""
        import obstore  # noqa: PLC0415  an optional extra

        try:
            has_versions = obstore.head(self._store, name)["version"] is not None
            obstore.delete(self._store, name)
        except (self._errors.NotFoundError, FileNotFoundError):
            return False
        except self._errors.BaseError as error:
            raise self._failed(name, "deleted", error) from error
        return has_versions

    def _failed(self, name: str, act: str, error: Exception) -> ArchiveError:
        why, remedy, exit_code = _explain(str(error))
        what = f"{name or 'the place'} in {self.name} could not be {act}: {why}."
        return ArchiveError(what, remedy, exit_code=exit_code)


def _explain(error: str) -> tuple[str, str, int]:
    """What an object store answered, what to do, and the exit code: 3 if it may answer otherwise later."""
    status, code = _STATUS.search(error), _CODE.search(error)
    if status is None:
        why = error.partition("\n")[0].rpartition(" - ")[2]
        return why.rstrip("."), "See that the object store is running, and its address: docs/operations.md, Archive.", 3
    remedy = {
        "401": "See that the credentials are those of this object store.",
        "403": "Give its user the right to list, read and write there; to rotate backups or erase, also to delete.",
        "404": "See that the bucket exists; llmctx makes none.",
    }.get(status[1], "See address and credentials: docs/operations.md, Archive.")
    why = f"{status[1]} {status[2]}{'' if code is None else f', {code[1]}'}"
    return why, remedy, 3 if status[1].startswith("5") else 2
