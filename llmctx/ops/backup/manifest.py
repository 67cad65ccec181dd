"""A backup's folder and its manifest.

DIR/2026-03-02T15-00-00.000Z/manifest.json            what it holds, with digests and sizes; written last
                             dump.rdb.zst             the server's snapshot
                             state/...zst             instance file, anchor, spool, public key
    2026-03-02T15-00-00.000Z.bad                      a backup whose proof failed
    .partial-...                                      one that is being made, or was interrupted
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from llmctx import clock
from llmctx.context.value import explain
from llmctx.errors import BackupError
from llmctx.ops.backup.files import SUFFIX, StoredFile, damaged, is_inside
from llmctx.private_files import write_private
from llmctx.trail.disk import sync_directory
from llmctx.trail.log.instance import Instance

RDB = "dump.rdb"
STATE = "state/"
BAD = ".bad"
PARTIAL = ".partial-"
FILE = "manifest.json"
NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z")


class Manifest(BaseModel):
    """What a backup holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["llmctx-backup/1"] = "llmctx-backup/1"
    """The format's name."""
    instance: str
    """The id of the trail."""
    partitions: int
    """How many partitions the trail has."""
    records: tuple[int, ...] = ()
    """The size of each partition's log in the snapshot; empty if the snapshot could not be loaded."""
    made_ms: int
    """The server's time just before the snapshot, in milliseconds since 1970."""
    server: str
    """The server's name and version."""
    version: str
    """The version of llmctx that made it."""
    files: tuple[StoredFile, ...]
    """Every file but the manifest."""


class Backup:
    """A backup in its folder."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        """Where it is."""
        self.manifest = manifest
        """What it holds."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the manifest of a backup.

        Raises BackupError if the folder holds none, or a malformed one.
        """
        path = folder / FILE
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise BackupError(
                f"{folder} is not a backup: {error.strerror or error}.", "Name a folder that `llmctx backup` made."
            ) from error
        return cls(folder, read_manifest(raw, str(path)))

    @contextmanager
    def open(self, file: StoredFile) -> Iterator[BinaryIO]:
        """One of its compressed files, open at its beginning.

        Raises BackupError if it is missing.
        """
        path = self.folder / (file.name + SUFFIX)
        if not path.exists():
            raise damaged(file, "it is missing")
        with path.open("rb") as source:
            yield source

    def write(self) -> None:
        """Write the manifest, which completes the backup.

        Raises OSError if the disk fails.
        """
        text = json.dumps(self.manifest.model_dump(mode="json"), indent=1) + "\n"
        write_private(self.folder / FILE, text)
        sync_directory(self.folder)

    @property
    def instance(self) -> Instance:
        """The trail that it belongs to."""
        return Instance(self.manifest.instance, self.manifest.partitions)

    @property
    def stored_bytes(self) -> int:
        """The size of its compressed files."""
        return sum(file.stored_bytes for file in self.manifest.files)


def read_manifest(raw: bytes, where: str) -> Manifest:
    """The manifest of a backup; `where` is its path or address.

    Raises BackupError if it is malformed.
    """
    try:
        manifest = Manifest.model_validate_json(raw)
    except ValidationError as error:
        raise BackupError(f"{where} is malformed: {explain(error)}.", "Restore another backup.", exit_code=1) from error
    names = [file.name for file in manifest.files]
    if len(set(names)) != len(names) or not all(is_inside(name) for name in names) or RDB not in names:
        raise BackupError(f"{where} names files that no backup has.", "Restore another backup.", exit_code=1)
    return manifest


def folder_name(made_ms: int) -> str:
    """The name of a backup's folder: its time, in an order that sorting keeps."""
    return clock.iso(made_ms).replace(":", "-")


def backups_in(directory: Path) -> list[Backup]:
    """The good backups in a directory, oldest first; folders that are no backups are passed over."""
    folders = sorted(directory.iterdir()) if directory.is_dir() else []
    return [Backup.read(path) for path in folders if NAME.fullmatch(path.name) and (path / FILE).is_file()]


def check_is_good(name: str) -> None:
    """Check that a backup's name is not that of one whose proof failed.

    Raises BackupError if it is.
    """
    if name.endswith(BAD):
        raise BackupError(f"The proof of {name} failed when it was made.", "Restore another backup.", exit_code=1)


def find_backup(place: Path) -> Backup:
    """The backup in a folder, or the newest good one of a directory of backups.

    Raises BackupError if there is none, or if it is one whose proof failed.
    """
    check_is_good(str(place))
    if (place / FILE).exists():
        return Backup.read(place)
    found = backups_in(place)
    if not found:
        raise BackupError(f"There is no backup in {place}.", "Name a folder that `llmctx backup` made.")
    return found[-1]
