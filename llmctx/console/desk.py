"""The desk: every open position as it stands now, with its last decision and whatever needs attention."""

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from redis.exceptions import RedisError

from llmctx.connection import server_ms
from llmctx.connection.streams import read_stream_back
from llmctx.console.api_models import StatusAnswer
from llmctx.console.story import Brief, brief_of
from llmctx.console.subject import Live
from llmctx.context.marks import read_bar
from llmctx.context.package import Package, build_package
from llmctx.context.reader import read_snapshot
from llmctx.decision.approval import AWAITS_APPROVAL
from llmctx.decision.stop import STOP_UNCONFIRMED
from llmctx.errors import CheckpointError, ServerError
from llmctx.schema import keys, values
from llmctx.schema.symbol import is_symbol
from llmctx.trail.log.log import Log
from llmctx.trail.proof.checkpoint import read_note
from llmctx.trail.source.filter import Filter
from llmctx.trail.source.lookup import newest
from llmctx.trail.source.source import Source
from llmctx.worker.budget import in_words, read_budget
from llmctx.worker.controls import halted
from llmctx.worker.status import first_since

MAX_ROWS = 200
"""Positions shown; the rest are counted."""
FEED_ROWS = 12
"""Newest records shown under the positions."""
_SPARK_BARS = 40
_MINUTE_MS = 60_000
_POSITION = keys.BY_SECTION["position"]
_GOOD = ("fresh", "empty")
_QUIET = ("signals.entry", "signals.exit", "sentiment", "watchlist", "thesis")
"""Sections that a position may well lack."""


class PositionRow(NamedTuple):
    """One row: an open position."""

    symbol: str
    """Its symbol."""
    package: Package | None
    """Its current package; None if it could not be read."""
    gaps: tuple[str, ...]
    """Sections that are stale, missing or invalid, with their status."""
    closes: tuple[Decimal, ...]
    """The last closing prices, oldest first."""
    last: Brief | None
    """Its newest record."""
    answered: bool = False
    """Whether a person has approved or overridden that record."""

    @property
    def position(self) -> values.Position | None:
        """The position; None if it is unusable."""
        found = None if self.package is None else self.package.sections["position"].value
        return found if isinstance(found, values.Position) else None

    @property
    def price(self) -> Decimal | None:
        """The last price; None if it is unusable."""
        found = None if self.package is None else self.package.sections["price"].value
        return found.price.last if isinstance(found, values.Price) else None

    @property
    def profit(self) -> Decimal | None:
        """The profit at the last price."""
        held, price = self.position, self.price
        if held is None or price is None:
            return None
        return (price - held.entry_price) * held.quantity * (1 if held.side == "long" else -1)

    @property
    def unconfirmed(self) -> bool:
        """Whether a stop waits for a confirmation of its price."""
        return self.last is not None and STOP_UNCONFIRMED in self.last.guards

    @property
    def waits(self) -> bool:
        """Whether its last decision waits for a person, or has expired."""
        return not self.answered and self.last is not None and AWAITS_APPROVAL in self.last.guards

    @property
    def needs_a_look(self) -> bool:
        """Whether something about it needs a person's attention."""
        return bool(self.unconfirmed or self.waits or self.gaps or self.position is None)

    @property
    def between(self) -> float | None:
        """Where the price is between stop (0) and target (1); None if one of them is not set."""
        held, price = self.position, self.price
        if held is None or price is None or held.stop_loss is None or held.take_profit is None:
            return None
        width = held.take_profit - held.stop_loss
        return None if width == 0 else float(min(max((price - held.stop_loss) / width, Decimal(0)), Decimal(1)))


class Desk(NamedTuple):
    """Everything on the desk at one time."""

    head: StatusAnswer
    """Its head."""
    rows: Sequence[PositionRow]
    """The positions, those that need attention first."""
    feed: Sequence[Brief]
    """The newest records, newest first."""


async def read_desk(live: Live, source: Source) -> Desk:
    """Read the desk.

    Raises SnapshotError, ServerError or TrailError if the server does not answer.
    """
    try:
        return await _read(live, source)
    except RedisError as error:
        raise ServerError(f"The server went away while it was asked: {error}.", "The page asks again.") from error


