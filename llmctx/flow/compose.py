"""What goes out: the live keys, streams and the tick of one bar or headline, put into one write. No I/O.

The shared keys (watchlist, candidates, market, performance, system) are written along with every symbol's bar, so that
they are as new as it is; those that seldom change go out with the first bar of a moment only, or when they do change.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx import canonical, clock
from llmctx.context.tick import Tick
from llmctx.flow.bars import Bar
from llmctx.flow.book import Day
from llmctx.flow.fills import fields_of, text_of
from llmctx.flow.market import Market
from llmctx.flow.monitoring import monitoring
from llmctx.flow.news import WINDOW, Headline
from llmctx.flow.screening import FRESH, RANKED
from llmctx.flow.signals import Signal, signal_value
from llmctx.flow.step import Step
from llmctx.flow.symbol import Symbol
from llmctx.flow.write import Write, bar_id
from llmctx.schema import keys
from llmctx.schema.keys import BY_SECTION

_MINUTE = timedelta(minutes=1)
_ENTRY, _EXIT = keys.SIGNAL_TYPES


class Taken(NamedTuple):
    """A bar that was taken, and what it makes of its symbol."""

    symbol: Symbol
    """The symbol."""
    bar: Bar
    """The bar."""
    bar_before: Bar | None
    """The symbol's bar before it."""
    end: datetime
    """When it is known."""
    ratio: Decimal | None
    """New shares for each old one, where earlier prices were adjusted at this bar."""
    found: list[Signal]
    """The entry signals that it gives, the surest first."""
    market_status: str
    """Whether the exchange is open at its end."""
    before: bytes
    """The position before, as it stands in the server."""
    step: Step
    """What it makes of the position and the book."""
    tick: Tick | None
    """The tick that it raises."""


