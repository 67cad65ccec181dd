"""Look records up: one by its address, the newest that match a filter, those in force at a time, and each new one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from llmctx import canonical
from llmctx.errors import AddressError
from llmctx.trail.log.entry import Entry, named_blobs, parse_address
from llmctx.trail.log.records import Records
from llmctx.trail.source.filter import Filter, time_of
from llmctx.trail.source.source import Source

_POLL_S = 0.3


async def read_record(source: Source, text: str) -> Entry:
    """The record at an address.

    Raises AddressError if the text is not an address or there is no such record.
    """
    partition, index = parse_address(text, source.partitions)
    parts = [part for part in source.parts if part.partition == partition]
    entry = await parts[0].entry(index) if parts else None
    if entry is None:
        size = await parts[0].size() if parts else 0
        raise AddressError(
            f"There is no record {text} in {source.name}.",
            f"Its indices are below {size}; `llmctx decisions` lists the records.",
        )
    return entry


async def blobs_of(source: Source, entry: Entry) -> dict[str, bytes]:
    """The blobs that a record names, by digest; missing ones are left out."""
    part = next(part for part in source.parts if part.partition == entry.partition)
    found = {digest: await part.blob(digest) for digest in named_blobs(entry.record)}
    return {digest: blob for digest, blob in found.items() if blob is not None}


async def said_of(source: Source, entry: Entry) -> list[Entry]:
    """What others said about a record, oldest first: effects, approvals, overrides, annotations.

    If the record has a symbol, only that symbol's records are read; otherwise all later ones.
    """
    (part,) = [part for part in source.parts if part.partition == entry.partition]
    symbol, found = entry.record.get("symbol"), list[Entry]()
    async for other in part.read_back_of(symbol) if symbol else part.read_back():
        if other.index <= entry.index:
            break
        if other.said and other.record.get("about", {}).get("index") == entry.index:
            found.append(other)
    return found[::-1]


class Listing(NamedTuple):
    """The matching records of some partitions at one time."""

    entries: list[Entry]
    """The records, oldest first."""
    sizes: list[int]
    """The size of each partition at that time: where `follow` continues."""


async def newest(parts: Sequence[Records], wanted: Filter, limit: int | None = None) -> Listing:
    """The newest records that match, over all partitions; at most `limit`."""
    sizes = [await part.size() for part in parts]
    found = [pair for part, size in zip(parts, sizes, strict=True) for pair in await _newest(part, size, wanted, limit)]
    found.sort(key=lambda pair: (pair[0], pair[1].partition, pair[1].index))
    entries = [entry for _, entry in found]
    return Listing(entries[-limit:] if limit else entries, sizes)


async def _newest(part: Records, size: int, wanted: Filter, limit: int | None) -> list[tuple[int, Entry]]:
    """The newest records that match, with their recording times; an unreadable one gets that of the record after it."""
    found: list[tuple[int, Entry]] = []
    recorded_ms = canonical.MAX_SAFE_INTEGER
    async for entry in part.read_back() if wanted.symbol is None else part.read_back_of(wanted.symbol):
        record = entry.record
        recorded_ms = record.get("recorded_at_ms", recorded_ms)
        time_ms = time_of(record)
        known_ms = recorded_ms if time_ms is None else time_ms
        if len(found) == limit or _ends_before(wanted, known_ms, recorded_ms):
            break
        if entry.index < size and wanted.matches(record, known_ms):
            found.append((recorded_ms, entry))
    return found


def _ends_before(wanted: Filter, time_ms: int, recorded_ms: int) -> bool:
    """Whether nothing earlier can match. By the bars clock a package may be later than its record, so not always."""
    return wanted.since_ms is not None and time_ms <= recorded_ms < wanted.since_ms


async def in_force(parts: Sequence[Records], at_ms: int, wanted: Filter) -> list[Entry]:
    """Each symbol's newest verdict on a position at or before a time, if it matches, in the order of the symbols."""
    found: dict[str, Entry] = {}
    for part in parts:
        async for entry in part.read_back() if wanted.symbol is None else part.read_back_of(wanted.symbol):
            record = entry.record
            time_ms, name = time_of(record), record.get("symbol")
            is_verdict = "tick" in record and record["verdict"]["action"] != "none"
            if name is None or time_ms is None or not is_verdict or time_ms > at_ms or name in found:
                continue
            found[name] = entry
            if wanted.symbol is not None:
                break
    return [found[name] for name in sorted(found) if wanted.matches(found[name].record, at_ms)]


async def follow(parts: Sequence[Records], sizes: Sequence[int], wanted: Filter) -> AsyncIterator[Entry]:
    """Every record that matches and comes after `sizes`, as it is recorded; never ends."""
    next_index = list(sizes)
    while True:
        for i, part in enumerate(parts):
            async for entry in part.read(next_index[i]):
                if wanted.matches(entry.record, time_of(entry.record)):
                    yield entry
                next_index[i] = entry.index + 1
        await asyncio.sleep(_POLL_S)
