from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx import clock
from llmctx.flow.bars import Bar
from llmctx.flow.book import CAPITAL, Book, Day
from llmctx.flow.paper import Account
from llmctx.flow.rules import COOL_DOWN, COST_BPS, MAX_POSITIONS, STAKE
from llmctx.flow.signals import TradeSignal
from llmctx.flow.trades import ClosedPosition, Fill, Order, history_fields
from llmctx.schema.values import Position
from tests.unit.flow.makers import MINUTE, NEXT_DAY, OPENING, bar, position, trade_of

SIDES = pytest.mark.parametrize("side", ["long", "short"])
ENTRY = clock.iso(clock.to_ms(OPENING))
BREAKOUT = TradeSignal("breakout", "long", Decimal("0.8"))
NO_COST = Decimal(0)


def account(
    one: Bar, book: Book | None = None, held: Position | None = None, cost_bps: Decimal = NO_COST, *orders: Order
) -> Account:
    """The account before the bar is worked through, with orders that wait for it."""
    book = Book() if book is None else book
    book = book.with_orders(one.symbol, orders) if orders else book
    return Account(book, held, one, one.end(MINUTE), cost_bps)


def worked(one: Bar, *orders: Order, held: Position | None = None, **more: Any) -> Account:
    """The account after the bar was worked through."""
    made = account(one, more.get("book"), held, more.get("cost_bps", NO_COST), *orders)
    made.fill_orders()
    made.enforce_levels()
    made.plan_entry(more.get("found", []), market_open=more.get("market_open", True))
    return made


def order(action: str, **changes: Any) -> Order:
    """An order for the position that was opened at the opening."""
    fields = {"entry_time": ENTRY} | changes
    return Order(action, "decision 7", **fields)


def opening(side: str = "long") -> Order:
    return Order("open", "breakout", side=side)


def the_position(made: Account) -> Position:
    assert made.position is not None
    return made.position


def the_fill(made: Account) -> Fill:
    (fill,) = made.fills
    return fill


def bar_of(side: str, **long: str) -> Bar:
    """A bar around 100 as a long position sees it; a short one sees its mirror image."""
    one = bar(OPENING + MINUTE, **long)
    if side == "long":
        return one
    return one._replace(open=200 - one.open, high=200 - one.low, low=200 - one.high, close=200 - one.close)


# Opening


def test_a_signal_opens_nothing_at_its_own_bar_and_a_position_at_the_next_ones_open() -> None:
    first = worked(bar(0), found=[BREAKOUT])
    assert (first.position, first.fills) == (None, [])
    second = worked(bar(1, "101", open="100", high="101", low="99.5"), book=first.book)
    assert the_position(second).entry_price == 100
    assert the_fill(second).at == OPENING + MINUTE


