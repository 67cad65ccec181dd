"""Restore a backup: the snapshot into the server, files into the state directory, later records from the spool."""

import asyncio
import contextlib
import logging
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.errors import BackupError, LeaseError, ServerError, TrailError
from llmctx.ops.backup.files import unpack_into
from llmctx.ops.backup.load import load_snapshot
from llmctx.ops.backup.manifest import RDB, Backup
from llmctx.ops.backup.state import check_state, unpack_state
from llmctx.replay.partition_check import PartitionReport
from llmctx.replay.verify import Expected, verify_partition
from llmctx.tasks import end, pause
from llmctx.trail.log.instance import Instance, read_instance
from llmctx.trail.log.lease import LEASE_MS, Lease, read_holder
from llmctx.trail.log.log import Log
from llmctx.trail.log.people import NameTable, copied_rows, names_in
from llmctx.trail.proof.roster import Roster
from llmctx.trail.spool.recovery import Recovery

_log = logging.getLogger(__name__)

_STALE_LEASE_S = LEASE_MS / 1000 + 5
_RENEW_S = 2.0

Begin = Callable[[str, int], Callable[[], None]]
"""Begins to show a long step: its name and its number of records; returns what is called for each."""


class RestoredPartition(NamedTuple):
    """The result for one partition."""

    partition: int
    """The partition."""
    records: int
    """How many records it has now."""
    refilled: int
    """How many of them came from the spool, because they are newer than the snapshot."""
    missing: tuple[int, int] | None
    """First and last index of the records that the anchor knows and nobody holds; None if nothing is missing."""
    report: PartitionReport
    """What verification found."""

    @property
    def fault(self) -> str | None:
        """What verification found wrong, apart from missing records; None if nothing is."""
        fault = self.report.fault
        if fault is None or (self.missing is not None and fault.rule == "tail" and fault.at == self.missing[0]):
            return None
        return str(fault)


class Restored(NamedTuple):
    """The result of a restore."""

    state_files: list[str]
    """The files that the state directory lacked."""
    replaced_keys: int
    """How many keys the server had before."""
    partitions: list[RestoredPartition]
    """Every partition."""
    erased_again: int
    """How many names of people in the snapshot were erased after it was made."""


async def check_target(redis: Redis, *, over: bool) -> int:
    """Check that a server may be overwritten, and return how many keys it has.

    Raises BackupError if it has any and not `over`, LeaseError if a worker uses it, ServerError if it is a replica.
    """
    try:
        replication, keyspace = await redis.info("replication"), await redis.info("keyspace")
        instance = await read_instance(redis) if over else None
        holders = [await read_holder(redis, number) for number in range(instance.partitions if instance else 0)]
    except RedisError as error:
        raise ServerError(f"The server could not be checked: {error}", "See that Redis answers.") from error
    if replication["role"] not in ("master", "primary"):
        raise ServerError(
            "The server is a replica, or a restore was cut off while it ran.",
            "Name the primary; or run `redis-cli REPLICAOF NO ONE` on this server and restore again.",
        )
    count = sum(int(database["keys"]) for database in keyspace.values())
    if count and not over:
        raise BackupError(
            f"The server has {count} keys, which a restore would replace.",
            "Restore into an empty server; or, if these keys may be lost, add --over.",
        )
    for number, holder in enumerate(holders):
        if holder is not None:
            raise LeaseError(f"Partition {number} is held by {holder.label}.", "Stop that process first.")
    return count


async def restore(backup: Backup, redis: Redis, state_dir: Path, *, over: bool, begin: Begin) -> Restored:
    """Restore a backup into a server and a state directory, refill what came later, and verify the result.

    Raises BackupError if the backup is damaged, or the server has data and not `over`; InstanceError if the state
    directory belongs to another trail; ServerError or TrailError if the server cannot load it or does not answer, or
    the spool lacks records in between.
    """
    check_state(backup, state_dir)
    count = await check_target(redis, over=over)
    with tempfile.TemporaryFile() as file:  # it has no name, so nothing of it stays when this process is killed
        await asyncio.to_thread(unpack_snapshot, backup, file)
        names = await asyncio.to_thread(unpack_state, backup, state_dir)
        _log.info(f"The server loads {os.fstat(file.fileno()).st_size:,} bytes.")
        await load_snapshot(redis, file)
    partitions = await refill_and_verify(backup.instance, redis, state_dir, begin=begin)
    erased_again = await _erase_names_again(redis, state_dir, partitions)
    return Restored(names, count, partitions, erased_again)


