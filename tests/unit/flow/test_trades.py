from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx import canonical
from llmctx.connection.streams import StreamEntry
from llmctx.flow.book import Book
from llmctx.flow.trades import ClosedPosition, Fill, Order, history_fields
from tests.unit.flow.makers import MINUTE, OPENING

FILL = Fill(
    at=OPENING,
    symbol="AAPL",
    side="buy",
    quantity=Decimal(15),
    price=Decimal("646.25"),
    cost=Decimal("1.94"),
    realized=Decimal(0),
    reason="breakout",
    entry_time=OPENING - MINUTE,
)
CLOSED = ClosedPosition(
    symbol="AAPL",
    side="long",
    entry_time=OPENING,
    exit_time=OPENING + timedelta(hours=1),
    quantity=Decimal(15),
    entry_price=Decimal("646.25"),
    exit_price=Decimal(650),
    gross=Decimal("56.25"),
    cost=Decimal("3.89"),
    net=Decimal("52.36"),
    reason="target_reached",
)


def test_a_fill_is_an_entry_of_texts() -> None:
    assert history_fields(FILL) == {
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
    assert history_fields(CLOSED) == {
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
def test_numbers_are_written_in_full_and_equal_numbers_are_equal_texts(number: str, text: str) -> None:
    assert history_fields(FILL._replace(price=Decimal(number)))["price"] == text


@given(st.decimals(-(10**12), 10**12, places=8))
def test_numbers_come_back_to_the_last_digit(number: Decimal) -> None:
    text = history_fields(FILL._replace(realized=number))["realized"]
    assert "E" not in text
    assert Decimal(text) == number


ENTRY = "2014-06-06T13:30:00.000Z"
DECISION: dict[str, Any] = {
    "address": "7", "kind": "decision", "tick": "t1", "symbol": "AAPL", "as_of": ENTRY, "entry_time": ENTRY,
    "action": "exit", "quantity": None, "stop_loss": None, "take_profit": None, "reason": "grounded", "decided": "exit",
    "confidence": Decimal("0.8"), "reasoning": "It falls.", "invalidation": "A close above 650.", "valid_for": 5,
}  # fmt: skip


def entry(index: int, **changes: Any) -> StreamEntry:
    raw = canonical.wire(DECISION | {"address": str(index)} | changes)
    return StreamEntry(f"{index}-1", {b"symbol": b"AAPL", b"decision": raw})


def read(*entries: StreamEntry, book: Book | None = None, partition: int = 0) -> Book:
    return (Book() if book is None else book).with_decisions(partition, entries)


@pytest.mark.parametrize("action", ["exit", "reduce", "add", "adjust_stops"])
def test_a_decision_that_trades_waits_for_its_symbols_next_bar(action: str) -> None:
    book = read(entry(7, action=action, quantity=4, stop_loss=Decimal("99.5"), take_profit=120))
    expected = Order(
        action=action,
        reason="decision 7",
        quantity=Decimal(4),
        stop_loss=Decimal("99.5"),
        take_profit=Decimal(120),
        entry_time=ENTRY,
    )
    assert book.orders == {"AAPL": (expected,)}


def test_fields_absent_from_a_decision_are_none_in_its_order() -> None:
    (found,) = read(entry(7)).orders["AAPL"]
    assert (found.quantity, found.stop_loss, found.take_profit, found.side) == (None, None, None, None)


@pytest.mark.parametrize("action", ["hold", "open", "none", "EXIT", ""])
def test_a_decision_that_does_not_trade_is_read_and_gives_no_order(action: str) -> None:
    assert read(entry(7, action=action)) == Book().with_seen(0, "7-1")


@pytest.mark.parametrize("raw", [b"", b"x", b"{}", b"[]", b"null", b'{"action":"exit","symbol":"AAPL"}'])
def test_a_malformed_decision_is_skipped_and_nothing_is_traded_on_a_guess(raw: bytes) -> None:
    book = read(StreamEntry("7-1", {b"decision": raw}), StreamEntry("8-1", {}), entry(9))
    assert [order.reason for order in book.orders["AAPL"]] == ["decision 9"]
    assert book.seen == {"0": "9-1"}


@pytest.mark.parametrize(
    "changes", [{"entry_time": None}, {"quantity": "4"}, {"symbol": None}, {"entry_time": "today"}]
)
def test_a_decision_with_a_malformed_field_is_skipped(changes: dict[str, Any]) -> None:
    assert read(entry(7, **changes)) == Book().with_seen(0, "7-1")


def test_decisions_wait_in_their_order_behind_what_waits_already() -> None:
    waiting = Order("open", "breakout", side="long")
    book = read(
        entry(7), entry(8, symbol="MSFT"), entry(12, action="add", quantity=1), book=Book(orders={"AAPL": (waiting,)})
    )
    assert [order.reason for order in book.orders["AAPL"]] == ["breakout", "decision 7", "decision 12"]
    assert [order.reason for order in book.orders["MSFT"]] == ["decision 8"]
    assert book.seen == {"0": "12-1"}


def test_a_decision_is_read_once() -> None:
    once = read(entry(7), entry(8))
    assert read(entry(7), entry(8), book=once) == once
    twice = read(entry(7), entry(8), entry(9), book=once)
    assert [order.reason for order in twice.orders["AAPL"]] == ["decision 7", "decision 8", "decision 9"]


def test_each_partition_is_read_by_itself() -> None:
    book = read(entry(3), book=read(entry(7)), partition=1)
    assert book.seen == {"0": "7-1", "1": "3-1"}
    assert len(book.orders["AAPL"]) == 2


def test_the_first_decision_of_all_is_read() -> None:
    assert read(entry(0)).seen == {"0": "0-1"}


def test_the_first_decision_of_all_is_read_by_who_began_before_it() -> None:
    book = read(entry(0), book=Book().with_seen(0, "0-0"))
    assert [order.reason for order in book.orders["AAPL"]] == ["decision 0"]


def test_no_entries_change_nothing() -> None:
    book = Book().with_seen(0, "7-1")
    assert read(book=book) is book


def test_the_entry_time_is_written_as_positions_write_it() -> None:
    (found,) = read(entry(7, entry_time="2014-06-06T09:30:00-04:00")).orders["AAPL"]
    assert found.entry_time == ENTRY
