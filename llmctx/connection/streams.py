"""Entries of streams."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple, cast

from redis.asyncio import Redis

_PAGE_BYTES, _FIRST_PAGE = 4 * 2**20, 4


class StreamEntry(NamedTuple):
    """One entry of a stream."""

    id: str
    """Its id, MS-SEQUENCE or INDEX-1."""
    fields: dict[bytes, bytes]
    """Its fields."""

    @property
    def number(self) -> int:
        """The part of the id before the dash: an index, or milliseconds."""
        return int(self.id.partition("-")[0])


async def read_stream(
    redis: Redis, key: str, first: str = "-", last: str = "+", *, count: int | None = None
) -> list[StreamEntry]:
    """The entries from `first` to `last`, oldest first."""
    return stream_entries(await redis.xrange(key, first, last, count=count))


async def pages_of_stream(
    fetch: Callable[[str, int], Awaitable[list[StreamEntry]]], begin: str, most: int
) -> AsyncIterator[list[StreamEntry]]:
    """The pages from `begin` on, each of at most `most` entries: as many as take a few megabytes if they are as large
    as those before them, so that a reader's memory does not grow with what stands in a stream.

    `fetch` is given where a page begins and how many entries it may have.
    """
    count = _FIRST_PAGE
    while True:
        page = await fetch(begin, count)
        yield page
        if len(page) < count:
            return
        size = sum(len(value) for entry in page for field in entry.fields.items() for value in field)
        count = max(1, min(most, 2 * count, count * _PAGE_BYTES // max(1, size)))
        begin = f"({page[-1].id}"


async def read_stream_back(redis: Redis, key: str, last: str = "+", *, count: int | None = None) -> list[StreamEntry]:
    """The entries up to `last`, newest first."""
    return stream_entries(await redis.xrevrange(key, last, "-", count=count))


def stream_entries(reply: Any) -> list[StreamEntry]:
    """The entries in a reply; the client's types allow decoded text and None, but these connections never decode."""
    found = cast("list[tuple[bytes, dict[bytes, bytes]]]", reply or [])
    return [StreamEntry(entry_id.decode(), fields) for entry_id, fields in found]