def unpack_snapshot(backup: Backup, file: BinaryIO) -> None:
    """Write the snapshot of a backup into an open file.

    Raises BackupError if it is damaged.
    """
    stored = next(each for each in backup.manifest.files if each.name == RDB)
    with backup.open(stored) as source:
        unpack_into(stored, source, file)


async def refill_and_verify(
    instance: Instance, redis: Redis, state_dir: Path, *, begin: Begin, snapshot: bool = False
) -> list[RestoredPartition]:
    """Refill each partition from the spool of a state directory, and verify it.

    With `snapshot`, what the server holds is verified before it is refilled: a fault that the spool can mend is one.

    Raises BackupError if the server holds another trail, LeaseError if a worker takes a partition first.
    """
    found = await read_instance(redis)
    if found != instance:
        raise BackupError(
            f"The snapshot holds {found}, not instance {instance.id}.", "Restore another backup.", exit_code=1
        )
    done = []
    for number in range(instance.partitions):
        log = Log(redis, number)
        before, missing = await log.size(), None
        report = await _verify(log, instance, state_dir, begin) if snapshot else None
        if report is None or report.fault is None:
            missing = await _refill(redis, log, instance, state_dir)
        report = report or await _verify(log, instance, state_dir, begin)
        size = await log.size()
        done.append(RestoredPartition(number, size, size - before, missing, report))
    return done


async def _erase_names_again(redis: Redis, state_dir: Path, partitions: list[RestoredPartition]) -> int:
    """Erase what the state directory or a refilled notice says was erased, and return how many names that were."""
    table = NameTable(redis, state_dir)
    restored = set(names_in(await table.shared_rows()))
    if restored and not copied_rows(state_dir):
        _log.warning(
            f"The snapshot brings back {len(restored)} names of people, and {state_dir} does not know which of them "
            "were erased after it was made: erase those again, `llmctx people`."
        )
    await table.mend()
    for part in partitions:
        async for entry in Log(redis, part.partition).read(part.records - part.refilled):
            if "name_erased" in entry.record:
                await table.erase(entry.record["name_erased"]["id"])
    return len(restored - names_in(await table.rows()).keys())


async def _verify(log: Log, instance: Instance, state_dir: Path, begin: Begin) -> PartitionReport:
    on_record = begin(f"partition {log.partition}", await log.size())
    return await verify_partition(log, instance, state_dir, Expected(rebuild=False), on_record)


async def _refill(redis: Redis, log: Log, instance: Instance, state_dir: Path) -> tuple[int, int] | None:
    lease = Lease(redis, log.partition)
    waited_s = 0.0
    while (holder := await lease.take()) is not None:  # that of the worker that ran when the snapshot was taken
        if holder.is_newer or waited_s > _STALE_LEASE_S:
            raise holder.refusal(log.partition)
        await pause(0.5)
        waited_s += 0.5
    renewal = asyncio.create_task(_renew(lease))  # many records take longer than a lease lasts
    recovery = Recovery(redis, log, lease, instance, state_dir)
    try:
        roster = Roster(state_dir, instance.id, log.partition)
        return await recovery.open(roster, partial(log.advance, owner=lease.owner))
    finally:
        await recovery.close()
        await end(renewal)
        await lease.give_up()


async def _renew(lease: Lease) -> None:
    while True:
        await pause(_RENEW_S)
        with contextlib.suppress(TrailError):  # whoever writes without the lease is refused, and says so
            await lease.take()
