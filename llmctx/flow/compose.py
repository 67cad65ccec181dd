"""Composes one write from a bar or a headline: live keys, streams and the tick. No I/O.

The shared keys (watchlist, candidates, market, performance, system) are written with every symbol's bar, so that they
are as recent as the bar. Those that seldom change are written only with the first bar of a moment, or when they change.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from llmctx import canonical, clock
from llmctx.context.tick import Tick
from llmctx.flow.bars import Bar
from llmctx.flow.book import Day
from llmctx.flow.mark_to_market import monitoring
from llmctx.flow.market_context import MarketContext
from llmctx.flow.news import WINDOW, Headline
from llmctx.flow.portfolio import PortfolioState
from llmctx.flow.rules import FeedRules
from llmctx.flow.signals import TradeSignal, signal_value
from llmctx.flow.step import Step
from llmctx.flow.symbol import MAX_CANDIDATES, SIGNAL_LIFETIME, Symbol, TrackedBar
from llmctx.flow.trades import history_fields, history_text
from llmctx.flow.write import Write, bar_id
from llmctx.schema import keys
from llmctx.schema.keys import BY_SECTION
from llmctx.schema.symbol import market_of

if TYPE_CHECKING:
    from llmctx.schema.values import Position

_MINUTE = timedelta(minutes=1)
_ENTRY, _EXIT = keys.SIGNAL_TYPES


class FedBar(NamedTuple):
    """A bar, and its effect on its symbol's position and the book."""

    tracked: TrackedBar
    """The bar on its symbol's track."""
    market_status: str
    """The status of the exchange at the bar's end."""
    raw_position_before: bytes
    """The position before the bar, as stored in the server."""
    step: Step
    """The position and the book after the bar."""
    tick: Tick | None
    """The tick it raises."""
    corrects: tuple[Bar, Decimal | None] | None = None
    """The bar, with its adjustment ratio, that replaces one with the same start; None without one."""

    @property
    def bar(self) -> Bar:
        """The bar."""
        return self.tracked.bar

    @property
    def end(self) -> datetime:
        """When the bar is known."""
        return self.tracked.end


