"""Look records up: one by its address, the newest that match a filter, and then each new one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from redis.asyncio import Redis

from llmctx import canonical
from llmctx.errors import AddressError
from llmctx.trail.log import unreadable
from llmctx.trail.log.entry import Entry, parse_address
from llmctx.trail.log.instance import Instance
from llmctx.trail.log.log import Log

_POLL_S = 0.3


async def read_record(redis: Redis, instance: Instance, text: str) -> Entry:
    """The record at an address.

    Raises AddressError if the text is not an address or there is no such record.
    """
    partition, index = parse_address(text, instance.partitions)
    log = Log(redis, partition)
    entry = await log.entry(index)
    if entry is None:
        raise AddressError(
            f"There is no record {text}.",
            f"The log has {await log.size()} records, numbered from 0; `llmctx decisions` lists them.",
        )
    return entry


class Filter(NamedTuple):
    """Which records; None means any. A record that cannot be read is of every symbol and of kind `unreadable`."""

    symbol: str | None = None
    """Of this symbol."""
    kind: str | None = None
    """Of this kind."""
    since_ms: int | None = None
    """Recorded at or after this time, in milliseconds since 1970."""
    limit: int | None = None
    """At most this many, the newest."""

    def matches(self, entry: Entry) -> bool:
        """Whether symbol and kind fit."""
        record = entry.record
        is_of_symbol = record["kind"] == unreadable.KIND or self.symbol in (None, record.get("symbol"))
        return is_of_symbol and self.kind in (None, record["kind"])


class Listing(NamedTuple):
    """The matching records of some logs at one time."""

    entries: list[Entry]
    """The records, oldest first."""
    sizes: list[int]
    """The size of each log at that time: where `follow` continues."""


async def newest(logs: Sequence[Log], wanted: Filter) -> Listing:
    """The newest records that match, over all logs."""
    sizes = [await log.size() for log in logs]
    found = [pair for log, size in zip(logs, sizes, strict=True) for pair in await _newest(log, size, wanted)]
    found.sort(key=lambda pair: (pair[0], pair[1].partition, pair[1].index))
    entries = [entry for _, entry in found]
    return Listing(entries[-wanted.limit :] if wanted.limit else entries, sizes)


async def _newest(log: Log, size: int, wanted: Filter) -> list[tuple[int, Entry]]:
    """The newest records that match with their times; one that cannot be read has the time of the record after it."""
    found: list[tuple[int, Entry]] = []
    recorded_ms = canonical.MAX_SAFE_INTEGER
    async for entry in log.read_back() if wanted.symbol is None else log.read_back_of(wanted.symbol):
        recorded_ms = entry.record.get("recorded_at_ms", recorded_ms)
        if len(found) == wanted.limit or recorded_ms < (wanted.since_ms or 0):
            break
        if entry.index < size and wanted.matches(entry):
            found.append((recorded_ms, entry))
    return found


async def follow(logs: Sequence[Log], sizes: Sequence[int], wanted: Filter) -> AsyncIterator[Entry]:
    """Every record that matches and comes after `sizes`, as it is recorded; never ends."""
    next_index = list(sizes)
    while True:
        for i, log in enumerate(logs):
            async for entry in log.read(next_index[i]):
                if wanted.matches(entry):
                    yield entry
                next_index[i] = entry.index + 1
        await asyncio.sleep(_POLL_S)
