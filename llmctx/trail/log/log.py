"""The door to a partition's log in Redis: append, read, blobs.

Rules of order: a record is appended only by the holder of the lease, checked inside the append itself; one tick
id has one record for ever, so a repeated append finds the first; blobs are there before a record names them.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from llmctx import canonical
from llmctx.connection import StreamEntry, read_stream, read_stream_back
from llmctx.errors import BehindError, LeaseError, RecordError, SettledError, TrailError
from llmctx.functions import Argument, ServerFunction
from llmctx.trail.log.blobs import Blobs, door
from llmctx.trail.log.entry import FIELD, Entry, restored
from llmctx.trail.log.lease import HELD, SEE_REDIS, lease_key
from llmctx.trail.log.packing import Dictionary, framed, laid_out, reference_of

if TYPE_CHECKING:
    from llmctx.trail.log.dictionaries import Trainer

_APPEND = ServerFunction(Path(__file__).with_name("append.lua"), after=[HELD])
_DURABLE = ServerFunction(Path(__file__).with_name("durable.lua"), after=[HELD])
_PAGE = 200


class Settlement(NamedTuple):
    """The work entries that a record settles."""

    stream: str
    """The stream they stand in."""
    attempts: str
    """The hash that counts attempts by tick id."""
    group: str
    """The consumer group that was given them."""
    entry_ids: tuple[str, ...] = ()
    """Their ids in the stream; acknowledged and deleted together with the append."""


class Draft(NamedTuple):
    """A record that is not in the log yet."""

    leaf: bytes
    """Its exact bytes."""
    pieces: dict[str, bytes]
    """Its evidence."""
    blobs: tuple[bytes, ...]
    """What it names by digest and must be kept."""
    tick: str = ""
    """The tick it settles; empty for a record without one."""
    symbol: str = ""
    """The symbol it is found by; empty for a record without one."""
    conflated: tuple[str, ...] = ()
    """Ticks that it settles beside its own."""
    at: int | None = None
    """The index at which a record without a tick must stand, so that a repeated append finds it; None: the next one."""
    record: dict[str, Any] | None = None
    """What the leaf says, so that its entry need not read it again; None: it is read when asked for."""
    carried: object = None
    """Whatever the composer wants to find in the entry; no part of the record."""


class Log:
    """One partition's log."""

    def __init__(self, redis: Redis, partition: int = 0) -> None:
        self._redis = redis
        self.partition = partition
        self.blobs = Blobs(redis, partition)
        """What its records name by digest."""
        self.dictionary: Dictionary | None = None
        """What new records are compressed with; the blobs have it."""
        self.trainer: Trainer | None = None
        """Who is told the texts of new records, so that dictionaries follow them; only an owner has one."""
        self.known = 0
        """The log's size as far as this owner has been told: one that has forgotten records takes no new ones."""
        self.run_id = b""
        """The server process with which this owner has compared; another one takes no records before that is done."""
        self._log = self.key("log")
        self._ticks = self.key("ticks")

    def key(self, name: str) -> str:
        """The partition's audit key of a name."""
        return f"audit:{{{self.partition}}}:{name}"

    def _symbol_key(self, symbol: str) -> str:
        return self.key(f"symbol:{symbol}")

    async def append(self, draft: Draft, owner: str, settlement: Settlement) -> Entry:
        """Append a record and settle its ticks, or find the record that settled its tick before.

        Raises LeaseError when another owner has the partition, SettledError when a conflated tick is settled in
        another record, TrailError when the server does not answer; nothing was written by this call then, or all
        of it was and calling again finds it.
        """
        dictionary = self.dictionary
        laid = laid_out(draft.leaf, draft.pieces)
        packed = framed(laid, dictionary)
        digests = [canonical.sha256(blob) for blob in draft.blobs]
        if dictionary is not None:
            digests.append(dictionary.digest)
        if self.trainer is not None:
            self.trainer.add(laid.text)
        try:
            return await self._append(draft, packed, digests, owner, settlement)
        except ResponseError as error:
            if not str(error).startswith("BLOB"):
                raise self._explain(error, draft) from error
        # The server does not have them, or not any more: who may append keeps them, and the record can name them.
        for blob in draft.blobs:
            await self.blobs.keep(blob)
        if dictionary is not None:
            await self.blobs.keep_dictionary(dictionary, await self.size())
        try:
            return await self._append(draft, packed, digests, owner, settlement)
        except ResponseError as error:
            raise self._explain(error, draft) from error

    async def _append(
        self, draft: Draft, packed: bytes, digests: list[str], owner: str, settlement: Settlement
    ) -> Entry:
        keys = [
            lease_key(self.partition),
            self._log,
            self._ticks,
            self._symbol_key(draft.symbol),
            settlement.stream,
            settlement.attempts,
            *(self.blobs.key(digest) for digest in digests),
        ]
        args: list[Argument] = [
            owner,
            draft.tick,
            "" if draft.at is None else draft.at,
            0 if draft.at is not None else self.known,
            packed,
            settlement.group,
            len(draft.conflated),
            *draft.conflated,
            *settlement.entry_ids,
            self.run_id,
        ]
        try:
            index, appended = await _APPEND(self._redis, keys, args)
        except ResponseError:
            raise
        except RedisError as error:
            raise TrailError(
                f"The record of {draft.tick or 'the trail'} could not be appended: {error}", SEE_REDIS
            ) from error
        self.known = max(self.known, index + 1)
        if not appended:
            found = await self.entry(index)
            if found is not None:
                return found
        entry = Entry(draft.leaf, draft.pieces, index=index, partition=self.partition, packed=packed)
        if draft.record is not None:
            entry.__dict__["record"] = draft.record  # the cached property's own place
        entry.carried = draft.carried
        return entry

    async def advance(self, size: int, owner: str) -> None:
        """Tell Redis how much of the log is in the spool.

        Raises LeaseError when another owner has the partition, TrailError when the server does not answer.
        """
        names = [lease_key(self.partition), self.key("durable")]
        try:
            await _DURABLE(self._redis, names, [owner, size])
        except ResponseError as error:
            if not str(error).startswith("LEASE"):
                raise TrailError(f"The durable size could not be told: {error}", SEE_REDIS) from error
            raise LeaseError(f"Partition {self.partition} is not ours ({error}).", "Let its owner go on.") from error
        except RedisError as error:
            raise TrailError(f"The durable size could not be told: {error}", SEE_REDIS) from error

    async def durable(self) -> int:
        """How much of the log is in the spool, as Redis has been told."""
        with door():
            found = await self._redis.get(self.key("durable"))
        return int(found) if found is not None and found.isdigit() else 0

    async def improve(self, size: int) -> None:
        """Train a new dictionary where a log of this size deserves one; records from now on are compressed with it.

        Raises TrailError when the server does not answer.
        """
        if self.trainer is None or not self.trainer.due(size):
            return
        dictionary = await asyncio.to_thread(self.trainer.train, size)
        if dictionary is not None:
            await self.blobs.keep_dictionary(dictionary, size)
            before, self.dictionary = self.dictionary, dictionary
            if before is not None:
                before.drop_compressor()

    def _explain(self, error: ResponseError, draft: Draft) -> TrailError:
        text = str(error)
        if text.startswith("LEASE"):
            return LeaseError(
                f"Partition {self.partition} is not ours ({text}); tick {draft.tick} was not recorded.",
                "Let the present owner decide it, or wait until its lease ends.",
            )
        if text.startswith("BEHIND"):
            return BehindError(
                f"Partition {self.partition} has {text.partition(' ')[2]} records, in a server that was started anew "
                f"or lost some; this owner knows of {self.known}.",
                "Refill it from the spool.",
            )
        if text.startswith("SETTLED"):
            return SettledError(f"Tick {text.partition(' ')[2]} is settled already.", "Leave it out.")
        return TrailError(f"The record of tick {draft.tick} was refused: {text}", SEE_REDIS)

    async def size(self) -> int:
        """How many records the log has: one more than its last index."""
        with door():
            newest = await read_stream_back(self._redis, self._log, count=1)
        return newest[0].number + 1 if newest else 0

    async def entry(self, index: int) -> Entry | None:
        """The record at an index, None where there is none."""
        with door():
            found = await read_stream(self._redis, self._log, f"{index}-1", f"{index}-1")
        return await self._restored(found[0]) if found else None

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncIterator[Entry]:
        """The records from `start` up to but not including `stop` (None: to the end), in order."""
        if stop is not None and stop <= start:
            return
        last = "+" if stop is None else f"({stop}-0"
        while True:
            with door():
                page = await read_stream(self._redis, self._log, f"{start}-0", last, count=_PAGE)
            for found in page:
                yield await self._restored(found)
            if len(page) < _PAGE:
                return
            start = page[-1].number + 1

    async def read_back(self) -> AsyncIterator[Entry]:
        """The records from the newest to the first."""
        last = "+"
        while True:
            with door():
                page = await read_stream_back(self._redis, self._log, last, count=_PAGE)
            for found in page:
                yield await self._restored(found)
            if len(page) < _PAGE:
                return
            last = f"({page[-1].id}"

    async def checkpoint(self) -> str | None:
        """The newest signed checkpoint as it stands in Redis, None where there is none."""
        with door():
            note = cast("bytes | None", await self._redis.get(self.key("checkpoint")))
        return None if note is None else note.decode(errors="replace")

    async def settled(self, tick_ids: Sequence[str]) -> list[int | None]:
        """The index of the record that settled each tick, None where it is not settled."""
        if not tick_ids:
            return []
        with door():
            found = await self._redis.hmget(self._ticks, list(tick_ids))
        return [None if index is None else int(index) for index in found]

    async def tick_map(self) -> dict[str, int]:
        """Every settled tick with the index of its record; -1 where the map says no index."""
        with door():
            return {
                tick.decode(errors="replace"): _index_of(index)
                async for tick, index in self._redis.hscan_iter(self._ticks, count=1000)
            }

    async def symbol_lists(self) -> dict[str, list[int]]:
        """The indices listed for every symbol; -1 where something else stands."""
        begin = self._symbol_key("")
        with door():
            names = {name async for name in self._redis.scan_iter(match=f"{begin}*", count=1000)}
            return {
                name.decode(errors="replace").removeprefix(begin): [
                    _index_of(index) for index in cast("list[bytes]", await self._redis.lrange(name, 0, -1))
                ]
                for name in sorted(names)
            }

    async def read_back_of(self, symbol: str) -> AsyncIterator[Entry]:
        """A symbol's records from the newest to the first."""
        key = self._symbol_key(symbol)
        with door():
            end = await self._redis.llen(key)  # what is appended meanwhile stands behind it
        while end > 0:
            with door():
                page = cast("list[bytes]", await self._redis.lrange(key, max(0, end - _PAGE), end - 1))
            for index in reversed(page):
                if (entry := await self.entry(int(index))) is not None:
                    yield entry
            end -= _PAGE

    async def _restored(self, found: StreamEntry) -> Entry:
        if found.id != f"{found.number}-1" or found.fields.keys() != {FIELD}:
            why = f"it stands at {found.id} with fields {sorted(found.fields)}, not at INDEX-1 with one field"
            raise RecordError(found.number, self.partition, why)
        packed = found.fields.get(FIELD, b"")
        dictionary = await self.blobs.dictionary(reference_of(packed))
        return restored(found.fields, found.number, self.partition, dictionary)

    async def blob(self, digest: str) -> bytes | None:
        """The blob of a digest, None where it is not there."""
        return await self.blobs.blob(digest)


def _index_of(text: bytes) -> int:
    """The index that a map or a list says, in its one form; -1 for anything else."""
    return int(text) if re.fullmatch(rb"0|[1-9][0-9]{0,15}", text) else -1
