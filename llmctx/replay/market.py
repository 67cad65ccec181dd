"""What the market did next: bars in time order, asked for prices after a moment. Pure; the bars are handed in.

Nothing here ever reaches a package: a package is built from a record's own snapshot and from nothing else.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple


class Candle(NamedTuple):
    """One bar of one symbol."""

    start_ms: int
    """When it begins, in milliseconds."""
    open: Decimal
    """First price."""
    high: Decimal
    """Highest price."""
    low: Decimal
    """Lowest price."""
    close: Decimal
    """Last price."""


class Series:
    """The bars of one symbol."""

    def __init__(self, candles: Iterable[Candle], interval_ms: int) -> None:
        self.interval_ms = interval_ms
        """How long a bar is."""
        self._candles = sorted(set(candles))
        self._starts = [candle.start_ms for candle in self._candles]

    def until(self, since_ms: int, end_ms: int) -> Sequence[Candle]:
        """The bars that begin at or after a moment and are known at another one."""
        first = bisect_left(self._starts, since_ms)
        last = bisect_right(self._starts, end_ms - self.interval_ms)
        return self._candles[first:last]

    def reaches(self, moment_ms: int) -> bool:
        """Whether a bar is known at or after a moment."""
        return bool(self._starts) and self._starts[-1] + self.interval_ms >= moment_ms


class Holding(NamedTuple):
    """A position from one moment on: what is left of it, and the levels that end it."""

    sign: int
    """1 long, -1 short."""
    quantity: Decimal
    """Shares."""
    stop: Decimal | None
    """The stop."""
    target: Decimal | None
    """The target."""

    def end(self, candle: Candle) -> Decimal | None:
        """The price at which a bar ends it, None where it does not; the stop counts where both are reached."""
        for level, sign in ((self.stop, -self.sign), (self.target, self.sign)):
            if level is None:
                continue
            if (candle.open - level) * sign >= 0:
                return candle.open
            if candle.low <= level <= candle.high:
                return level
        return None


def earnings(holding: Holding, price: Decimal, path: Sequence[Candle], cost: Decimal) -> Decimal:
    """What a position makes along a path of bars against its worth at `price`; `cost` is a fill's share of its worth.

    A stop or target that a bar reaches ends it there, as the paper broker does (docs/data-flow.md).
    """
    for candle in path:
        ended = holding.end(candle)
        if ended is not None:
            return ((ended - price) * holding.sign - ended * cost) * holding.quantity
    return (path[-1].close - price) * holding.sign * holding.quantity if path else Decimal(0)
