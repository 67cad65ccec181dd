from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx import canonical
from llmctx.flow.book import CAPITAL, Book, Day
from llmctx.flow.trades import Order, Trade
from llmctx.schema.values import Performance
from tests.unit.flow.makers import trade_of
from tests.unit.makers import is_canonical

EXIT = Order("exit", "decision 7", entry_time="2014-06-06T13:30:00.000Z")
TRADE = trade_of(Decimal(10), Decimal(1000))

numbers = st.decimals(-(10**9), 10**9, places=4) | st.integers(-(10**6), 10**6).map(Decimal)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
counts = st.integers(0, 1000)
days = st.builds(
    Day, date=texts, equity=numbers, earned=numbers, wins=counts, losses=counts, even=counts, won=numbers, lost=numbers,
    best=st.none() | numbers, worst=st.none() | numbers,
)  # fmt: skip
trades = st.builds(Trade, texts, *[numbers] * 7, leverage=st.none() | numbers)
orders = st.builds(
    Order, action=st.sampled_from(["open", "exit", "reduce", "add", "adjust_stops"]), reason=texts,
    side=st.sampled_from([None, "long", "short"]), quantity=st.none() | numbers, stop_loss=st.none() | numbers,
    take_profit=st.none() | numbers, entry_time=st.none() | texts,
)  # fmt: skip
symbols = st.sampled_from(["AAPL", "MSFT", "BRK.B", "^GSPC"])
books = st.builds(
    Book,
    days,
    st.dictionaries(symbols, trades),
    st.dictionaries(symbols, st.lists(orders, min_size=1, max_size=3).map(tuple)),
    st.dictionaries(symbols, texts),
    st.dictionaries(st.sampled_from(["0", "1", "12"]), texts),
)


@given(books)
def test_a_book_comes_back_from_its_wire_and_its_wire_from_the_book(book: Book) -> None:
    again = Book.from_wire(book.wire)
    assert again == book
    assert again.wire == book.wire


@given(books)
def test_the_wire_is_canonical(book: Book) -> None:
    assert is_canonical(book.wire)


def test_decimals_come_back_to_the_last_digit() -> None:
    number = Decimal("1234567890.12345678901234567")
    again = Book.from_wire(Book(trades={"A": trade_of(number, number)}).wire).trades["A"]
    assert (again.quantity, str(again.basis)) == (number, str(number))


def test_where_nothing_was_written_a_new_book_begins_with_the_capital() -> None:
    book = Book.from_wire(b"")
    assert book == Book()
    assert (book.day.equity, book.exposure, book.day.date) == (CAPITAL, Decimal(0), "")


GOOD: dict[str, Any] = canonical.loads(Book(trades={"A": TRADE}, orders={"A": (EXIT,)}).wire)


@pytest.mark.parametrize("raw", [b"x", b"not a string", b"{", b"[]", b"null", b"5", b'"book"', b"{}", b"\xff"])
def test_a_malformed_book_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"malformed paper book|expected|invalid|unexpected|EOF"):
        Book.from_wire(raw)


@pytest.mark.parametrize("name", ["day", "trades", "orders", "resting", "seen"])
@pytest.mark.parametrize("value", [None, 5, "x", ["x"]])
def test_a_book_with_a_part_of_another_kind_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match="malformed paper book"):
        Book.from_wire(canonical.dumps(GOOD | {name: value}))


@pytest.mark.parametrize("name", ["day", "trades", "orders", "resting", "seen"])
def test_a_book_without_a_part_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"malformed paper book: '{name}'"):
        Book.from_wire(canonical.dumps({part: value for part, value in GOOD.items() if part != name}))


@pytest.mark.parametrize(
    "changes",
    [
        {"trades": {"A": {"quantity": "1"}}},
        {"trades": {"A": {"quantity": "x", "basis": "1"}}},
        {"trades": {"A": {"quantity": "1", "basis": "1", "other": "1"}}},
        {"orders": {"A": [{"reason": "x"}]}},
        {"day": {"equity": "many"}},
        {"day": {"other": "1"}},
    ],
)
def test_a_book_with_other_fields_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="malformed paper book"):
        Book.from_wire(canonical.dumps(GOOD | changes))


def test_on_its_own_date_the_book_is_the_same() -> None:
    book = Book(Day("2014-06-06", earned=Decimal(5)))
    assert book.on("2014-06-06") is book


