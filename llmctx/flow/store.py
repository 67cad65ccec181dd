"""The door through which the feed reads and writes: everything that a bar says about a symbol goes out in one call.

Others may rewrite a position at any time (an execution side, a person after a split), and another feed may trade in
the same book, so a write names what it stands on and is refused where that has changed.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from llmctx import clock
from llmctx.connection import StreamEntry, read_stream, read_stream_back
from llmctx.context.snapshot import as_of
from llmctx.errors import ServerError
from llmctx.flow.bars import Bar
from llmctx.flow.write import Write, bar_id
from llmctx.functions import ServerFunction
from llmctx.schema import keys

NOT_A_STRING = b"not a string"
"""What write.lua takes a guarded key of another type for; it is left alone."""

_FIELDS = (b"open", b"high", b"low", b"close", b"volume")
_WRITE = ServerFunction(Path(__file__).with_name("write.lua"))


class Written(NamedTuple):
    """What became of a write."""

    done: bool
    """Whether it stands there as this run wrote it."""
    changed: tuple[bytes, ...] = ()
    """What the guarded keys hold, where one was changed by somebody else; empty where another run wrote the bar."""
    forgotten: bool = False
    """Whether the server has lost the bar before it."""
    decisions: tuple[StreamEntry, ...] = ()
    """The partition's decisions since the last one read."""


class Store:
    """What a feed keeps in one server."""

    def __init__(self, redis: Redis, partitions: int) -> None:
        self._redis = redis
        self._partitions = partitions

    def partition_of(self, symbol: str) -> int:
        """The partition of a symbol's ticks and decisions."""
        return keys.partition_of(symbol, self._partitions)

    async def write(self, writes: Sequence[Write]) -> list[Written]:
        """What became of each write; they go out in one round trip, in order.

        Raises ServerError when the server does not answer; calling again changes nothing that is written already.
        """
        try:
            if len(writes) == 1:
                answers = [await _WRITE(self._redis, *writes[0].call())]
            else:
                answers = await _WRITE.many(self._redis, [write.call() for write in writes])
        except RedisError as error:
            raise _unwritten(writes[0].symbol, error) from error
        return [_written(answer) for answer in answers]

    async def held_symbols(self) -> frozenset[str]:
        """Every symbol that has a position."""
        pattern = keys.BY_SECTION["position"].key("*")
        try:
            found = [key async for key in self._redis.scan_iter(pattern, count=1000)]
        except RedisError as error:
            raise _unwritten("all symbols", error) from error
        return frozenset(cast("bytes", key).decode(errors="replace").rpartition(":")[2] for key in found)

    async def clock(self) -> tuple[int | None, bool]:
        """The bars clock's time in ms, None where no feed has set it; and whether a live clock is there instead."""
        state = await self.value(keys.BY_SECTION["system"].key())
        if state in (b"", NOT_A_STRING):
            return None, False
        at_ms, whose = as_of(state, 0)
        return (at_ms, False) if whose == "bars" else (None, True)

    async def decisions(self, partition: int, after: str) -> list[StreamEntry]:
        """A partition's decisions after an id, oldest first."""
        try:
            return await read_stream(self._redis, keys.decisions(partition), f"({after}")
        except RedisError as error:
            raise _unwritten("all symbols", error) from error

    async def last_decisions(self) -> dict[int, str]:
        """The id of each partition's last decision; 0-0 where there is none."""
        try:
            newest = [
                await read_stream_back(self._redis, keys.decisions(partition), count=1)
                for partition in range(self._partitions)
            ]
        except RedisError as error:
            raise _unwritten("all symbols", error) from error
        return {partition: found[0].id if found else "0-0" for partition, found in enumerate(newest)}

    async def screened(self) -> dict[str, tuple[int, Decimal]]:
        """Every symbol of the ranking, with the end of its last bar in ms and its change of that day in percent."""
        try:
            found = cast("dict[bytes, bytes]", await self._redis.hgetall(keys.SCREENED))
        except RedisError as error:
            raise _unwritten("all symbols", error) from error
        rows = {symbol.decode(): entry.split(b" ", 2) for symbol, entry in found.items()}
        return {symbol: (int(row[0]), Decimal(row[1].decode())) for symbol, row in rows.items()}

    async def news(self, symbol: str) -> list[bytes]:
        """The headlines that the feed keeps of a symbol, oldest first."""
        try:
            return cast("list[bytes]", await self._redis.zrange(keys.news(symbol), 0, -1))
        except RedisError as error:
            raise _unwritten(symbol, error) from error

    async def value(self, key: str) -> bytes:
        """What a key holds; empty where there is nothing."""
        try:
            return cast("bytes", await self._redis.get(key) or b"")
        except ResponseError:
            return NOT_A_STRING
        except RedisError as error:
            raise _unwritten(key, error) from error

    async def writer_of(self, bar: Bar) -> str | None:
        """The run that wrote a bar; None where it is not there."""
        try:
            found = await read_stream(self._redis, keys.bars(bar.symbol), bar_id(bar), bar_id(bar))
        except RedisError as error:
            raise _unwritten(bar.symbol, error) from error
        return found[0].fields[b"run"].decode() if found else None

    async def bars(self, symbol: str) -> AsyncIterator[tuple[Bar, Decimal | None]]:
        """The bars of the stream in order, each with its ratio of adjustment."""
        try:
            for found in await read_stream(self._redis, keys.bars(symbol)):
                start, fields = clock.from_ms(found.number), found.fields
                open_, high, low, close, volume = (Decimal(fields[name].decode()) for name in _FIELDS)
                ratio = fields.get(b"adjust")
                yield (
                    Bar(start, symbol, open_, high, low, close, volume),
                    None if ratio is None else Decimal(ratio.decode()),
                )
        except RedisError as error:
            raise _unwritten(symbol, error) from error


def _written(answer: Any) -> Written:
    state, *more = answer
    if state == 0:
        return Written(done=False, changed=tuple(more))
    if state == 2:  # noqa: PLR2004  write.lua's word for: another run has written it
        return Written(done=False)
    if state == 3:  # noqa: PLR2004  and for: the bar before it is not there
        return Written(done=False, forgotten=True)
    found = (StreamEntry(entry_id.decode(), dict(_pairs(fields))) for entry_id, fields in more[0])
    return Written(done=True, decisions=tuple(found))


def _pairs(flat: Iterable[bytes]) -> Iterable[tuple[bytes, bytes]]:
    iterator = iter(flat)
    return zip(iterator, iterator, strict=True)


def _unwritten(symbol: str, error: RedisError) -> ServerError:
    return ServerError(
        f"The bars of {symbol} could not be written: {error}",
        "See that Redis answers, then feed the same file again: it goes on where it stopped.",
    )
