"""How long an endpoint's latest answers took, to tell when one is late."""

import math
from collections import deque

_KEPT = 200
_FEWEST = 20
"""With fewer answers than this, nothing counts as late."""


class Latencies:
    """The durations of the latest answers."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_KEPT)

    def add(self, seconds: float) -> None:
        """Add the duration of one answer."""
        self._seconds.append(seconds)

    def percentile(self, percent: float) -> float | None:
        """The seconds within which this percentage of the answers arrived; None while there are too few of them."""
        if len(self._seconds) < _FEWEST:
            return None
        rank = math.ceil(percent / 100 * len(self._seconds))
        return sorted(self._seconds)[max(0, rank - 1)]
