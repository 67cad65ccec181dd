"""Bars: their fields, how one is read from its cells, and how prices are rounded."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

from llmctx.errors import SchemaError
from llmctx.flow.times import TimeRules, parse_time
from llmctx.schema.symbol import check_symbol

FIELDS = ("timestamp", "symbol", "open", "high", "low", "close", "volume")
"""What a bar is read from; the timestamp is the start of the bar."""

CENT = Decimal("0.01")
"""The unit of money."""
PERCENT_STEP = Decimal("0.0001")
"""The unit of percentages and rates."""

_NUMBER = re.compile(
    r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(s?nan|inf|infinity)", re.ASCII | re.IGNORECASE
)
_MAX_EXPONENT = 15
_MAX_NUMBER_CHARS = 40
_MAX_ROUNDING = Decimal("1e-5")
"""The share of its value by which a publisher's rounding may put a high below the open."""
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


class CellRules(NamedTuple):
    """How the cells of a bar are read."""

    times: TimeRules = TimeRules()
    """How the start is read."""
    whole_price: Decimal = Decimal(1)
    """What one unit of a price without a decimal point is worth."""
    on_widened: Callable[[], None] = lambda: None
    """Called if high or low missed open or close by a rounding error, and was moved to enclose it."""


def parse_row(row: Sequence[str], line: int, rules: CellRules = CellRules()) -> Bar | BadRow:  # noqa: B008  frozen
    """Parse the cells of one bar, in the order of `FIELDS`."""
    if len(row) != len(FIELDS):
        return BadRow(line, f"{len(row)} columns, expected {len(FIELDS)}")
    try:
        start = parse_time(row[0].strip(), rules.times)
    except ValueError as error:
        return BadRow(line, f"timestamp {row[0]!r}: {error}")
    try:
        symbol = check_symbol(row[1].strip())
    except SchemaError as error:
        return BadRow(line, f"symbol: {error.what}")
    numbers = []
    for name, cell in zip(FIELDS[2:], row[2:], strict=True):
        number = _parse_number(name, cell.strip())
        if isinstance(number, str):
            return BadRow(line, f"{name} {cell[:_MAX_NUMBER_CHARS]!r} {number}")
        numbers.append(number * rules.whole_price if name != "volume" and "." not in cell else number)
    bar = Bar(start, symbol, *numbers)
    low, high = min(bar.low, bar.open, bar.close), max(bar.high, bar.open, bar.close)
    if (low, high) == (bar.low, bar.high):
        return bar
    if bar.low > bar.high or bar.low - low > low * _MAX_ROUNDING or high - bar.high > high * _MAX_ROUNDING:
        return BadRow(line, f"low {bar.low} and high {bar.high} do not enclose open {bar.open} and close {bar.close}")
    rules.on_widened()
    return bar._replace(low=low, high=high)


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
