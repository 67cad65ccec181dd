"""The paper broker's account: sums over what it holds, and none while something is unknown."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from llmctx import canonical
from llmctx.flow.book import Day
from llmctx.flow.mark_to_market import mark
from llmctx.flow.portfolio import PortfolioState, peak_in
from llmctx.schema.values import Portfolio, Position

from .makers import OPENING, position

DAY = Day(date="2014-06-06", equity=Decimal(100_000), earned=Decimal(-50))
LONG = mark(position(), Decimal(104), OPENING)
SHORT = mark(position("short", symbol="MSFT"), Decimal(105), OPENING)


def portfolio(day: Day, positions: Mapping[str, Position | None], peak: Decimal | None) -> dict[str, Any]:
    account = PortfolioState()
    account.peak = peak
    found: dict[str, Any] = canonical.loads(account.wire(day, positions))
    return found


def test_equity_is_cash_and_positions_with_shorts_against_longs() -> None:
    found = portfolio(DAY, {"MSFT": SHORT, "AAPL": LONG}, None)
    assert (found["gross_exposure"], found["net_exposure"]) == (2090, -10)
    assert (found["realized_pnl"], found["unrealized_pnl"]) == (-50, -10)
    assert found["equity"] == 99_940 == found["cash"] + found["net_exposure"]
    assert [(held["symbol"], held["value"], held["unrealized_pnl_pct"]) for held in found["holdings"]] == [
        ("AAPL", 1040, 4),
        ("MSFT", 1050, -5),
    ]


def test_drawdown_is_counted_from_the_highest_equity_that_was_stored() -> None:
    highest = portfolio(DAY, {"AAPL": LONG}, Decimal(99_000))
    assert (highest["peak_equity"], highest["drawdown_pct"]) == (99_990, 0)
    peak = peak_in(canonical.wire(highest), DAY._replace(equity=Decimal(5)))
    fallen = portfolio(DAY._replace(earned=Decimal(-1040)), {"AAPL": LONG}, peak)
    assert (fallen["peak_equity"], fallen["drawdown_pct"]) == (99_990, Decimal("0.9901"))
    assert peak_in(b"", DAY) == peak_in(b"[]", DAY) == peak_in(b'{"peak_equity":null}', DAY) == 100_000


def test_a_position_that_cannot_be_read_or_has_no_price_is_unknown_and_not_flat() -> None:
    unpriced = position(symbol="MSFT", current_price=None, unrealized_pnl=None)
    for other in (None, unpriced):
        found = portfolio(DAY, {"AAPL": LONG, "MSFT": other}, Decimal(100_000))
        assert found["unknown"] == ["MSFT"]
        sums = ("cash", "equity", "gross_exposure", "net_exposure", "unrealized_pnl", "drawdown_pct")
        assert [found[name] for name in sums] == [None] * 6
        assert (found["peak_equity"], found["realized_pnl"]) == (100_000, -50)
        assert [held["symbol"] for held in found["holdings"]] == ["AAPL"]


def test_it_is_read_as_the_portfolio_section() -> None:
    found = portfolio(DAY, {"AAPL": LONG, "MSFT": None}, None) | {"timestamp": "2014-06-06T13:30:00Z"}
    read = Portfolio.model_validate(found)
    assert read.equity is None
    assert read.unknown == ["MSFT"]
    assert read.holdings[0].quantity == 10
    assert read.model_extra == {}


def test_a_holding_follows_its_position_and_goes_with_it() -> None:
    account = PortfolioState()
    for price, value in ((Decimal(104), 1040), (Decimal(104), 1040), (Decimal(110), 1100)):
        found = canonical.loads(account.wire(DAY, {"AAPL": mark(position(), price, OPENING)}))
        assert [held["value"] for held in found["holdings"]] == [value]
    assert canonical.loads(account.wire(DAY, {}))["holdings"] == []
