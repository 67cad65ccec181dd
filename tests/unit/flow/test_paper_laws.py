from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx import clock
from llmctx.flow.bars import Bar
from llmctx.flow.book import CAPITAL, Book
from llmctx.flow.mark_to_market import mark
from llmctx.flow.paper import Account
from llmctx.flow.signals import TradeSignal
from llmctx.flow.sizing import COST_BPS, Terms
from llmctx.flow.trades import ClosedPosition, Fill, Order
from llmctx.schema.values import Position
from tests.conftest import COSTLY
from tests.unit.flow.makers import MINUTE, OPENING, bar, position

Steps = list[tuple[str, int, list[Decimal], bool, list[Order], list[TradeSignal]]]
"""Symbol, minutes since the last bar, prices, whether the bar rises, orders, signals."""


class BrokerRun:
    """A paper broker applied to bars of two symbols, as in a feed."""

    def __init__(self, cost_bps: Decimal) -> None:
        self.book = Book()
        self.held: dict[str, Position] = {}
        self.fills: list[Fill] = []
        self.closed: list[ClosedPosition] = []
        self.counted = [0, 0, 0]
        self._cost_bps = cost_bps

    def take(self, one: Bar, orders: list[Order], found: list[TradeSignal]) -> None:
        """Apply a bar, with orders decided before it."""
        book, symbol = self.book, one.symbol
        if orders:
            book = book.with_orders(symbol, (*book.orders.get(symbol, ()), *orders))
        made = Account(
            book.on(one.start.date().isoformat()),
            self.held.pop(symbol, None),
            one,
            one.end(MINUTE),
            Terms(self._cost_bps),
        )
        made.fill_orders()
        made.enforce_levels()
        made.plan_entry(found, market_open=True)
        if made.book.day.date != self.book.day.date:
            self._count()
        if made.position is not None:
            self.held[symbol] = Position.model_validate(mark(made.position, one.close, one.end(MINUTE)).model_dump())
        self.book = Book.from_wire(made.book.wire)
        self.fills += made.fills
        self.closed += [] if made.closed is None else [made.closed]

    def _count(self) -> None:
        day = self.book.day
        self.counted = [sum(pair) for pair in zip(self.counted, (day.wins, day.losses, day.even), strict=True)]

    def orders(self, symbol: str, wishes: list[Order]) -> list[Order]:
        """The wishes as orders for the current position."""
        held = self.held.get(symbol)
        entry = None if held is None else clock.iso(clock.to_ms(held.entry_time))
        return [wish._replace(entry_time=entry) for wish in wishes]

    def flows(self, symbol: str, entry_time: datetime) -> Decimal:
        """The cash flows of a position, after costs."""
        return sum(
            (
                (fill.quantity * fill.price if fill.side == "sell" else -fill.quantity * fill.price) - fill.cost
                for fill in self.fills
                if (fill.symbol, fill.entry_time) == (symbol, entry_time)
            ),
            Decimal(0),
        )

    def assert_lawful(self) -> None:
        book = self.book
        earned = sum((fill.realized - fill.cost for fill in self.fills), Decimal(0))
        assert earned == book.day.equity + book.day.earned - CAPITAL
        for closed in self.closed:
            assert closed.net == closed.gross - closed.cost == self.flows(closed.symbol, closed.entry_time)
        self._count()
        nets = [closed.net for closed in self.closed]
        signs = [sum(net > 0 for net in nets), sum(net < 0 for net in nets), sum(net == 0 for net in nets)]
        assert self.counted == signs
        assert set(book.trades) == set(self.held)
        for symbol, held in self.held.items():
            trade, sign = book.trades[symbol], 1 if held.side == "long" else -1
            assert trade.quantity == held.quantity
            assert trade.gross - trade.cost - sign * trade.basis == self.flows(symbol, held.entry_time)


def rows(places: int) -> st.SearchStrategy[list[Decimal]]:
    """Low, two prices between, and high: mostly too narrow for a new position's stop and target."""
    narrow, wide = (st.decimals(low, high, places=places) for low, high in (("99.7", "100.3"), ("97", "103")))
    return (
        st.sampled_from([narrow, narrow, narrow, wide])
        .flatmap(lambda one: st.lists(one, min_size=4, max_size=4))
        .map(sorted)
    )


PRICES, FINE_PRICES = rows(2), rows(6)
SIGNALS = st.lists(
    st.builds(TradeSignal, st.just("breakout"), st.sampled_from(["long", "short"]), st.sampled_from([Decimal("0.8")])),
    max_size=1,
)


