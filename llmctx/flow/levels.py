"""Support and resistance of one symbol, from its own swings. Pure.

A swing high is a high that no bar within five on either side exceeds; a swing low is the mirror image. Each is known
five bars later. The fifty newest are kept, and the session's high and low count as well. A level below the price is
support, a level above it is resistance.
"""

from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

_SWING_BARS = 5
_MAX_SWINGS = 50


class Levels:
    """The swings of one series of bars."""

    def __init__(self) -> None:
        self._highs: deque[Decimal] = deque(maxlen=2 * _SWING_BARS + 1)
        self._lows: deque[Decimal] = deque(maxlen=2 * _SWING_BARS + 1)
        self._swings: deque[Decimal] = deque(maxlen=_MAX_SWINGS)

    def add(self, high: Decimal, low: Decimal) -> None:
        """Add the next bar."""
        self._highs.append(high)
        self._lows.append(low)
        if len(self._highs) == self._highs.maxlen:
            for level in (*_swing(self._highs, max), *_swing(self._lows, min)):
                if level not in self._swings:  # a flat price is one level
                    self._swings.append(level)

    def adjust(self, ratio: Decimal) -> None:
        """Divide every level by a split's ratio."""
        for levels in (self._highs, self._lows, self._swings):
            adjusted = [level / ratio for level in levels]
            levels.clear()
            levels.extend(adjusted)

    def below(self, price: Decimal) -> Decimal | None:
        """The highest swing below a price; None if there is none."""
        return max((level for level in self._swings if level < price), default=None)

    def above(self, price: Decimal) -> Decimal | None:
        """The lowest swing above a price; None if there is none."""
        return min((level for level in self._swings if level > price), default=None)

    def nearest(self, price: Decimal, *more: Decimal) -> dict[str, Any] | None:
        """The level nearest to a price, in the form of positions:monitoring; None if there is none."""
        levels = (level for level in (*self._swings, *more) if level != price)
        level = min(levels, key=lambda level: abs(level - price), default=None)
        if level is None:
            return None
        return {"next_level": level, "type": "support" if level < price else "resistance"}


def _swing(window: deque[Decimal], best: Callable[[Iterable[Decimal]], Decimal]) -> list[Decimal]:
    middle = window[_SWING_BARS]
    return [middle] if middle == best(window) else []
