"""A partition's log in Redis, as any reader sees it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from llmctx.connection.streams import StreamEntry, pages_of_stream, read_stream, read_stream_back, stream_entries
from llmctx.errors import AddressError
from llmctx.trail.log.base import Base
from llmctx.trail.log.blobs import Blobs
from llmctx.trail.log.entry import FIELD, PROOF, Entry, parse_address, restored, without_leaf
from llmctx.trail.log.index import index_of
from llmctx.trail.log.lease import of_another_type, partition_key, redis_errors
from llmctx.trail.log.packing import reference_of

_PAGE = 200
_TURN = 16

_Fetch = Callable[[str, int], Awaitable[list[StreamEntry]]]


class LogReader:
    """One partition's log, read only. Every method raises TrailError if the server does not answer."""

    def __init__(self, redis: Redis, partition: int = 0) -> None:
        self._redis = redis
        self.partition = partition
        self.blobs = Blobs(redis, partition)
        """The blobs that its records name."""
        self._log = self.key("log")
        self._ticks = self.key("ticks")

    def key(self, name: str) -> str:
        """The partition's audit key with this name."""
        return partition_key(self.partition, name)

    async def size(self) -> int:
        """The size of the log, archived records included: one more than its last index."""
        with redis_errors(), of_another_type():
            if newest := await read_stream_back(self._redis, self._log, count=1):
                return newest[0].number + 1
        return await self.first()

    async def first(self) -> int:
        """The index at which the log in Redis begins; everything below was archived and trimmed."""
        with redis_errors(), of_another_type():  # which `base` reports
            return max(0, index_of(cast("bytes | None", await self._redis.hget(self.key("base"), "size")) or b"0"))
        return 0

    async def extent(self) -> tuple[int, int]:
        """The size of the log, and how many surplus entries it has, read at one instant. Both are 0 if the log is not a
        stream.
        """
        with redis_errors(), of_another_type():
            async with self._redis.pipeline(transaction=True) as reads:
                reads.xrevrange(self._log, count=1)
                reads.xlen(self._log)
                reads.hget(self.key("base"), "size")
                newest, count, trimmed = await reads.execute()
            first = max(0, index_of(trimmed or b"0"))
            size = stream_entries(newest)[0].number + 1 if newest else first
            return size, count - (size - first)
        return 0, 0

    async def base(self) -> Base:
        """What was archived and trimmed.

        Raises ValueError if somebody else has written it.
        """
        with redis_errors():
            try:
                fields = cast("dict[bytes, bytes]", await self._redis.hgetall(self.key("base")))
            except ResponseError as error:
                raise ValueError(f"no hash: {error}") from error
        return Base.read(fields)

    async def count(self, start: int = 0, stop: int | None = None) -> int:
        """The number of indices in a range of the log."""
        return len(range(await self.size())[start:stop])

    async def entry(self, index: int) -> Entry | None:
        """The record at an index, None if there is none; a few archived ones are kept."""
        found: list[StreamEntry] = []
        with redis_errors(), of_another_type():
            found = await read_stream(self._redis, self._log, f"{index}-1", f"{index}-1")
        if not found and (kept := await self._kept(index)):
            found = [StreamEntry(f"{index}-1", kept)]
        return await self.restore(found[0]) if found else None

    async def _kept(self, index: int) -> dict[bytes, bytes]:
        """The fields of an archived record that is kept; empty if it is not."""
        with redis_errors(), of_another_type():
            fields = await self._redis.hmget(self.key("kept"), [f"{index} record", f"{index} proof"])
            return {name: value for name, value in zip((FIELD, PROOF), fields, strict=True) if isinstance(value, bytes)}
        return {}

    async def kept(self) -> list[int]:
        """The indices of all archived records that are kept; -1 for an invalid one."""
        with redis_errors():
            try:
                names = cast("list[bytes]", await self._redis.hkeys(self.key("kept")))
            except ResponseError:  # not a hash, so nothing in it is an index
                return [-1]
        return sorted({index_of(name.partition(b" ")[0]) for name in names})

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncIterator[Entry]:
        """The records from `start` up to but not including `stop` (None: the end), in order."""
        last = "+" if stop is None else f"({stop}-0"

        async def fetch(begin: str, count: int) -> list[StreamEntry]:
            return await read_stream(self._redis, self._log, begin, last, count=count)

        if stop is None or stop > start:
            async for entry in self._pages(fetch, f"{start}-0"):
                yield entry

    def read_back(self, stop: int | None = None) -> AsyncIterator[Entry]:
        """The records below `stop` (None: all), newest first."""
        begin = "+" if stop is None else f"({stop}-0" if stop > 0 else "0-0"

        async def fetch(last: str, count: int) -> list[StreamEntry]:
            return await read_stream_back(self._redis, self._log, last, count=count)

        return self._pages(fetch, begin)

    async def _pages(self, fetch: _Fetch, begin: str) -> AsyncIterator[Entry]:
        async def fetched(begin: str, count: int) -> list[StreamEntry]:
            with redis_errors(), of_another_type():  # as if there were none, which spool and anchor contradict
                return await fetch(begin, count)
            return []

        async for page in pages_of_stream(fetched, begin, _PAGE):
            for number, found in enumerate(page, start=1):
                yield await self.restore(found)
                if number % _TURN == 0:
                    await asyncio.sleep(0)  # a page takes 10 ms and more: whatever else the loop has to do comes first

    async def named(self, where: str, leaf_hash: str, partitions: int) -> Entry | None:
        """The record at an address of this partition; None if the log has none there, or one with another leaf hash."""
        try:
            _, index = parse_address(where, partitions)
        except AddressError:
            return None
        entry = await self.entry(index)
        return entry if entry is not None and entry.leaf_hash == leaf_hash else None

    async def checkpoint(self) -> str | None:
        """The newest signed checkpoint in Redis; None before the first, empty if its key holds another type."""
        with redis_errors():
            try:
                note = cast("bytes | None", await self._redis.get(self.key("checkpoint")))
            except ResponseError:
                return ""
        return None if note is None else note.decode(errors="replace")

    async def settled(self, tick_ids: Sequence[str]) -> list[int | None]:
        """The index that the map has for each tick, None if it has none; -1 if it is not a valid index."""
        return await self._mapped(self._ticks, tick_ids)

    async def said(self, ids: Sequence[str]) -> list[int | None]:
        """The same for the ids of statements about a decision."""
        return await self._mapped(self.key("effects"), ids)

    async def _mapped(self, key: str, ids: Sequence[str]) -> list[int | None]:
        with redis_errors():
            found = cast("list[bytes | None]", await self._redis.hmget(key, list(ids)) if ids else [])
        return [None if index is None else index_of(index) for index in found]

    async def tick_map(self, name: str = "ticks") -> dict[str, int]:
        """The index of each settled tick's record, or (`effects`) of each id's; -1 if the map holds no valid index.

        Empty if it is no hash.
        """
        with redis_errors():
            if await self._redis.type(self.key(name)) != b"hash":
                return {}
            scan = self._redis.hscan_iter(self.key(name), count=1000)
            return {tick.decode(errors="replace"): index_of(index) async for tick, index in scan}

    async def repairs(self) -> dict[str, int]:
        """How often an owner repaired what somebody else had written, by kind."""
        found: dict[bytes, bytes] = {}
        with redis_errors(), of_another_type():  # the next check of the owner removes it
            found = cast("dict[bytes, bytes]", await self._redis.hgetall(self.key("repairs")))
        return {name.decode(errors="replace"): index_of(count) for name, count in found.items()}

    async def symbol_lists(self) -> dict[str, list[int]]:
        """The indices listed for each symbol; -1 for an invalid one, or for a value of another type."""
        prefix = self.key("symbol:")
        with redis_errors():
            names = {name async for name in self._redis.scan_iter(match=f"{prefix}*", count=1000)}
            lists = {name: await self._list(name) for name in sorted(names)}
        return {
            name.decode(errors="replace").removeprefix(prefix): [index_of(index) for index in indices]
            for name, indices in lists.items()
        }

    async def _list(self, name: bytes) -> list[bytes]:
        is_list = await self._redis.type(name) == b"list"
        return cast("list[bytes]", await self._redis.lrange(name, 0, -1)) if is_list else [b"another type"]

    async def read_back_of(self, symbol: str) -> AsyncIterator[Entry]:
        """A symbol's records, newest first; read from the whole log if the key of its list holds another type."""
        key = self.key(f"symbol:{symbol}")
        with redis_errors():
            try:
                end = await self._redis.llen(key)  # records appended meanwhile come after it
            except ResponseError:
                end = -1
        if end < 0:
            async for found in self.read_back():
                if found.record.get("symbol") == symbol and found.ticks:
                    yield found
        batch = 1  # most callers want the newest one or few
        while end > 0:
            with redis_errors():
                page = cast("list[bytes]", await self._redis.lrange(key, max(0, end - _PAGE), end - 1))
            indices = [index for index in map(index_of, reversed(page)) if index >= 0]
            while indices:
                for entry in await self._entries(indices[:batch]):
                    yield entry
                indices, batch = indices[batch:], min(batch * 4, _PAGE)
            end -= _PAGE

    async def _entries(self, indices: Sequence[int]) -> list[Entry]:
        """The records at some indices that are there, in one round trip unless some are archived."""
        if len(indices) == 1:
            found = await self.entry(indices[0])
            return [] if found is None else [found]
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as reading:
                for index in indices:
                    reading.xrange(self._log, f"{index}-1", f"{index}-1")
                replies = await reading.execute()
        read = [
            await self.restore(stream_entries(reply)[0]) if reply else await self.entry(index)
            for index, reply in zip(indices, replies, strict=True)
        ]
        return [entry for entry in read if entry is not None]

    async def blob(self, digest: str) -> bytes | None:
        """The blob with this digest, None if it is missing."""
        return await self.blobs.blob(digest)

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

    async def durable(self) -> int:
        """How many records are in the spool, according to the owner."""
        with redis_errors():
            try:
                found = await self._redis.get(self.key("durable"))
            except ResponseError:
                return 0  # another type, which the owner's next record replaces
        return 0 if found is None else max(0, index_of(cast("bytes", found)))
