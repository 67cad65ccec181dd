"""The feed's access to Redis: all changes of one bar are written in one call.

Others may rewrite a position at any time (an execution side, a person after a split), and another feed may trade in the
same book, so a write names the values it is based on and is refused if one of them has changed.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from llmctx import clock
from llmctx.connection.streams import StreamEntry, read_stream, read_stream_back
from llmctx.context.snapshot import as_of
from llmctx.errors import ServerError
from llmctx.flow.bars import Bar
from llmctx.flow.mark_to_market import position_from_wire
from llmctx.flow.write import Write
from llmctx.functions import ServerFunction
from llmctx.schema import keys
from llmctx.schema.values import Position

NOT_A_STRING = b"not a string"
"""write.lua reports this for a guarded key of another type; the feed leaves such a key alone."""

_PRICE_FIELDS = (b"open", b"high", b"low", b"close", b"volume")
_WRITE = ServerFunction(Path(__file__).with_name("write.lua"))
_REFUSED, _OTHER_RUN, _BAR_LOST = 0, 2, 3  # states of write.lua


class WriteResult(NamedTuple):
    """The outcome of a write."""

    done: bool
    """Whether the server has it as this run wrote it."""
    changed: tuple[bytes, ...] = ()
    """The current values of the guarded keys, if somebody else changed one; empty if another run wrote the bar."""
    bar_lost: bool = False
    """Whether the server has lost the previous bar."""
    decisions: tuple[StreamEntry, ...] = ()
    """The partition's decisions since the last one read."""


class Store:
    """The data of a feed in one server. Every method raises ServerError if the server does not answer."""

    def __init__(self, redis: Redis, partitions: int) -> None:
        self._redis = redis
        self._partitions = partitions

    def partition_of(self, symbol: str) -> int:
        """The partition of a symbol's ticks and decisions."""
        return keys.partition_of(symbol, self._partitions)

    async def write(self, writes: Sequence[Write]) -> list[WriteResult]:
        """Send the writes in one round trip, in order, and return each outcome.

        A repeated call changes nothing that is already written.
        """
        with _redis_errors(writes[0].symbol):
            if len(writes) == 1:
                answers = [await _WRITE(self._redis, *writes[0].call())]
            else:
                answers = await _WRITE.many(self._redis, [write.call() for write in writes])
        return [_result_of(answer) for answer in answers]

    async def positions(self) -> dict[str, Position | None]:
        """The position of each symbol that has one; None if it cannot be read."""
        family = keys.BY_SECTION["position"]
        with _redis_errors("all symbols"):
            found = [cast("bytes", key) async for key in self._redis.scan_iter(family.key("*"), count=1000)]
            raw = cast("list[bytes | None]", await self._redis.mget(found) if found else [])
        symbols = [key.decode(errors="replace").removeprefix(family.key("")) for key in found]
        return {symbol: position_from_wire(text or b"") for symbol, text in zip(symbols, raw, strict=True)}

    async def clock(self) -> tuple[int | None, bool]:
        """The time of the bars clock in ms, None if no feed has set it; and whether there is a live clock instead."""
        state = await self.value(keys.BY_SECTION["system"].key())
        if state in (b"", NOT_A_STRING):
            return None, False
        at_ms, whose = as_of(state, 0)
        return (at_ms, False) if whose == "bars" else (None, True)

    async def decisions(self, partition: int, after: str) -> list[StreamEntry]:
        """A partition's decisions after an id, oldest first."""
        with _redis_errors("all symbols"):
            return await read_stream(self._redis, keys.decisions(partition), f"({after}")

    async def last_decisions(self) -> dict[int, str]:
        """The id of each partition's last decision; 0-0 if there is none."""
        with _redis_errors("all symbols"):
            newest = [
                await read_stream_back(self._redis, keys.decisions(partition), count=1)
                for partition in range(self._partitions)
            ]
        return {partition: found[0].id if found else "0-0" for partition, found in enumerate(newest)}

    async def screened(self) -> dict[str, tuple[int, Decimal]]:
        """Each screened symbol, with the end of its last bar in ms and its change of that day in percent."""
        with _redis_errors("all symbols"):
            found = cast("dict[bytes, bytes]", await self._redis.hgetall(keys.SCREENED))
        rows = {symbol.decode(): entry.split(b" ", 2) for symbol, entry in found.items()}
        return {symbol: (int(row[0]), Decimal(row[1].decode())) for symbol, row in rows.items()}

    async def news(self, symbol: str) -> list[bytes]:
        """A symbol's stored headlines, oldest first."""
        with _redis_errors(symbol):
            return cast("list[bytes]", await self._redis.zrange(keys.news(symbol), 0, -1))

    async def value(self, key: str) -> bytes:
        """The value of a key; empty if there is none."""
        with _redis_errors(key):
            try:
                return cast("bytes", await self._redis.get(key) or b"")
            except ResponseError:
                return NOT_A_STRING

    async def writer_of(self, bar: Bar) -> str | None:
        """The run that wrote a bar; None if the bar is missing."""
        with _redis_errors(bar.symbol):
            at_ms = str(clock.to_ms(bar.start))
            found = await read_stream(self._redis, keys.bars(bar.symbol), at_ms, at_ms)
        return found[0].fields[b"run"].decode() if found else None

    async def bar_at(self, symbol: str, start: datetime) -> Bar | None:
        """The stream's bar that begins at a time; None if there is none."""
        at_ms = str(clock.to_ms(start))
        with _redis_errors(symbol):
            found = await read_stream(self._redis, keys.bars(symbol), at_ms, at_ms)
        return bar_of(symbol, found[0])[0] if found else None

    async def bars(self, symbol: str) -> AsyncIterator[tuple[Bar, Decimal | None]]:
        """Yield the bars of the stream in order, each with its adjustment ratio."""
        with _redis_errors(symbol):
            for found in await read_stream(self._redis, keys.bars(symbol)):
                yield bar_of(symbol, found)


def bar_of(symbol: str, entry: StreamEntry) -> tuple[Bar, Decimal | None]:
    """The bar in an entry of a stream, also of an archived one, and its adjustment ratio.

    Raises KeyError, ValueError or ArithmeticError if it holds none.
    """
    fields, ratio = entry.fields, entry.fields.get(b"adjust")
    numbers = (Decimal(fields[name].decode()) for name in _PRICE_FIELDS)
    return Bar(clock.from_ms(entry.number), symbol, *numbers), None if ratio is None else Decimal(ratio.decode())


def _result_of(answer: Any) -> WriteResult:
    state, *more = answer
    if state == _REFUSED:
        return WriteResult(done=False, changed=tuple(more))
    if state in (_OTHER_RUN, _BAR_LOST):
        return WriteResult(done=False, bar_lost=state == _BAR_LOST)
    found = (StreamEntry(entry_id.decode(), dict(_pairs(fields))) for entry_id, fields in more[0])
    return WriteResult(done=True, decisions=tuple(found))


def _pairs(flat: Iterable[bytes]) -> Iterable[tuple[bytes, bytes]]:
    iterator = iter(flat)
    return zip(iterator, iterator, strict=True)


@contextmanager
def _redis_errors(symbol: str) -> Iterator[None]:
    """Turn Redis errors into ServerErrors about a symbol."""
    try:
        yield
    except RedisError as error:
        raise ServerError(
            f"The bars of {symbol} could not be read or written: {error}",
            "See that Redis answers, then feed the same file again: it resumes where it stopped.",
        ) from error
