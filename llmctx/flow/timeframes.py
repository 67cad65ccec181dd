"""Time frames: longer bars built from shorter ones, and the indicators of each. Pure."""

from collections import deque
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx import clock
from llmctx.flow.indicators import IndicatorSet
from llmctx.flow.longer_bars import LongerBars

LENGTHS = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "1d": timedelta(days=1),
}
"""The lengths by their names in settings."""
_DAY = timedelta(days=1)
_MIDNIGHT = datetime.min.time()


class FrameRules(NamedTuple):
    """Which time frames there are."""

    names: tuple[str, ...] = ()
    """Names of LENGTHS."""
    series: int = 0
    """How many of the last values each one shows."""


NO_FRAMES = FrameRules()


class Timeframes:
    """The time frames of one symbol."""

    def __init__(self, rules: FrameRules, interval: timedelta, day_of: Callable[[datetime], date]) -> None:
        """`interval` of the incoming bars; a frame that is not a whole multiple of it is left out."""
        self._frames = {
            f"{name[-1]}{name[:-1]}": _Frame(LENGTHS[name], interval, day_of, rules.series)
            for name in LENGTHS
            if name in rules.names and LENGTHS[name] % interval == timedelta(0)
        }

    def add(self, start: datetime, close: Decimal) -> None:
        """Add the next bar."""
        for frame in self._frames.values():
            frame.add(start, close)

    def value(self) -> dict[str, Any]:
        """stocks:timeframes without its timestamp; empty before the first complete bar of any frame."""
        return {name: frame.value() for name, frame in self._frames.items() if frame.at is not None}


class _Frame:
    """The bars of one length."""

    def __init__(self, length: timedelta, interval: timedelta, day_of: Callable[[datetime], date], series: int) -> None:
        self._bars = LongerBars(length, interval, _day_start(day_of) if length == _DAY else None)
        self._indicators = IndicatorSet()
        self.at: datetime | None = None
        """When the newest complete bar ended; None before the first."""
        self._series = {name: deque[Decimal](maxlen=series) for name in ("closes", "rsi_series", "macd_series")}
        self._now: dict[str, Any] = {}

    def add(self, start: datetime, close: Decimal) -> None:
        for at, last in self._bars.add(start, close):
            self.at = at
            self._indicators.add(last)
            self._now = {"close": last} | self._indicators.values()
            for name, value in zip(self._series, (last, self._now["rsi_14"], self._now["macd"]), strict=True):
                if value is not None:
                    self._series[name].append(value)

    def value(self) -> dict[str, Any]:
        assert self.at is not None
        series = {name: list(values) for name, values in self._series.items() if values}
        return {"at": clock.iso_of(self.at), **self._now, **series}


def _day_start(day_of: Callable[[datetime], date]) -> Callable[[datetime], datetime]:
    """The beginning of a session as a moment; only whether two of them are equal matters."""
    return lambda start: datetime.combine(day_of(start), _MIDNIGHT, UTC)
