"""Bars: what they are, how they are read from a CSV file, and how their prices are rounded."""

import csv
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path
from typing import NamedTuple

from llmctx.clock import parse_iso
from llmctx.errors import FeedError, SchemaError
from llmctx.schema.symbol import check_symbol

HEADER = ("timestamp", "symbol", "open", "high", "low", "close", "volume")
"""The columns of a bars file; the timestamp is ISO 8601 UTC, the start of the bar."""

CENT = Decimal("0.01")
"""The unit of money."""
PERCENT_STEP = Decimal("0.0001")
"""The unit of percentages and rates."""

_NUMBER = re.compile(
    r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(s?nan|inf|infinity)", re.ASCII | re.IGNORECASE
)
_MAX_EXPONENT = 15
_MAX_NUMBER_CHARS = 40
_MIN_YEAR, _MAX_YEAR = 1970, 9998
_ROUNDING = Context(prec=80, rounding=ROUND_HALF_EVEN)
"""Decimal's usual 28 digits are too few for the whole range of prices that a bar may have."""
_PRICE_PLACES = 4
_PRICE_DIGITS = 6


class Bar(NamedTuple):
    """One bar of one symbol."""

    start: datetime
    """When it begins, UTC."""
    symbol: str
    """Its symbol."""
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
        """When the bar is complete, and therefore known."""
        return self.start + interval


class BadRow(NamedTuple):
    """A malformed row."""

    line: int
    """Its line in the file, starting at 1."""
    why: str
    """The column and the rule it breaks."""


def read_bars(path: Path) -> Iterator[Bar | BadRow]:
    """Yield the bars of a CSV file in file order, and a BadRow for each malformed row.

    Raises FeedError if the file cannot be read or has other columns.
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


def count_bars(path: Path) -> int:
    """How many lines a bars file has, without its header."""
    with path.open("rb") as file:
        return max(0, sum(1 for _ in file) - 1)


def parse_row(row: list[str], line: int) -> Bar | BadRow:
    """Parse one row of a bars file."""
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
        number = _parse_number(name, text.strip())
        if isinstance(number, str):
            return BadRow(line, f"{name} {text[:_MAX_NUMBER_CHARS]!r} {number}")
        numbers.append(number)
    bar = Bar(start, symbol, *numbers)
    if not bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
        return BadRow(line, f"low {bar.low} and high {bar.high} do not enclose open {bar.open} and close {bar.close}")
    return bar


def parse_moment(text: str) -> datetime:
    """Parse an ISO 8601 time with a zone into UTC.

    Raises ValueError if the text is malformed, has no zone, or lies outside the supported years.
    """
    moment = parse_iso(text)
    if not _MIN_YEAR <= moment.year <= _MAX_YEAR:
        raise ValueError(f"the year must lie between {_MIN_YEAR} and {_MAX_YEAR}")
    return moment


def rounded_price(value: Decimal) -> Decimal:
    """Round a price to four decimals; below 1, keep at least six significant digits."""
    places = max(_PRICE_PLACES, _PRICE_DIGITS - 1 - value.adjusted() if value < 1 else 0)
    return rounded(value, Decimal(1).scaleb(-places))


def rounded(value: Decimal, step: Decimal) -> Decimal:
    """Round a number to a multiple of `step`, half to even."""
    return value.quantize(step, context=_ROUNDING)


def _parse_number(name: str, text: str) -> Decimal | str:
    """Return the number in a column, or the rule it breaks."""
    if not _NUMBER.fullmatch(text):  # Decimal alone would also accept 1_0 and the digits of any script
        return "is not a number"
    number = Decimal(text)
    if not number.is_finite() or number < 0 or (number == 0 and name != "volume"):
        return "must be a finite number " + ("of at least 0" if name == "volume" else "above 0")
    if abs(number.adjusted()) > _MAX_EXPONENT or len(text) > _MAX_NUMBER_CHARS:
        return "is out of range for a price or volume"
    return number
