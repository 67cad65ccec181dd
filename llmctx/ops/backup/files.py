"""The files of a backup: each compressed with zstd, its digest and size taken while it is read."""

import hashlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import zstandard
from pydantic import BaseModel, ConfigDict

from llmctx.errors import BackupError
from llmctx.private_files import FILE_MODE, make_private_directory
from llmctx.trail.archive.place import digest_of
from llmctx.trail.disk import sync_directory

SUFFIX = ".zst"
_LEVEL = 3
_CHUNK_BYTES = 1024 * 1024


class StoredFile(BaseModel):
    """One file of a backup; it is stored as NAME.zst."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Its path below the backup's folder, without the suffix."""
    size_bytes: int
    """Its size before compression."""
    sha256: str
    """The digest of its content before compression."""
    stored_bytes: int
    """The size of the compressed file."""
    stored_sha256: str
    """The digest of the compressed file."""


def pack(source: BinaryIO, folder: Path, name: str) -> StoredFile:
    """Compress a file into a backup's folder and wait until it is on the disk.

    Only what the file holds now is stored: a spool segment or an anchor may grow meanwhile.

    Raises OSError if the disk fails.
    """
    left = os.fstat(source.fileno()).st_size
    target = folder / (name + SUFFIX)
    make_private_directory(target.parent)
    content, stored, size, stored_size = hashlib.sha256(), hashlib.sha256(), 0, 0
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()
    with open(target, "xb", opener=lambda path, flags: os.open(path, flags, FILE_MODE)) as file:

        def write(raw: bytes) -> None:
            nonlocal stored_size
            file.write(raw)
            stored.update(raw)
            stored_size += len(raw)

        while left and (chunk := source.read(min(left, _CHUNK_BYTES))):
            left -= len(chunk)
            size += len(chunk)
            content.update(chunk)
            write(compressor.compress(chunk))
        write(compressor.flush())
        file.flush()
        os.fsync(file.fileno())
    sync_directory(target.parent)
    return StoredFile(
        name=name,
        size_bytes=size,
        sha256=content.hexdigest(),
        stored_bytes=stored_size,
        stored_sha256=stored.hexdigest(),
    )


def unpack(file: StoredFile, source: BinaryIO, target: Path) -> None:
    """Write a file of a backup to `target`, for this user alone, after its size and digests have been checked.

    Raises BackupError with exit code 1 if `source`, the compressed file, is damaged; `target` is not made then.
    """
    make_private_directory(target.parent)
    draft = target.with_name(f"{target.name}.new")
    try:
        draft.unlink(missing_ok=True)
        with open(draft, "xb", opener=lambda path, flags: os.open(path, flags, FILE_MODE)) as opened:
            unpack_into(file, source, opened)
            os.fsync(opened.fileno())
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(target.parent)


def unpack_into(file: StoredFile, source: BinaryIO, opened: BinaryIO) -> None:
    """Write a file of a backup into an open file, after its size and digests have been checked.

    Raises BackupError with exit code 1 if `source`, the compressed file, is damaged.
    """
    if _measure(source) != (file.stored_bytes, file.stored_sha256):
        raise damaged(file, "its size or digest differs from the manifest")
    try:
        if _decompress(source, opened.write, file.size_bytes) != (file.size_bytes, file.sha256):
            raise damaged(file, "its content differs from the manifest")
    except zstandard.ZstdError as error:
        raise damaged(file, f"it cannot be decompressed ({error})") from error
    opened.flush()


def _measure(source: BinaryIO) -> tuple[int, str]:
    """The size and digest of a file, which is at its beginning again."""
    digest = digest_of(iter(partial(source.read, _CHUNK_BYTES), b""))
    size = source.tell()
    source.seek(0)
    return size, digest


def _decompress(source: BinaryIO, write: Callable[[bytes], object], limit: int) -> tuple[int, str]:
    """Write what a file holds, and return its size and digest; it ends soon after `limit` bytes."""
    content, size = hashlib.sha256(), 0
    with zstandard.ZstdDecompressor().stream_reader(source, closefd=False) as reader:
        while size <= limit and (chunk := reader.read(_CHUNK_BYTES)):
            size += len(chunk)
            content.update(chunk)
            write(chunk)
    return size, content.hexdigest()


def is_inside(name: str) -> bool:
    """Whether a file's name is a plain path below the backup's folder."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and not {".", ".."} & set(name.split("/")) and "\\" not in name


def damaged(file: StoredFile, why: str) -> BackupError:
    """What is raised about a stored file that is missing or not what the manifest says."""
    return BackupError(
        f"{file.name}{SUFFIX} of the backup is damaged: {why}.",
        "Restore another backup, and find out why this disk loses data.",
        exit_code=1,
    )
