"""The track of one symbol: what its bars so far add up to. The same code takes new bars and those of the stream."""

from collections import deque
from datetime import datetime, timedelta
from decimal import Decimal

from llmctx.context.corporate_action import overnight_move
from llmctx.flow.bars import Bar
from llmctx.flow.indicators import MEMORY, Indicators


class Track:
    """One symbol's session and indicators."""

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval
        self._closes: deque[Decimal] = deque(maxlen=MEMORY)
        self.indicators = Indicators()
        """The indicators as of the last bar."""
        self.last: Bar | None = None
        """The newest bar."""
        self.session: dict[str, Decimal] = {}
        """The `price` object of stocks:price: the session so far. A session is a UTC date."""

    def add(self, bar: Bar, ratio: Decimal | None = None) -> Decimal | None:
        """Take the next bar; the ratio by which earlier prices were adjusted for it, if they were.

        After an overnight jump beyond any market's, earlier prices say nothing about later ones: with a ratio (new
        shares for each old one) they are adjusted, without one the indicators begin anew.
        """
        before = self.last
        applied = None
        if before is not None and overnight_move(before.close, before.end(self._interval), bar.open, bar.start):
            if ratio is not None:
                applied = ratio
                self._closes = deque((close / ratio for close in self._closes), maxlen=MEMORY)
            else:
                self._closes.clear()
            self.indicators = Indicators()
            for close in self._closes:
                self.indicators.add(close)
        self._closes.append(bar.close)
        self.indicators.add(bar.close)
        self._add_to_session(bar, new=before is None or before.start.date() != bar.start.date())
        self.last = bar
        return applied

    def _add_to_session(self, bar: Bar, *, new: bool) -> None:
        so_far = self.session
        self.session = {
            "last": bar.close,
            "open": bar.open if new else so_far["open"],
            "high": bar.high if new else max(so_far["high"], bar.high),
            "low": bar.low if new else min(so_far["low"], bar.low),
            "volume": bar.volume if new else so_far["volume"] + bar.volume,
        }

    @property
    def known_at(self) -> datetime | None:
        """When the newest bar ended; None before the first."""
        return None if self.last is None else self.last.end(self._interval)
