"""Screening: how much a symbol deserves a look, in one number with documented parts. Pure.

score = 0.35 x volume + 0.35 x move + 0.30 x signal, each part from 0 to 1:

- volume: the newest bar's volume as a multiple of the usual one, over three
- move: the day's change in percent, over two, whichever way
- signal: the confidence of the surest entry signal of the last half hour
"""

from collections import deque
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from llmctx.flow.signals import Signal
from llmctx.flow.track import Track

RANKED = 20
"""How many candidates are written."""
FRESH = timedelta(minutes=30)
"""How long an entry signal counts."""
_VOLUME, _MOVE, _SIGNAL = Decimal("0.35"), Decimal("0.35"), Decimal("0.30")
_PLACES = Decimal("0.0001")
_ONE = Decimal(1)


class Screen:
    """What was seen of one symbol lately."""

    def __init__(self) -> None:
        self._seen: deque[tuple[datetime, Signal]] = deque()

    def add(self, at: datetime, found: list[Signal]) -> None:
        """Take the entry signals of a bar that ended at `at`."""
        self._seen.extend((at, signal) for signal in reversed(found))
        while self._seen and self._seen[0][0] <= at - FRESH:
            self._seen.popleft()

    def candidate(self, track: Track) -> dict[str, Any]:
        """The symbol's entry in candidates:ranked, without its timestamp."""
        assert track.last is not None
        volume = min(_ONE, (track.relative_volume or Decimal(0)) / 3)
        move = min(_ONE, abs(track.change_pct) / 2)
        signal = max((signal.confidence for _, signal in self._seen), default=Decimal(0))
        return {
            "symbol": track.last.symbol,
            "score": (_VOLUME * volume + _MOVE * move + _SIGNAL * signal).quantize(_PLACES),
            "price": track.last.close,
            "signals": list(dict.fromkeys(signal.reason for _, signal in reversed(self._seen))),
        }
