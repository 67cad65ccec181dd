"""The feed: bars in, live keys and ticks out, one write a bar and symbol, the bar's end as the time of everything."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from llmctx import canonical, clock
from llmctx.context.corporate_action import overnight_move
from llmctx.context.tick import Tick
from llmctx.flow.bars import BadRow, Bar
from llmctx.flow.marks import adjust, is_over, mark, open_position
from llmctx.flow.summary import Summary
from llmctx.flow.track import Track
from llmctx.flow.writer import BarWrite, BarWriter
from llmctx.schema.values import Position

_LONGEST_PAUSE_S = 3600
_TOLD = 5


@dataclass
class _Symbol:
    track: Track
    position: bytes


class Feed:
    """Feeds bars in the order in which they come."""

    def __init__(
        self,
        writer: BarWriter,
        *,
        interval: timedelta = timedelta(minutes=1),
        speed: float | None = None,
        ratios: Mapping[str, Decimal] | None = None,
        settled: Callable[[Tick], Awaitable[None]] | None = None,
        on_bar: Callable[[Bar], None] = lambda _: None,
        on_trouble: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`speed` is a multiple of real time, None as fast as it goes; `ratios` are splits by symbol, new shares for
        each old one; with `settled` the next bar waits until it returns for each tick (lockstep).
        """
        self._writer = writer
        self._interval = interval
        self._speed = speed
        self._ratios = dict(ratios or {})
        self._settled = settled
        self._on_bar = on_bar
        self._on_trouble = on_trouble
        self._symbols: dict[str, _Symbol] = {}
        self._told: set[str] = set()
        self._started = False
        self._others: frozenset[str] = frozenset()
        self._time: datetime | None = None
        self.summary = Summary(uuid.uuid4().hex[:12])
        """What was done so far."""

    async def run(self, rows: Iterable[Bar | BadRow]) -> Summary:
        """Feed all of them; what is no bar is told and left out.

        Raises ServerError when the server does not answer.
        """
        if not self._started:
            await self._start()
        for row in rows:
            if isinstance(row, BadRow):
                self._leave_out(f"line {row.line}: {row.why}; left out")
            elif self._time is not None and row.start < self._time:
                at = clock.iso(clock.to_ms(row.start))
                self._leave_out(f"{row.symbol} at {at}: earlier than the bar before it; sort the file by time")
            else:
                await self._feed(row)
        return self.summary

    async def _start(self) -> None:
        self._started = True
        self._others = await self._writer.held_symbols()
        if await self._writer.has_live_clock():
            self._on_trouble(
                "this Redis is in live use: its system:state goes by the server's clock. Recorded bars set it to "
                "their own time, and live data of other symbols will then lie in the future; feed them into a Redis "
                "of their own"
            )
        for name in self._ratios:
            symbol = await self._symbol(name)
            if not symbol.position:
                self._on_trouble(f"--adjust {name}: there is no position in {name} to adjust")
            await self._adjust_position(symbol)

    def _leave_out(self, why: str) -> None:
        self.summary.bad_rows += 1
        if self.summary.bad_rows <= _TOLD:
            self._on_trouble(why)
        elif self.summary.bad_rows == _TOLD + 1:
            self._on_trouble("further rows are left out without being told; the summary counts them")

    async def _pace(self, bar: Bar) -> None:
        if self._speed is not None and self._time is not None and bar.start > self._time:
            passed_s = (bar.start - self._time).total_seconds()
            # nobody watches a night go by
            pause_s = passed_s if passed_s <= _LONGEST_PAUSE_S else self._interval.total_seconds()
            await asyncio.sleep(pause_s / self._speed)
        self._time = bar.start

    async def _symbol(self, name: str) -> _Symbol:
        """What is known of a symbol; the first time, what the server knows of it."""
        if name not in self._symbols:
            track = Track(self._interval)
            async for bar, ratio in self._writer.bars(name):
                track.add(bar, ratio)
            self._symbols[name] = _Symbol(track, await self._writer.position(name))
            self.summary.symbols = sorted(self._symbols)
        return self._symbols[name]

    async def _feed(self, bar: Bar) -> None:
        symbol = await self._symbol(bar.symbol)
        if symbol.track.last is not None and bar.start <= symbol.track.last.start:
            self.summary.already_fed += 1
            self._time = bar.start
            return
        await self._pace(bar)
        ratio = symbol.track.add(bar, self._ratios.get(bar.symbol))
        while True:
            known = symbol.position
            position, cause = self._next_position(symbol, bar)
            tick = None if cause is None else self._tick(bar, cause)
            live = self._live(symbol, position, bar)
            written = await self._writer.write(BarWrite(bar, ratio, known, position, live, tick, self.summary.run))
            if written.done:
                break
            if written.position is None:  # another feed is ahead of us: go on from what it left
                del self._symbols[bar.symbol]
                self.summary.already_fed += 1
                return
            symbol.position = written.position  # somebody else rewrote it: look again
        self._count(bar, known, position, cause)
        symbol.position = position
        self._on_bar(bar)
        if tick is not None and self._settled is not None:
            await self._settled(tick)

    def _tick(self, bar: Bar, cause: str) -> Tick:
        at_ms = clock.to_ms(bar.start)
        return Tick(id=f"{self.summary.run}:{bar.symbol}:{at_ms}", symbol=bar.symbol, cause=cause)

    def _next_position(self, symbol: _Symbol, bar: Bar) -> tuple[bytes, str | None]:
        """The position after this bar, and why it asks for a decision (None: it does not)."""
        at = bar.end(self._interval)
        if not symbol.position:
            values = symbol.track.indicators.values()
            opened = open_position(bar.symbol, bar.close, at, values["macd"], values["macd_signal"])
            return (b"", None) if opened is None else (_wire(opened), "position_opened")
        position = _read(symbol.position)
        if position is None or position.last_update > at:
            return symbol.position, "position_unusable"  # its record will say why
        adjusted = self._adjusted(position, bar.close, at)
        if adjusted is None:
            return symbol.position, "corporate_action_suspected"
        if is_over(adjusted):
            return b"", None
        cause = "position_marked" if adjusted is position else "position_adjusted"
        return _wire(mark(adjusted, bar.close, at)), cause

    def _adjusted(self, position: Position, price: Decimal, at: datetime) -> Position | None:
        """The position in shares of `at`; None where it jumps and no ratio explains it."""
        if overnight_move(position.current_price, position.last_update, price, at) is None:
            return position
        ratio = self._ratios.get(position.symbol)
        if ratio is None:
            return None
        adjusted = adjust(position, ratio)
        jumps = overnight_move(adjusted.current_price, adjusted.last_update, price, at) is not None
        return None if jumps else adjusted

    async def _adjust_position(self, symbol: _Symbol) -> None:
        """Adjust a position that bars of an earlier feed have left behind."""
        last, at = symbol.track.last, symbol.track.known_at
        position = _read(symbol.position)
        if last is None or at is None or position is None or position.last_update > at:
            return
        adjusted = self._adjusted(position, last.close, at)
        if adjusted is None or adjusted is position:
            return
        rewritten = _wire(mark(adjusted, last.close, at))
        tick = self._tick(last, "position_adjusted")
        if await self._writer.rewrite_position(tick, symbol.position, rewritten):
            symbol.position = rewritten
            self.summary.adjusted.append(last.symbol)
            self.summary.ticks += 1
            if self._settled is not None:
                await self._settled(tick)

    def _live(self, symbol: _Symbol, position: bytes, bar: Bar) -> dict[str, dict[str, Any]]:
        now = clock.iso(clock.to_ms(bar.end(self._interval)))
        mine = sum(bool(other.position) for other in self._symbols.values() if other is not symbol)
        held = mine + len(self._others - self._symbols.keys())
        return {
            "price": {"price": symbol.track.session, "timestamp": now},
            "indicators": {**symbol.track.indicators.values(), "timestamp": now},
            "system": {
                "state": "running",
                "market_status": "open",
                "active_positions_count": held + bool(position),
                "watchlist_count": len(self._others | self._symbols.keys()),
                "last_scan_time": None,
                "timestamp": now,
                "clock": "bars",
            },
        }

    def _count(self, bar: Bar, before: bytes, after: bytes, cause: str | None) -> None:
        summary = self.summary
        summary.bars += 1
        summary.ticks += cause is not None
        summary.opened += not before and bool(after)
        summary.closed += bool(before) and not after
        if cause == "position_adjusted":
            summary.adjusted.append(bar.symbol)
        if cause == "corporate_action_suspected":
            summary.suspected += 1
            if bar.symbol not in self._told:
                self._told.add(bar.symbol)
                self._on_trouble(
                    f"{bar.symbol} at {clock.iso(clock.to_ms(bar.start))}: the price jumped overnight; a corporate "
                    f"action is suspected and its ticks will be skipped until the position is rewritten, or until "
                    f"you feed with --adjust {bar.symbol}=RATIO"
                )
        summary.first = summary.first or clock.iso(clock.to_ms(bar.start))
        summary.last = clock.iso(clock.to_ms(bar.end(self._interval)))


def _read(raw: bytes) -> Position | None:
    try:
        return Position.model_validate(canonical.loads(raw))
    except (ValueError, ValidationError):
        return None


def _wire(position: Position) -> bytes:
    return canonical.wire(position.model_dump() | _times(position))


def _times(position: Position) -> dict[str, str]:
    return {name: clock.iso(clock.to_ms(getattr(position, name))) for name in ("entry_time", "last_update")}
