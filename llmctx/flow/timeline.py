"""The timeline: bars and headlines in the order in which they become known.

A bar is stamped at its start and known at its end; a headline is known at its own time. Sources sort by stamp, so a bar
is held back until an item stamped after its end arrives: by then every earlier headline has arrived too.
"""

import heapq
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from llmctx.flow.bar_file import BarFile
from llmctx.flow.bars import BadRow, Bar
from llmctx.flow.funding import FundingRate, read_funding
from llmctx.flow.news import Headline
from llmctx.flow.news_file import read_news


class Vix(NamedTuple):
    """A reading of the volatility index."""

    at: datetime
    """When it was taken, UTC."""
    value: Decimal
    """Index points."""


Item = Bar | Headline | FundingRate | Vix | BadRow
"""One item of a source."""
Moment = list[Item]
"""Items known at the same time: bars of different symbols, or one item of another kind."""


class Timeline:
    """Reorders items by the time at which they become known."""

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval
        self._waiting: list[tuple[datetime, int, int, Bar | Headline | FundingRate | Vix]] = []
        self._count = 0

    def push(self, item: Item) -> list[Item]:
        """Add an item and return the items released by it, in order. A malformed row is released at once."""
        if isinstance(item, BadRow):
            return [item]
        is_bar = isinstance(item, Bar)
        stamp, known = (item.start, item.end(self._interval)) if isinstance(item, Bar) else (item.at, item.at)
        ready: list[Item] = []
        while self._waiting and self._waiting[0][0] < stamp:
            ready.append(heapq.heappop(self._waiting)[-1])
        self._count += 1
        heapq.heappush(self._waiting, (known, is_bar, self._count, item))  # headlines come before bars of the same time
        return ready

    def flush(self) -> list[Item]:
        """Release everything still held back, in order."""
        return [heapq.heappop(self._waiting)[-1] for _ in range(len(self._waiting))]


def read_items(bars: BarFile, news: Path | None, interval: timedelta, funding: Path | None = None) -> Iterator[Item]:
    """The bars, headlines and funding rates of some files, in the order in which they become known.

    Raises FeedError at once if one of the last two cannot be read, before the first item is taken.
    """
    beside: list[Headline | FundingRate | BadRow] = [] if news is None else list(read_news(news))
    beside += [] if funding is None else read_funding(funding)
    return in_order(by_stamp(bars, beside), interval)


def by_stamp(bars: Iterable[Bar | BadRow], beside: Iterable[Headline | FundingRate | BadRow]) -> Iterator[Item]:
    """Merge headlines and funding rates into bars, as a source sorted by stamp would send them."""
    others = list(beside)
    yield from (item for item in others if isinstance(item, BadRow))
    waiting = sorted((item for item in others if not isinstance(item, BadRow)), key=lambda item: item.at)
    position = 0
    for bar in bars:
        while isinstance(bar, Bar) and position < len(waiting) and waiting[position].at < bar.start:
            yield waiting[position]
            position += 1
        yield bar
    yield from waiting[position:]


def in_order(items: Iterable[Item], interval: timedelta) -> Iterator[Item]:
    """The items of a finite source, in the order in which they become known."""
    timeline = Timeline(interval)
    for item in items:
        yield from timeline.push(item)
    yield from timeline.flush()


def moments(items: Iterable[Item]) -> Iterator[Moment]:
    """Group items: bars of different symbols with the same start together, everything else alone."""
    moment: Moment = []
    for item in items:
        if moment and not _belongs_to(item, moment):
            yield moment
            moment = []
        moment.append(item)
    if moment:
        yield moment


def _belongs_to(item: Item, moment: Moment) -> bool:
    first = moment[0]
    return (
        isinstance(item, Bar)
        and isinstance(first, Bar)
        and item.start == first.start
        and all(item.symbol != other.symbol for other in moment if isinstance(other, Bar))
    )
