"""Bars: what they are, and how they are read from a CSV file."""

import csv
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from llmctx.clock import parse_iso
from llmctx.errors import FeedError, SchemaError
from llmctx.schema.keys import check_symbol

HEADER = ("timestamp", "symbol", "open", "high", "low", "close", "volume")
"""The columns of a bars file; the timestamp is ISO 8601 UTC, the start of the bar."""


_PLAIN = re.compile(
    r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(s?nan|inf|infinity)", re.ASCII | re.IGNORECASE
)
_LARGEST_EXPONENT = 15
_LONGEST_NUMBER = 40
_EARLIEST_YEAR, _LATEST_YEAR = 1970, 9998


class Bar(NamedTuple):
    """One bar of one symbol."""

    start: datetime
    """When it begins, UTC."""
    symbol: str
    """Whose it is."""
    open: Decimal
    """First price."""
    high: Decimal
    """Highest price."""
    low: Decimal
    """Lowest price."""
    close: Decimal
    """Last price."""
    volume: Decimal
    """Shares traded."""

    def end(self, interval: timedelta) -> datetime:
        """When what the bar says is known."""
        return self.start + interval


class BadRow(NamedTuple):
    """A row that is no bar."""

    line: int
    """Its line in the file, from 1 on."""
    why: str
    """The column and the rule it breaks."""


def read_bars(path: Path) -> Iterator[Bar | BadRow]:
    """The bars of a CSV file in its order, and each row that is none.

    Raises FeedError where the file cannot be read or has other columns.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = tuple(name.strip().lower() for name in next(rows, ()))
            if header != HEADER:
                raise FeedError(
                    f"{path}, line 1: the columns are {','.join(header) or '(none)'}.",
                    f"Write them as {','.join(HEADER)}.",
                )
            for row in rows:
                if row:
                    yield parse_row(row, rows.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FeedError(f"{path} cannot be read: {error}.", "Name a CSV file of bars.") from error


def parse_row(row: list[str], line: int) -> Bar | BadRow:
    """The bar that a row says, or why it is none."""
    if len(row) != len(HEADER):
        return BadRow(line, f"{len(row)} columns, expected {len(HEADER)}")
    try:
        start = parse_moment(row[0].strip())
    except ValueError as error:
        return BadRow(line, f"timestamp {row[0]!r}: {error}")
    try:
        symbol = check_symbol(row[1].strip())
    except SchemaError as error:
        return BadRow(line, f"symbol: {error.what}")
    numbers = []
    for name, text in zip(HEADER[2:], row[2:], strict=True):
        number = _number(name, text.strip())
        if isinstance(number, str):
            return BadRow(line, f"{name} {text[:_LONGEST_NUMBER]!r} {number}")
        numbers.append(number)
    open_, high, low, close, volume = numbers
    bar = Bar(start, symbol, open_, high, low, close, volume)
    if not bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
        return BadRow(line, f"low {bar.low} and high {bar.high} do not enclose open {bar.open} and close {bar.close}")
    return bar


def parse_moment(text: str) -> datetime:
    """The moment that a text names, within the years that can be reckoned with.

    Raises ValueError for another one, and for what is no ISO 8601 with a zone.
    """
    moment = parse_iso(text)
    if not _EARLIEST_YEAR <= moment.year <= _LATEST_YEAR:
        raise ValueError(f"the year must lie between {_EARLIEST_YEAR} and {_LATEST_YEAR}")
    return moment


def _number(name: str, text: str) -> Decimal | str:
    """The number that a column says, or what is wrong with it."""
    if not _PLAIN.fullmatch(text):  # Decimal alone would also take 1_0 and the digits of any script
        return "is no number"
    number = Decimal(text)
    if not number.is_finite() or number < 0 or (number == 0 and name != "volume"):
        return "must be a finite number " + ("from 0 on" if name == "volume" else "above 0")
    if abs(number.adjusted()) > _LARGEST_EXPONENT or len(text) > _LONGEST_NUMBER:
        return "is beyond what a price or volume can be"
    return number
