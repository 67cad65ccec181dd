"""A file of bars as it comes: CSV, compressed or not, or Parquet; columns by name, the newest first or last.

What cannot be known from the file is asked for, never guessed: a time without a zone needs `zone`. A file about one
symbol whose columns do not name it is taken to be about the symbol that its own name begins with, and says so.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from llmctx.errors import FeedError, SchemaError
from llmctx.flow.bar_rows import rows_of
from llmctx.flow.bars import FIELDS, BadRow, Bar, CellRules, parse_row
from llmctx.flow.intervals import check_interval, infer_interval
from llmctx.flow.layouts import LAYOUTS, Columns, find_columns, without_header
from llmctx.schema.symbol import check_symbol

_log = logging.getLogger(__name__)

_SAMPLE_ROWS = 5000
_MINUTE = timedelta(minutes=1)
_OUR_COLUMNS = ",".join(FIELDS)


class BarFileOptions(NamedTuple):
    """What a file does not say itself."""

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
    is_part: bool = False
    """Whether a row has other symbols too, and so perhaps nothing of this one."""


class BarFile:
    """The bars of one file. Iterate it for each Bar, oldest first, and a BadRow for each malformed row."""

    def __init__(self, path: Path, options: BarFileOptions = BarFileOptions()) -> None:  # noqa: B008  frozen
        """Read the header and the first rows.

        Raises FeedError if the file cannot be read, lacks a column, or its layout is unknown.
        """
        self.path = path
        self._options = options
        self._widened = 0
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
        """The length of its bars: the given one, or else what their starts show; a minute without bars.

        Raises FeedError if bars of some symbol cannot have that length.
        """
        interval = given or infer_interval(self._sample) or _MINUTE
        check_interval(self._sample, interval, str(self.path))
        return interval

    def _read(self, rows: Iterator[tuple[int, list[str]]]) -> Iterator[Bar | BadRow]:
        views: list[_View] = []
        width = 0
        for line, row in rows:
            if not views:
                views, width, first = self._views(line, row, rows)
                if first is None:
                    continue
                row = first  # noqa: PLW2901  a file without a header
            if len(row) != width:
                yield BadRow(line, f"{len(row)} columns, expected {width}")
                continue
            for view in views:
                if (item := self._bar(row, line, view)) is not None:
                    yield item
        if not views:
            raise self._without(FIELDS, ())
        if self._widened:
            _log.warning(
                f"{self.path}: in {self._widened} bars high or low missed open or close by a rounding; widened"
            )

    def _bar(self, row: Sequence[str], line: int, view: _View) -> Bar | BadRow | None:
        """The bar of one symbol in a row; None if a wide row has none of it."""
        columns = view.columns
        cells = [row[columns.places[name]] if name in columns.places else view.symbol or "" for name in FIELDS]
        if columns.time is not None and row[columns.time].strip("0 "):  # a bar of a day has the time 000000
            cells[0] += f" {row[columns.time]}"
        if view.is_part and not any(cell.strip() for cell in cells[2:]):
            return None
        return parse_row(cells, line, CellRules(self._options.zone, True, columns.whole_price, self._count_widened))

    def _count_widened(self) -> None:
        self._widened += 1

    def _views(
        self, line: int, row: list[str], rows: Iterator[tuple[int, list[str]]]
    ) -> tuple[list[_View], int, list[str] | None]:
        """The views that the first row tells of, the width of a row, and that row if it is no header."""
        if len(row) == 1 and row[0].startswith("http"):  # a publisher's own address above the header
            line, row = next(rows, (line, []))
        bare = without_header(row)
        if bare is not None:
            columns = find_columns(bare.header, bare.name)
            return [_View(columns, self._symbol())], len(row), row
        fields = [cell.strip().lower() for cell in row]
        if fields[0] in ("price", "") and fields.count("close") >= 1 and "timestamp" not in fields:
            return self._wide(row, rows), len(row), None
        columns = find_columns(row, self._options.layout)
        if columns.absent:
            raise self._without(columns.absent, row)
        symbol = None if "symbol" in columns.places else self._symbol()
        return [_View(columns, symbol)], len(row), None

    def _wide(self, row: list[str], rows: Iterator[tuple[int, list[str]]]) -> list[_View]:
        """The views of a file that yfinance's download wrote: a row of fields, one of tickers, one that says Date."""
        tickers = next(rows, (0, []))[1]
        next(rows, None)
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
            found.append(
                _View(Columns("yfinance", places | {"timestamp": 0}, ()), check_symbol(ticker.strip()), is_part=True)
            )
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
        name = re.split(r"[-_ ]", self.path.name.removesuffix(".gz").rpartition(".")[0], maxsplit=1)[0]
        try:
            symbol = check_symbol(name)
        except SchemaError as error:
            raise FeedError(
                f"{self.path} has no column for the symbol, and its own name tells none.", "Name it with --symbol."
            ) from error
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
