"""The timeline: bars and headlines in the order in which they are known, whatever order they come in.

A bar is stamped at its start and known at its end; a headline is known at its own time. Sources sort by stamp, so a
bar is held back until something with a stamp behind its end has come: then every headline before it is there too.
"""

import heapq
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from llmctx.flow.bars import BadRow, Bar
from llmctx.flow.news import Headline


class Vix(NamedTuple):
    """A reading of the volatility index."""

    at: datetime
    """When it was read, UTC."""
    value: Decimal
    """Index points."""


Item = Bar | Headline | Vix | BadRow
"""What a source brings."""
Moment = list[Item]
"""Items that are known at one time: bars of different symbols, or one item of another kind."""


class Timeline:
    """Takes items as they come and gives them back in the order in which they are known."""

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval
        self._held: list[tuple[datetime, int, int, Bar | Headline | Vix]] = []
        self._count = 0

    def push(self, item: Item) -> list[Item]:
        """Take an item; what may go out because of it, in order. A row that says nothing goes out at once."""
        if isinstance(item, BadRow):
            return [item]
        bar = isinstance(item, Bar)
        stamp = item.start if isinstance(item, Bar) else item.at
        ready = self._until(stamp)
        known = item.end(self._interval) if isinstance(item, Bar) else item.at
        self._count += 1
        heapq.heappush(self._held, (known, bar, self._count, item))  # at one time headlines come first
        return ready

    def flush(self) -> list[Item]:
        """Everything that is still held back, in order."""
        return [heapq.heappop(self._held)[-1] for _ in range(len(self._held))]

    def _until(self, stamp: datetime) -> list[Item]:
        ready: list[Item] = []
        while self._held and self._held[0][0] < stamp:
            ready.append(heapq.heappop(self._held)[-1])
        return ready


def by_stamp(bars: Iterable[Bar | BadRow], news: Iterable[Headline | BadRow]) -> Iterator[Item]:
    """Bars in their order with the headlines put between them, as a source that sorts by stamp would send them."""
    headlines = list(news)
    yield from (item for item in headlines if isinstance(item, BadRow))
    waiting = sorted((item for item in headlines if isinstance(item, Headline)), key=lambda item: item.at)
    next_one = 0
    for bar in bars:
        while isinstance(bar, Bar) and next_one < len(waiting) and waiting[next_one].at < bar.start:
            yield waiting[next_one]
            next_one += 1
        yield bar
    yield from waiting[next_one:]


def in_order(items: Iterable[Item], interval: timedelta) -> Iterator[Item]:
    """The items of a source that ends, in the order in which they are known."""
    timeline = Timeline(interval)
    for item in items:
        yield from timeline.push(item)
    yield from timeline.flush()


def moments(items: Iterable[Item]) -> Iterator[Moment]:
    """Items grouped: bars with one start and different symbols together, everything else by itself."""
    together: Moment = []
    for item in items:
        if together and not _belongs(item, together):
            yield together
            together = []
        together.append(item)
    if together:
        yield together


def _belongs(item: Item, together: Moment) -> bool:
    first = together[0]
    return (
        isinstance(item, Bar)
        and isinstance(first, Bar)
        and item.start == first.start
        and all(item.symbol != other.symbol for other in together if isinstance(other, Bar))
    )
