from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.errors import FeedError
from llmctx.flow.bar_file import BarFile
from llmctx.flow.bars import FIELDS, BadRow, Bar, parse_row, rounded_price
from tests.days import Day

HEAD = ",".join(FIELDS)
GOOD = ["2014-06-05T13:30:00Z", "AAPL", "646.25", "646.96", "645.75", "646.26", "220173"]
START = datetime(2014, 6, 5, 13, 30, tzinfo=UTC)
BAR = Bar(START, "AAPL", Decimal("646.25"), Decimal("646.96"), Decimal("645.75"), Decimal("646.26"), Decimal(220173))


def row(**changes: str) -> list[str]:
    return [changes.get(name, text) for name, text in zip(FIELDS, GOOD, strict=True)]


def file(folder: Path, *lines: str, head: str = HEAD, encoding: str = "utf-8") -> Path:
    path = folder / "bars.csv"
    path.write_bytes("\n".join([head, *lines, ""]).encode(encoding))
    return path


def why(cells: list[str]) -> str:
    found = parse_row(cells, 7)
    assert isinstance(found, BadRow), found
    assert found.line == 7
    return found.why


def test_a_good_row_is_a_bar() -> None:
    assert parse_row(GOOD, 2) == BAR


def test_space_around_a_cell_is_ignored() -> None:
    assert parse_row([f" {cell} " for cell in GOOD], 2) == BAR


@pytest.mark.parametrize(
    "timestamp",
    [
        "1401975000", "1401975000000", "1401975000000000", "1401975000000000000", "1401975000.0",
        "2014-06-05T13:30:00Z", "2014-06-05T13:30:00+00:00", "2014-06-05T09:30:00-04:00", "20140605T133000Z",
    ],
)  # fmt: skip
def test_a_time_with_a_zone_is_converted_to_utc(timestamp: str) -> None:
    assert parse_row(row(timestamp=timestamp), 2) == BAR


TIMES = ["", "yesterday", "2014-06-05", "2014-06-05T13:30:00", "2014-06-05 13:30", "2014-13-01T00:00:00Z"]
BEYOND_THE_CALENDAR = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
SYMBOLS = ["", "A  B", "{A}", "\uff21", "A" * 33, "-A", "*"]
NOT_NUMBERS = ["", "many", "1,5", "0x10", "--1", "$5", "1 000", "646_2", "٦٤٦"]
NOT_FINITE_OR_BELOW_0 = ["nan", "NaN", "sNaN", "inf", "-Infinity", "-1", "-0.01"]
MALFORMED = [
    *[("timestamp", text, f"timestamp {text!r}: ") for text in [*TIMES, *BEYOND_THE_CALENDAR]],
    *[("symbol", text, f"symbol: {text!r} is not a symbol") for text in SYMBOLS],
    *[(name, text, f"{name} {text!r} is not a number") for name in FIELDS[2:] for text in NOT_NUMBERS],
    *[
        (name, text, f"{name} {text!r} must be a finite number")
        for name in FIELDS[2:]
        for text in NOT_FINITE_OR_BELOW_0
    ],
    *[
        (name, text, f"{name} {text!r} must be a finite number above 0")
        for name in FIELDS[2:6]
        for text in ("0", "0.00", "-0")
    ],
    ("volume", "-1", "volume '-1' must be a finite number of at least 0"),
]


@pytest.mark.parametrize(("name", "text", "message"), MALFORMED)
def test_a_malformed_cell_is_named_with_the_rule_it_breaks(name: str, text: str, message: str) -> None:
    assert why(row(**{name: text})).startswith(message)


def test_a_volume_of_0_is_accepted() -> None:
    assert parse_row(row(volume="0"), 2) == BAR._replace(volume=Decimal(0))


@pytest.mark.parametrize("text", ["1e400", "1e31"])
def test_a_price_out_of_range_is_named(text: str) -> None:
    assert why(row(high=text, close=text)).startswith("high ")


@pytest.mark.parametrize("count", [0, 1, 6, 8])
def test_a_row_with_a_wrong_number_of_columns_names_the_count(count: int) -> None:
    assert why((GOOD * 2)[:count]) == f"{count} columns, expected 7"


@pytest.mark.parametrize(
    "changes",
    [{"low": "646.30"}, {"high": "646.2"}, {"low": "646.97"}, {"open": "647"}, {"close": "645.74"}, {"open": "1"}],
)
def test_prices_outside_low_and_high_are_named(changes: dict[str, str]) -> None:
    said = why(row(**changes))
    for name in ("low", "high", "open", "close"):
        assert f"{name} {changes.get(name, GOOD[FIELDS.index(name)])}" in said


