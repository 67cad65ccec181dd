"""Bars: what they are, how one is read from its cells, and how prices are rounded."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from llmctx.clock import parse_iso
from llmctx.errors import SchemaError
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
_MIN_YEAR, _MAX_YEAR = 1970, 9998
_EPOCH = re.compile(r"([0-9]{9,20})(?:\.[0-9]*)?", re.ASCII)
_DATE = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})", re.ASCII)
_DATE_TIME = re.compile(r"([0-9]{8}) ([0-9]{6})", re.ASCII)
_EPOCH_DIGITS = ((11, 1), (14, 10**3), (17, 10**6), (20, 10**9))
"""Up to so many digits an epoch counts seconds, milliseconds, microseconds, nanoseconds: from 1973 to 5138."""
_MAX_ROUNDING = Decimal("1e-5")
"""By how much of its value a publisher's rounding may put a high below the open."""
_START = datetime(1970, 1, 1, tzinfo=UTC)
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

    zone: ZoneInfo | None = None
    """The zone of times that name none; None refuses them."""
    dates: bool = False
    """Whether a date alone is a time: its midnight. Only for bars that are known to last a day."""
    whole_price: Decimal = Decimal(1)
    """What a price without a decimal point counts."""
    on_widened: Callable[[], None] = lambda: None
    """Called if high or low missed open or close by a rounding, and was moved to enclose it."""


def parse_row(row: Sequence[str], line: int, rules: CellRules = CellRules()) -> Bar | BadRow:  # noqa: B008  frozen
    """Parse the cells of one bar, in the order of `FIELDS`."""
    if len(row) != len(FIELDS):
        return BadRow(line, f"{len(row)} columns, expected {len(FIELDS)}")
    try:
        start = parse_time(row[0].strip(), rules)
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


def parse_time(text: str, rules: CellRules = CellRules()) -> datetime:  # noqa: B008  frozen
    """Parse when a bar begins into UTC: ISO 8601, or an epoch in s, ms, us or ns; a date begins at midnight UTC.

    Raises ValueError if the text is malformed, names no zone and none is given, or lies outside the supported years.
    """
    zone = rules.zone
    if (epoch := _EPOCH.fullmatch(text)) is not None:
        digits = epoch[1]
        unit = next(unit for length, unit in _EPOCH_DIGITS if len(digits) <= length)
        return parse_moment((_START + timedelta(microseconds=int(digits) * 10**6 // unit)).isoformat())
    if rules.dates and (date := _DATE.fullmatch(text)) is not None:
        year, month, day = map(int, date.groups())
        return parse_moment(datetime(year, month, day, tzinfo=zone or UTC).isoformat())
    if (parts := _DATE_TIME.fullmatch(text)) is not None:
        text = f"{parts[1]}T{parts[2]}"
    try:
        return parse_moment(text)
    except ValueError:
        try:
            local = datetime.fromisoformat(text)
        except ValueError:
            what = "is not a time: write" if text else "is absent: write"
            raise ValueError(f"{what} ISO 8601 such as 2026-03-02T14:30:00Z, or an epoch") from None
        if local.tzinfo is not None:
            raise
        if zone is None:
            raise ValueError(
                "the time has no zone; write UTC with a trailing Z, or name a file's zone with --zone"
            ) from None
        return parse_moment(local.replace(tzinfo=zone).isoformat())


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
