"""How an owner holds its partition: it takes the lease, renews it, and takes it back after an outage."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis

from llmctx.errors import ForkError, InstanceError, LeaseError, TrailError, in_short
from llmctx.tasks import end, pause
from llmctx.trail.log.lease import Holder, Lease
from llmctx.trail.spool.recovery import Recovery
from llmctx.worker.broken_step import log_traceback
from llmctx.worker.server_check import ServerCheck
from llmctx.worker.tick_group import renumber

_log = logging.getLogger(__name__)

_WAIT_S = 1.0
_RENEW_S = 2.0


class Tenure:
    """The lease of one partition, as its owner holds it."""

    def __init__(
        self,
        redis: Redis,
        lease: Lease,
        check: ServerCheck,
        recovery: Recovery,
        partition: int,
        look: Callable[[], Awaitable[None]],
    ) -> None:
        """`look` looks at the maps and lists beside the log whenever the lease is renewed."""
        self._redis = redis
        self._lease = lease
        self._check = check
        self._recovery = recovery
        self._partition = partition
        self._look = look
        self._told = ""
        self._renewal: asyncio.Task[None] | None = None
        self.lost: TrailError | None = None
        """Why it has ended; None while it lasts."""

    async def begin(self, wait: Callable[[Holder], bool] | None) -> None:
        """Take the lease and keep renewing it.

        If another owner has it, `wait` is called with that owner once a second; while it returns True, this waits.

        Raises LeaseError if another owner has it, TrailError if the server does not answer.
        """
        while (holder := await self._lease.take()) is not None:
            if wait is None or not wait(holder):
                raise holder.refusal(self._partition)
            await pause(_WAIT_S)
        self._renewal = asyncio.create_task(self._renew())

    async def cease(self) -> None:
        """Stop renewing the lease, which is still held."""
        if self._renewal is not None:
            await end(self._renewal)

    async def give_up(self) -> None:
        """Release the partition to the next owner."""
        with contextlib.suppress(TrailError):  # with an unreachable server the lease ends by itself
            await self._lease.give_up()

    async def retake(self) -> Holder | None:
        """Take or renew the lease: None if it is ours, or if the server does not answer and may be asked again.

        Raises InstanceError if the server lost its data: it has lost the lease too, and nothing may be written there
        as if it were new. Raises LeaseError if another owner has had the partition meanwhile.
        """
        try:
            await self._check.instance()
            holder = await self._lease.take()
            if holder is None:
                await self._recovery.check()  # another owner may have come and gone: check the spool again
        except (InstanceError, LeaseError):
            raise
        except TrailError:
            return None
        return holder

    def _broke_off(self, what: str, error: Exception) -> None:
        """Log an error that nobody foresaw, once while it stays the same."""
        log_traceback(what, error)
        if (told := f"{what} of partition {self._partition} broke off: {in_short(error)}") != self._told:
            self._told = told
            _log.error(told, extra={"alert": "broken", "subject": what})

    async def _renew(self) -> None:
        while True:
            await pause(_RENEW_S)
            await self._look_at_keys()
            try:
                holder = await self.retake()
                if holder is None:
                    await self._recovery.look()
            except (InstanceError, LeaseError, ForkError) as error:
                self.lost = error
            except TrailError:  # it is checked again soon
                pass
            except Exception as error:  # noqa: BLE001  without a lease every tick would wait
                self._broke_off("Renewing the lease", error)
            else:
                if holder is not None:
                    self.lost = holder.refusal(self._partition)

    async def _look_at_keys(self) -> None:
        try:
            if await self._check.contents():
                await self._recovery.fetch()
            await renumber(self._redis, self._partition, self._lease.owner)
            await self._look()
        except TrailError:  # the renewal itself tells whether the server answers
            pass
        except Exception as error:  # noqa: BLE001  the lease is renewed all the same
            self._broke_off("Looking at the keys", error)
