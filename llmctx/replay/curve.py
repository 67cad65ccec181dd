"""The curve of a book: what it was worth bar by bar, how deep it fell, how much was at work."""

from decimal import Decimal
from typing import NamedTuple

_NOTHING = Decimal(0)


class Point(NamedTuple):
    """A book at one time."""

    at_ms: int
    """When, in milliseconds."""
    equity: Decimal
    """Capital, what was earned, and what open positions have gained."""
    exposure: Decimal
    """What open positions are worth."""


class Curve:
    """Takes a book's points in time order; of one time the last one counts."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        """One for each time."""

    def mark(self, at_ms: int, equity: Decimal, exposure: Decimal) -> None:
        """Note a book at a time."""
        point = Point(at_ms, equity, exposure)
        if self.points and self.points[-1].at_ms == at_ms:
            self.points[-1] = point
        else:
            self.points.append(point)

    @property
    def drawdown(self) -> tuple[Decimal, Decimal]:
        """The deepest fall from an earlier height: in account currency, and as a share of that height."""
        height, deepest, share = _NOTHING, _NOTHING, _NOTHING
        for point in self.points:
            height = max(height, point.equity)
            if (fall := height - point.equity) > deepest:
                deepest, share = fall, fall / height
        return deepest, share

    @property
    def exposure(self) -> tuple[Decimal, Decimal]:
        """How much of the equity was at work: the mean over all times, and the most."""
        shares = [point.exposure / point.equity for point in self.points if point.equity > 0]
        if not shares:
            return _NOTHING, _NOTHING
        return sum(shares, _NOTHING) / len(shares), max(shares)
