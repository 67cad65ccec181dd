"""The owner of a partition: holds its lease, settles records in its log, publishes them.

Rules of order for one record: append, then publish, then the symbol is free. Redis may go away at any step: appending
again finds the first append by its tick id, publishing again changes nothing, so each step is repeated until it is
done or the lease is another's.
"""

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx import clock
from llmctx.connection import server_ms
from llmctx.errors import InstanceError, LeaseError, SettledError, TrailError
from llmctx.record import Circumstances, compose_unread
from llmctx.schema import keys
from llmctx.trail.dictionaries import Trainer
from llmctx.trail.entry import Entry
from llmctx.trail.instance import Instance, read_instance
from llmctx.trail.lease import SEE_REDIS, Holder, Lease
from llmctx.trail.log import Draft, Log, Settlement
from llmctx.worker.publish import Publisher

_PATIENCE_S = 30.0
_PAUSE_S = 0.2


class Owner:
    """`async with Owner(...) as owner:` holds the partition from beginning to end."""

    def __init__(
        self,
        redis: Redis,
        instance: Instance,
        partition: int = 0,
        *,
        wait: Callable[[Holder], bool] | None = None,
    ) -> None:
        """`wait` is told who has the partition, again and again until it is free, as long as it answers True; without
        it a partition that is not free is a LeaseError.
        """
        self._redis = redis
        self._instance = instance
        self._wait = wait
        self.partition = partition
        self.log = Log(redis, partition)
        """The partition's log."""
        self.lost: LeaseError | InstanceError | None = None
        """Why the partition is not ours any more, once it is not."""
        self._lease = Lease(redis, partition)
        self._publisher = Publisher(redis, self.log, instance.partitions)

    @property
    def label(self) -> str:
        """How records name this owner: host and process."""
        return self._lease.label

    async def __aenter__(self) -> Self:
        """Take the partition and publish what its last owner could not.

        Raises LeaseError when another owner has it, TrailError when the server does not answer.
        """
        while (holder := await self._lease.take()) is not None:
            if self._wait is None or not self._wait(holder):
                raise _not_ours(self.partition, holder)
            await asyncio.sleep(1)
        self._renewal = asyncio.create_task(self._renew())
        try:
            await self.resume()
            self.log.dictionary, trained_at = await self.log.blobs.newest_dictionary()
            self.log.trainer = Trainer(trained_at)
            if await self.log.size() == 0:
                await self._note_instance()
        except BaseException:
            await self._let_go()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._let_go()

    async def _let_go(self) -> None:
        self._renewal.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._renewal
        with contextlib.suppress(TrailError):  # an unreachable server ends the lease by itself
            await self._lease.give_up()

    async def settle(self, draft: Draft, entry_ids: tuple[str, ...] = ()) -> Entry:
        """Append a record, settle its stream entries with it, and publish it.

        Raises LeaseError when the partition is another's now, SettledError when a conflated tick is settled
        elsewhere, TrailError when the server stays away for half a minute.
        """
        settlement = Settlement(keys.ticks(self.partition), keys.attempts(self.partition), keys.DECIDERS, entry_ids)
        began_s = clock.monotonic_s()
        while True:
            try:
                entry = await self.log.append(draft, self._lease.owner, settlement)
                break
            except LeaseError:
                # Ended, not taken: while the server was away nobody renewed it. The append checks it again.
                if await self._retake() is not None:
                    raise
            except SettledError:
                raise
            except TrailError as error:
                await _pause_or_give_up(began_s, error)
        while True:
            try:
                await self._publisher.publish(entry)
            except TrailError as error:
                await _pause_or_give_up(began_s, error)
                with contextlib.suppress(TrailError):
                    await self._publisher.resume()
            else:
                await self._improve(entry.index + 1)
                return entry

    async def _improve(self, size: int) -> None:
        with contextlib.suppress(TrailError):  # the old dictionary does as well
            await self.log.improve(size)

    async def resume(self) -> None:
        """Go on after a start or a reconnect: see that the server is still ours, publish what is not out yet.

        Raises InstanceError where it came back as another one, or without its data; TrailError when it does not answer.
        """
        await self._check_instance()
        await self._publisher.resume()

    async def _check_instance(self) -> None:
        now = await read_instance(self._redis)
        if now != self._instance:
            raise InstanceError(
                f"Redis had instance {self._instance.id}, now it has {now.id if now else 'none: it lost its data'}.",
                "Stop, and restore the server's data from a backup; or start a new trail with --new-instance.",
            )

    async def circumstances(self) -> Circumstances:
        """What a record says that is made outside the pipeline, by the server's time."""
        try:
            return Circumstances(await server_ms(self._redis), self.label)
        except RedisError as error:
            raise TrailError(f"The server did not tell its time: {error}", SEE_REDIS) from error

    async def _retake(self) -> Holder | None:
        """Take or renew the lease: None where it is ours, or where the server is away and may be asked again.

        Raises InstanceError on a server that lost its data: it knows no lease either, and nothing may be written
        there as if it were the first.
        """
        try:
            await self._check_instance()
            return await self._lease.take()
        except InstanceError:
            raise
        except TrailError:
            return None

    async def _note_instance(self) -> None:
        reason = f"instance {self._instance.id} made, {self._instance.partitions} partitions"
        await self.settle(compose_unread("notice", None, reason, await self.circumstances()))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(2)
            try:
                holder = await self._retake()
            except InstanceError as error:
                self.lost = error
            else:
                if holder is not None:
                    self.lost = _not_ours(self.partition, holder)


def _not_ours(partition: int, holder: Holder) -> LeaseError:
    return LeaseError(
        f"Partition {partition} is held by {holder.label}.",
        "Stop that process, or wait ten seconds if it has died.",
    )


async def _pause_or_give_up(began_s: float, error: TrailError) -> None:
    if clock.monotonic_s() - began_s > _PATIENCE_S:
        raise error
    await asyncio.sleep(_PAUSE_S)
