"""A backup made, and proven by restoring it into an embedded server, before it counts.

Rules of order: everything is written into a folder whose name begins with `.partial-`, synced, and restored from there
with the files as they are stored; only then does the folder get its name, and only then are older backups rotated out.
What a killed run leaves is removed by the next one.
"""

import asyncio
import contextlib
import logging
import tempfile
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.connection import open_redis, server_ms
from llmctx.errors import BackupError, LlmctxError
from llmctx.killpoint import reached
from llmctx.ops.backup.files import pack
from llmctx.ops.backup.load import load_snapshot
from llmctx.ops.backup.manifest import BAD, PARTIAL, RDB, Backup, Manifest, folder_name
from llmctx.ops.backup.restore import Begin, RestoredPartition, refill_and_verify, unpack_snapshot
from llmctx.ops.backup.rotation import locked, remove_partial
from llmctx.ops.backup.snapshot import snapshot_of
from llmctx.ops.backup.state import pack_anchors, pack_spool, unpack_state
from llmctx.ops.server import EmbeddedServer
from llmctx.private_files import make_private_directory
from llmctx.trail.disk import sync_directory
from llmctx.trail.log.instance import Instance
from llmctx.trail.log.leaf_schema import FaultError
from llmctx.trail.log.lease import lease_key
from llmctx.version import VERSION

_log = logging.getLogger(__name__)

_PROOF = f"{PARTIAL}proof"
_ADDRESS = "address"
_Proof = tuple[list[RestoredPartition], str | None]
"""The result for each partition, and why the backup is bad; None if it is good."""


class Made(NamedTuple):
    """A backup that was made."""

    backup: Backup
    """The backup, in a folder whose name ends with .bad if its proof failed."""
    method: str
    """How the snapshot was made."""
    partitions: list[RestoredPartition]
    """What the proof found in each partition; empty if it could not even be restored."""
    fault: str | None
    """Why its proof failed; None if it is good."""


async def make_backup(
    redis: Redis, server: str, instance: Instance, state_dir: Path, directory: Path, *, begin: Begin
) -> Made:
    """Back up a server and its state directory into a new folder of `directory`, and prove the result.

    `server` is the server's name and version. A backup whose proof fails is kept under a name that ends with `.bad`.

    Raises BackupError if another backup is being made there or the disk fails, ServerError if the server or the
    embedded server cannot be used.
    """
    try:
        with locked(directory):
            try:
                await _end_orphan(directory / _PROOF)
                remove_partial(directory)
                return await _make(redis, server, instance, state_dir, directory, begin)
            finally:
                remove_partial(directory)
    except OSError as error:
        raise BackupError(
            f"The backup could not be written to {directory}: {error}.",
            "Free disk space there (a snapshot is needed twice), or see its permissions; older ones are as before.",
        ) from error


async def _make(redis: Redis, server: str, instance: Instance, state_dir: Path, directory: Path, begin: Begin) -> Made:
    proof_server = EmbeddedServer(directory / _PROOF / "server")
    _log.info("Saving and compressing a snapshot of the server and the state directory.")
    packed, method = await _pack(redis, server, instance, state_dir, directory)
    reached("packed")
    _log.info(f"Restoring the {packed.stored_bytes:,} bytes into an embedded server, to verify them.")
    partitions, fault = await _prove(packed, proof_server, directory / _PROOF, begin)
    reached("proven")
    records = tuple(part.records - part.refilled for part in partitions)
    backup = Backup(packed.folder, packed.manifest.model_copy(update={"records": records}))
    backup.write()
    target = directory / (folder_name(backup.manifest.made_ms) + (BAD if fault else ""))
    backup.folder.rename(target)
    sync_directory(directory)
    return Made(Backup(target, backup.manifest), method, partitions, fault)


async def _pack(redis: Redis, server: str, instance: Instance, state_dir: Path, directory: Path) -> tuple[Backup, str]:
    made_ms = await server_ms(redis)
    folder = directory / f"{PARTIAL}{folder_name(made_ms)}"
    make_private_directory(folder)
    files = await asyncio.to_thread(lambda: [*pack_anchors(state_dir, instance, folder)])
    async with snapshot_of(redis, folder / RDB) as snapshot:
        files.append(await asyncio.to_thread(pack, snapshot.file, folder, RDB))
    files += await asyncio.to_thread(lambda: [*pack_spool(state_dir, instance, folder)])
    manifest = Manifest(
        instance=instance.id,
        partitions=instance.partitions,
        made_ms=made_ms,
        server=server,
        version=VERSION,
        files=tuple(files),
    )
    return Backup(folder, manifest), snapshot.method


async def _prove(backup: Backup, server: EmbeddedServer, scratch: Path, begin: Begin) -> _Proof:
    """Restore a backup into an embedded server and verify it."""
    with server:  # that it cannot start says nothing about the backup
        _note_address(scratch, server.url)
        try:
            return await _restore_copy(backup, server.url, scratch, begin)
        except FaultError as error:
            return [], str(error)
        except LlmctxError as error:
            return [], error.what.rstrip(".")


async def _restore_copy(backup: Backup, url: str, scratch: Path, begin: Begin) -> _Proof:
    state_dir = scratch / "state"
    await asyncio.to_thread(unpack_state, backup, state_dir)
    async with open_redis(url) as redis:
        await redis.config_set("maxmemory", 0)  # the embedded server's limit is not that of the live one
        with tempfile.TemporaryFile(dir=scratch) as file:
            await asyncio.to_thread(unpack_snapshot, backup, file)
            await load_snapshot(redis, file)
        reached("proving")
        await _end_leases(redis, backup.instance)
        partitions = await refill_and_verify(backup.instance, redis, state_dir, begin=begin, snapshot=True)
    return partitions, next((fault for part in partitions if (fault := _fault_of(part))), None)


def _fault_of(part: RestoredPartition) -> str | None:
    if part.missing is not None:
        first, last = part.missing
        return f"partition {part.partition} lacks records {first} to {last}, whose leaf hashes the anchor has"
    return None if part.fault is None else f"partition {part.partition}: {part.fault}"


async def _end_leases(redis: Redis, instance: Instance) -> None:
    """End the leases in a copy; their holder is still running on the live server."""
    for partition in range(instance.partitions):
        if await redis.exists(lease_key(partition)):
            await redis.hset(lease_key(partition), mapping={"owner": "", "ends_ms": 0})


def _note_address(scratch: Path, url: str) -> None:
    (scratch / _ADDRESS).write_text(url, encoding="utf-8")


async def _end_orphan(scratch: Path) -> None:
    """End the embedded server of a killed backup, which would keep its memory for good."""
    path = scratch / _ADDRESS
    if not path.exists():
        return
    with contextlib.suppress(LlmctxError, RedisError, OSError):
        async with open_redis(path.read_text(encoding="utf-8")) as redis:
            found = await redis.config_get("dir")
            if str((scratch / "server").resolve()) in found.values():  # not another server that has the port now
                await redis.shutdown(nosave=True)
