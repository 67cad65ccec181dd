"""Quantities are decimal: the paper broker buys whole lots, within the stake and the equity, or says why not."""

from dataclasses import replace
from decimal import Decimal

import pytest

from llmctx.flow.book import Book
from llmctx.flow.paper import Account
from llmctx.flow.rules import FeedRules
from llmctx.flow.sizing import Terms
from llmctx.flow.trades import Order
from tests.unit.flow.accounts import opening, order, the_position
from tests.unit.flow.makers import MINUTE, OPENING, bar

COIN = Terms(Decimal(0), lot=Decimal("0.0001"))


def filled(
    price: str, terms: Terms, *orders: Order, before: Account | None = None, book: Book | None = None
) -> Account:
    """The account after a bar at one price at which these orders were filled."""
    one = bar(OPENING if before is None else OPENING + MINUTE, open=price, high=price, low=price, close=price)
    book = (book or Book()) if before is None else before.book
    held = None if before is None else before.position
    book = book.on(one.start.date().isoformat()).with_orders(one.symbol, orders)
    made = Account(book, held, one, one.end(MINUTE), terms)
    made.fill_orders()
    return made


@pytest.mark.parametrize(
    ("price", "terms", "quantity"),
    [
        ("100500", COIN, "0.0995"),
        ("100500", Terms(lot=Decimal("0.01")), "0.09"),
        ("0.00001234", Terms(lot=Decimal(1000)), "810372000"),
        ("101", Terms(), "99"),
    ],
)
def test_an_opening_is_worth_about_ten_thousand_in_whole_lots(price: str, terms: Terms, quantity: str) -> None:
    assert the_position(filled(price, terms, opening())).quantity == Decimal(quantity)


@pytest.mark.parametrize(
    ("price", "terms"),
    [
        ("748100", Terms()),
        ("100500", Terms(lot=Decimal("0.1"))),
        ("100500", COIN._replace(min_notional=Decimal(10_001))),
    ],
)
def test_what_does_not_fit_is_refused_and_the_refusal_names_the_numbers(price: str, terms: Terms) -> None:
    made = filled(price, terms, opening())
    assert (made.position, made.fills) == (None, [])
    (why,) = made.refused
    assert why.startswith("AAPL: the opening was refused: 10000 may be spent, and the least is ")


def test_an_addition_of_a_fraction_is_filled() -> None:
    opened = filled("100500", COIN, opening())
    added = filled("100500", COIN, order("add", quantity=Decimal("0.05")), before=opened)
    assert the_position(added).quantity == Decimal("0.1495")
    assert added.refused == []


def test_an_addition_never_goes_beyond_the_equity() -> None:
    book = Book().on(OPENING.date().isoformat())
    poor = replace(book, day=book.day._replace(equity=Decimal(12_000)))
    opened = filled("100", Terms(Decimal(0)), opening(), book=poor)
    added = filled("100", Terms(Decimal(0)), order("add", quantity=Decimal(100)), before=opened)
    assert the_position(added).quantity == 120
    more = filled("100", Terms(Decimal(0)), order("add", quantity=Decimal(1)), before=added)
    assert the_position(more).quantity == 120
    assert len(more.refused) == 1


def test_less_than_a_lot_is_not_added_and_that_is_said() -> None:
    opened = filled("100", Terms(), opening())
    made = filled("100", Terms(), order("add", quantity=Decimal("0.5")), before=opened)
    assert the_position(made).quantity == 100
    assert made.refused == [
        "AAPL: an addition was refused: 50 may be spent, and the least is 100 (lots of 1 at 100, minimum 0)"
    ]


def test_lots_are_whole_shares_unless_the_market_never_closes_or_the_setting_says_otherwise() -> None:
    assert FeedRules().terms("AAPL").lot == 1
    always = FeedRules(exchange="always")
    assert {always.terms(pair).lot for pair in ("BTCUSDT", "BTC/USDT:USDT", "ETH-PERP")} == {Decimal("0.0001")}
    assert [always.terms("HYPE", in_fractions=seen).lot for seen in (False, True)] == [1, Decimal("0.0001")]
    rules = FeedRules(lots={"BTCUSDT": Decimal("0.001"), "": Decimal(5)})
    assert [rules.terms(symbol).lot for symbol in ("BTCUSDT", "AAPL")] == [Decimal("0.001"), 5]
