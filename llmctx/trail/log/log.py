"""A partition's log in Redis, as its owner writes it.

Rules of order: a record is appended only by the holder of the lease, which the append itself checks; a tick id has one
record for ever, so a repeated append finds the first; blobs are stored before a record names them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from llmctx import canonical
from llmctx.errors import (
    BehindError,
    LeaseError,
    RecordFormError,
    RecordSizeError,
    SettledError,
    TickMapError,
    TrailError,
)
from llmctx.functions import Argument, ServerFunction
from llmctx.killpoint import reached
from llmctx.limits import MAX_LEAF_BYTES
from llmctx.trail.log.appended import remember
from llmctx.trail.log.base import Base
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.leaf_schema import malformed
from llmctx.trail.log.lease import HELD, SEE_REDIS, lease_key, redis_errors
from llmctx.trail.log.packing import compress, lay_out
from llmctx.trail.log.reader import LogReader

if TYPE_CHECKING:
    from llmctx.trail.log.dictionary import Dictionary, Trainer

_APPEND = ServerFunction(Path(__file__).with_name("append.lua"), after=[HELD])
_DURABLE = ServerFunction(Path(__file__).with_name("durable.lua"), after=[HELD])
_TRIM = ServerFunction(Path(__file__).with_name("trim.lua"), after=[HELD])


class Settlement(NamedTuple):
    """The entries of the tick stream that a record settles."""

    stream: str
    """The stream's key."""
    attempts: str
    """The key of the hash that counts attempts by tick id."""
    group: str
    """The consumer group that read them."""
    entry_ids: tuple[str, ...] = ()
    """Their ids; acknowledged and deleted together with the append."""


class Draft(NamedTuple):
    """A record that is not in the log yet."""

    leaf: bytes
    """Its exact bytes."""
    pieces: dict[str, bytes]
    """Its evidence: piece name to exact bytes."""
    blobs: tuple[bytes, ...]
    """The blobs that it names by digest."""
    tick: str = ""
    """The tick that it settles; empty if there is none."""
    symbol: str = ""
    """The symbol under which it is indexed; empty if there is none."""
    conflated: tuple[str, ...] = ()
    """Other ticks that it settles."""
    said: str = ""
    """The id of a statement about a decision, which is recorded once; it then settles no tick."""
    at: int | None = None
    """The index that a record without a tick must have, so that a repeated append finds it; None for the next one."""
    record: dict[str, Any] | None = None
    """The parsed leaf, which saves its entry from parsing it again; None if not available."""
    carried: object = None
    """The composer's own data, to be found in the entry; not part of the record."""

    @property
    def ticks(self) -> tuple[str, ...]:
        """The ticks that it settles."""
        return (self.tick, *self.conflated) if self.tick else ()

    def is_in(self, found: Entry | None) -> bool:
        """Whether a record settles the same ticks, or is the statement with the same id."""
        return found is not None and ([self.said] == found.said if self.said else set(self.ticks) <= set(found.ticks))


