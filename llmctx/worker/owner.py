"""The owner of a partition: holds its lease, settles records in its log, publishes them.

Rules of order for one record: append it; write it to the spool; mark it durable; publish it; only then is the symbol
free. Log, spool and anchor are compared before the first append, and again whenever the server is a different one or
has lost records. Redis may fail at any step. Appending again finds the first append by its tick id, and publishing
again changes nothing, so each step is repeated until it is done or another owner has the lease.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from redis.exceptions import RedisError

from llmctx import clock, log_context
from llmctx.connection import server_ms
from llmctx.errors import (
    BehindError,
    ForkError,
    InstanceError,
    LeaseError,
    RequestError,
    SettledError,
    TickMapError,
    TrailError,
)
from llmctx.killpoint import reached
from llmctx.record import RecordMetadata, compose_unread
from llmctx.schema import keys
from llmctx.symbols.memory import SymbolMemory
from llmctx.tasks import pause
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.lease import SEE_REDIS, Holder, Lease
from llmctx.trail.log.log import Draft, Log, Settlement
from llmctx.trail.log.replicas import Replicas
from llmctx.trail.proof.request import Request
from llmctx.trail.proof.roster import Roster
from llmctx.trail.spool.recovery import Recovery
from llmctx.worker.archiving import Archiving
from llmctx.worker.broken_step import named_step
from llmctx.worker.enrolment import Enrolment, compose_foreign
from llmctx.worker.home import TrailHome
from llmctx.worker.indices import Indices
from llmctx.worker.people import REQUEST as ACT
from llmctx.worker.people import People
from llmctx.worker.publish import Publisher
from llmctx.worker.requests import FORGET, Requests
from llmctx.worker.server_check import ServerCheck
from llmctx.worker.tenure import Tenure
from llmctx.worker.tick_map import IdMap, TickMap

_GIVE_UP_S = 30.0
_RETRY_S = 0.2


class Owner:
    """`async with Owner(...) as owner:` holds the partition from beginning to end."""

    def __init__(
        self,
        home: TrailHome,
        partition: int = 0,
        *,
        wait: Callable[[Holder], bool] | None = None,
    ) -> None:
        """If another owner has the partition, `wait` is called with it once a second; while it returns True, the owner
        keeps waiting. Without `wait`, or when it returns False, entering raises LeaseError.
        """
        redis = self._redis = home.redis
        instance = home.instance
        self._wait = wait
        self.partition = partition
        self.log = Log(redis, partition)
        """The partition's log."""
        self._home = home
        self._check = ServerCheck(redis, self.log, instance)
        self._lease = Lease(redis, partition)
        self._replicas = Replicas(redis, self.log.key("replicated"), home.replicas)
        self._enrolment = Enrolment(self.log, home.state_dir, instance)
        self._recovery = Recovery(redis, self.log, self._lease, instance, home.state_dir, self._compose_foreign)
        self.log.vouches = self._recovery.vouches
        self.archiving = Archiving(
            redis, self.log, self._lease.owner, lambda: self.roster, self.note, home.ticks_kept_ms
        )
        """What is archived and trimmed."""
        self.ticks = TickMap(redis, self.log, self._lease.owner, self._recovery.vouches, self.archiving.ticks)
        """The map of settled ticks."""
        self.said = IdMap(redis, self.log, self._lease.owner, self._recovery.vouches, self.archiving.ticks)
        """The map of recorded ids of effects and people's statements."""
        self._indices = Indices(redis, self.log, self._lease.owner, self._recovery.vouches, self.ticks, self.said)
        self.tenure = Tenure(redis, self._lease, self._check, self._recovery, partition, self._indices.look)
        """Whether the partition is still this owner's."""
        self.memory = SymbolMemory(self.log, instance.partitions, self._recovery.vouches)
        """What is known about each symbol."""
        self.people = People(home.names, self.said, self.memory, self.log, settle=self.settle, metadata=self.metadata)
        """Records what people say about records."""
        handlers = {"trim": self.archiving.trim, FORGET: self._forget, ACT: self.people.fulfil}
        self.requests = Requests(self.log, lambda: self.roster, self.note, self.metadata, handlers)
        """Fulfils requests to this owner."""
        self._publisher = Publisher(redis, self.log, instance.partitions, self._lease.owner, self._recovery)

    @property
    def label(self) -> str:
        """How records name this owner: host and process."""
        return self._lease.label

    @property
    def roster(self) -> Roster:
        """The keys that this partition's records have enrolled and replaced."""
        return self._enrolment.roster

    async def __aenter__(self) -> Self:
        """Take the partition, repair its log, and publish what its last owner could not.

        Raises LeaseError if another owner has it, NewerFormatError if a newer version has had it, ForkError if log,
        spool and anchor contradict each other, KeyFileError if this state directory has not joined the trail,
        TrailError if the server or the disk does not answer, BrokenStepError for an error that nobody foresaw.
        """
        with named_step("Checking the server's functions and the types of its keys"):
            await self._check.contents()
        await self.people.open(self._home.people)
        with named_step(f"Reading the keys in {self._home.state_dir / 'keys'}"):
            roster = await self._enrolment.open()
        await self.tenure.begin(self._wait)
        try:
            await self._check.instance()
            await self._enrolment.is_due()  # incidents that the comparison makes are signed already
            with named_step(f"Comparing the log with spool and anchor in {self._home.state_dir}"):
                lost = await self._recovery.open(roster, self._advance)
            with named_step(f"Publishing what {keys.decisions(self.partition)} lacks"):
                await self._publisher.resume()
            with named_step("Recording how the trail begins, or what it lost"):
                await self._note(lost)
            with named_step(f"Holding {self.log.key('ticks')} and the lists of symbols against the newest records"):
                await self._indices.open()
        except BaseException:
            await self._release()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._release()

    async def _release(self) -> None:
        await self.tenure.cease()
        await self._indices.close()
        await self._recovery.close()
        await self.tenure.give_up()

    async def settle(self, draft: Draft, entry_ids: tuple[str, ...] = (), *, stream: str = "") -> Entry:
        """Append a record, settle its stream entries with it, write it to the spool, and publish it.

        The entries belong to `stream`, or to the ticks if that is empty. Raises LeaseError if another owner has the
        partition now, SettledError if a conflated tick is settled in another record, TrailError if the server does not
        answer for half a minute.
        """
        settlement = self._settlement(entry_ids, stream)
        steps = clock.Stopwatch()
        entry = await self._append(draft, settlement)
        while not await self._recovery.admits(entry):
            entry = await self._append(draft, settlement)
        reached("appended")
        steps.lap("append")
        with log_context.about(index=f"{self.partition}:{entry.index}"):
            await self._recovery.add(entry)
            steps.lap("sync")
            await self._publish(entry)
            steps.lap("publish")
            entry.timings_ms = steps.laps
            self._indices.add(entry)
            reached("published")
            await self._recovery.improve(entry.index + 1)
        return entry

    async def discard(self, entry_ids: tuple[str, ...], *, stream: str = "") -> None:
        """Remove stream entries whose ticks or ids are recorded already. Raises TrailError if the server does not
        answer.
        """
        await self.log.acknowledge(self._settlement(entry_ids, stream))

    def _settlement(self, entry_ids: tuple[str, ...], stream: str) -> Settlement:
        return Settlement(stream or keys.ticks(self.partition), keys.attempts(self.partition), keys.DECIDERS, entry_ids)

    async def _append(self, draft: Draft, settlement: Settlement) -> Entry:
        began_s = clock.monotonic_s()
        while True:
            try:
                return await self.log.append(draft, self._lease.owner, settlement)
            except LeaseError:
                # The lease may only have expired while the server was away. If so, the next append takes it again.
                if await self.tenure.retake() is not None:
                    raise
            except SettledError:
                raise
            except TickMapError as error:
                recorded, of = (self.said, draft.said) if draft.said else (self.ticks, draft.tick)
                if await recorded.is_archived(of, error.index):
                    raise SettledError(f"An archived record has settled {of}.", "Leave it out.") from error
                await recorded.settled(draft.ticks or (of,))
            except BehindError as error:
                await self._repair(began_s, error)
            except TrailError as error:
                await _pause_or_give_up(began_s, error)

    async def _repair(self, began_s: float, error: TrailError) -> None:
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
                if await self.tenure.retake() is not None:
                    raise
            except TrailError as error:
                await _pause_or_give_up(began_s, error)
                await self._repair(began_s, error)
            else:
                return

    async def note(self, reason: str, *, blobs: tuple[bytes, ...] = (), **fields: Any) -> int:
        """Append a notice with these additional fields and the blobs they name, and return its index. Raises as
        `settle` does.
        """
        while True:
            draft = compose_unread("notice", None, reason, await self.metadata(), **fields)
            # A record without a tick is identified by its index; if another record got it, take the next one.
            if (entry := await self.settle(draft._replace(at=self.log.known, blobs=blobs))).leaf == draft.leaf:
                return entry.index

    async def resume(self) -> None:
        """Continue after a start or a reconnect: check that the server is still ours and complete, publish the rest.

        Raises InstanceError if the server came back as another one or without its data, ForkError if it contradicts
        spool or anchor, TrailError if it does not answer.
        """
        removed = await self._check.contents()
        await self._check.instance()
        if removed:
            await self._recovery.fetch()
        lost = await self._recovery.compare_again()
        await self._publisher.resume()
        if lost is not None:
            for remembered in (self.memory, self._indices):
                remembered.forget()
            await self._note(lost)
            await self._indices.open()

    async def _forget(self, request: Request) -> None:
        """Remove archived records from the disk whose evidence was erased from the archive."""
        below = request.body.get("below")
        if type(below) is not int:
            raise RequestError("The request names no index.", "Use one version of llmctx.")
        await self._recovery.forget(min(below, await self.log.first()))

    async def metadata(self) -> RecordMetadata:
        """Metadata, by the server's time, for a record made outside the pipeline.

        Raises TrailError if the server does not answer.
        """
        try:
            return RecordMetadata(await server_ms(self._redis), self.label, people_sha256=self.people.sha256)
        except RedisError as error:
            raise TrailError(f"The server did not answer with its time: {error}", SEE_REDIS) from error

    async def _advance(self, size: int) -> None:
        await self._replicas.have(size)
        try:
            await self.log.advance(size, self._lease.owner)
        except LeaseError as error:
            if await self.tenure.retake() is not None:
                raise
            raise TrailError(error.what, error.do) from error  # ours again: the spooler repeats it

    async def _note(self, lost: tuple[int, int] | None) -> None:
        """Append what the trail must record first: how it begins, who writes it, what is lost."""
        draft = await self._enrolment.first_record(lost, await self.metadata())
        if draft is not None:
            await self.settle(draft)

    async def _compose_foreign(self, reason: str, evidence: bytes, count: int) -> Draft:
        self._enrolment.refuse_retired()
        return compose_foreign(reason, evidence, count, await self.metadata())


async def _pause_or_give_up(began_s: float, error: TrailError) -> None:
    if clock.monotonic_s() - began_s > _GIVE_UP_S:
        raise error
    await pause(_RETRY_S)
