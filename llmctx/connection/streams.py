"""Entries of streams."""

from typing import Any, NamedTuple, cast

from redis.asyncio import Redis


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


async def read_stream_back(redis: Redis, key: str, last: str = "+", *, count: int | None = None) -> list[StreamEntry]:
    """The entries up to `last`, newest first."""
    return stream_entries(await redis.xrevrange(key, last, "-", count=count))


def stream_entries(reply: Any) -> list[StreamEntry]:
    """The entries in a reply; the client's types allow decoded text and None, but these connections never decode."""
    found = cast("list[tuple[bytes, dict[bytes, bytes]]]", reply or [])
    return [StreamEntry(entry_id.decode(), fields) for entry_id, fields in found]