def wishes(quantities: st.SearchStrategy[Decimal]) -> st.SearchStrategy[list[Order]]:
    levels = st.none() | st.sampled_from([Decimal(95), Decimal(100), Decimal(105)])
    made = st.builds(
        Order,
        st.sampled_from(["reduce", "reduce", "add", "adjust_stops", "exit"]),
        st.just("decision 7"),
        quantity=quantities,
        stop_loss=levels,
        take_profit=levels,
    )
    return st.lists(made, max_size=2)


def steps(prices: st.SearchStrategy[list[Decimal]], quantities: st.SearchStrategy[Decimal]) -> st.SearchStrategy[Steps]:
    step = st.tuples(
        st.sampled_from(["AAPL", "MSFT"]),
        st.sampled_from([1, 1, 11, 1440]),
        prices,
        st.booleans(),
        wishes(quantities),
        SIGNALS,
    )
    return st.lists(step, min_size=10, max_size=40)


def run_of(found: Steps, cost_bps: Decimal) -> BrokerRun:
    made, at = BrokerRun(cost_bps), OPENING
    for symbol, minutes, (low, one, other, high), rises, wished, signals in found:
        at += timedelta(minutes=minutes)
        first, last = (one, other) if rises else (other, one)
        row = Bar(at, symbol, first, high, low, last, Decimal(100))
        made.take(row, made.orders(symbol, wished), signals)
    return made


COSTS = st.sampled_from([Decimal(0), Decimal(2), Decimal("12.5")])


@COSTLY
@given(steps(PRICES, st.integers(1, 120).map(Decimal)), COSTS)
def test_the_money_is_right_to_the_last_digit(found: Steps, cost_bps: Decimal) -> None:
    run_of(found, cost_bps).assert_lawful()


@COSTLY
@given(steps(FINE_PRICES, st.decimals("0.01", "120", places=2)), COSTS)
def test_the_money_is_right_to_the_last_digit_with_parts_of_shares(found: Steps, cost_bps: Decimal) -> None:
    run_of(found, cost_bps).assert_lawful()


@pytest.mark.parametrize(("left", "more"), [("0.01", "0.5"), ("0.5", "7"), ("1", "7")])
@pytest.mark.parametrize("side", ["long", "short"])
def test_the_money_is_right_when_a_position_is_reduced_to_very_little(side: str, left: str, more: str) -> None:
    made = BrokerRun(COST_BPS)
    made.take(bar(0, "100.01"), [], [TradeSignal("breakout", side, Decimal("0.8"))])
    made.take(bar(1, "100.03"), [], [])
    made.take(bar(2, "100.07"), made.orders("AAPL", [Order("add", "x", quantity=Decimal(more))]), [])
    for at in range(3, 9):
        held = made.held["AAPL"].quantity
        part = (held - Decimal(left)) / 2 if at < 8 else held - Decimal(left)
        made.take(bar(at, "100.05"), made.orders("AAPL", [Order("reduce", "x", quantity=part)]), [])
    assert made.held["AAPL"].quantity == Decimal(left)
    made.assert_lawful()
    made.take(bar(9, "100.05"), made.orders("AAPL", [Order("exit", "x")]), [])
    assert len(made.closed) == 1
    made.assert_lawful()


@COSTLY
@given(steps(PRICES, st.integers(1, 120).map(Decimal)), COSTS)
def test_the_same_bars_and_orders_give_the_same_to_the_last_digit(found: Steps, cost_bps: Decimal) -> None:
    one, other = run_of(found, cost_bps), run_of(found, cost_bps)
    assert (one.book.wire, one.fills, one.closed) == (other.book.wire, other.fills, other.closed)


@COSTLY
@given(steps(PRICES, st.integers(1, 120).map(Decimal)))
def test_what_one_side_earns_the_other_loses_costs_aside(found: Steps) -> None:
    for fill_long, fill_short in zip(_fills(found, "long"), _fills(found, "short"), strict=True):
        assert fill_long.realized == -fill_short.realized
        assert {fill_long.side, fill_short.side} == {"buy", "sell"}


def _fills(found: Steps, side: str) -> list[Fill]:
    """The fills of one position without stop and target, over the same bars and orders."""
    made = BrokerRun(Decimal(0))
    made.held["AAPL"] = position(side, stop_loss=None, take_profit=None)
    at = OPENING
    for _, minutes, (low, one, other, high), _, wished, _ in found:
        at += timedelta(minutes=minutes)
        orders = made.orders("AAPL", [wish for wish in wished if wish.action != "adjust_stops"])
        made.take(Bar(at, "AAPL", one, high, low, other, Decimal(1)), orders, [])
    return made.fills