async def _read(live: Live, source: Source) -> Desk:
    symbols = [symbol async for symbol in _held(live)]
    rows = [await _row(live, source, symbol) for symbol in sorted(symbols)[:MAX_ROWS]]
    rows.sort(key=lambda row: (not row.unconfirmed, not row.gaps, row.symbol))
    recent = (await newest(source.parts, Filter(), FEED_ROWS)).entries[::-1]
    feed = [brief_of(entry, source.partitions) for entry in recent]
    return Desk(await _head(live, len(symbols)), rows, feed)


async def _held(live: Live) -> AsyncIterator[str]:
    seen: set[str] = set()  # a scan may return a key twice
    async for key in live.redis.scan_iter(_POSITION.key("*"), count=1000):
        symbol = key.decode(errors="replace").removeprefix(_POSITION.key(""))
        if is_symbol(symbol) and symbol not in seen:
            seen.add(symbol)
            yield symbol


async def read_position(live: Live, symbol: str) -> Package:
    """The current package of a symbol, without what the trail said about it before. Raises SnapshotError if the server
    does not answer.
    """
    return build_package(await read_snapshot(live.redis, symbol, live.partition_of(symbol), live.rules))


async def read_closes(live: Live, symbol: str, count: int) -> list[tuple[int, Decimal]]:
    """Start and close of the newest bars of a symbol, oldest first; malformed ones are left out."""
    found = await read_stream_back(live.redis, keys.bars(symbol), count=count)
    bars = [read_bar(f"{entry.number}-0".encode(), entry.fields.get(b"close", b"")) for entry in reversed(found)]
    return [(bar.start_ms, bar.close) for bar in bars if bar is not None]


async def _row(live: Live, source: Source, symbol: str) -> PositionRow:
    package = await read_position(live, symbol)
    gaps = tuple(
        f"{name} {section.status}"
        for name, section in package.sections.items()
        if str(section.status) not in _GOOD and not (name in _QUIET and str(section.status) == "missing")
    )
    closes = tuple(close for _, close in await read_closes(live, symbol, _SPARK_BARS))
    return PositionRow(symbol, package, gaps, closes, *await _last_record(source, live.partition_of(symbol), symbol))


async def _last_record(source: Source, partition: int, symbol: str) -> tuple[Brief | None, bool]:
    """The newest record that settles a tick of a symbol, and whether a person has approved or overridden it."""
    answered = set[int]()
    for part in source.parts:
        if part.partition == partition:
            async for entry in part.read_back_of(symbol):
                record = entry.record
                if record.get("symbol") == symbol and "tick" in record:
                    return brief_of(entry, source.partitions), entry.index in answered
                if record["kind"] in ("approval", "override"):
                    answered.add(record.get("about", {}).get("index", -1))
    return None, False


async def read_status(live: Live) -> StatusAnswer:
    """The state of the trail. Raises ServerError or TrailError if the server does not answer."""
    try:
        return await _head(live, len([symbol async for symbol in _held(live)]))
    except RedisError as error:
        raise ServerError(f"The server went away while it was asked: {error}.", "Ask again.") from error


async def _head(live: Live, positions: int) -> StatusAnswer:
    now_ms = await server_ms(live.redis)
    backlog = records = unsigned = per_minute = 0
    signed: list[int] = []
    for partition in range(live.instance.partitions):
        log = Log(live.redis, partition)
        size, note = await log.size(), await log.checkpoint()
        backlog += await live.redis.xlen(keys.ticks(partition))
        records += size
        per_minute += size - await first_since(log, size, now_ms - _MINUTE_MS)
        try:
            checkpoint = None if note is None else read_note(note)
        except CheckpointError:
            checkpoint = None  # the health page says so
        unsigned += size if checkpoint is None else max(0, size - checkpoint.size)
        if checkpoint is not None:
            signed.append(checkpoint.time_ms)
    budget = await read_budget(live.redis)
    return StatusAnswer(
        positions=positions,
        records_last_minute=per_minute,
        backlog=backlog,
        records=records,
        signed_at_ms=min(signed, default=None),
        unsigned_records=unsigned,
        budget=None if budget is None else in_words(budget),
        calls_refused=0 if budget is None else sum(budget["refused"].values()),
        halted=await halted(live.redis),
    )
