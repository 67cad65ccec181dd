"""The files of a feed: bars and headlines in the order in which they become known, and the sector map."""

import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from llmctx import canonical
from llmctx.errors import FeedError
from llmctx.flow.bars import read_bars
from llmctx.flow.news import read_news
from llmctx.flow.timeline import Item, by_stamp, in_order


def read_items(bars: Path, news: Path | None, interval: timedelta) -> Iterator[Item]:
    """The bars and headlines of two files, in the order in which they become known.

    Raises FeedError at once if a file cannot be read, before the first item is taken.
    """
    headlines = [] if news is None else list(read_news(news))
    rows = read_bars(bars)
    first = list(itertools.islice(rows, 1))
    return in_order(by_stamp(itertools.chain(first, rows), headlines), interval)


def count_bars(bars: Path) -> int:
    """How many lines a bars file has, without its header."""
    with bars.open("rb") as file:
        return max(0, sum(1 for _ in file) - 1)


def read_sectors(path: Path) -> dict[str, str]:
    """The sector map of a JSON file: symbol to sector.

    Raises FeedError if the file cannot be read or is malformed.
    """
    form = 'Write it as {"AAPL": "technology", ...}.'
    try:
        found: Any = canonical.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise FeedError(f"{path} cannot be read: {error}.", form) from error
    if not isinstance(found, dict) or not all(isinstance(sector, str) and sector for sector in found.values()):
        raise FeedError(f"{path} is not a sector map.", form)
    return found