@pytest.mark.parametrize(
    ("side", "stop", "target", "bought"), [("long", "99", "102", "buy"), ("short", "101", "98", "sell")]
)
def test_a_position_is_opened_with_stop_and_target_and_told_as_a_fill(
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


@pytest.mark.parametrize(
    ("price", "quantity"), [("640", 15), ("10000", 1), ("10000.01", 1), ("250000", 1), ("5000.01", 1), ("0.5", 20_000)]
)
def test_the_size_is_about_the_stake_and_at_least_one_share(price: str, quantity: int) -> None:
    assert the_position(worked(bar(1, price), opening())).quantity == quantity


prices = st.decimals("0.01", "100000", places=4)


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


def test_a_flat_symbol_with_a_signal_is_put_down_to_be_opened() -> None:
    second = TradeSignal("macd_cross", "short", Decimal("0.6"))
    assert planned(worked(bar(), found=[BREAKOUT, second])) == (Order("open", "breakout", side="long"),)


@pytest.mark.parametrize(("confidence", "opens"), [("0.55", 1), ("0.549", 0), ("0.95", 1)])
def test_a_signal_must_be_sure_enough(confidence: str, opens: int) -> None:
    assert len(planned(worked(bar(), found=[BREAKOUT._replace(confidence=Decimal(confidence))]))) == opens


def test_without_a_signal_or_with_the_market_closed_or_a_position_held_nothing_is_put_down() -> None:
    assert planned(worked(bar(), found=[])) == ()
    assert planned(worked(bar(), found=[BREAKOUT], market_open=False)) == ()
    assert planned(worked(bar(1), found=[BREAKOUT], held=position())) == ()


def full(count: int, basis: str = "1000") -> Book:
    return Book(trades={f"S{at}": trade_of(Decimal(1), Decimal(basis)) for at in range(count)})


@pytest.mark.parametrize(("count", "opens"), [(MAX_POSITIONS - 1, 1), (MAX_POSITIONS, 0)])
def test_so_many_positions_are_open_at_once(count: int, opens: int) -> None:
    assert len(planned(worked(bar(), found=[BREAKOUT], book=full(count)))) == opens
    assert len(worked(bar(), opening(), book=full(count)).fills) == opens


@pytest.mark.parametrize(("basis", "opens"), [("90000", 1), ("90000.01", 0)])
def test_no_more_is_staked_than_there_is(basis: str, opens: int) -> None:
    assert len(planned(worked(bar(), found=[BREAKOUT], book=full(1, basis)))) == opens
    assert len(worked(bar(), opening(), book=full(1, basis)).fills) == opens


@pytest.mark.parametrize(("earned", "opens"), [("0.01", 1), ("-0.01", 0)])
def test_what_was_earned_today_counts(earned: str, opens: int) -> None:
    day = Day("2014-06-06", CAPITAL, Decimal(earned))
    exposed = full(1, str(CAPITAL - STAKE))
    assert len(planned(worked(bar(), found=[BREAKOUT], book=replace(exposed, day=day)))) == opens


def test_a_symbol_rests_after_its_position_was_closed() -> None:
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


# Decisions


@pytest.mark.parametrize(("side", "sold", "realized"), [("long", "sell", "50"), ("short", "buy", "-50")])
def test_an_exit_is_filled_at_the_next_bars_open(side: str, sold: str, realized: str) -> None:
    made = worked(bar(1, "107", open="105", high="107", low="104"), order("exit"), held=position(side))
    at = OPENING + MINUTE
    fill = Fill(at, "AAPL", sold, Decimal(10), Decimal(105), NO_COST, Decimal(realized), "decision 7", OPENING)
    assert the_fill(made) == fill
    gross = Decimal(realized)
    assert made.closed == ClosedPosition(
        "AAPL", side, OPENING, at, Decimal(10), Decimal(100), Decimal(105), gross, NO_COST, gross, "decision 7"
    )
    assert made.position is None
    assert (made.book.trades, made.book.orders) == ({}, {})
    assert made.book.day.earned == gross
    assert (made.book.day.wins, made.book.day.losses) == ((1, 0) if side == "long" else (0, 1))


@SIDES
def test_a_reduction_closes_a_part_and_leaves_the_rest_at_its_price(side: str) -> None:
    made = worked(
        bar_of(side, close="105", open="105", high="105", low="105"),
        order("reduce", quantity=Decimal(4)),
        held=position(side),
    )
    assert the_position(made) == position(side, quantity=Decimal(6))
    assert [the_fill(made).quantity, the_fill(made).realized] == [4, 20]
    assert made.closed is None
    trade = made.book.trades["AAPL"]
    assert [trade.quantity, trade.basis, trade.gross, trade.closed] == [6, 600, 20, 4]


@pytest.mark.parametrize("quantity", ["10", "10.5", "1000"])
def test_a_reduction_by_all_or_more_closes_the_position(quantity: str) -> None:
    made = worked(bar(1), order("reduce", quantity=Decimal(quantity)), held=position())
    assert made.position is None
    assert the_fill(made).quantity == 10
    assert made.closed is not None


@SIDES
def test_an_addition_enlarges_the_position_at_the_average_price(side: str) -> None:
    made = worked(
        bar_of(side, close="103", open="103", high="103", low="103"),
        order("add", quantity=Decimal(5)),
        held=position(side),
    )
    held = the_position(made)
    average = Decimal(101) if side == "long" else Decimal(99)
    assert (held.quantity, held.entry_price, held.entry_time) == (Decimal(15), average, OPENING)
    assert (held.stop_loss, held.take_profit) == (position(side).stop_loss, position(side).take_profit)
    assert (the_fill(made).side, the_fill(made).realized) == ("buy" if side == "long" else "sell", Decimal(0))
    assert made.book.trades["AAPL"].basis == 15 * average


@pytest.mark.parametrize(
    ("stop", "target", "expected"),
    [
        ("95", "120", ("95", "120")),
        ("95", None, ("95", "110")),
        (None, "120", ("90", "120")),
        (None, None, ("90", "110")),
    ],
)
def test_stops_are_moved_and_nothing_is_filled(stop: str | None, target: str | None, expected: tuple[str, str]) -> None:
    moved = {"stop_loss": stop, "take_profit": target}
    levels = {name: None if level is None else Decimal(level) for name, level in moved.items()}
    made = worked(bar(1), order("adjust_stops", **levels), held=position())
    held = the_position(made)
    assert (held.stop_loss, held.take_profit) == tuple(Decimal(level) for level in expected)
    assert (made.fills, made.book.day.earned) == ([], NO_COST)


def test_a_stop_moved_beyond_the_price_is_hit_at_once() -> None:
    made = worked(bar(1), order("adjust_stops", stop_loss=Decimal(101)), held=position())
    assert (the_fill(made).reason, the_fill(made).price) == ("stop_hit", Decimal(100))


@pytest.mark.parametrize("action", ["exit", "reduce", "add", "adjust_stops"])
@pytest.mark.parametrize("entry_time", [None, "2014-06-06T13:30:00.001Z", "2014-06-05T13:30:00.000Z"])
def test_an_order_for_another_position_is_dropped(action: str, entry_time: str | None) -> None:
    other = order(action, entry_time=entry_time, quantity=Decimal(5), stop_loss=Decimal(99))
    made = worked(bar(1), other, held=position())
    assert (made.position, made.fills, made.book.orders) == (position(), [], {})


@pytest.mark.parametrize("action", ["exit", "reduce", "add", "adjust_stops"])
def test_an_order_without_a_position_is_dropped(action: str) -> None:
    made = worked(bar(1), order(action, quantity=Decimal(5)))
    assert (made.position, made.fills, made.book.orders) == (None, [], {})


@pytest.mark.parametrize("action", ["reduce", "add"])
def test_an_order_that_needs_a_quantity_and_has_none_does_nothing(action: str) -> None:
    made = worked(bar(1), order(action), held=position())
    assert (made.position, made.fills) == (position(), [])


def test_orders_are_filled_in_their_order_and_the_last_find_nothing_left() -> None:
    made = worked(
        bar(1),
        order("reduce", quantity=Decimal(4)),
        order("add", quantity=Decimal(1)),
        order("exit"),
        order("reduce", quantity=Decimal(1)),
        held=position(),
    )
    assert [(fill.side, int(fill.quantity)) for fill in made.fills] == [("sell", 4), ("buy", 1), ("sell", 7)]
    assert made.position is None


def test_what_waits_for_another_symbol_goes_on_waiting() -> None:
    book = Book().with_orders("MSFT", (order("exit"),))
    assert worked(bar(1), order("exit"), held=position(), book=book).book.orders == book.orders


# Stops and targets


@SIDES
@pytest.mark.parametrize(
    ("long", "reason", "price", "at_open"),
    [
        ({"open": "100", "high": "105", "low": "95"}, None, None, False),
        ({"open": "100", "high": "109.99", "low": "90.01"}, None, None, False),
        ({"open": "100", "high": "105", "low": "90"}, "stop_hit", "90", False),
        ({"open": "100", "high": "105", "low": "80"}, "stop_hit", "90", False),
        ({"open": "90", "high": "105", "low": "90"}, "stop_hit", "90", True),
        ({"open": "85", "high": "100", "low": "80"}, "stop_hit", "85", True),
        ({"open": "100", "high": "110", "low": "95"}, "target_reached", "110", False),
        ({"open": "100", "high": "130", "low": "95"}, "target_reached", "110", False),
        ({"open": "110", "high": "111", "low": "95"}, "target_reached", "110", True),
        ({"open": "115", "high": "116", "low": "95"}, "target_reached", "115", True),
        ({"open": "100", "high": "110", "low": "90"}, "stop_hit", "90", False),
        ({"open": "100", "high": "150", "low": "50"}, "stop_hit", "90", False),
        ({"open": "85", "high": "150", "low": "80"}, "stop_hit", "85", True),
    ],
)
def test_stop_and_target_are_enforced_inside_the_bar(
    side: str, long: dict[str, str], reason: str | None, price: str | None, *, at_open: bool
) -> None:
    made = account(bar_of(side, **long), None, position(side))
    made.fill_orders()
    assert made.enforce_levels() == reason
    if reason is None or price is None:
        assert (made.fills, made.position) == ([], position(side))
        return
    fill, expected = the_fill(made), Decimal(price) if side == "long" else 200 - Decimal(price)
    assert (fill.reason, fill.price, fill.quantity) == (reason, expected, Decimal(10))
    assert fill.at == OPENING + (MINUTE if at_open else 2 * MINUTE)
    assert made.position is None
    assert made.closed is not None
    assert (made.closed.reason, made.closed.exit_price, made.closed.exit_time) == (reason, expected, fill.at)
    assert made.closed.net == (Decimal(price) - 100) * 10


@SIDES
def test_without_stop_and_target_nothing_is_enforced(side: str) -> None:
    open_ended = position(side, stop_loss=None, take_profit=None)
    made = account(bar(1, high="1000", low="1"), None, open_ended)
    assert made.enforce_levels() is None
    assert made.position == open_ended


@SIDES
def test_a_position_may_be_stopped_in_the_bar_that_opened_it(side: str) -> None:
    made = worked(bar_of(side, open="100", high="100", low="98"), opening(side))
    assert [fill.reason for fill in made.fills] == ["breakout", "stop_hit"]
    assert made.fills[1].price == (99 if side == "long" else 101)
    assert made.position is None
    assert made.closed is not None
    assert (made.closed.entry_time, made.closed.exit_time) == (OPENING + MINUTE, OPENING + 2 * MINUTE)


def test_a_decision_to_exit_comes_before_the_stop() -> None:
    made = worked(bar(1, open="100", low="80"), order("exit"), held=position())
    assert the_fill(made).reason == "decision 7"


def test_nothing_is_enforced_without_a_position() -> None:
    assert account(bar(1)).enforce_levels() is None


# Costs


@pytest.mark.parametrize(
    ("price", "cost_bps", "cost"),
    [("100", COST_BPS, "0.20"), ("100", NO_COST, "0"), ("100", Decimal(10), "1.00"), ("100.27", Decimal(2), "0.20")],
)
def test_a_fill_costs_a_share_of_its_worth_in_cents(price: str, cost_bps: Decimal, cost: str) -> None:
    made = worked(bar(1, price), order("exit"), held=position(), cost_bps=cost_bps)
    assert the_fill(made).cost == Decimal(cost)
    assert made.book.day.earned == (Decimal(price) - 100) * 10 - Decimal(cost)


def test_half_a_cent_is_rounded_to_an_even_one() -> None:
    costs = [
        the_fill(worked(bar(1, price), order("exit"), held=position(), cost_bps=Decimal(1))).cost
        for price in ("95", "105", "105.01")
    ]
    assert costs == [Decimal("0.10"), Decimal("0.10"), Decimal("0.11")]


def test_a_trade_carries_the_costs_of_all_its_fills() -> None:
    first = worked(bar(1), opening(), cost_bps=Decimal(2))
    last = worked(bar(2, "101"), Order("exit", "x", entry_time=ENTRY.replace("13:30", "13:31")),
                  held=the_position(first), book=first.book, cost_bps=Decimal(2))  # fmt: skip
    assert last.closed is not None
    assert [last.closed.gross, last.closed.cost, last.closed.net] == [100, Decimal("4.02"), Decimal("95.98")]
    assert first.book.day.earned == Decimal("-2.00")
    assert last.book.day.earned == Decimal("95.98")


@pytest.mark.parametrize(("price", "counts"), [("101", (1, 0)), ("100.02", (0, 1)), ("99", (0, 1))])
def test_a_trade_whose_costs_eat_its_profit_is_lost(price: str, counts: tuple[int, int]) -> None:
    first = worked(bar(1), opening(), cost_bps=COST_BPS)
    exit_ = Order("exit", "x", entry_time=ENTRY.replace("13:30", "13:31"))
    day = worked(bar(2, price), exit_, held=the_position(first), book=first.book, cost_bps=COST_BPS).book.day
    assert (day.wins, day.losses) == counts


# Days


def test_the_books_are_closed_at_the_first_bar_of_a_new_date_and_positions_stay_open() -> None:
    first = worked(bar(1), opening(), cost_bps=COST_BPS)
    made = worked(bar(NEXT_DAY), held=the_position(first), book=first.book)
    assert made.book.day == Day("2014-06-09", CAPITAL - 2)
    assert made.position == first.position
    assert made.book.trades == first.book.trades


@SIDES
def test_what_is_closed_at_its_entry_earned_nothing(side: str) -> None:
    fill = the_fill(worked(bar(1), order("exit"), held=position(side)))
    assert history_fields(fill)["realized"] == "0"


# What others did


def test_a_position_that_somebody_else_opened_is_taken_over_at_its_price() -> None:
    made = account(bar(1), None, position())
    assert made.book.trades == {"AAPL": trade_of(Decimal(10), Decimal(1000))}


def test_a_position_that_somebody_else_closed_is_forgotten_and_earns_nothing() -> None:
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
def test_the_book_follows_what_somebody_else_did_to_a_position(
    changes: dict[str, Any], quantity: int, basis: int
) -> None:
    book = Book(trades={"AAPL": trade_of(Decimal(10), Decimal(1000), cost=Decimal("0.2"))})
    trade = account(bar(1), book, position(**changes)).book.trades["AAPL"]
    assert [trade.quantity, trade.basis, trade.cost] == [quantity, basis, Decimal("0.2")]


def test_a_price_that_was_only_rounded_changes_no_basis() -> None:
    book = Book(trades={"AAPL": trade_of(Decimal(3), Decimal(1000))})
    held = position(quantity=Decimal(3), entry_price=Decimal("333.3333"))
    assert account(bar(1), book, held).book.trades == book.trades


def test_a_position_that_somebody_put_in_anothers_place_begins_with_a_clean_trade() -> None:
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
def test_a_cheap_position_whose_price_somebody_changed_is_followed_too(entry: str) -> None:
    book = Book(trades={"AAPL": trade_of(Decimal(250_000_000), Decimal(10_000))})
    held = position(quantity=Decimal(250_000_000), entry_price=Decimal(entry), stop_loss=None, take_profit=None)
    trade = account(bar(1, entry), book, held).book.trades["AAPL"]
    assert trade.basis == Decimal(entry) * 250_000_000