def test_a_new_day_begins_with_what_the_one_before_left() -> None:
    day = Day("2014-06-06", Decimal(1000), Decimal("-12.34")).with_trade(Decimal(5)).with_trade(Decimal(-5))
    book = Book(day, {"A": TRADE}, {"A": (EXIT,)}, {"B": "until"}, {"0": "7-1"}).on("2014-06-09")
    assert book.day == Day("2014-06-09", Decimal("987.66"))
    assert (book.trades, book.orders) == ({"A": TRADE}, {"A": (EXIT,)})
    assert (book.resting, book.seen) == ({"B": "until"}, {"0": "7-1"})


def test_the_first_day_begins_with_the_capital() -> None:
    assert Book().on("2014-06-06").day == Day("2014-06-06", CAPITAL)


def test_a_book_is_changed_by_making_another() -> None:
    book = Book()
    changed = book.with_trade("A", TRADE).with_orders("A", (EXIT,)).with_rest("B", "until").with_seen(3, "7-1")
    assert (changed.trades, changed.orders) == ({"A": TRADE}, {"A": (EXIT,)})
    assert (changed.resting, changed.seen) == ({"B": "until"}, {"3": "7-1"})
    assert book == Book()


def test_removed_entries_leave_no_trace() -> None:
    book = Book().with_trade("A", TRADE).with_orders("A", (EXIT,)).with_rest("A", "until")
    assert book.with_trade("A", None).with_orders("A", ()).with_rest("A", None) == Book()
    assert Book().with_trade("A", None).with_orders("A", ()).with_rest("A", None) == Book()


def test_the_exposure_is_what_all_open_trades_were_paid() -> None:
    assert Book(trades={"A": TRADE, "B": TRADE._replace(basis=Decimal("0.5"))}).exposure == Decimal("1000.5")


def test_a_day_without_trades_has_nothing_to_average() -> None:
    assert Day("2014-06-06").performance() == {
        "daily_pnl": 0,
        "daily_pnl_pct": 0,
        "win_count": 0,
        "loss_count": 0,
        "win_rate": None,
        "avg_win": None,
        "avg_loss": None,
        "largest_win": None,
        "largest_loss": None,
    }


@pytest.mark.parametrize("equity", ["0", "-5"])
def test_without_equity_there_is_no_percentage(equity: str) -> None:
    assert Day("2014-06-06", Decimal(equity), Decimal(5)).performance()["daily_pnl_pct"] is None


@pytest.mark.parametrize(
    ("nets", "expected"),
    [
        (["5"], (1, 0, "1", "5", None, "5", None)),
        (["-5"], (0, 1, "0", None, "-5", None, "-5")),
        (["0"], (0, 0, "0", None, None, None, None)),
        (["5", "10", "-3"], (2, 1, "0.6667", "7.5", "-3", "10", "-3")),
        (["10", "5", "-3", "-4", "0"], (2, 2, "0.4", "7.5", "-3.5", "10", "-4")),
        (["0.01", "0.02", "0.02"], (3, 0, "1", "0.02", None, "0.02", None)),
    ],
)
def test_a_day_counts_and_averages_its_trades(nets: list[str], expected: tuple[Any, ...]) -> None:
    day = Day("2014-06-06")
    for net in nets:
        day = day.with_trade(Decimal(net))
    names = ("win_count", "loss_count", "win_rate", "avg_win", "avg_loss", "largest_win", "largest_loss")
    found = day.performance()
    assert tuple(found[name] for name in names) == tuple(
        Decimal(one) if isinstance(one, str) else one for one in expected
    )


@given(st.lists(st.decimals(-1000, 1000, places=2), max_size=30), st.decimals(-1000, 1000, places=2))
def test_a_days_performance_is_that_of_its_trades(nets: list[Decimal], earned: Decimal) -> None:
    day = Day("2014-06-06", earned=earned)
    for net in nets:
        day = day.with_trade(net)
    wins, losses = [net for net in nets if net > 0], [net for net in nets if net < 0]
    found = day.performance()
    Performance.model_validate(found | {"timestamp": "2014-06-06T13:30:00.000Z"})
    assert (found["win_count"], found["loss_count"]) == (len(wins), len(losses))
    assert (found["largest_win"], found["largest_loss"]) == (max(wins, default=None), min(losses, default=None))
    assert (found["daily_pnl"], found["daily_pnl_pct"]) == (
        earned,
        (earned / CAPITAL * 100).quantize(Decimal("0.0001")),
    )
    assert (day.won, day.lost, day.even) == (sum(wins), sum(losses), nets.count(Decimal(0)))
