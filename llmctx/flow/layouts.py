"""Layouts: how publishers of bars files name their columns.

A header is read by name, in any order and in any case; other columns are ignored. A layout is recognised by the columns
that only its publisher has; without one, the usual names are tried.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from llmctx.flow.bars import FIELDS

_TIME_FORMS = {
    "<time>": re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?", re.ASCII),
    "time": re.compile(r"[0-9]{4}[-./]?[0-9]{2}[-./]?[0-9]{2}[0-9 T:.Z+-]*", re.ASCII),
}
_PRICES = {name: name for name in ("open", "high", "low", "close")}


class Layout(NamedTuple):
    """How one publisher writes bars."""

    name: str
    """Its name, for --format."""
    columns: Mapping[str, str]
    """Our field -> its column, in lower case. Without `symbol` a file is about one symbol."""
    marks: frozenset[str] = frozenset()
    """More columns by which it is recognised."""
    whole_price: Decimal = Decimal(1)
    """What one unit of a price without a decimal point is worth."""
    header: tuple[str, ...] = ()
    """The columns of a file published without a header."""
    month_first: bool = False
    """Whether its dates are written 03/02/2026 for 2 March."""
    is_of_many: bool = False
    """Whether a file without a symbol column may still be about several symbols."""


_BINANCE = (
    *("open time", "open", "high", "low", "close", "volume", "close time", "quote volume", "trades"),
    *("taker base volume", "taker quote volume", "ignore"),
)
_OHLCV = ("time", "open", "high", "low", "close", "volume")
_COINBASE = ("time", "low", "high", "open", "close", "volume")
_TAGGED = {name: f"<{name}>" for name in ("open", "high", "low", "close")}
_METATRADER = _TAGGED | {"timestamp": "<date>", "volume": "<tickvol>"}
_POLISH = {"timestamp": "data", "open": "otwarcie", "high": "najwyzszy", "low": "najnizszy", "close": "zamkniecie"}

LAYOUTS = (
    Layout("llmctx", {name: name for name in FIELDS}),
    Layout("alpaca", {name: name for name in FIELDS}, frozenset({"trade_count", "vwap"})),
    Layout(
        "databento", _PRICES | {"timestamp": "ts_event", "symbol": "symbol", "volume": "volume"},
        frozenset({"instrument_id"}), whole_price=Decimal("1e-9"), is_of_many=True,
    ),
    Layout("polygon", _PRICES | {"timestamp": "window_start", "symbol": "ticker", "volume": "volume"}),
    Layout("cryptodatadownload", _PRICES | {"timestamp": "unix", "symbol": "symbol"}, frozenset({"date"})),
    Layout("stooq", _TAGGED | {"timestamp": "<date>", "symbol": "<ticker>", "volume": "<vol>"}, frozenset({"<time>"})),
    Layout("stooq", _POLISH | {"volume": "wolumen"}),
    Layout("metatrader", _METATRADER),
    Layout("metatrader", _METATRADER, header=("<date>", "<time>", *_TAGGED.values(), "<tickvol>")),
    Layout("nasdaq", _PRICES | {"timestamp": "date", "close": "close/last", "volume": "volume"}, month_first=True),
    Layout(
        "nasdaq-data-link", _PRICES | {"timestamp": "date", "volume": "volume"}, frozenset({"ex-dividend"})
    ),
    Layout("interactive-brokers", _PRICES | {"timestamp": "date", "volume": "volume"}, frozenset({"barcount"})),
    Layout("yahoo", _PRICES | {"timestamp": "date", "volume": "volume"}, frozenset({"adj close"})),
    Layout("yfinance", _PRICES | {"timestamp": "date", "volume": "volume"}, frozenset({"stock splits"})),
    Layout("yfinance", _PRICES | {"timestamp": "datetime", "volume": "volume"}, frozenset({"stock splits"})),
    Layout("binance", _PRICES | {"timestamp": "open_time", "volume": "volume"}, frozenset({"taker_buy_volume"})),
    Layout("binance", _PRICES | {"timestamp": "open time", "volume": "volume"}, header=_BINANCE),
    Layout("kraken", _PRICES | {"timestamp": "time", "volume": "volume"}, header=(*_OHLCV, "trades")),
    Layout("coinbase", _PRICES | {"timestamp": "time", "volume": "volume"}, header=_COINBASE),
    Layout("ohlcv", _PRICES | {"timestamp": "time", "volume": "volume"}, header=_OHLCV),
)  # fmt: skip
"""The layouts that are recognised. docs/data-flow.md names them."""

_USUAL = {
    "timestamp": ("timestamp", "unix", "open_time", "open time", "datetime", "date", "time", "t", ""),
    "symbol": ("symbol", "ticker"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c", "last", "latest"),
    "volume": ("volume", "vol", "v"),
}


class Columns(NamedTuple):
    """The place of each column in a row of a file."""

    layout: str
    """The layout's name; "columns by name" if none was recognised."""
    places: Mapping[str, int]
    """Our field -> the column's place. Without `symbol` the file is about one symbol."""
    absent: tuple[str, ...]
    """The fields without a column; the symbol only if nothing else names it."""
    time: int | None = None
    """The place of the time of day where the timestamp is a date."""
    whole_price: Decimal = Decimal(1)
    """What one unit of a price without a decimal point is worth."""
    month_first: bool = False
    """Whether its dates are written 03/02/2026 for 2 March."""


