"""What a feed knows of one symbol, and how much attention the symbol deserves.

score = 0.35 x volume + 0.35 x move + 0.30 x signal, each part from 0 to 1:

- volume: the newest bar's volume as a multiple of the usual one, divided by three
- move: the absolute change of the day in percent, divided by two
- signal: the highest confidence of an entry signal of the last half hour
"""

from collections import deque
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx.flow.bars import Bar
from llmctx.flow.funding import FundingRate
from llmctx.flow.mark_to_market import position_from_wire
from llmctx.flow.news import NewsWindow
from llmctx.flow.signals import TradeSignal, entries
from llmctx.flow.timeframes import NO_FRAMES, FrameRules
from llmctx.flow.track import Track
from llmctx.schema.values import Position

MAX_CANDIDATES = 20
"""How many candidates are ranked."""
SIGNAL_LIFETIME = timedelta(minutes=30)
"""How long an entry signal counts."""
_VOLUME_WEIGHT, _MOVE_WEIGHT, _SIGNAL_WEIGHT = Decimal("0.35"), Decimal("0.35"), Decimal("0.30")
_SCORE_STEP = Decimal("0.0001")
_ONE = Decimal(1)


class TrackedBar(NamedTuple):
    """A bar added to its symbol's track."""

    symbol: "Symbol"
    """Its symbol."""
    bar: Bar
    """The bar."""
    bar_before: Bar | None
    """The symbol's previous bar."""
    end: datetime
    """When the bar is known."""
    ratio: Decimal | None
    """New shares for each old one, if earlier prices were adjusted at this bar."""
    signals: list[TradeSignal]
    """Its entry signals, highest confidence first."""
    funding: tuple[FundingRate, ...] = ()
    """The funding rates paid since the bar before it, up to its end."""
    funding_rate: Decimal | None = None
    """The newest funding rate; None if none is known."""


class Symbol:
    """One symbol: its track, recent signals, news, and its position as stored in the server."""

    def __init__(
        self,
        name: str,
        interval: timedelta,
        day_of: Callable[[datetime], date] = datetime.date,
        frames: FrameRules = NO_FRAMES,
    ) -> None:
        """`day_of` returns the session that a time belongs to."""
        self.name = name
        self.track = Track(interval, day_of, frames)
        self.screen = Screen()
        self.first: datetime | None = None
        """The start of its first bar that the server may still have; None before the first."""
        self.news = NewsWindow()
        self.monitored = True
        """Whether positions:monitoring may exist, even if somebody else has closed the position."""
        self.raw_position = b""
        """The position as stored in the server; empty if there is none."""
        self.position: Position | None = None
        """The position; None if there is none, or it is malformed."""
        self._interval = interval

    def replay(self, bars: list[tuple[Bar, Decimal | None]]) -> None:
        """Add the bars of an earlier feed, each with its adjustment ratio."""
        self.first = bars[0][0].start if bars else None
        for bar, ratio in bars:
            self.track.add(bar, ratio)
            if bar.start > bars[-1][0].start - SIGNAL_LIFETIME:
                self.screen.add(bar.end(self._interval), entries(self.track))

    def add(self, bar: Bar, ratio: Decimal | None) -> TrackedBar:
        """Add a new bar; `ratio` is applied only if the price jumped overnight."""
        before, end = self.track.last, bar.end(self._interval)
        self.first = self.first or bar.start
        applied = self.track.add(bar, ratio)
        signals = entries(self.track)
        self.screen.add(end, signals)
        return TrackedBar(symbol=self, bar=bar, bar_before=before, end=end, ratio=applied, signals=signals)

    def set_position(self, raw: bytes, position: Position | None = None) -> None:
        """Set the stored position; pass `position` if the bytes have been parsed already."""
        self.raw_position = raw
        self.position = position_from_wire(raw) if position is None and raw else position


class Screen:
    """The recent entry signals of one symbol."""

    def __init__(self) -> None:
        self._recent: deque[tuple[datetime, TradeSignal]] = deque()

    def add(self, at: datetime, signals: list[TradeSignal]) -> None:
        """Add the entry signals of a bar that ended at `at`."""
        self._recent.extend((at, signal) for signal in reversed(signals))
        while self._recent and self._recent[0][0] <= at - SIGNAL_LIFETIME:
            self._recent.popleft()

    def candidate(self, track: Track) -> dict[str, Any]:
        """The symbol's entry in candidates:ranked, without its timestamp."""
        assert track.last is not None
        volume = min(_ONE, (track.relative_volume or Decimal(0)) / 3)
        move = min(_ONE, abs(track.change_pct) / 2)
        signal = max((signal.confidence for _, signal in self._recent), default=Decimal(0))
        score = _VOLUME_WEIGHT * volume + _MOVE_WEIGHT * move + _SIGNAL_WEIGHT * signal
        return {
            "symbol": track.last.symbol,
            "score": score.quantize(_SCORE_STEP),
            "price": track.last.close,
            "signals": list(dict.fromkeys(signal.reason for _, signal in reversed(self._recent))),
        }