class Log(LogReader):
    """One partition's log. Every method raises TrailError if the server does not answer."""

    def __init__(self, redis: Redis, partition: int = 0) -> None:
        super().__init__(redis, partition)
        self.dictionary: Dictionary | None = None
        """The dictionary for new records; stored among the blobs."""
        self.trainer: Trainer | None = None
        """Trains dictionaries on new records; only an owner has one."""
        self.prove: Callable[[bytes], bytes] = lambda _: b""
        """Makes the proof of a leaf; a log that nobody owns has no writer, so its records have none."""
        self.known = 0
        """The log's size as this owner knows it: a log that lost records is not appended to."""
        self.run_id = b""
        """The server process with which spool and anchor were compared; no other one is appended to."""
        self.vouches: Callable[[Entry], bool] = lambda _: True
        """Whether a record found in the log is one of ours; an owner asks spool, anchor and the writers' keys."""

    async def append(self, draft: Draft, owner: str, settlement: Settlement) -> Entry:
        """Append a record and settle its ticks, or return the record that already settled its tick.

        Raises LeaseError if another owner holds the partition, SettledError if another record settled a conflated
        tick, BehindError if the server lost records. Either nothing was written then, or all of it was and the next
        call finds it. Raises UnreadableRecordError, and writes nothing, if readers would refuse the record.
        """
        wrong = malformed(canonical.loads(draft.leaf) if draft.record is None else draft.record)
        if wrong is not None:
            raise RecordFormError(*wrong)
        if len(draft.leaf) > MAX_LEAF_BYTES:
            raise RecordSizeError(len(draft.leaf), MAX_LEAF_BYTES)
        dictionary = self.dictionary
        layout = lay_out(draft.leaf, draft.pieces)
        packed = compress(layout, dictionary)
        digests = [canonical.sha256(blob) for blob in draft.blobs]
        digests += [] if dictionary is None else [dictionary.digest]
        if self.trainer is not None:
            self.trainer.add(layout.text, self.known)
        try:
            try:
                return await self._append(draft, packed, digests, owner, settlement)
            except ResponseError as error:
                if not str(error).startswith("BLOB"):
                    raise
            # The server lacks a blob, or lost it. The lease is ours, so store them all and append again.
            for blob in draft.blobs:
                await self.blobs.keep(blob)
            if dictionary is not None:
                await self.blobs.keep_dictionary(dictionary, await self.size())
            return await self._append(draft, packed, digests, owner, settlement)
        except ResponseError as error:
            raise self._explain(error, draft) from error

    async def _append(
        self, draft: Draft, packed: bytes, digests: list[str], owner: str, settlement: Settlement
    ) -> Entry:
        proof = self.prove(draft.leaf)
        ids = self.key("effects") if draft.said else self._ticks
        keys = [lease_key(self.partition), self._log, ids, self.key(f"symbol:{draft.symbol}")]
        keys += [settlement.stream, settlement.attempts, self.key("base")]
        keys += [self.blobs.key(digest) for digest in digests]
        args: list[Argument] = [
            owner,
            draft.tick or draft.said,
            "" if draft.at is None else draft.at,
            0 if draft.at is not None else self.known,
            packed,
            proof,
            settlement.group,
            len(draft.conflated),
            *draft.conflated,
            *settlement.entry_ids,
            self.run_id,
        ]
        try:
            answer: list[int] = await _APPEND(self._redis, keys, args)
        except ResponseError:
            raise
        except RedisError as error:
            raise TrailError(
                f"The record of {draft.tick or 'no tick'} could not be appended: {error}", SEE_REDIS
            ) from error
        index, appended = answer or (-1, 0)  # no answer: the map has no number there
        if not appended:
            return await self._appended_before(draft, index, settlement)
        self.known = max(self.known, index + 1)
        entry = Entry(draft.leaf, draft.pieces, index=index, partition=self.partition, packed=packed, proof=proof)
        remember(self.partition, index, entry.digest)
        if draft.record is not None:
            entry.accept(draft.record)
        entry.carried = draft.carried
        return entry

    async def _appended_before(self, draft: Draft, index: int, settlement: Settlement) -> Entry:
        """The record found in place of a new one; only now are the stream entries that it settles acknowledged.

        Raises TickMapError if it is not one of ours or does not settle the draft's ticks: somebody else wrote to the
        map.
        """
        reached("found")
        found = await self.entry(index) if 0 <= index <= canonical.MAX_SAFE_INTEGER else None
        if (draft.tick or draft.said) and (not draft.is_in(found) or found is None or not self.vouches(found)):
            raise TickMapError(draft.tick or draft.said, self._ticks, index)
        if found is None:
            raise TrailError(f"Nothing can be recorded at index {index}, which is lost.", "Run `llmctx verify`.")
        await self.acknowledge(settlement, draft.ticks)
        self.known = max(self.known, found.index + 1)
        return found

    async def acknowledge(self, settlement: Settlement, ticks: Sequence[str] = ()) -> None:
        """Acknowledge and delete the stream entries of ticks that a record settles, and forget their attempts."""
        if not settlement.entry_ids:
            return
        with redis_errors("Settled ticks could not be acknowledged"):
            async with self._redis.pipeline(transaction=True) as commands:
                if ticks:
                    commands.hdel(settlement.attempts, *ticks)
                commands.xack(settlement.stream, settlement.group, *settlement.entry_ids)
                commands.xdel(settlement.stream, *settlement.entry_ids)
                await commands.execute()

    async def advance(self, size: int, owner: str) -> None:
        """Tell Redis how many records are in the spool.

        Raises LeaseError if another owner holds the partition.
        """
        try:
            with redis_errors("The durable size could not be written"):
                await _DURABLE(self._redis, [lease_key(self.partition), self.key("durable")], [owner, size])
        except TrailError as error:
            raise self._not_held(error) from error

    async def trim(self, before: int, base: Base, stays: Sequence[int], owner: str) -> int:
        """Remove archived records in one step, and keep where the log continues; returns how many were removed.

        `before` is the base's size so far; the records at the indices `stays` stay readable. If the base has this size
        already, nothing changes. Raises LeaseError if another owner holds the partition, TrailError if the base has
        changed its size meanwhile.
        """
        prefix = self.key("symbol:")
        names = [lease_key(self.partition), self._log, self.key("base"), self.key("kept")]
        fields = [part for pair in base.fields.items() for part in pair]
        try:
            with redis_errors("The log could not be trimmed"):
                names += [name.decode() async for name in self._redis.scan_iter(match=f"{prefix}*", count=1000)]
                removed: int = await _TRIM(self._redis, names, [owner, before, base.size, len(stays), *stays, *fields])
        except TrailError as error:
            raise self._not_held(error) from error
        return max(0, removed)

    def _not_held(self, error: TrailError) -> TrailError:
        """The same error, or a LeaseError if it says that the partition is not ours."""
        if not str(error.__cause__).startswith("LEASE"):
            return error
        return LeaseError(f"Partition {self.partition} is not ours ({error.__cause__}).", "Its owner continues.")

    def _explain(self, error: ResponseError, draft: Draft) -> TrailError:
        code, _, detail = str(error).partition(" ")
        if code == "LEASE":
            return LeaseError(
                f"Partition {self.partition} is not ours ({error}); tick {draft.tick} was not recorded.",
                "Its owner will decide the tick; or wait until the lease ends.",
            )
        if code == "BEHIND":
            return BehindError(
                f"Redis has {detail} records of partition {self.partition}, this owner knows of {self.known}: the "
                "server restarted or lost some.",
                "They are refilled from the spool.",
            )
        if code == "FOREIGN":
            return BehindError(
                f"The log of partition {self.partition} does not end where its owner left it ({detail}).",
                "It is compared with the spool, and foreign entries are removed.",
            )
        if code == "SETTLED":
            return SettledError(f"Another record has already settled tick {detail}.", "Leave it out.")
        return TrailError(f"Redis refused the record of tick {draft.tick}: {error}", SEE_REDIS)
