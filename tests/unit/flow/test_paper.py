from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx import clock
from llmctx.flow.book import CAPITAL, Book, Day
from llmctx.flow.paper import Account
from llmctx.flow.rules import COOL_DOWN, MAX_POSITIONS
from llmctx.flow.signals import TradeSignal
from llmctx.flow.sizing import COST_BPS, STAKE
from llmctx.flow.trades import Fill, Order, history_fields
from llmctx.schema.values import Position
from tests.unit.flow.accounts import (
    BREAKOUT,
    ENTRY,
    NO_COST,
    SIDES,
    account,
    opening,
    order,
    the_fill,
    the_position,
    worked,
)
from tests.unit.flow.makers import MINUTE, NEXT_DAY, OPENING, bar, position, trade_of


def test_a_signal_opens_nothing_at_its_own_bar_and_a_position_at_the_next_ones_open() -> None:
    first = worked(bar(0), found=[BREAKOUT])
    assert (first.position, first.fills) == (None, [])
    second = worked(bar(1, "101", open="100", high="101", low="99.5"), book=first.book)
    assert the_position(second).entry_price == 100
    assert the_fill(second).at == OPENING + MINUTE


@pytest.mark.parametrize(
    ("side", "stop", "target", "bought"), [("long", "99", "102", "buy"), ("short", "101", "98", "sell")]
)
def test_a_position_is_opened_with_stop_and_target_and_recorded_as_a_fill(
    side: str, stop: str, target: str, bought: str
) -> None:
    made = worked(bar(1), opening(side))
    held = the_position(made)
    assert (held.symbol, held.side, held.quantity) == ("AAPL", side, Decimal(100))
    assert [held.entry_price, held.current_price, held.unrealized_pnl] == [100, 100, 0]
    assert (held.stop_loss, held.take_profit) == (Decimal(stop), Decimal(target))
    assert held.entry_time == held.last_update == OPENING + MINUTE
    when = OPENING + MINUTE
    assert the_fill(made) == Fill(
        when, "AAPL", bought, held.quantity, held.entry_price, NO_COST, NO_COST, "breakout", when
    )
    assert made.book.trades["AAPL"] == trade_of(Decimal(100), Decimal(10_000), entry_time=clock.iso(clock.to_ms(when)))
    Position.model_validate(held.model_dump())


@pytest.mark.parametrize(("price", "quantity"), [("640", 15), ("10000", 1), ("5000.01", 1), ("0.5", 20_000)])
def test_the_size_is_about_the_stake_in_whole_shares(price: str, quantity: int) -> None:
    assert the_position(worked(bar(1, price), opening())).quantity == quantity


prices = st.decimals("0.01", "10000", places=4)


@given(side=st.sampled_from(["long", "short"]), price=prices)
def test_stop_and_target_enclose_the_entry_and_a_new_position_is_not_over(side: str, price: Decimal) -> None:
    made = worked(bar(1, price), opening(side))
    held = the_position(made)
    assert held.stop_loss is not None
    assert held.take_profit is not None
    low, high = sorted([held.stop_loss, held.take_profit])
    assert low < price < high
    assert (held.stop_loss < price) == (side == "long")
    assert made.closed is None


@pytest.mark.parametrize("price", ["0.004", "0.00004", "0.000000000001"])
def test_the_cheapest_share_can_be_held(price: str) -> None:
    made = worked(bar(1, price), opening())
    assert the_position(made).entry_price == Decimal(price)
    assert made.closed is None


def test_a_symbol_that_is_held_is_not_opened_again() -> None:
    made = worked(bar(1), opening(), held=position())
    assert (made.position, made.fills) == (position(), [])


@pytest.mark.parametrize("side", [None, "up"])
def test_an_order_without_a_side_opens_nothing(side: str | None) -> None:
    assert worked(bar(1), Order("open", "breakout", side=side)).fills == []


def planned(made: Account) -> tuple[Order, ...]:
    return made.book.orders.get("AAPL", ())


def test_a_flat_symbol_with_a_signal_is_scheduled_to_open() -> None:
    second = TradeSignal("macd_cross", "short", Decimal("0.6"))
    assert planned(worked(bar(), found=[BREAKOUT, second])) == (Order("open", "breakout", side="long"),)


@pytest.mark.parametrize(("confidence", "opens"), [("0.55", 1), ("0.549", 0), ("0.95", 1)])
def test_a_signal_needs_enough_confidence(confidence: str, opens: int) -> None:
    assert len(planned(worked(bar(), found=[BREAKOUT._replace(confidence=Decimal(confidence))]))) == opens


def test_no_entry_is_scheduled_without_a_signal_or_market_or_with_a_position() -> None:
    assert planned(worked(bar(), found=[])) == ()
    assert planned(worked(bar(), found=[BREAKOUT], market_open=False)) == ()
    assert planned(worked(bar(1), found=[BREAKOUT], held=position())) == ()


def full(count: int, basis: str = "1000") -> Book:
    return Book(trades={f"S{at}": trade_of(Decimal(1), Decimal(basis)) for at in range(count)})


@pytest.mark.parametrize(("count", "opens"), [(MAX_POSITIONS - 1, 1), (MAX_POSITIONS, 0)])
def test_the_number_of_open_positions_is_limited(count: int, opens: int) -> None:
    assert len(planned(worked(bar(), found=[BREAKOUT], book=full(count)))) == opens
    assert len(worked(bar(), opening(), book=full(count)).fills) == opens


