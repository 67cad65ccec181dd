"""The files of a state directory that belong in a backup, in the order in which they are read.

Rules of order: anchors are read before the server's snapshot, and the spool after it. So the snapshot holds every
record that the anchor knows, and the spool what came later. The roster comes last: it has a writer's key before that
writer's records exist. In an anchor, checkpoints come before the leaf hashes that they cover. Private keys are never
read: whoever has a backup must not be able to sign.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from llmctx.errors import BackupError, InstanceError
from llmctx.killpoint import reached
from llmctx.ops.backup.files import StoredFile, pack, unpack
from llmctx.ops.backup.manifest import STATE, Backup
from llmctx.trail.disk import sync_directory
from llmctx.trail.log.instance import Instance, read_state_instance
from llmctx.trail.proof.anchor import Anchor, anchor_directory
from llmctx.trail.proof.key import public_file
from llmctx.trail.proof.merkle import HASH_BYTES
from llmctx.trail.proof.writers_file import roster_file
from llmctx.trail.spool.spool import spool_directory


def pack_anchors(state_dir: Path, instance: Instance, folder: Path) -> Iterator[StoredFile]:
    """Store the instance file, the anchors and the public key in a backup's folder.

    Raises OSError if the disk fails.
    """
    anchors = [anchor_directory(state_dir, instance.id, partition) for partition in range(instance.partitions)]
    paths = [state_dir / "instance.json", public_file(state_dir, instance.id)]
    paths += [anchor / name for anchor in anchors for name in ("checkpoints", "leaves")]
    return _pack(state_dir, paths, folder)


def pack_spool(state_dir: Path, instance: Instance, folder: Path) -> Iterator[StoredFile]:
    """Store the spool's segments, and then the enrolled writer keys, in a backup's folder.

    Raises OSError if the disk fails.
    """
    spools = [spool_directory(state_dir, instance.id, partition) for partition in range(instance.partitions)]
    segments = [path for spool in spools for path in sorted(spool.glob("*.seg"))]
    return _pack(state_dir, [*segments, roster_file(state_dir, instance.id)], folder)


def _pack(state_dir: Path, paths: list[Path], folder: Path) -> Iterator[StoredFile]:
    for path in paths:
        try:
            file = path.open("rb")
        except FileNotFoundError:  # there is no anchor yet, or the segment was pruned meanwhile
            continue
        with file:
            yield pack(file, folder, STATE + path.relative_to(state_dir).as_posix())


def check_state(backup: Backup, state_dir: Path) -> None:
    """Check that a state directory may be used with a backup.

    Raises InstanceError if it belongs to another trail, BackupError if its anchor is older than the backup.
    """
    instance, found = backup.instance, read_state_instance(state_dir)
    if found is not None and found != instance:
        raise InstanceError(
            f"{state_dir} belongs to instance {found.id}, but the backup is of instance {instance.id}.",
            "Name the right --state-dir, or one that does not exist yet.",
        )
    sizes = {file.name: file.size_bytes for file in backup.manifest.files}
    for partition in range(instance.partitions):
        directory = anchor_directory(state_dir, instance.id, partition)
        name = (directory / "leaves").relative_to(state_dir).as_posix()
        size, stored = Anchor(directory).size, sizes.get(STATE + name, 0) // HASH_BYTES
        if 0 < size < stored:
            raise BackupError(
                f"The anchor in {state_dir} has {size} leaf hashes of partition {partition}, the backup has {stored}: "
                "the state directory is older than the backup.",
                "Move it away and restore again: the backup brings its own.",
            )


def unpack_state(backup: Backup, state_dir: Path) -> list[str]:
    """Put back what a state directory lacks, and return the names of these files.

    An anchor or a spool that exists is newer than the backup, and is kept whole; one that is missing appears whole. The
    instance file comes last: a state directory that has one is complete.

    Raises BackupError if a file of the backup is damaged, OSError if the disk fails.
    """
    folders: dict[PurePosixPath, list[StoredFile]] = {}
    single = []
    for file in backup.manifest.files:
        name = PurePosixPath(file.name)
        if file.name.startswith((f"{STATE}anchor/", f"{STATE}spool/")):
            folders.setdefault(name.relative_to(STATE).parent, []).append(file)
        elif file.name.startswith(STATE):
            single.append(file)
    restored = []
    for folder, files in folders.items():
        if not _has_files(state_dir / folder):
            _unpack_folder(backup, files, state_dir / folder)
            restored += files
    for file in sorted(single, key=lambda file: file.name == f"{STATE}instance.json"):
        target = state_dir / PurePosixPath(file.name).relative_to(STATE)
        if not target.exists():
            with backup.open(file) as source:
                unpack(file, source, target)
            restored.append(file)
    return [file.name.removeprefix(STATE) for file in restored]


def _unpack_folder(backup: Backup, files: list[StoredFile], target: Path) -> None:
    draft = target.with_name(f"{target.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    for file in files:
        with backup.open(file) as source:
            unpack(file, source, draft / PurePosixPath(file.name).name)
        reached("unpacked")
    shutil.rmtree(target, ignore_errors=True)  # it holds a lock at most
    draft.rename(target)
    sync_directory(target.parent)


def _has_files(folder: Path) -> bool:
    """Whether an anchor or a spool is there already, whatever it holds."""
    return folder.is_dir() and any(path.name != "lock" for path in folder.iterdir())
