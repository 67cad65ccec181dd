"""Longer bars built from shorter ones; one counts once it is complete. Pure."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal


class LongerBars:
    """Longer bars of one length."""

    def __init__(
        self, length: timedelta, interval: timedelta, begin_of: Callable[[datetime], datetime] | None = None
    ) -> None:
        """`length` of the longer bars, `interval` of the incoming ones.

        `begin_of` tells when the longer bar of a time begins; None: at multiples of its length since midnight UTC.
        """
        self._length, self._interval = length, interval
        self._begin_of = begin_of or self._multiple
        self._open: tuple[datetime, datetime, Decimal] | None = None

    def _multiple(self, at: datetime) -> datetime:
        return at - (at - datetime.min.replace(tzinfo=at.tzinfo)) % self._length

    def add(self, start: datetime, close: Decimal) -> Iterator[tuple[datetime, Decimal]]:
        """Add the next short bar; yields the end and the close of each longer bar that is complete."""
        begin, end = self._begin_of(start), start + self._interval
        if self._open is not None and self._open[0] != begin:
            yield self._open[1:]
        self._open = begin, end, close
        if self._begin_of(end) != begin:
            yield end, close
            self._open = None
