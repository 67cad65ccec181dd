"""A partition's log in Redis: append, read, and look up.

Rules of order: a record is appended only by the holder of the lease, which the append itself checks; a tick id has one
record for ever, so a repeated append finds the first; blobs are stored before a record names them.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from llmctx import canonical
from llmctx.connection import StreamEntry, read_stream, read_stream_back
from llmctx.errors import BehindError, LeaseError, SettledError, TickMapError, TrailError
from llmctx.functions import Argument, ServerFunction
from llmctx.trail.log.appended import remember
from llmctx.trail.log.blobs import Blobs
from llmctx.trail.log.entry import FIELD, Entry, restored, without_leaf
from llmctx.trail.log.lease import HELD, SEE_REDIS, lease_key, redis_errors
from llmctx.trail.log.packing import compress, lay_out, reference_of

if TYPE_CHECKING:
    from llmctx.trail.log.dictionary import Dictionary, Trainer

_APPEND = ServerFunction(Path(__file__).with_name("append.lua"), after=[HELD])
_DURABLE = ServerFunction(Path(__file__).with_name("durable.lua"), after=[HELD])
_PAGE = 200
_TURN = 16


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
    """Further ticks that it settles."""
    at: int | None = None
    """The index that a record without a tick must have, so that a repeated append finds it; None for the next one."""
    record: dict[str, Any] | None = None
    """The parsed leaf, which saves its entry from parsing it again; None if it is not at hand."""
    carried: object = None
    """Whatever the composer wants to find in the entry; not part of the record."""


class Log:
    """One partition's log. Every method raises TrailError if the server does not answer."""

    def __init__(self, redis: Redis, partition: int = 0) -> None:
        self._redis = redis
        self.partition = partition
        self.blobs = Blobs(redis, partition)
        """The blobs that its records name."""
        self.dictionary: Dictionary | None = None
        """The dictionary for new records; stored among the blobs."""
        self.trainer: Trainer | None = None
        """Trains dictionaries on new records; only an owner has one."""
        self.prove: Callable[[bytes], bytes] = lambda _: b""
        """Makes the proof of a leaf; a log that nobody owns has no writer, so its records have none."""
        self.known = 0
        """The log's size as this owner knows it: a log that lost records is not appended to."""
        self.run_id = b""
        """The server process against which spool and anchor were compared; any other one is not appended to."""
        self._log = self.key("log")
        self._ticks = self.key("ticks")

    def key(self, name: str) -> str:
        """The partition's audit key with this name."""
        return f"audit:{{{self.partition}}}:{name}"

    async def append(self, draft: Draft, owner: str, settlement: Settlement) -> Entry:
        """Append a record and settle its ticks, or return the record that already settled its tick.

        Raises LeaseError if another owner holds the partition, SettledError if another record settled a conflated
        tick, BehindError if the server lost records. Either nothing was written then, or all of it was and the next
        call finds it.
        """
        dictionary = self.dictionary
        layout = lay_out(draft.leaf, draft.pieces)
        packed = compress(layout, dictionary)
        digests = [canonical.sha256(blob) for blob in draft.blobs]
        digests += [] if dictionary is None else [dictionary.digest]
        if self.trainer is not None:
            self.trainer.add(layout.text)
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
        keys = [lease_key(self.partition), self._log, self._ticks, self.key(f"symbol:{draft.symbol}")]
        keys += [settlement.stream, settlement.attempts, *(self.blobs.key(digest) for digest in digests)]
        args: list[Argument] = [
            owner,
            draft.tick,
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
            return await self._appended_before(draft, index)
        self.known = max(self.known, index + 1)
        entry = Entry(draft.leaf, draft.pieces, index=index, partition=self.partition, packed=packed, proof=proof)
        remember(self.partition, index, bytes.fromhex(entry.leaf_hash))
        if draft.record is not None:
            entry.accept(draft.record)
        entry.carried = draft.carried
        return entry

    async def _appended_before(self, draft: Draft, index: int) -> Entry:
        """The record that was found in place of a new one.

        Raises TickMapError if it does not settle the draft's tick: whoever else may write to the map named it there.
        """
        found = await self.entry(index) if 0 <= index <= canonical.MAX_SAFE_INTEGER else None
        if draft.tick and (found is None or draft.tick not in found.ticks):
            raise TickMapError(draft.tick, self._ticks, index)
        if found is None:
            raise TrailError(f"Nothing can be recorded at index {index}, which is lost.", "Run `llmctx verify`.")
        self.known = max(self.known, found.index + 1)
        return found

    async def advance(self, size: int, owner: str) -> None:
        """Tell Redis how many records are in the spool.

        Raises LeaseError if another owner holds the partition.
        """
        try:
            with redis_errors("The durable size could not be written"):
                await _DURABLE(self._redis, [lease_key(self.partition), self.key("durable")], [owner, size])
        except TrailError as error:
            if not str(error.__cause__).startswith("LEASE"):
                raise
            raise LeaseError(
                f"Partition {self.partition} is not ours ({error.__cause__}).", "Its owner goes on."
            ) from error

    async def durable(self) -> int:
        """How many records are in the spool, as the owner told Redis."""
        with redis_errors():
            found = await self._redis.get(self.key("durable"))
        return int(found) if found is not None and found.isdigit() else 0

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
                "It is compared with the spool, and what nobody here wrote is taken out.",
            )
        if code == "SETTLED":
            return SettledError(f"Another record has already settled tick {detail}.", "Leave it out.")
        return TrailError(f"Redis refused the record of tick {draft.tick}: {error}", SEE_REDIS)

    async def size(self) -> int:
        """The size of the log: one more than its last index."""
        with redis_errors():
            newest = await read_stream_back(self._redis, self._log, count=1)
        return newest[0].number + 1 if newest else 0

    async def entry(self, index: int) -> Entry | None:
        """The record at an index, None if there is none."""
        with redis_errors():
            found = await read_stream(self._redis, self._log, f"{index}-1", f"{index}-1")
        return await self.restore(found[0]) if found else None

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncIterator[Entry]:
        """The records from `start` up to but not including `stop` (None: the end), in order."""
        fetch = partial(read_stream, self._redis, self._log, last="+" if stop is None else f"({stop}-0", count=_PAGE)
        if stop is None or stop > start:
            async for entry in self._pages(fetch, f"{start}-0"):
                yield entry

    def read_back(self, stop: int | None = None) -> AsyncIterator[Entry]:
        """The records below `stop` (None: all), newest first."""
        begin = "+" if stop is None else f"({stop}-0" if stop > 0 else "0-0"
        return self._pages(partial(read_stream_back, self._redis, self._log, count=_PAGE), begin)

    async def _pages(self, fetch: Callable[[str], Awaitable[list[StreamEntry]]], begin: str) -> AsyncIterator[Entry]:
        while True:
            with redis_errors():
                page = await fetch(begin)
            for number, found in enumerate(page, start=1):
                yield await self.restore(found)
                if number % _TURN == 0:
                    await asyncio.sleep(0)  # a page takes 10 ms and more: whatever else the loop has to do comes first
            if len(page) < _PAGE:
                return
            begin = f"({page[-1].id}"

    async def checkpoint(self) -> str | None:
        """The newest signed checkpoint in Redis, None if there is none."""
        with redis_errors():
            note = cast("bytes | None", await self._redis.get(self.key("checkpoint")))
        return None if note is None else note.decode(errors="replace")

    async def settled(self, tick_ids: Sequence[str]) -> list[int | None]:
        """The index that the map has for each tick, None if it has none; -1 if it is no valid index."""
        with redis_errors():
            found = cast("list[bytes | None]", await self._redis.hmget(self._ticks, list(tick_ids)) if tick_ids else [])
        return [None if index is None else index_of(index) for index in found]

    async def tick_map(self) -> dict[str, int]:
        """The index of each settled tick's record; -1 if the map holds no valid index."""
        with redis_errors():
            scan = self._redis.hscan_iter(self._ticks, count=1000)
            return {tick.decode(errors="replace"): index_of(index) async for tick, index in scan}

    async def repairs(self) -> dict[str, int]:
        """How often an owner put right what somebody else had written, by what it was."""
        with redis_errors():
            found = cast("dict[bytes, bytes]", await self._redis.hgetall(self.key("repairs")))
        return {name.decode(errors="replace"): index_of(count) for name, count in found.items()}

    async def symbol_lists(self) -> dict[str, list[int]]:
        """The indices listed for each symbol; -1 for an invalid one."""
        prefix = self.key("symbol:")
        with redis_errors():
            names = {name async for name in self._redis.scan_iter(match=f"{prefix}*", count=1000)}
            lists = {name: cast("list[bytes]", await self._redis.lrange(name, 0, -1)) for name in sorted(names)}
        return {
            name.decode(errors="replace").removeprefix(prefix): [index_of(index) for index in indices]
            for name, indices in lists.items()
        }

    async def read_back_of(self, symbol: str) -> AsyncIterator[Entry]:
        """A symbol's records, newest first."""
        key = self.key(f"symbol:{symbol}")
        with redis_errors():
            end = await self._redis.llen(key)  # records appended meanwhile come after it
        while end > 0:
            with redis_errors():
                page = cast("list[bytes]", await self._redis.lrange(key, max(0, end - _PAGE), end - 1))
            for index in map(index_of, reversed(page)):
                if index >= 0 and (entry := await self.entry(index)) is not None:
                    yield entry
            end -= _PAGE

    async def restore(self, found: StreamEntry) -> Entry:
        """The record in an entry of the stream; an unreadable one if there is none."""
        index, fields = found.number, found.fields
        if found.id != f"{index}-1":
            return without_leaf(fields, index, self.partition, f"its stream id is {found.id}, not {index}-1")
        reference = reference_of(fields.get(FIELD, b""))
        dictionary = await self.blobs.dictionary(reference)
        if reference is not None and dictionary is None and await self.blobs.lists(reference):
            why = f"its dictionary {reference.hex()} is missing from the blobs, or was changed"
            return without_leaf(fields, index, self.partition, why, may_return=True)
        return restored(fields, index, self.partition, dictionary)


def index_of(text: bytes) -> int:
    """The index written in canonical decimal form; -1 for anything else."""
    return int(text) if re.fullmatch(rb"0|[1-9][0-9]{0,15}", text) else -1
