"""The trail as one: archived records come from the archive, the others from the log in Redis."""

import logging
from collections.abc import AsyncIterator

from redis.asyncio import Redis

from llmctx.errors import ArchiveError
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import Instance
from llmctx.trail.log.reader import LogReader
from llmctx.trail.log.records import Records
from llmctx.trail.proof.checkpoint import key_name_of
from llmctx.trail.source.copies import copy_source
from llmctx.trail.source.source import Source

_log = logging.getLogger(__name__)


async def trail_source(redis: Redis, instance: Instance, archive: str | None = None, *, whole: bool = False) -> Source:
    """The trail in Redis; `archive` holds the records that were trimmed from it.

    Without it they are left out, with a warning. Raises ArchiveError if the archive holds another trail or is no
    archive, or if it is needed for the `whole` trail.
    """
    origin = key_name_of(instance.id)
    logs = [LogReader(redis, partition) for partition in range(instance.partitions)]
    firsts = [await log.first() for log in logs]
    parts: list[Records] = [*logs]
    if any(firsts) and archive is None:
        told = ", ".join(
            f"{first} of partition {log.partition}" for log, first in zip(logs, firsts, strict=True) if first
        )
        if whole:
            raise ArchiveError(f"Records below {told} are archived.", "Name the archive with LLMCTX_ARCHIVE.")
        _log.warning(f"Records below {told} are archived and left out; name the archive with LLMCTX_ARCHIVE")
    elif any(firsts) and archive is not None:
        older = copy_source(archive)
        if older.origin != origin:
            raise ArchiveError(
                f"{older.name} holds {older.origin}, not {origin}.", "Set LLMCTX_ARCHIVE to its archive."
            )
        by_partition = {part.partition: part for part in older.parts}
        parts = [
            JoinedRecords(log, by_partition[log.partition], older.name) if log.partition in by_partition else log
            for log in logs
        ]
    return Source(f"the trail {origin}", origin, parts, instance.partitions)


class JoinedRecords:
    """One partition's records in an archive, and those after them in Redis."""

    def __init__(self, log: LogReader, older: Records, name: str) -> None:
        """`name` is that of the archive, for messages."""
        self._log = log
        self._older = older
        self._name = name
        self.partition = log.partition
        """The partition."""

    async def _first(self) -> int:
        """Where the log begins; everything below is in the archive."""
        first, archived = await self._log.first(), await self._older.size()
        if first > archived:
            raise ArchiveError(
                f"{self._name} ends at record {archived} of partition {self.partition}, and Redis begins at {first}.",
                "If an archiver is running, run the command again; or set LLMCTX_ARCHIVE to the archive of this trail.",
            )
        return first

    async def size(self) -> int:
        """One more than the last index."""
        return await self._log.size()

    async def count(self, start: int = 0, stop: int | None = None) -> int:
        """The number of indices in a range."""
        return await self._log.count(start, stop)

    async def entry(self, index: int) -> Entry | None:
        """The record at an index, None if there is none."""
        return await (self._older if index < await self._first() else self._log).entry(index)

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncIterator[Entry]:
        """The records of a range, in order."""
        first = await self._first()
        if start < first:
            async for entry in self._older.read(start, first if stop is None else min(stop, first)):
                yield entry
        async for entry in self._log.read(max(start, first), stop):
            yield entry

    async def read_back(self, stop: int | None = None) -> AsyncIterator[Entry]:
        """The records below `stop` (None: all), newest first."""
        first = await self._first()
        async for entry in self._log.read_back(stop):
            if entry.index >= first:
                yield entry
        async for entry in self._older.read_back(first if stop is None else min(stop, first)):
            yield entry

    async def read_back_of(self, symbol: str) -> AsyncIterator[Entry]:
        """A symbol's records, newest first."""
        first = await self._first()
        async for entry in self._log.read_back_of(symbol):
            if entry.index >= first:  # Redis keeps a few archived records
                yield entry
        async for entry in self._older.read_back_of(symbol):
            if entry.index < first:
                yield entry

    async def blob(self, digest: str) -> bytes | None:
        """The blob with this digest, None if it is missing."""
        return await self._log.blob(digest) or await self._older.blob(digest)
