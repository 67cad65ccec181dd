"""Where backups are collected: a local folder, or an object store.

Rules of order in an object store: a backup is made and proven in the state directory, its files are stored and read
back, and its manifest is stored last; only then are older backups rotated out, each one's manifest first. What has no
manifest is no backup.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from llmctx.errors import BackupError
from llmctx.killpoint import reached
from llmctx.ops.backup.files import SUFFIX, StoredFile
from llmctx.ops.backup.manifest import (
    BAD,
    FILE,
    NAME,
    Backup,
    Manifest,
    check_is_good,
    find_backup,
    folder_name,
    read_manifest,
)
from llmctx.ops.backup.rotation import kept_times, locked, rotate
from llmctx.trail.archive.object_place import ObjectPlace
from llmctx.trail.archive.place import digest_of, is_address

_OUTGOING = "outgoing"
_DAY_MS = 86_400_000


class BackupStore(Protocol):
    """A collection of backups. Every method raises BackupError or ArchiveError if it cannot be used."""

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """The folder in which a backup is to be made."""
        ...

    def keep(self, backup: Backup) -> str:
        """Store a backup that was made in the draft's folder; returns its path or address."""
        ...

    def rotate(self, instance: str, daily: int, weekly: int) -> list[str]:
        """Remove older good backups of a trail; returns their paths or addresses."""
        ...

    def newest(self) -> tuple[str, Backup]:
        """The path or address of the newest good backup, or of the one that is named, and the backup."""
        ...


def open_store(where: str, state_dir: Path | None = None) -> BackupStore:
    """The collection at a path or an address; `state_dir` is where backups for an object store are made."""
    if is_address(where):
        return ObjectBackups(where, None if state_dir is None else state_dir / _OUTGOING)
    return FolderBackups(Path(where.removeprefix("file://")))


class FolderBackups:
    """Backups in a local folder."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """The folder itself."""
        yield self._directory

    def keep(self, backup: Backup) -> str:
        """Nothing is left to do."""
        return str(backup.folder)

    def rotate(self, instance: str, daily: int, weekly: int) -> list[str]:
        """Remove older good backups of a trail."""
        return [str(folder) for folder in rotate(self._directory, instance, daily, weekly)]

    def newest(self) -> tuple[str, Backup]:
        """The newest good backup, or the one that the folder is."""
        backup = find_backup(self._directory)
        return str(backup.folder), backup


class _StoredBackup(Backup):
    """A backup in an object store."""

    def __init__(self, place: ObjectPlace, folder: Path, manifest: Manifest) -> None:
        super().__init__(folder, manifest)
        self._place = place

    @contextmanager
    def open(self, file: StoredFile) -> Iterator[BinaryIO]:
        """One of its compressed files, fetched into a temporary file that has no name: a kill leaves nothing of it."""
        with tempfile.TemporaryFile() as fetched:
            digest_of(self._place.chunks(f"{self.folder}/{file.name}{SUFFIX}"), fetched)
            fetched.seek(0)
            yield fetched


class ObjectBackups:
    """Backups in an object store, each below its time."""

    def __init__(self, url: str, outgoing: Path | None = None) -> None:
        parent, _, last = url.rstrip("/").rpartition("/")
        self._only = last if NAME.fullmatch(last.removesuffix(BAD)) else None
        """The backup that the address names; None if it names a collection."""
        self._place = ObjectPlace(parent if self._only else url)
        self._outgoing = outgoing

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A folder of the state directory, which is emptied at the end."""
        assert self._outgoing is not None
        self._place.names("")  # an address that cannot be used is found before the work
        with locked(self._outgoing):
            made = self._outgoing / "backup"
            try:
                yield made
            finally:
                for folder in made.glob("2*"):
                    shutil.rmtree(folder, ignore_errors=True)

    def keep(self, backup: Backup) -> str:
        """Store every file, read it back, and store the manifest last."""
        name = backup.folder.name
        for file in backup.manifest.files:
            stored = f"{name}/{file.name}{SUFFIX}"
            self._place.upload(stored, backup.folder / f"{file.name}{SUFFIX}")
            if digest_of(self._place.chunks(stored)) != file.stored_sha256:
                raise BackupError(f"{stored} in {self._place.name} is not what was written.", "Run it again.")
            reached("uploaded")
        if not self._place.put(f"{name}/{FILE}", (backup.folder / FILE).read_bytes()):
            raise BackupError(f"{self._place.name}/{name} is there already.", "Run it again.")
        self._tidy(folder_name(backup.manifest.made_ms - _DAY_MS))
        return f"{self._place.name}/{name}"

    def rotate(self, instance: str, daily: int, weekly: int) -> list[str]:
        """Remove older good backups of a trail, each one's manifest first."""
        made = {}
        for name in self._good():
            manifest = read_manifest(self._place.read(f"{name}/{FILE}") or b"", f"{self._place.name}/{name}/{FILE}")
            if manifest.instance == instance:
                made[name] = manifest.made_ms
        kept = kept_times(made.values(), daily, weekly)
        removed = [name for name, made_ms in made.items() if made_ms not in kept]
        for name in removed:
            self._place.remove(f"{name}/{FILE}")
            self._remove(name)
        return [f"{self._place.name}/{name}" for name in removed]

    def newest(self) -> tuple[str, Backup]:
        """The newest good backup, or the one that is named."""
        name = self._only or next(reversed(self._good()), None)
        raw = None if name is None else self._place.read(f"{name}/{FILE}")
        if name is None or raw is None:
            raise BackupError(
                f"There is no backup in {self._place.name}{'' if name is None else f'/{name}'}.",
                "Name an address to which `llmctx backup` wrote.",
            )
        check_is_good(name)
        where = f"{self._place.name}/{name}"
        return where, _StoredBackup(self._place, Path(name), read_manifest(raw, f"{where}/{FILE}"))

    def _good(self) -> list[str]:
        """The names of all good backups, oldest first."""
        return [name for name in self._folders(whole=True) if not name.endswith(BAD)]

    def _folders(self, *, whole: bool) -> list[str]:
        """The names of what has a manifest, or of what has none, oldest first."""
        paths = [name.split("/") for name in self._place.names("")]
        found = {path[0] for path in paths if NAME.fullmatch(path[0].removesuffix(BAD))}
        with_manifest = {path[0] for path in paths if path[1:] == [FILE]}
        return sorted(found & with_manifest if whole else found - with_manifest)

    def _tidy(self, before: str) -> None:
        """Remove what interrupted runs left, unless it is so new that another machine may be writing it."""
        for name in self._folders(whole=False):
            if name < before:
                self._remove(name)

    def _remove(self, folder: str) -> None:
        for name in self._place.names(folder):
            self._place.remove(name)