@pytest.mark.parametrize(("basis", "opens"), [("90000", 1), ("90000.01", 0)])
def test_the_stake_never_exceeds_the_equity(basis: str, opens: int) -> None:
    assert len(planned(worked(bar(), found=[BREAKOUT], book=full(1, basis)))) == opens
    assert len(worked(bar(), opening(), book=full(1, basis)).fills) == opens


@pytest.mark.parametrize(("earned", "opens"), [("0.01", 1), ("-0.01", 0)])
def test_todays_earnings_count(earned: str, opens: int) -> None:
    day = Day("2014-06-06", CAPITAL, Decimal(earned))
    exposed = full(1, str(CAPITAL - STAKE))
    assert len(planned(worked(bar(), found=[BREAKOUT], book=replace(exposed, day=day)))) == opens


def test_a_symbol_is_not_reopened_during_its_cool_down() -> None:
    book = worked(bar(1), order("exit"), held=position()).book
    ends = OPENING + 2 * MINUTE + COOL_DOWN
    opens = []
    for at in range(2, 14):
        made = worked(bar(at), book=book, found=[BREAKOUT])
        opens.append((at, len(planned(made))))
    assert opens == [(at, int(OPENING + (at + 1) * MINUTE >= ends)) for at in range(2, 14)]
    assert [count for _, count in opens].count(1) > 0
    assert planned(worked(bar(2, symbol="MSFT"), book=book, found=[BREAKOUT])) == ()
    assert "MSFT" in worked(bar(2, symbol="MSFT"), book=book, found=[BREAKOUT]).book.orders


def test_a_signal_at_the_bar_that_closed_a_position_opens_nothing() -> None:
    assert planned(worked(bar(1), order("exit"), held=position(), found=[BREAKOUT])) == ()


def test_the_books_are_closed_at_the_first_bar_of_a_new_date_and_positions_stay_open() -> None:
    first = worked(bar(1), opening(), cost_bps=COST_BPS)
    made = worked(bar(NEXT_DAY), held=the_position(first), book=first.book)
    assert made.book.day == Day("2014-06-09", CAPITAL - 2)
    assert made.position == first.position
    assert made.book.trades == first.book.trades


@SIDES
def test_closing_at_the_entry_price_earns_nothing(side: str) -> None:
    fill = the_fill(worked(bar(1), order("exit"), held=position(side)))
    assert history_fields(fill)["realized"] == "0"


def test_a_position_opened_by_somebody_else_is_adopted_at_its_price() -> None:
    made = account(bar(1), None, position())
    assert made.book.trades == {"AAPL": trade_of(Decimal(10), Decimal(1000))}


def test_a_position_closed_by_somebody_else_is_dropped_and_earns_nothing() -> None:
    made = worked(bar(1), order("exit"), book=Book(trades={"AAPL": trade_of(Decimal(10), Decimal(1000))}))
    assert (made.book.trades, made.fills, made.closed, made.book.day.earned) == ({}, [], None, NO_COST)


@pytest.mark.parametrize(
    ("changes", "quantity", "basis"),
    [
        ({"quantity": Decimal(4)}, 4, 400),
        ({"quantity": Decimal(25)}, 25, 2500),
        ({"entry_price": Decimal("99.5")}, 10, 995),
        ({"quantity": Decimal(20), "entry_price": Decimal(50)}, 20, 1000),
    ],
)
def test_the_book_follows_changes_by_somebody_else(changes: dict[str, Any], quantity: int, basis: int) -> None:
    book = Book(trades={"AAPL": trade_of(Decimal(10), Decimal(1000), cost=Decimal("0.2"))})
    trade = account(bar(1), book, position(**changes)).book.trades["AAPL"]
    assert [trade.quantity, trade.basis, trade.cost] == [quantity, basis, Decimal("0.2")]


def test_a_price_that_was_only_rounded_changes_no_basis() -> None:
    book = Book(trades={"AAPL": trade_of(Decimal(3), Decimal(1000))})
    held = position(quantity=Decimal(3), entry_price=Decimal("333.3333"))
    assert account(bar(1), book, held).book.trades == book.trades


def test_a_replaced_position_starts_a_new_trade() -> None:
    opened = worked(bar(1), opening(), cost_bps=Decimal(2))
    reduced = worked(bar(2, "105", low="100"), Order("reduce", "x", quantity=Decimal(50), entry_time=ENTRY.replace("13:30", "13:31")),
                     held=the_position(opened).model_copy(update={"take_profit": None}), book=opened.book)  # fmt: skip
    other = position(entry_time=OPENING + 5 * MINUTE)
    made = worked(
        bar(6, "101"), order("exit", entry_time=ENTRY.replace("13:30", "13:35")), held=other, book=reduced.book
    )
    assert made.closed is not None
    assert [made.closed.quantity, made.closed.gross, made.closed.cost] == [10, 10, 0]


@pytest.mark.parametrize("entry", ["0.00008", "0.00002"])
def test_a_changed_price_of_a_cheap_position_is_followed(entry: str) -> None:
    book = Book(trades={"AAPL": trade_of(Decimal(250_000_000), Decimal(10_000))})
    held = position(quantity=Decimal(250_000_000), entry_price=Decimal(entry), stop_loss=None, take_profit=None)
    trade = account(bar(1, entry), book, held).book.trades["AAPL"]
    assert trade.basis == Decimal(entry) * 250_000_000
