from decimal import Decimal

import pytest

from llmctx.flow.book import Book
from llmctx.flow.sizing import COST_BPS
from llmctx.flow.trades import ClosedPosition, Fill, Order
from tests.unit.flow.accounts import (
    ENTRY,
    NO_COST,
    SIDES,
    account,
    bar_of,
    opening,
    order,
    the_fill,
    the_position,
    worked,
)
from tests.unit.flow.makers import MINUTE, OPENING, bar, position

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
def test_an_order_without_its_quantity_does_nothing(action: str) -> None:
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


def test_orders_of_another_symbol_keep_waiting() -> None:
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
