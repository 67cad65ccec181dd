"""Funding rates of perpetuals: how they are read, and which of them fall due with a bar."""

import csv
from bisect import bisect_right, insort
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.errors import FeedError, SchemaError
from llmctx.flow.bars import BadRow
from llmctx.flow.times import parse_time
from llmctx.schema.symbol import check_symbol

_NAMES = {
    "timestamp": ("timestamp", "fundingTime", "calc_time", "funding_time", "time"),
    "rate": ("funding_rate", "fundingRate", "last_funding_rate", "rate"),
    "price": ("mark_price", "markPrice"),
}
"""Our name -> what exchanges call it."""
_MAX_RATE = Decimal(1)
_KEPT = timedelta(days=10)
"""How long a rate is kept: a bar that is sent again to a server that lost it needs its rates again."""


class FundingRate(NamedTuple):
    """A rate that is paid at one time; if positive, long positions pay short ones."""

    at: datetime
    """When it is paid, UTC."""
    symbol: str
    """The symbol."""
    rate: Decimal
    """The payment as a fraction of a position's value."""
    price: Decimal | None = None
    """The mark price at which positions are valued; None for the last price of the bars."""


def is_funding(document: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a funding rate."""
    return any(name in document for name in _NAMES["rate"])


def funding_of(document: Mapping[str, Any], number: int, symbol: str | None = None) -> FundingRate | BadRow:
    """Read the funding rate on a line; `symbol` is that of a file whose lines name none."""
    found = {ours: next((document[name] for name in names if name in document), None) for ours, names in _NAMES.items()}
    try:
        at, name = parse_time(str(found["timestamp"])), check_symbol(str(document.get("symbol") or symbol))
        rate, price = _number(found["rate"]), None if found["price"] in (None, "") else _number(found["price"])
    except (ValueError, InvalidOperation) as error:
        return BadRow(number, f"malformed funding rate: {error}")
    except SchemaError as error:
        return BadRow(number, f"malformed funding rate: {error.what}")
    if abs(rate) > _MAX_RATE or (price is not None and price <= 0):
        return BadRow(number, f"malformed funding rate: rate {rate}, mark price {price}")
    return FundingRate(at, name, rate, price)


def _number(value: Any) -> Decimal:
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError(f"{value!r} is not a number")
    return number


def read_funding(path: Path) -> Iterator[FundingRate | BadRow]:
    """Yield the funding rates of a CSV or JSON Lines file, as exchanges name the columns.

    A file whose lines name no symbol is about the one that its own name begins with: BTCUSDT-fundingRate-2026-03.csv.

    Raises FeedError if the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FeedError(
            f"{path} cannot be read: {error}.", "Name a CSV or JSON Lines file of funding rates."
        ) from error
    symbol = path.name.partition("-")[0].partition(".")[0]
    is_json = bool(lines) and lines[0].lstrip()[:1] == "{"
    rows = ((number, _loads(line)) for number, line in enumerate(lines, 1) if line.strip()) if is_json else _rows(lines)
    for number, row in rows:
        yield row if isinstance(row, BadRow) else funding_of(row, number, symbol)


def _rows(lines: list[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    return enumerate(csv.DictReader(lines), start=2)


def _loads(line: str) -> Any:
    try:
        document = canonical.loads(line.encode())
    except ValueError as error:
        return BadRow(0, f"malformed funding rate: not valid JSON: {error}")
    return document if isinstance(document, dict) else BadRow(0, "malformed funding rate: not a JSON object")


_AT = attrgetter("at")


class FundingRates:
    """The newest funding rates by symbol."""

    def __init__(self) -> None:
        self._rates: dict[str, list[FundingRate]] = {}

    def add(self, rate: FundingRate) -> None:
        """Remember a rate; a known one changes nothing."""
        rates = self._rates.setdefault(rate.symbol, [])
        if rate not in rates:
            insort(rates, rate, key=_AT)
        del rates[: bisect_right(rates, rates[-1].at - _KEPT, key=_AT)]

    def due(self, symbol: str, after: datetime, until: datetime) -> tuple[FundingRate, ...]:
        """The rates paid after one time and up to another."""
        rates = self._rates.get(symbol, [])
        return tuple(rates[bisect_right(rates, after, key=_AT) : bisect_right(rates, until, key=_AT)])

    def newest(self, symbol: str, until: datetime) -> Decimal | None:
        """The last rate paid up to a time; None if none is known."""
        rates = self._rates.get(symbol, [])
        place = bisect_right(rates, until, key=_AT)
        return rates[place - 1].rate if place else None
