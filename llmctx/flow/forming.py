"""Bars that are still forming: a live source sends the same bar again and again until its end.

A bar is known at its end, so earlier versions are never passed on: the newest version waits until the end has passed,
or until the source says that it is complete.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from llmctx.flow.bars import Bar
from llmctx.flow.timeline import Item


class FormingBars:
    """Holds back the bars of a live source whose end has not passed."""

    def __init__(self, interval: timedelta, now: Callable[[], datetime]) -> None:
        self._interval = interval
        self._now = now
        self._held: dict[tuple[str, datetime], Bar] = {}

    def add(self, item: Item, *, complete: bool = False) -> list[Item]:
        """Take an item and return what may be passed on now, the oldest bar first."""
        if not isinstance(item, Bar):
            return [*self.due(), item]
        place = (item.symbol, item.start)
        if not complete and item.end(self._interval) > self._now():
            self._held[place] = item
            return self.due()
        self._held.pop(place, None)
        return [*self.due(), item]

    def due(self) -> list[Item]:
        """The held bars whose end has passed, the oldest first; each is returned once."""
        now = self._now()
        ready = [place for place, bar in self._held.items() if bar.end(self._interval) <= now]
        return [self._held.pop(place) for place in sorted(ready, key=lambda place: place[1])]

    @property
    def unfinished(self) -> list[Bar]:
        """The bars held back."""
        return list(self._held.values())