def find_columns(header: Sequence[str], name: str | None = None) -> Columns:
    """Which column is which, by the layout of this name, or by the one that the header shows."""
    names = [column.strip().lower() for column in header]
    known = [layout for layout in LAYOUTS if _fits(layout, names) and name in (None, layout.name)]
    known = known or [layout for layout in LAYOUTS if layout.name == name]
    # Our own columns are part of other layouts: the one with the most columns of its own wins.
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
        absent=tuple(
            field
            for field in FIELDS
            if field not in places and (field != "symbol" or (found is not None and found.is_of_many))
        ),
        time=names.index("<time>") if "<time>" in names else None,
        whole_price=Decimal(1) if found is None else found.whole_price,
        month_first=found is not None and found.month_first,
    )


def without_header(row: Sequence[str], name: str | None = None) -> list[Layout]:
    """The layouts whose files begin with such a row of numbers; none if it is a header."""
    return [layout for layout in LAYOUTS if name in (None, layout.name) and _could_write(layout, row)]


def columns_without_header(layout: Layout) -> Columns:
    """Which column is which in a file of a layout that has no header."""
    places = {field: layout.header.index(column) for field, column in layout.columns.items()}
    return Columns(layout.name, places, (), layout.header.index("<time>") if "<time>" in layout.header else None)


def is_wide(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether two rows are the fields and the tickers, in either order, of a file that yfinance's download wrote."""
    if not second or len(first) != len(second):
        return False
    corners = first[0].strip().lower(), second[0].strip().lower()
    tickers = first if corners[0] == "ticker" else second
    is_corner = corners[0] in ("price", "ticker", "") and corners[1] in ("price", "ticker", "")
    return is_corner and not any(_is_number(cell.strip()) for cell in tickers[1:])


def _could_write(layout: Layout, row: Sequence[str]) -> bool:
    """Whether a row has the width and the numbers of a layout without a header."""
    if not layout.header or len(layout.header) != len(row):
        return False
    cells = dict(zip(layout.header, (cell.strip() for cell in row), strict=True))
    first, *others = cells
    if not (_TIME_FORMS["time"].fullmatch(cells[first]) or _is_number(cells[first])):
        return False
    if not all(
        _TIME_FORMS[each].fullmatch(cells[each]) if each in _TIME_FORMS else _is_number(cells[each]) for each in others
    ):
        return False
    low, high, *inside = (Decimal(cells[layout.columns[field]]) for field in ("low", "high", "open", "close"))
    return all(low <= price <= high for price in inside)


def _fits(layout: Layout, names: Sequence[str]) -> bool:
    columns = {column for field, column in layout.columns.items() if field != "symbol" or not layout.is_of_many}
    return layout.header == () and (layout.marks | columns) <= set(names)


def _place(field: str, wanted: Sequence[str], names: Sequence[str]) -> int | None:
    for column in wanted:
        if column in names:
            return names.index(column)
    if field == "volume":  # the first one counts units of the traded asset, a second one units of the money paid
        return next((place for place, column in enumerate(names) if column.startswith("volume ")), None)
    return None


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).isdecimal()
