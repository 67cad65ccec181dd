"""Accounts of the paper broker before and after a bar, with the orders and bars that lead there."""

from decimal import Decimal
from typing import Any

import pytest

from llmctx import clock
from llmctx.flow.bars import Bar
from llmctx.flow.book import Book
from llmctx.flow.paper import Account
from llmctx.flow.signals import TradeSignal
from llmctx.flow.sizing import Terms
from llmctx.flow.trades import Fill, Order
from llmctx.schema.values import Position
from tests.unit.flow.makers import MINUTE, OPENING, bar

SIDES = pytest.mark.parametrize("side", ["long", "short"])
ENTRY = clock.iso(clock.to_ms(OPENING))
BREAKOUT = TradeSignal("breakout", "long", Decimal("0.8"))
NO_COST = Decimal(0)


def account(
    one: Bar, book: Book | None = None, held: Position | None = None, cost_bps: Decimal = NO_COST, *orders: Order
) -> Account:
    """The account before the bar is applied, with orders waiting for it."""
    book = Book() if book is None else book
    book = book.with_orders(one.symbol, orders) if orders else book
    return Account(book.on(one.start.date().isoformat()), held, one, one.end(MINUTE), Terms(cost_bps))


def worked(one: Bar, *orders: Order, held: Position | None = None, **more: Any) -> Account:
    """The account after the bar was applied."""
    made = account(one, more.get("book"), held, more.get("cost_bps", NO_COST), *orders)
    made.fill_orders()
    made.enforce_levels()
    made.plan_entry(more.get("found", []), market_open=more.get("market_open", True))
    return made


def order(action: str, **changes: Any) -> Order:
    """An order for the position opened at the first bar."""
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