class Composer:
    """Puts writes together; knows what all symbols share."""

    def __init__(self, run: str, market: Market, interval: timedelta, *, live: bool, broker: bool) -> None:
        self.market = market
        """The market as far as it is covered."""
        self.held: set[str] = set()
        """Symbols with a position."""
        self.watched: set[str] = set()
        """Symbols that have had a bar."""
        self.scanned: datetime | None = None
        """When the ranking was last written."""
        self._run = run
        self._interval = interval
        self._live = live
        self._broker = broker
        self._listed: tuple[object, ...] = ()
        self._booked: tuple[Day, datetime] | None = None

    def bar(self, taken: Taken, partition: int, stored_book: bytes, at: datetime) -> Write:
        """The write of a bar; `stored_book` is the book as the server has it, `at` the time of the clock."""
        symbol, step = taken.symbol, taken.step
        seen = step.book.seen.get(str(partition), "") if self._broker else ""
        write = Write(symbol.name, partition, self._run, bar=taken.bar, bar_before=taken.bar_before, seen=seen)
        write.guard(BY_SECTION["position"].key(symbol.name), taken.before)
        if self._broker:
            write.guard(keys.BOOK, stored_book)
        now = clock.iso_of(taken.end)
        self._position(write, taken, now)
        self._symbol_values(write, taken, now)
        self._shared_values(write, taken, now)
        self._system(write, taken.market_status, at)
        self._history(write, step, stored_book)
        write.append(
            keys.bars(symbol.name), _bar_fields(taken, self._run), most=keys.KEPT_BARS, entry_id=bar_id(taken.bar)
        )
        if taken.tick is not None:
            write.append(keys.ticks(partition), taken.tick.fields())
        return write

    def headline(self, symbol: Symbol, headline: Headline, partition: int, at: datetime, market_status: str) -> Write:
        """The write of a headline that became known at `at`."""
        write = Write(symbol.name, partition, self._run)
        oldest_ms = clock.to_ms(at - WINDOW)
        write.keep_member(keys.news(symbol.name), clock.to_ms(headline.at), headline.member(), lowest=oldest_ms)
        write.set(BY_SECTION["sentiment"], _stamped(symbol.news.wire(at), clock.iso_of(at)))
        self._system(write, market_status, at)
        return write

    def _position(self, write: Write, taken: Taken, now: str) -> None:
        step, symbol = taken.step, taken.symbol
        if step.raw != taken.before:
            if step.raw:
                write.set(BY_SECTION["position"], step.raw)
            else:
                write.delete(BY_SECTION["position"])
        if not step.raw and symbol.monitored:
            write.delete(BY_SECTION["monitoring"])
        if step.held is not None:
            readings = monitoring(step.held, symbol.track, taken.end, one_minute=self._interval == _MINUTE)
            write.set(BY_SECTION["monitoring"], _stamped(readings, now))
        if step.opened:
            write.delete(BY_SECTION["signals"], signal_type=_EXIT)  # it spoke of the position before
        for signal_type, signal, price in _signals(taken):
            value = signal_value(signal, price, symbol.track)
            write.set(BY_SECTION["signals"], _stamped(value, now), signal_type=signal_type)

    def _symbol_values(self, write: Write, taken: Taken, now: str) -> None:
        track = taken.symbol.track
        write.set(BY_SECTION["price"], _stamped({"price": track.session}, now))
        write.set(BY_SECTION["indicators"], _stamped(track.now, now))
        write.set(BY_SECTION["sentiment"], _stamped(taken.symbol.news.wire(taken.end), now))

    def _shared_values(self, write: Write, taken: Taken, now: str) -> None:
        listed = (taken.bar.start.date(), len(self.watched), len(self.held), *sorted(self.watched | self.held))
        if listed != self._listed:
            self._listed = listed
            write.set(BY_SECTION["watchlist"], canonical.wire(sorted(self.watched | self.held)))
        self.scanned = taken.end
        candidate = taken.symbol.screen.candidate(taken.symbol.track)
        end_ms, change_pct = clock.to_ms(taken.end), taken.symbol.track.change_pct
        oldest_ms = clock.to_ms(taken.end - FRESH)
        write.rank(candidate["score"], end_ms, change_pct, _stamped(candidate, now), oldest_ms=oldest_ms, most=RANKED)
        write.set(BY_SECTION["market"], _stamped(self.market.value(), now))
        day = taken.step.book.day
        if self._broker and self._booked != (day, taken.end):
            self._booked = day, taken.end
            write.set(BY_SECTION["performance"], _stamped(day.performance(), now))

    def _system(self, write: Write, market_status: str, at: datetime) -> None:
        state = {
            "state": "running",
            "market_status": market_status,
            "active_positions_count": len(self.held),
            "watchlist_count": len(self.watched | self.held),
            "last_scan_time": None if self.scanned is None else clock.iso_of(self.scanned),
            "timestamp": clock.iso_of(at),
        }
        write.set(BY_SECTION["system"], canonical.wire(state if self._live else state | {"clock": "bars"}))

    def _history(self, write: Write, step: Step, stored_book: bytes) -> None:
        if not self._broker:
            return
        for fill in step.fills:
            write.append(keys.FILLS, fields_of(fill), most=keys.KEPT_HISTORY)
        if step.closed is not None:
            write.append(keys.CLOSED, fields_of(step.closed), most=keys.KEPT_HISTORY)
        if step.day_before is not None:
            write.append(keys.DAYS, day_fields(step.day_before), most=keys.KEPT_HISTORY)
        if step.book.wire != stored_book:
            write.keep_value(keys.BOOK, step.book.wire)


def day_fields(day: Day) -> dict[str, str]:
    """A closed day as an entry of its stream."""
    closing = {"date": day.date, "first_equity": day.equity, "last_equity": day.equity + day.earned}
    told = closing | day.performance()
    return {name: text_of(value) for name, value in told.items()}


def _signals(taken: Taken) -> list[tuple[str, Signal, Decimal]]:
    told = [(_ENTRY, taken.found[0], taken.bar.close)] if taken.found else []
    if taken.step.exit_signal is not None:
        told.append((_EXIT, *taken.step.exit_signal))
    return told


def _bar_fields(taken: Taken, run: str) -> dict[str, str]:
    names = ("open", "high", "low", "close", "volume")
    fields = {"run": run} | {name: canonical.plain(number) for name, number in zip(names, taken.bar[2:], strict=True)}
    return fields if taken.ratio is None else fields | {"adjust": str(taken.ratio)}


def _stamped(value: dict[str, Any] | bytes, now: str) -> bytes:
    """A value, or its JSON, with its timestamp behind it."""
    text = value if isinstance(value, bytes) else canonical.wire(value)
    return b'%s,"timestamp":"%s"}' % (text[:-1], now.encode())
