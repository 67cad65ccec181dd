"""Prices after a decision: bars in time order, and what a position earns along them. Pure; the caller passes the bars.

Nothing here ever reaches a package, which is built from a record's own snapshot alone.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple


class Candle(NamedTuple):
    """One bar of one symbol."""

    start_ms: int
    """Its start, in milliseconds."""
    open: Decimal
    """First price."""
    high: Decimal
    """Highest price."""
    low: Decimal
    """Lowest price."""
    close: Decimal
    """Last price."""


class PriceSeries:
    """The bars of one symbol. A bar is known at its end."""

    def __init__(self, candles: Iterable[Candle], interval_ms: int) -> None:
        self.interval_ms = interval_ms
        """The length of a bar in milliseconds."""
        self._candles = sorted(set(candles))
        self._starts = [candle.start_ms for candle in self._candles]

    def between(self, since_ms: int, known_at_ms: int) -> Sequence[Candle]:
        """Return the bars that start at or after `since_ms` and are known at `known_at_ms`."""
        first = bisect_left(self._starts, since_ms)
        last = bisect_right(self._starts, known_at_ms - self.interval_ms)
        return self._candles[first:last]

    def reaches(self, moment_ms: int) -> bool:
        """Return whether some bar ends at or after a moment."""
        return bool(self._starts) and self._starts[-1] + self.interval_ms >= moment_ms


def series_of(candles: Iterable[tuple[str, Candle]], interval_ms: int) -> dict[str, PriceSeries]:
    """Return the price series of each symbol, from symbols and their bars in any order."""
    by_symbol: dict[str, list[Candle]] = {}
    for symbol, candle in candles:
        by_symbol.setdefault(symbol, []).append(candle)
    return {symbol: PriceSeries(found, interval_ms) for symbol, found in by_symbol.items()}


class Holding(NamedTuple):
    """A position, with the levels that close it."""

    sign: int
    """1 for long, -1 for short."""
    quantity: Decimal
    """Shares."""
    stop: Decimal | None
    """The stop price."""
    target: Decimal | None
    """The target price."""

    def exit_price(self, candle: Candle) -> Decimal | None:
        """Return the price at which a bar closes the position, None if it stays open.

        If a bar reaches both levels, the stop counts.
        """
        for level, sign in ((self.stop, -self.sign), (self.target, self.sign)):
            if level is None:
                continue
            if (candle.open - level) * sign >= 0:
                return candle.open
            if candle.low <= level <= candle.high:
                return level
        return None


def profit(holding: Holding, price: Decimal, path: Sequence[Candle], cost: Decimal) -> Decimal:
    """Return what a position earns along a path of bars, against its market value at `price`.

    `cost` is the cost of a fill as a share of its value. The first stop or target that a bar reaches closes the
    position there, as the paper broker does (docs/data-flow.md).
    """
    for candle in path:
        exit_price = holding.exit_price(candle)
        if exit_price is not None:
            return ((exit_price - price) * holding.sign - exit_price * cost) * holding.quantity
    return (path[-1].close - price) * holding.sign * holding.quantity if path else Decimal(0)