def test_a_bar_of_one_price_is_a_bar() -> None:
    assert isinstance(parse_row(row(open="5", high="5", low="5", close="5"), 2), Bar)


@given(
    prices=st.lists(st.decimals("0.0001", "100000", places=4), min_size=4, max_size=4),
    volume=st.decimals(0, 10**9, places=0),
    start=st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  as hypothesis takes it
)
def test_what_is_written_as_a_row_is_read_as_the_same_bar(
    prices: list[Decimal], volume: Decimal, start: datetime
) -> None:
    low, first, last, high = sorted(prices)
    bar = Bar(start, "X", first, high, low, last, volume)
    assert parse_row([start.isoformat(), *(str(cell) for cell in bar[1:])], 2) == bar


@given(st.lists(st.text(max_size=8), max_size=8))
def test_no_row_makes_reading_fail(cells: list[str]) -> None:
    assert isinstance(parse_row(cells, 2), BadRow)


def test_a_bar_is_known_at_its_end() -> None:
    assert BAR.end(timedelta(minutes=5)) == START + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("price", "rounded"),
    [
        ("640.123456", "640.1235"),
        ("640.12345", "640.1234"),  # a half goes to the even digit
        ("640.12355", "640.1236"),
        ("100000", "100000.0000"),
        ("1.23456789", "1.2346"),
        ("0.123456789", "0.123457"),
        ("0.0123456789", "0.0123457"),
        ("0.000040004449", "0.0000400044"),
        ("1E-10", "1.00000E-10"),
    ],
)
def test_a_price_has_four_decimals_and_a_cheap_one_six_digits(price: str, rounded: str) -> None:
    assert str(rounded_price(Decimal(price))) == rounded


@given(st.decimals("0.00000001", "10000000", places=12))
def test_rounding_moves_a_price_by_less_than_a_hundredth_of_a_percent(price: Decimal) -> None:
    rounded = rounded_price(price)
    assert abs(rounded / price - 1) < Decimal("0.0001")
    assert rounded_price(rounded) == rounded


def test_a_file_gives_bars_and_bad_rows_in_its_order_with_their_lines(tmp_path: Path) -> None:
    path = file(tmp_path, ",".join(GOOD), ",".join(row(close="x")), ",".join(GOOD), "a,b")
    assert list(BarFile(path)) == [BAR, BadRow(3, "close 'x' is not a number"), BAR, BadRow(5, "2 columns, expected 7")]


def test_blank_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    path = file(tmp_path, "", ",".join(GOOD), "", ",".join(row(symbol="A  B")))
    found = list(BarFile(path))
    assert found[0] == BAR
    assert isinstance(found[1], BadRow)
    assert found[1].line == 5


@pytest.mark.parametrize("head", [HEAD.upper(), HEAD.replace(",", " , "), f"\ufeff{HEAD}"])
def test_a_header_in_capitals_with_spaces_or_a_byte_order_mark_is_the_header(head: str, tmp_path: Path) -> None:
    assert list(BarFile(file(tmp_path, ",".join(GOOD), head=head))) == [BAR]


@pytest.mark.parametrize(
    "head", ["", "when,symbol,open,high,low,close,volume", "timestamp,symbol,open", ",".join(GOOD)]
)
def test_a_header_that_lacks_a_column_is_refused_and_both_are_named(head: str, tmp_path: Path) -> None:
    with pytest.raises(FeedError) as caught:
        list(BarFile(file(tmp_path, ",".join(GOOD), head=head)))
    assert "line 1: the columns are" in caught.value.what
    assert HEAD in caught.value.do


def test_an_empty_file_has_no_columns(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.touch()
    with pytest.raises(FeedError, match=r"the columns are \(none\)"):
        list(BarFile(path))


def test_a_file_with_only_a_header_has_no_bars(tmp_path: Path) -> None:
    assert list(BarFile(file(tmp_path))) == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"none\.csv cannot be read"):
        list(BarFile(tmp_path / "none.csv"))


def test_a_binary_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"bars\.csv cannot be read"):
        list(BarFile(file(tmp_path, "ä" * 10, encoding="latin-1")))


def test_a_cell_beyond_any_size_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"bars\.csv cannot be read"):
        list(BarFile(file(tmp_path, "x" * 200_000)))


def test_every_row_of_whole_days_is_a_bar(day: Day) -> None:
    found = list(BarFile(day.bars))
    assert len(found) == day.bars.read_bytes().count(b"\n") - 1 > 700
    assert not [bad for bad in found if isinstance(bad, BadRow)]
