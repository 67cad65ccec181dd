"""The door through which the feed writes: everything that a bar says about a symbol, in one call.

Others may rewrite a position at any time (an execution side, a person after a split), so the write names the
position it stands on and is refused where that has changed.
"""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError, WatchError

from llmctx import canonical, clock
from llmctx.connection import read_stream
from llmctx.context.snapshot import as_of
from llmctx.context.tick import Tick
from llmctx.errors import ServerError
from llmctx.flow.bars import Bar
from llmctx.functions import ServerFunction
from llmctx.schema import keys

NOT_A_STRING = b"not a string"
"""What bar.lua takes a position key of another type for; it is left alone."""

_FIELDS = (b"open", b"high", b"low", b"close", b"volume")
_BAR = ServerFunction(Path(__file__).with_name("bar.lua"))


class BarWrite(NamedTuple):
    """Everything that one bar changes."""

    bar: Bar
    """The bar itself, for the stream."""
    ratio: Decimal | None
    """New shares for each old one, where earlier prices were adjusted at this bar."""
    known: bytes
    """The position as the writer knows it; empty for none."""
    position: bytes
    """The position to write; empty deletes it."""
    live: dict[str, dict[str, Any]]
    """Section name to value, for every other live key of this bar."""
    tick: Tick | None
    """The tick that it raises."""
    run: str
    """The writer's run."""


class Written(NamedTuple):
    """What became of a write."""

    done: bool
    """Whether the bar stands there as this run wrote it."""
    position: bytes | None = None
    """The position that somebody else has put there meanwhile; None where another run has written the bar."""


class BarWriter:
    """Writes bars to one server."""

    def __init__(self, redis: Redis, partitions: int) -> None:
        self._redis = redis
        self._partitions = partitions

    async def write(self, write: BarWrite) -> Written:
        """Write a bar, unless somebody else has changed the position, or another run has written the bar.

        Raises ServerError when the server does not answer; calling again changes nothing that is written already.
        """
        symbol = write.bar.symbol
        families = [keys.BY_SECTION[section] for section in write.live]
        tick = write.tick or Tick.model_construct(id="", symbol=symbol, cause="")
        arguments: list[bytes | str | int] = [
            write.known,
            write.position,
            f"{clock.to_ms(write.bar.start)}-0",
            keys.KEPT_BARS,
            "" if write.ratio is None else str(write.ratio),
            *(str(number) for number in write.bar[2:]),
            tick.id,
            tick.symbol,
            tick.cause,
            write.run,
        ]
        for family in families:
            arguments += [family.lifetime_s or 0, canonical.wire(write.live[family.section])]
        names = [
            keys.BY_SECTION["position"].key(symbol),
            keys.bars(symbol),
            keys.ticks(keys.partition_of(symbol, self._partitions)),
            *(family.key(symbol) for family in families),
        ]
        try:
            done, *changed = await _BAR(self._redis, names, arguments)
        except RedisError as error:
            raise _unwritten(symbol, error) from error
        return Written(done == 1, changed[0] if changed else None)

    async def rewrite_position(self, tick: Tick, known: bytes, position: bytes) -> bool:
        """Put a position in place of the one that is known and raise its tick; False where that one has changed.

        Raises ServerError when the server does not answer.
        """
        key = keys.BY_SECTION["position"].key(tick.symbol)
        try:
            async with self._redis.pipeline(transaction=True) as both:
                await both.watch(key)
                if await both.get(key) != known:
                    return False
                both.multi()  # type: ignore[no-untyped-call]  # untyped in redis-py
                both.set(key, position)
                both.xadd(keys.ticks(keys.partition_of(tick.symbol, self._partitions)), tick.fields())
                await both.execute()
        except WatchError:
            return False
        except RedisError as error:
            raise _unwritten(tick.symbol, error) from error
        return True

    async def held_symbols(self) -> frozenset[str]:
        """Every symbol that has a position."""
        pattern = keys.BY_SECTION["position"].key("*")
        try:
            found = [key async for key in self._redis.scan_iter(pattern, count=1000)]
        except RedisError as error:
            raise _unwritten("all symbols", error) from error
        return frozenset(cast("bytes", key).decode(errors="replace").rpartition(":")[2] for key in found)

    async def has_live_clock(self) -> bool:
        """Whether system:state is there and goes by the server's clock."""
        try:
            state = cast("bytes | None", await self._redis.get(keys.BY_SECTION["system"].key()))
        except ResponseError:
            return False
        except RedisError as error:
            raise _unwritten("the system state", error) from error
        return state is not None and as_of(state, 0)[1] == "server"

    async def position(self, symbol: str) -> bytes:
        """A symbol's position as it stands; empty where there is none."""
        try:
            return cast("bytes", await self._redis.get(keys.BY_SECTION["position"].key(symbol)) or b"")
        except ResponseError:
            return NOT_A_STRING
        except RedisError as error:
            raise _unwritten(symbol, error) from error

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


def _unwritten(symbol: str, error: RedisError) -> ServerError:
    return ServerError(
        f"The bars of {symbol} could not be written: {error}",
        "See that Redis answers, then feed the same file again: it goes on where it stopped.",
    )
