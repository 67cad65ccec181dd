"""A file of bars as published: CSV, compressed or not, or Parquet; columns by name, the newest first or last.

Anything the file does not say must be given, and is never guessed: a time without a zone needs `zone`. A file about one
symbol whose columns do not name it is assumed to be about the symbol that its file name begins with, and a message says
so.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from llmctx.errors import FeedError
from llmctx.flow.bar_rows import rows_of
from llmctx.flow.bars import FIELDS, BadRow, Bar, CellRules, parse_row
from llmctx.flow.intervals import check_interval, infer_interval
from llmctx.flow.layouts import LAYOUTS, Columns, columns_without_header, find_columns, is_wide, without_header
from llmctx.flow.times import TimeRules
from llmctx.schema.symbol import check_symbol, is_symbol

_log = logging.getLogger(__name__)

_SAMPLE_ROWS = 5000
_MINUTE = timedelta(minutes=1)
_OUR_COLUMNS = ",".join(FIELDS)
_Row = tuple[int, list[str]]
_SUFFIXES = re.compile(r"(\.(csv|txt|tsv|gz|zip|parquet|pq))+$", re.IGNORECASE)
_FORMS = (
    re.compile(r"[A-Za-z0-9]+_(?P<symbol>[^ ,]+), \w+( \(\d+\))?"),  # TradingView: NASDAQ_AAPL, 1D
    re.compile(r"DAT_[A-Z]+_(?P<symbol>[^_]+)_.*"),  # HistData: DAT_ASCII_EURUSD_M1_2024
    re.compile(r"(WIKI|EOD)[-_](?P<symbol>[^-_ ]+).*"),  # Nasdaq Data Link: WIKI-AAPL
    re.compile(r"(?P<symbol>[^-_ ]+[-_](USD[TC]?|EUR|GBP|BTC|ETH))([-_ .].*)?", re.IGNORECASE),  # a pair: BTC-USD
    re.compile(r"(?P<symbol>[^-_ ]+).*"),
)
_NO_SYMBOL = re.compile(
    r"bars|candles|data|download|export|histor(y|ical)(data)?|klines|ohlcv?|out(put)?|prices?|quotes|stocks?|table",
    re.IGNORECASE,
)


class BarFileOptions(NamedTuple):
    """What the file itself does not say."""

    layout: str | None = None
    """The name of its layout; None recognises it."""
    symbol: str | None = None
    """The symbol that it is about, if no column names it."""
    zone: ZoneInfo | None = None
    """The zone of times that name none."""


class _View(NamedTuple):
    """The columns of one symbol; a wide file has several."""

    columns: Columns
    symbol: str | None
    """The symbol; None if a column names it."""
    rules: CellRules
    """How its cells are read."""
    is_part: bool = False
    """Whether a row has other symbols too, and so perhaps none of this one."""


class BarFile:
    """The bars of one file. Iterate it for each Bar, oldest first, and a BadRow for each malformed row."""

    def __init__(self, path: Path, options: BarFileOptions = BarFileOptions()) -> None:  # noqa: B008  frozen
        """Read the header and the first rows.

        Raises FeedError if the file cannot be read, lacks a column, or its layout is unknown.
        """
        self.path = path
        self._options = options
        self._widened = 0
        self._views: list[_View] = []
        if options.layout is not None and options.layout not in {layout.name for layout in LAYOUTS}:
            names = ", ".join(dict.fromkeys(layout.name for layout in LAYOUTS))
            raise FeedError(f"There is no layout {options.layout!r}.", f"Name one of {names} with --format.")
        self._rows = self._read(rows_of(path))
        self._first = list(islice(self._rows, _SAMPLE_ROWS))
        self._sample = [item for item in self._first if isinstance(item, Bar)]
        self._newest_first = _is_newest_first(self._sample)

    def __iter__(self) -> Iterator[Bar | BadRow]:
        items: Iterable[Bar | BadRow] = chain(self._first, self._rows)
        return iter(reversed(list(items)) if self._newest_first else items)

    def interval(self, given: timedelta | None = None) -> timedelta:
        """The length of its bars: the given one, or else as their starts show; a minute without bars.

        Raises FeedError if bars of some symbol cannot have that length.
        """
        interval = given or infer_interval(self._sample) or _MINUTE
        check_interval(self._sample, interval, str(self.path))
        return interval

    @property
    def layout(self) -> str:
        """The name of its layout; "columns by name" if none was recognised."""
        return self._views[0].columns.layout

    def _read(self, rows: Iterator[_Row]) -> Iterator[Bar | BadRow]:
        width, rows = self._open(rows)
        for line, row in rows:
            cells = row[:width] if len(row) > width and not any(row[width:]) else row
            if len(cells) != width:
                yield BadRow(line, f"{len(cells)} columns, expected {width}")
                continue
            for view in self._views:
                if (item := self._bar(cells, line, view)) is not None:
                    yield item
        if self._widened:
            _log.warning(
                f"{self.path}: in {self._widened} bars high or low missed open or close by a rounding; widened"
            )

    def _bar(self, row: Sequence[str], line: int, view: _View) -> Bar | BadRow | None:
        """The bar of one symbol in a row; None if a wide row has none for it."""
        columns = view.columns
        cells = [row[columns.places[name]] if name in columns.places else view.symbol or "" for name in FIELDS]
        if columns.time is not None and row[columns.time].strip("0 "):  # a daily bar has the time 000000
            cells[0] += f" {row[columns.time]}"
        if view.is_part and not any(cell.strip() for cell in cells[2:]):
            return None
        return parse_row(cells, line, view.rules)

    def _count_widened(self) -> None:
        self._widened += 1

    def _open(self, rows: Iterator[_Row]) -> tuple[int, Iterator[_Row]]:
        """Find the views in the first rows; return the width of a row, and the rows with bars."""
        line, row = next(rows, (1, []))
        if len(row) == 1 and row[0].startswith("http"):  # a publisher's own address above the header
            line, row = next(rows, (line, []))
        if not row:
            raise self._without(FIELDS, ())
        bare = without_header(row, self._options.layout)
        if len(bare) > 1:
            names = " or ".join(layout.name for layout in bare)
            raise FeedError(f"{self.path} has no header, and may be {names}.", "Name which with --format.")
        if bare:
            self._views = [self._view(columns_without_header(bare[0]), self._symbol())]
            return len(row), chain([(line, row)], rows)
        second = next(rows, (line + 1, []))
        if is_wide(row, second[1]):
            next(rows, None)  # a row that says Date
            self._views = self._wide(*sorted((row, second[1]), key=lambda cells: cells[0].strip().lower() == "ticker"))
            return len(row), rows
        columns = find_columns(row, self._options.layout)
        absent = [field for field in columns.absent if field != "symbol" or self._options.symbol is None]
        if absent:
            raise self._without(absent, row)
        self._views = [self._view(columns, None if "symbol" in columns.places else self._symbol())]
        return len(row), chain([second] if second[1] else [], rows)

    def _view(self, columns: Columns, symbol: str | None, *, is_part: bool = False) -> _View:
        times = TimeRules(self._options.zone, dates=True, month_first=columns.month_first)
        return _View(columns, symbol, CellRules(times, columns.whole_price, self._count_widened), is_part)

    def _wide(self, row: Sequence[str], tickers: Sequence[str]) -> list[_View]:
        """The views of a file that yfinance's download wrote: a row of fields, one of tickers, one that says Date."""
        found = []
        for ticker in dict.fromkeys(tickers[1:]):
            places = {
                cell.strip().lower(): place
                for place, (cell, of) in enumerate(zip(row, tickers, strict=False))
                if of == ticker and cell.strip().lower() in FIELDS
            }
            absent = tuple(name for name in FIELDS[2:] if name not in places)
            if absent:
                raise self._without(absent, row)
            columns = Columns("yfinance", places | {"timestamp": 0}, ())
            found.append(self._view(columns, check_symbol(ticker.strip()), is_part=True))
        return found

    def _without(self, absent: Sequence[str], row: Sequence[str]) -> FeedError:
        shown = ",".join(row)[:200] or "(none)"
        what = f"{self.path}, line 1: the columns are {shown}; there is none for {', '.join(absent)}."
        return FeedError(what, f"Name them {_OUR_COLUMNS}, in any order, or name the layout with --format.")

    def _symbol(self) -> str:
        """The symbol of a file whose columns do not name one.

        Raises FeedError if nothing tells it.
        """
        if self._options.symbol is not None:
            return check_symbol(self._options.symbol)
        symbol = _symbol_in_name(self.path)
        if symbol is None:
            raise FeedError(
                f"{self.path} has no column for the symbol, and its own name tells none.", "Name it with --symbol."
            )
        _log.warning(
            f"{self.path} has no column for the symbol: {symbol} is taken from its name; --symbol says another"
        )
        return symbol


def _is_newest_first(bars: Sequence[Bar]) -> bool:
    starts = [bar.start for bar in bars if bar.symbol == bars[0].symbol]
    return sum(after < before for before, after in pairwise(starts)) * 2 > max(
        0, len(starts) - 1
    )  # one late row is an error


def count_bars(path: Path) -> int:
    """About how many bars a file has: its lines without a header; 0 if they cannot be counted cheaply."""
    with path.open("rb") as file:
        return 0 if file.read(2) in (b"\x1f\x8b", b"PA", b"PK") else sum(1 for _ in file)


def _symbol_in_name(path: Path) -> str | None:
    """The symbol in the name of a file, at its beginning or where its publisher puts it; None if it tells none, as
    data.csv does.
    """
    name = _SUFFIXES.sub("", path.name)
    found = next((match["symbol"] for form in _FORMS if (match := form.fullmatch(name))), "")
    return found if is_symbol(found) and _NO_SYMBOL.fullmatch(found) is None else None
