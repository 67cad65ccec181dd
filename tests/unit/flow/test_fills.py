from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.flow.fills import Closed, Fill, fields_of
from tests.unit.flow.makers import MINUTE, OPENING

FILL = Fill(
    OPENING, "AAPL", "buy", Decimal(15), Decimal("646.25"), Decimal("1.94"), Decimal(0), "breakout", OPENING - MINUTE
)
CLOSED = Closed(
    "AAPL", "long", OPENING, OPENING + timedelta(hours=1), Decimal(15), Decimal("646.25"), Decimal(650),
    Decimal("56.25"), Decimal("3.89"), Decimal("52.36"), "target_reached",
)  # fmt: skip


def test_a_fill_is_an_entry_of_texts() -> None:
    assert fields_of(FILL) == {
        "at": "2014-06-06T13:30:00.000Z",
        "symbol": "AAPL",
        "side": "buy",
        "quantity": "15",
        "price": "646.25",
        "cost": "1.94",
        "realized": "0",
        "reason": "breakout",
        "entry_time": "2014-06-06T13:29:00.000Z",
    }


def test_a_closed_position_is_an_entry_of_texts() -> None:
    assert fields_of(CLOSED) == {
        "symbol": "AAPL",
        "side": "long",
        "entry_time": "2014-06-06T13:30:00.000Z",
        "exit_time": "2014-06-06T14:30:00.000Z",
        "quantity": "15",
        "entry_price": "646.25",
        "exit_price": "650",
        "gross": "56.25",
        "cost": "3.89",
        "net": "52.36",
        "reason": "target_reached",
    }


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("1E+3", "1000"),
        ("1E-8", "0.00000001"),
        ("0E-4", "0"),
        ("-0.00", "0"),
        ("-2.50", "-2.5"),
        ("1000", "1000"),
        ("646.123456789012345678901234567890123456", "646.123456789012345678901234567890123456"),
    ],
)
def test_numbers_are_written_in_full_and_equal_ones_alike(number: str, text: str) -> None:
    assert fields_of(FILL._replace(price=Decimal(number)))["price"] == text


@given(st.decimals(-(10**12), 10**12, places=8))
def test_numbers_come_back_to_the_last_digit(number: Decimal) -> None:
    text = fields_of(FILL._replace(realized=number))["realized"]
    assert "E" not in text
    assert Decimal(text) == number
