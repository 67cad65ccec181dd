"""Layouts: how the columns of a bars file are named by those who publish such files, and which column is which.

A header is read by name, in any order and in any case; columns that nothing asks for are passed over. A layout is
recognised by the columns that only its publisher has; without one, the usual names are tried.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from llmctx.flow.bars import FIELDS

_PRICES = {name: name for name in ("open", "high", "low", "close")}


class Layout(NamedTuple):
    """How one publisher writes bars."""

    name: str
    """Its name, for --format."""
    columns: Mapping[str, str]
    """Our field -> its column, in lower case. Without `symbol` a file is about one symbol."""
    marks: frozenset[str] = frozenset()
    """Further columns by which it is recognised."""
    whole_price: Decimal = Decimal(1)
    """What a price without a decimal point counts."""
    header: tuple[str, ...] = ()
    """The columns of a file that is published without a header."""


_BINANCE = (
    *("open time", "open", "high", "low", "close", "volume", "close time", "quote volume", "trades"),
    *("taker base volume", "taker quote volume", "ignore"),
)
_KRAKEN = ("time", "open", "high", "low", "close", "volume", "trades")
_STOOQ = {name: f"<{name}>" for name in ("open", "high", "low", "close")}

LAYOUTS = (
    Layout("llmctx", {name: name for name in FIELDS}),
    Layout("alpaca", {name: name for name in FIELDS}, frozenset({"trade_count", "vwap"})),
    Layout(
        "databento", _PRICES | {"timestamp": "ts_event", "symbol": "symbol", "volume": "volume"},
        frozenset({"instrument_id"}), whole_price=Decimal("1e-9"),
    ),
    Layout("polygon", _PRICES | {"timestamp": "window_start", "symbol": "ticker", "volume": "volume"}),
    Layout("cryptodatadownload", _PRICES | {"timestamp": "unix", "symbol": "symbol"}, frozenset({"date"})),
    Layout("stooq", _STOOQ | {"timestamp": "<date>", "symbol": "<ticker>", "volume": "<vol>"}, frozenset({"<time>"})),
    Layout("yahoo", _PRICES | {"timestamp": "date", "volume": "volume"}, frozenset({"adj close"})),
    Layout("yfinance", _PRICES | {"timestamp": "date", "volume": "volume"}, frozenset({"stock splits"})),
    Layout("yfinance", _PRICES | {"timestamp": "datetime", "volume": "volume"}, frozenset({"stock splits"})),
    Layout("binance", _PRICES | {"timestamp": "open time", "volume": "volume"}, header=_BINANCE),
    Layout("kraken", _PRICES | {"timestamp": "time", "volume": "volume"}, header=_KRAKEN),
)  # fmt: skip
"""The layouts that are recognised. docs/data-flow.md names them."""

_USUAL = {
    "timestamp": ("timestamp", "unix", "open_time", "open time", "datetime", "date", "time", "t"),
    "symbol": ("symbol", "ticker"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "vol", "v"),
}


class Columns(NamedTuple):
    """Where a file's bars stand in a row."""

    layout: str
    """The layout's name; "columns by name" if none was recognised."""
    places: Mapping[str, int]
    """Our field -> the column's place. Without `symbol` the file is about one symbol."""
    absent: tuple[str, ...]
    """The fields without a column, the symbol left out."""
    time: int | None = None
    """The place of the time of day where the timestamp is a date."""
    whole_price: Decimal = Decimal(1)
    """What a price without a decimal point counts."""


def find_columns(header: Sequence[str], name: str | None = None) -> Columns:
    """Which column is which, by the layout of this name, or by the one that the header shows."""
    names = [column.strip().lower() for column in header]
    known = [layout for layout in LAYOUTS if (name is None and _fits(layout, names)) or layout.name == name]
    # Our own columns are a part of others': the layout with the most columns of its own is meant.
    found = max(known, key=lambda layout: len(layout.marks | set(layout.columns.values())), default=None)
    wanted = {} if found is None else {field: (column,) for field, column in found.columns.items()}
    places = {
        field: place
        for field in FIELDS
        if (place := _place(field, wanted.get(field, () if field in wanted else _USUAL[field]), names)) is not None
    }
    return Columns(
        layout="columns by name" if found is None else found.name,
        places=places,
        absent=tuple(field for field in FIELDS if field not in places and field != "symbol"),
        time=names.index("<time>") if "<time>" in names else None,
        whole_price=Decimal(1) if found is None else found.whole_price,
    )


def without_header(row: Sequence[str]) -> Layout | None:
    """The layout of a file that begins with a row of numbers, by its width; None if no publisher writes that many."""
    if not all(_is_number(cell) for cell in row):
        return None
    return next((layout for layout in LAYOUTS if layout.header and len(layout.header) == len(row)), None)


def _fits(layout: Layout, names: Sequence[str]) -> bool:
    return (layout.marks | set(layout.columns.values())) <= set(names)


def _place(field: str, wanted: Sequence[str], names: Sequence[str]) -> int | None:
    for column in wanted:
        if column in names:
            return names.index(column)
    if field == "volume":  # the first one is counted in what is traded, a second one in what is paid
        return next((place for place, column in enumerate(names) if column.startswith("volume ")), None)
    return None


def _is_number(cell: str) -> bool:
    return cell.strip().replace(".", "", 1).isdecimal()