class Composer:
    """Composes writes; holds what all symbols share."""

    def __init__(self, run: str, rules: FeedRules) -> None:
        self.market = MarketContext(rules.sectors, rules.vix)
        """The market, as far as the fed symbols cover it."""
        self.positions: dict[str, Position | None] = {}
        """The position of each symbol that has one; None if it cannot be read."""
        self.account = PortfolioState()
        """The paper broker's account."""
        self.watched_symbols: set[str] = set()
        """Symbols that have had a bar."""
        self.ranked_at: datetime | None = None
        """When the ranking was last written."""
        self._run = run
        self._rules = rules
        self._has_broker = rules.cost_bps is not None
        self._listed: tuple[set[str], list[str], list[str]] = (set(), [], [])
        self._watchlist_state: tuple[object, ...] = ()
        self._performance_state: tuple[Day, datetime] | None = None

    def bar(self, fed: FedBar, partition: int, stored_book: bytes, at: datetime) -> Write:
        """The write of a bar; `stored_book` is the book as the server has it, `at` the time of the clock."""
        tracked, step, name = fed.tracked, fed.step, fed.bar.symbol
        seen = step.book.seen.get(str(partition), "") if self._has_broker else ""
        before, corrected = tracked.bar_before, None if fed.corrects is None else fed.corrects[0]
        write = Write(name, partition, self._run, bar=fed.bar, bar_before=before, seen=seen, corrects=corrected)
        write.guard(BY_SECTION["position"].key(name), fed.raw_position_before)
        if self._has_broker:
            write.guard(keys.BOOK, stored_book)
        now = clock.iso_of(fed.end)
        self._add_position(write, fed, now)
        self._add_symbol_values(write, tracked, now)
        self._add_shared_values(write, fed, now)
        self._add_system(write, fed.market_status, at)
        self._add_history(write, step, stored_book)
        for effect in step.effects:
            named = effect.model_copy(update={"id": f"paper-{self._run}-{effect.id}"})
            write.append(keys.effects(partition), {"effect": named.model_dump_json()})
        if fed.corrects is None or fed.corrects[0].start == fed.bar.start:
            fields = _bar_fields(fed.bar, tracked.ratio, self._run)
            write.append(keys.bars(name), fields, max_entries=keys.MAX_BARS, entry_id=_entry_id(fed))
        else:
            write.replace(keys.bars(name), fed.corrects[0], _bar_fields(*fed.corrects, self._run))
        if fed.tick is not None:
            write.append(keys.ticks(partition), fed.tick.fields())
        return write

    def headline(self, symbol: Symbol, headline: Headline, partition: int, at: datetime, market_status: str) -> Write:
        """The write of a headline that became known at `at`."""
        write = Write(symbol.name, partition, self._run)
        oldest_ms = clock.to_ms(at - WINDOW)
        write.keep_member(keys.news(symbol.name), clock.to_ms(headline.at), headline.member(), lowest=oldest_ms)
        write.set(BY_SECTION["sentiment"], _stamped(symbol.news.wire(at), clock.iso_of(at)))
        self._add_system(write, market_status, at)
        return write

    def _add_position(self, write: Write, fed: FedBar, now: str) -> None:
        step, symbol = fed.step, fed.tracked.symbol
        if step.raw_position != fed.raw_position_before:
            if step.raw_position:
                write.set(BY_SECTION["position"], step.raw_position)
            else:
                write.delete(BY_SECTION["position"])
        if not step.raw_position and symbol.monitored:
            write.delete(BY_SECTION["monitoring"])
        if step.position is not None:
            readings = monitoring(step.position, symbol.track, fed.end, one_minute=self._rules.interval == _MINUTE)
            write.set(BY_SECTION["monitoring"], _stamped(readings, now))
        if step.opened:
            write.delete(BY_SECTION["signals"], signal_type=_EXIT)  # it was about the previous position
        for signal_type, signal, price in _signals(fed):
            value = signal_value(signal, price, symbol.track)
            write.set(BY_SECTION["signals"], _stamped(value, now), signal_type=signal_type)

    def _add_symbol_values(self, write: Write, tracked: TrackedBar, now: str) -> None:
        symbol = tracked.symbol
        write.set(BY_SECTION["price"], _stamped({"price": symbol.track.session}, now))
        write.set(BY_SECTION["indicators"], _stamped(symbol.track.now, now))
        write.set(BY_SECTION["sentiment"], _stamped(symbol.news.wire(tracked.end), now))
        if timeframes := symbol.track.timeframes.value():
            write.set(keys.TIMEFRAMES, _stamped(timeframes, now))

    def _add_shared_values(self, write: Write, fed: FedBar, now: str) -> None:
        listed = self._listed_symbols()
        state = (fed.tracked.symbol.track.day, len(self.watched_symbols), len(self.positions.keys()), *listed)
        if state != self._watchlist_state:
            self._watchlist_state = state
            write.set(BY_SECTION["watchlist"], canonical.wire(listed))
        self.ranked_at = fed.end
        self._add_ranking(write, fed.tracked, now)
        write.set(BY_SECTION["market"], _stamped(self.market.value(), now))
        day = fed.step.book.day
        if self._has_broker and self._performance_state != (day, fed.end):
            self._performance_state = day, fed.end
            write.set(BY_SECTION["performance"], _stamped(day.performance(), now))
        if self._has_broker:
            write.keep_value(keys.PORTFOLIO, _stamped(self.account.wire(day, self.positions), now))

    def _listed_symbols(self) -> list[str]:
        """The symbols of the watchlist, sorted: those that had a bar and those held. They seldom change."""
        watched, held, listed = self._listed
        if watched != self.watched_symbols or held != list(self.positions):
            listed = sorted(self.watched_symbols | set(map(market_of, self.positions)))
            self._listed = set(self.watched_symbols), list(self.positions), listed
        return listed

    def _add_ranking(self, write: Write, tracked: TrackedBar, now: str) -> None:
        track = tracked.symbol.track
        candidate = tracked.symbol.screen.candidate(track)
        write.rank(
            candidate["score"],
            clock.to_ms(tracked.end),
            track.change_pct,
            _stamped(candidate, now),
            oldest_ms=clock.to_ms(tracked.end - SIGNAL_LIFETIME),
            max_ranked=MAX_CANDIDATES,
        )

    def _add_system(self, write: Write, market_status: str, at: datetime) -> None:
        state = {
            "state": "running",
            "market_status": market_status,
            "active_positions_count": len(self.positions.keys()),
            "watchlist_count": len(self._listed_symbols()),
            "last_scan_time": None if self.ranked_at is None else clock.iso_of(self.ranked_at),
            "timestamp": clock.iso_of(at),
        }
        write.set(BY_SECTION["system"], canonical.wire(state if self._rules.live else state | {"clock": "bars"}))

    def _add_history(self, write: Write, step: Step, stored_book: bytes) -> None:
        if not self._has_broker:
            return
        for fill in step.fills:
            write.append(keys.FILLS, history_fields(fill), max_entries=keys.MAX_HISTORY)
        for payment in step.funding:
            write.append(keys.FUNDING, history_fields(payment), max_entries=keys.MAX_HISTORY)
        if step.closed is not None:
            write.append(keys.CLOSED, history_fields(step.closed), max_entries=keys.MAX_HISTORY)
        if step.day_before is not None:
            write.append(keys.DAYS, _day_fields(step.day_before), max_entries=keys.MAX_HISTORY)
        if step.book.wire != stored_book:
            write.keep_value(keys.BOOK, step.book.wire)


def _day_fields(day: Day) -> dict[str, str]:
    """A closed day as an entry of its stream."""
    closing = {"date": day.date, "first_equity": day.equity, "last_equity": day.equity + day.earned}
    return {name: history_text(value) for name, value in (closing | day.performance()).items()}


def _signals(fed: FedBar) -> list[tuple[str, TradeSignal, Decimal]]:
    """The signals to write: type, signal, and the price at which it was seen."""
    entry, exit_signal = fed.tracked.signals, fed.step.exit_signal
    found = [(_ENTRY, entry[0], fed.bar.close)] if entry else []
    if exit_signal is not None:
        found.append((_EXIT, *exit_signal))
    return found


def _entry_id(fed: FedBar) -> str:
    """The bar's id in the stream; a corrected bar has the next one of its start, since an id is never used again."""
    return bar_id(fed.bar) if fed.corrects is None else f"{clock.to_ms(fed.bar.start)}-*"


def _bar_fields(bar: Bar, ratio: Decimal | None, run: str) -> dict[str, str]:
    names = ("open", "high", "low", "close", "volume")
    fields = {"run": run} | {name: canonical.plain(getattr(bar, name)) for name in names}
    return fields if ratio is None else fields | {"adjust": str(ratio)}


def _stamped(value: dict[str, Any] | bytes, now: str) -> bytes:
    """A value, or its JSON, with its timestamp appended."""
    text = value if isinstance(value, bytes) else canonical.wire(value)
    return b'%s,"timestamp":"%s"}' % (text[:-1], now.encode())
