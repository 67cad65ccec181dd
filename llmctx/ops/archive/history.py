"""Archive live history: bars, fills, funding, closed positions and days, and each day's market context and performance.

    history/FAMILY/YYYY-MM-DD.parquet   columns key, id, time and fields (a map of names to exact bytes)

These keys are capped and expire; they are no part of the trail, and nothing is trimmed. A day's file is written once.
Bars have the time of their market, so a day of theirs is complete when a later one has begun: recorded sessions are
archived as live ones are. What the paper broker appends has the server's time, and its day is complete when it is over.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from io import BytesIO
from typing import Any, NamedTuple

from redis.asyncio import Redis

from llmctx import clock
from llmctx.connection import server_ms
from llmctx.connection.streams import StreamEntry, read_stream
from llmctx.errors import ArchiveError
from llmctx.schema import keys
from llmctx.trail.archive.columns import arrow
from llmctx.trail.archive.place import Place
from llmctx.trail.archive.writer import LEVEL
from llmctx.trail.log.lease import redis_errors

_DAY_MS = 86_400_000
_STREAMS = {
    "bars": keys.bars("*"),
    "fills": keys.FILLS,
    "funding": keys.FUNDING,
    "closed": keys.CLOSED,
    "days": keys.DAYS,
}
_VALUES = tuple(keys.BY_SECTION[section].pattern for section in ("performance", "market"))
_Row = tuple[str, str, int, dict[str, bytes]]


class ArchivedHistory(NamedTuple):
    """One file of live history that was archived."""

    file: str
    """Its name in the archive."""
    rows: int
    """How many entries it holds."""
    size_bytes: int
    """Its size."""


async def archive_history(redis: Redis, place: Place) -> AsyncIterator[ArchivedHistory]:
    """Archive every complete day that is not in the place yet, and today's values; yields each new file.

    Raises TrailError if the server does not answer, ArchiveError if the place does not.
    """
    with redis_errors("The server's time could not be read"):
        now_ms = await server_ms(redis)
    for family, pattern in _STREAMS.items():
        with redis_errors("Live history could not be read"):
            names = sorted([key.decode() async for key in redis.scan_iter(match=pattern, count=1000)])
            known = set(place.names(f"history/{family}"))
            for day in await _complete_days(redis, names, None if family == "bars" else now_ms // _DAY_MS):
                name = _name(family, day)
                if name not in known and (found := _store(place, name, await _rows_of(redis, names, day))) is not None:
                    yield found
    with redis_errors("Live values could not be read"):
        found_values = zip(_VALUES, await redis.mget(_VALUES), strict=True)
    values = [(key, "", now_ms, {"value": raw}) for key, raw in found_values if isinstance(raw, bytes)]
    found = _store(place, _name("values", now_ms // _DAY_MS), values)
    if found is not None:
        yield found


def archived_entries(place: Place, family: str) -> Iterator[tuple[str, StreamEntry]]:
    """The key and the content of each entry of a family that is archived, day by day.

    Raises ArchiveError if the place does not answer or a file there is no history.
    """
    arrow()
    from pyarrow import ArrowException, parquet  # noqa: PLC0415  an optional extra

    for name in place.names(f"history/{family}"):
        try:
            table = parquet.read_table(BytesIO(place.read(name) or b""), columns=["key", "id", "fields"])
        except (ArrowException, OSError, KeyError) as error:
            raise ArchiveError(f"{name} in {place.name} cannot be read: {error}", "Restore it from a copy.") from error
        for key, entry_id, fields in zip(*(column.to_pylist() for column in table.columns), strict=True):
            yield key, StreamEntry(entry_id, {field.encode(): value for field, value in fields})


async def _complete_days(redis: Redis, names: Iterable[str], today: int | None) -> list[int]:
    """The days since 1970 of which some stream has entries, but for the newest one, unless that is before `today`."""
    days: set[int] = set()
    for name in names:
        day = -1
        while found := await read_stream(redis, name, f"{(day + 1) * _DAY_MS}", count=1):
            day = _time_ms(found[0]) // _DAY_MS
            days.add(day)
    newest = max(days, default=0)
    return sorted(day for day in days if day < newest or (today is not None and day < today))


async def _rows_of(redis: Redis, names: Iterable[str], day: int) -> list[_Row]:
    """The entries of a day of some streams, those of one stream after those of another."""
    rows: list[_Row] = []
    for name in names:
        for entry in await read_stream(redis, name, f"{day * _DAY_MS}", f"({(day + 1) * _DAY_MS}-0"):
            fields = {field.decode(errors="replace"): value for field, value in entry.fields.items()}
            rows.append((name, entry.id, _time_ms(entry), fields))
    return rows


def _time_ms(entry: StreamEntry) -> int:
    return int(entry.id.partition("-")[0])


def _store(place: Place, name: str, rows: list[_Row]) -> ArchivedHistory | None:
    """Store a day's file; None if it has no rows or is there already."""
    if not rows:
        return None
    raw = _parquet(rows)
    return ArchivedHistory(name, len(rows), len(raw)) if place.put(name, raw) else None


def _name(family: str, day: int) -> str:
    return f"history/{family}/{clock.iso(day * _DAY_MS)[:10]}.parquet"


def _parquet(rows: list[_Row]) -> bytes:
    pa: Any = arrow()
    from pyarrow import parquet  # noqa: PLC0415  an optional extra

    kinds = [pa.string(), pa.string(), pa.timestamp("ms", tz="UTC"), pa.map_(pa.string(), pa.binary())]
    schema = pa.schema(list(zip(("key", "id", "time", "fields"), kinds, strict=True)))
    named, ids, times_ms, fields = zip(*rows, strict=True)
    table = pa.Table.from_arrays(
        [
            pa.array(values, kind)
            for values, kind in zip((named, ids, times_ms, [list(each.items()) for each in fields]), kinds, strict=True)
        ],
        schema=schema,
    )
    file = BytesIO()
    parquet.write_table(table, file, compression="zstd", compression_level=LEVEL)
    return file.getvalue()
