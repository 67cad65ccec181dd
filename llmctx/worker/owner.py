"""The owner of a partition: holds its lease, settles records in its log, publishes them.

Rules of order for one record: append; on the disk; durable; then publish, then the symbol is free. Before the first
append, and whenever the server is another one than before or has forgotten something, log, spool and anchor are
compared. Redis may go away at any step: appending again finds the first append by its tick id, publishing again
changes nothing, so each step is repeated until it is done or the lease is another's.
"""

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

from redis.exceptions import RedisError

from llmctx import clock
from llmctx.connection import end, pause, server_ms
from llmctx.errors import BehindError, ForkError, InstanceError, LeaseError, SettledError, TrailError
from llmctx.killpoint import reached
from llmctx.record import RecordMetadata, compose_loss, compose_unread
from llmctx.schema import keys
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import read_instance
from llmctx.trail.log.lease import SEE_REDIS, Holder, Lease
from llmctx.trail.log.log import Draft, Log, Settlement
from llmctx.trail.spool.recovery import Keeping
from llmctx.worker.home import TrailHome
from llmctx.worker.publish import Publisher

_PATIENCE_S = 30.0
_PAUSE_S = 0.2


class Owner:
    """`async with Owner(...) as owner:` holds the partition from beginning to end."""

    def __init__(
        self,
        home: TrailHome,
        partition: int = 0,
        *,
        wait: Callable[[Holder], bool] | None = None,
    ) -> None:
        """`wait` is told who has the partition, again and again until it is free, as long as it answers True; without
        it a partition that is not free is a LeaseError.
        """
        redis = self._redis = home.redis
        instance = self._instance = home.instance
        self._wait = wait
        self.partition = partition
        self.log = Log(redis, partition)
        """The partition's log."""
        self.lost: TrailError | None = None
        """Why the partition is not ours any more, once it is not."""
        self._lease = Lease(redis, partition)
        self._keeping = Keeping(redis, self.log, self._lease, instance, home.state_dir)
        self._publisher = Publisher(redis, self.log, instance.partitions, self._lease.owner)

    @property
    def label(self) -> str:
        """How records name this owner: host and process."""
        return self._lease.label

    async def __aenter__(self) -> Self:
        """Take the partition, make its log whole, and publish what its last owner could not.

        Raises LeaseError when another owner has it, NewerFormatError when a newer version has had it, ForkError where
        log, spool and anchor contradict each other, TrailError when the server or the disk does not answer.
        """
        while (holder := await self._lease.take()) is not None:
            if self._wait is None or not self._wait(holder):
                raise holder.refusal(self.partition)
            await pause(1)
        self._renewal = asyncio.create_task(self._renew())
        try:
            await self._check_instance()
            lost = await self._keeping.open(self._advance)
            await self._publisher.resume()
            await self._note_beginning(lost)
        except BaseException:
            await self._let_go()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._let_go()

    async def _let_go(self) -> None:
        await end(self._renewal)
        await self._keeping.close()
        with contextlib.suppress(TrailError):  # an unreachable server ends the lease by itself
            await self._lease.give_up()

    async def settle(self, draft: Draft, entry_ids: tuple[str, ...] = ()) -> Entry:
        """Append a record, settle its stream entries with it, put it on the disk, and publish it.

        Raises LeaseError when the partition is another's now, SettledError when a conflated tick is settled
        elsewhere, TrailError when the server stays away for half a minute.
        """
        settlement = Settlement(keys.ticks(self.partition), keys.attempts(self.partition), keys.DECIDERS, entry_ids)
        entry = await self._append(draft, settlement)
        reached("appended")
        await self._keeping.add(entry)
        await self._publish(entry)
        reached("published")
        await self._keeping.improve(entry.index + 1)
        return entry

    async def _append(self, draft: Draft, settlement: Settlement) -> Entry:
        began_s = clock.monotonic_s()
        while True:
            try:
                return await self.log.append(draft, self._lease.owner, settlement)
            except LeaseError:
                # Ended, not taken: while the server was away nobody renewed it. The append checks it again.
                if await self._retake() is not None:
                    raise
            except SettledError:
                raise
            except BehindError as error:
                await self._make_whole(began_s, error)
            except TrailError as error:
                await _pause_or_give_up(began_s, error)

    async def _make_whole(self, began_s: float, error: TrailError) -> None:
        try:
            await self.resume()
        except (LeaseError, InstanceError, ForkError):
            raise
        except TrailError:
            await _pause_or_give_up(began_s, error)

    async def _publish(self, entry: Entry) -> None:
        began_s = clock.monotonic_s()
        while True:
            try:
                await self._publisher.publish(entry)
            except LeaseError:
                if await self._retake() is not None:
                    raise
            except TrailError as error:
                await _pause_or_give_up(began_s, error)
                await self._make_whole(began_s, error)
            else:
                return

    async def resume(self) -> None:
        """Go on after a start or a reconnect: see that the server is still ours and whole, publish what is not out yet.

        Raises InstanceError where it came back as another one, or without its data; ForkError where it contradicts
        spool or anchor; TrailError when it does not answer.
        """
        await self._check_instance()
        lost = await self._keeping.compare_again()
        await self._publisher.resume()
        if lost is not None:
            await self._note_loss(lost)

    async def _check_instance(self) -> None:
        now = await read_instance(self._redis)
        if now != self._instance:
            raise InstanceError(
                f"Redis had instance {self._instance.id}, now it has {now.id if now else 'none: it lost its data'}.",
                "Stop, and restore the server's data from a backup (docs/operations.md); or start a new trail with "
                "--new-instance.",
            )

    async def metadata(self) -> RecordMetadata:
        """What a record says that is made outside the pipeline, by the server's time."""
        try:
            return RecordMetadata(await server_ms(self._redis), self.label)
        except RedisError as error:
            raise TrailError(f"The server did not tell its time: {error}", SEE_REDIS) from error

    async def _advance(self, size: int) -> None:
        try:
            await self.log.advance(size, self._lease.owner)
        except LeaseError as error:
            if await self._retake() is not None:
                raise
            raise TrailError(error.what, error.do) from error  # ours again: it is told once more

    async def _retake(self) -> Holder | None:
        """Take or renew the lease: None where it is ours, or where the server is away and may be asked again.

        Raises InstanceError on a server that lost its data: it knows no lease either, and nothing may be written
        there as if it were the first. Raises LeaseError where another one has had it meanwhile.
        """
        try:
            await self._check_instance()
            holder = await self._lease.take()
            if holder is None:
                await self._keeping.check()  # it was another's meanwhile, who has gone: all must be looked at anew
        except (InstanceError, LeaseError):
            raise
        except TrailError:
            return None
        return holder

    async def _note_beginning(self, lost: tuple[int, int] | None) -> None:
        if lost is not None:
            await self._note_loss(lost)
        elif await self.log.size() == 0:
            reason = f"instance {self._instance.id} made, {self._instance.partitions} partitions"
            draft = compose_unread("notice", None, reason, await self.metadata())
            await self.settle(draft._replace(at=0))

    async def _note_loss(self, lost: tuple[int, int]) -> None:
        draft = compose_loss(*lost, await self.metadata())
        await self.settle(draft._replace(at=lost[1] + 1))

    async def _renew(self) -> None:
        while True:
            await pause(2)
            try:
                holder = await self._retake()
            except (InstanceError, LeaseError) as error:
                self.lost = error
            else:
                if holder is not None:
                    self.lost = holder.refusal(self.partition)


async def _pause_or_give_up(began_s: float, error: TrailError) -> None:
    if clock.monotonic_s() - began_s > _PATIENCE_S:
        raise error
    await pause(_PAUSE_S)
