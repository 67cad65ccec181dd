import json
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.flow.bars import FIELDS, BadRow, Bar
from llmctx.flow.news import Headline
from llmctx.flow.news_file import parse_headlines
from llmctx.flow.pipe import parse_line
from llmctx.flow.timeline import Vix

AT = datetime(2014, 6, 5, 13, 30, tzinfo=UTC)
TIME = "2014-06-05T13:30:00Z"
BAR = {
    "timestamp": TIME, "symbol": "AAPL", "open": 646.25, "high": 646.96, "low": 645.75, "close": 646.26,
    "volume": 220173,
}  # fmt: skip
HEADLINE = {"timestamp": TIME, "symbol": "AAPL", "headline": "Up we go", "source": "Wire", "url": "https://example.com"}
VIX = {"timestamp": TIME, "vix": 15.25}


def line(document: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps(document | changes).encode()


def raw_bar(name: str, text: str) -> bytes:
    """A bar with a number exactly as written."""
    return line(BAR | {name: 0}).replace(f'"{name}": 0'.encode(), f'"{name}": {text}'.encode())


def why(raw: bytes) -> str:
    found = parse_line(raw, 7)
    assert isinstance(found, BadRow), found
    assert found.line == 7
    return found.why


def test_a_bar_is_a_bar() -> None:
    prices = (Decimal(text) for text in ("646.25", "646.96", "645.75", "646.26", "220173"))
    assert parse_line(line(BAR), 1) == Bar(AT, "AAPL", *prices)


def test_numbers_may_be_strings_and_unknown_fields_are_ignored() -> None:
    assert parse_line(line({name: str(value) for name, value in BAR.items()}, vwap=646.3), 1) == parse_line(
        line(BAR), 1
    )


def test_prices_keep_every_digit() -> None:
    found = parse_line(raw_bar("close", "646.1000000000000000001"), 1)
    assert isinstance(found, Bar)
    assert found.close == Decimal("646.1000000000000000001")


@pytest.mark.parametrize("text", ["6.4625e2", "64625E-2", "646250e-3"])
def test_exponents_are_accepted(text: str) -> None:
    assert parse_line(raw_bar("open", text), 1) == parse_line(line(BAR), 1)


@pytest.mark.parametrize("name", FIELDS)
def test_a_bar_with_a_missing_column_names_it(name: str) -> None:
    document = {column: value for column, value in BAR.items() if column != name}
    assert why(line(document)) == f"not a bar ({name} missing), a headline, a funding rate or a vix reading"


def test_an_empty_object_names_every_column() -> None:
    assert why(b"{}") == f"not a bar ({', '.join(FIELDS)} missing), a headline, a funding rate or a vix reading"


@pytest.mark.parametrize("name", FIELDS[2:])
@pytest.mark.parametrize("value", [None, True, "many", "", [1], {"a": 1}, -1, "nan"])
def test_a_value_that_is_not_a_number_is_named(name: str, value: Any) -> None:
    assert why(line(BAR, **{name: value})).startswith(f"{name} ")


@pytest.mark.parametrize("name", FIELDS[2:6])
@pytest.mark.parametrize("text", ["0", "0.0", "1e31", "1e-31", "1e400", "9" * 4000])
def test_a_price_out_of_range_is_named(name: str, text: str) -> None:
    assert why(raw_bar(name, text)).startswith(f"{name} ")


@pytest.mark.parametrize("text", ["1e9000000", "1e-9000000"])
def test_a_huge_exponent_is_never_expanded(text: str) -> None:
    tracemalloc.start()
    try:
        assert why(raw_bar("close", text)).startswith("close ")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


TIMES = [None, "", "2014-06-05", "2014-06-05T13:30:00", 20140605, [TIME], True]
SYMBOLS = ["", "{A}", "A" * 33, ["A"], None, True, 5, 1.5]


@pytest.mark.parametrize(
    ("document", "name", "value"),
    [
        *[(document, "timestamp", value) for document in (BAR, VIX, HEADLINE) for value in TIMES],
        *[(document, "symbol", value) for document in (BAR, HEADLINE) for value in SYMBOLS],
    ],
)
def test_a_malformed_time_or_symbol_is_named(document: dict[str, Any], name: str, value: Any) -> None:
    assert name in why(line(document, **{name: value}))


def test_prices_outside_low_and_high_are_named() -> None:
    assert "do not enclose" in why(line(BAR, high=646))


def test_a_headline_is_what_it_is_in_a_file() -> None:
    found = parse_line(line(HEADLINE), 1)
    assert isinstance(found, Headline)
    assert [found] == list(parse_headlines(json.dumps(HEADLINE), 1))


def test_what_is_wrong_with_a_headline_is_named() -> None:
    assert why(line(HEADLINE, headline="")) == "malformed headline: headline must be a string that is not empty"


def test_an_object_with_a_headline_is_a_headline() -> None:
    assert isinstance(parse_line(line(BAR | VIX | HEADLINE), 1), Headline)


@pytest.mark.parametrize("value", [15.25, 15, 0.01, 9999])
def test_a_vix_reading_is_parsed(value: float) -> None:
    assert parse_line(line(VIX, vix=value), 1) == Vix(AT, Decimal(str(value)))


@pytest.mark.parametrize("value", [0, -1, 10_000, 1e300, "15", None, True, [15]])
def test_a_vix_out_of_range_is_named(value: Any) -> None:
    said = why(line(VIX, vix=value))
    assert said.startswith("vix ")
    assert said.endswith(" must be a number above 0")


def test_a_reading_without_a_time_is_named() -> None:
    assert why(b'{"vix":15}').startswith("timestamp None: ")


INVALID_JSON = [b"x", b"{", b"", b'{"vix":15}{', b'{"vix":15,"vix":15}', b'{"vix":NaN}', b"\xff", b'{"a":"\xff"}']


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        *[(raw, "not valid JSON: ") for raw in (*INVALID_JSON, b"[" * 500)],
        *[(raw, "not a JSON object") for raw in (b"[]", b"5", b'"AAPL"', b"null", b"true", b'["timestamp"]')],
    ],
)
def test_a_line_that_is_not_a_json_object_is_rejected(raw: bytes, message: str) -> None:
    assert why(raw).startswith(message)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


@given(st.sampled_from([BAR, HEADLINE, VIX]), st.dictionaries(st.sampled_from([*BAR, *HEADLINE, *VIX]), json_values))
def test_no_line_makes_reading_fail(document: dict[str, Any], changes: dict[str, Any]) -> None:
    assert isinstance(parse_line(line(document | changes), 1), Bar | Headline | Vix | BadRow)


@given(st.binary(max_size=60))
def test_no_bytes_make_reading_fail(raw: bytes) -> None:
    assert isinstance(parse_line(raw, 1), BadRow)


prices = st.lists(st.decimals("0.0001", "100000", places=4), min_size=4, max_size=4).map(sorted)


@given(prices, st.integers(0, 10**9))
def test_what_is_piped_as_json_is_read_as_the_same_bar(found: list[Decimal], volume: int) -> None:
    low, first, last, high = found
    numbers = dict(zip(FIELDS[2:], (first, high, low, last, volume), strict=True))
    texts = (f'"{name}":{number}' for name, number in numbers.items())
    raw = f'{{"timestamp":"{TIME}","symbol":"X",{",".join(texts)}}}'
    assert parse_line(raw.encode(), 1) == Bar(AT, "X", first, high, low, last, Decimal(volume))
