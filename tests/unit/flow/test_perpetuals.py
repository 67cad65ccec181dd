"""The paper broker on perpetuals: isolated margin, funding, maker and taker fees, liquidation."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.errors import FeedError
from llmctx.flow.bars import BadRow, Bar
from llmctx.flow.book import CAPITAL, Book, Day
from llmctx.flow.funding import FundingRate, FundingRates, read_funding
from llmctx.flow.mark_to_market import mark, position_from_wire, position_to_wire
from llmctx.flow.paper import Account
from llmctx.flow.pipe import parse_line
from llmctx.flow.rules import FeedRules
from llmctx.flow.sizing import Terms
from llmctx.flow.trades import Order
from llmctx.schema.values import Position
from tests.unit.flow.accounts import SIDES, bar_of, opening, order, the_fill, the_position
from tests.unit.flow.makers import MINUTE, OPENING, bar

PERP = Terms(Decimal(5), lot=Decimal("0.0001"), maker_bps=Decimal(2), leverage=Decimal(10))
HOUR_RATE = Decimal("0.0001")


def applied(one: Bar, *orders: Order, before: Account | None = None, terms: Terms = PERP, due: Any = ()) -> Account:
    """The account after a bar, on the position and the book of the account before; `due` is paid at the bar's end."""
    book = Book() if before is None else before.book
    book = book.with_orders(one.symbol, orders) if orders else book
    held = None if before is None else before.position
    made = Account(book.on(one.start.date().isoformat()), held, one, one.end(MINUTE), terms)
    made.fill_orders()
    made.enforce_levels()
    made.pay_funding(due, one.close)
    return made


def opened(side: str = "long", terms: Terms = PERP) -> Account:
    """An account that has opened 100 at 100 on a margin of 1,000; stop and target far away."""
    made = applied(bar(0), opening(side), terms=terms)
    made.position = the_position(made).model_copy(update={"stop_loss": None, "take_profit": None})
    return made


@SIDES
def test_a_leveraged_position_ties_up_its_margin_only(side: str) -> None:
    held = the_position(opened(side))
    assert [held.quantity, held.leverage, held.margin] == [100, 10, 1000]
    assert held.unrealized_pnl_pct_basis == "price"
    # 100 x P x 0.005 is left of 1,000 at the liquidation price
    assert held.liquidation_price == Decimal("90.4523" if side == "long" else "109.4527")
    assert opened(side).book.exposure == 1000


def test_without_leverage_a_position_is_written_without_margin() -> None:
    made = applied(bar(0), opening(), terms=Terms(Decimal(2)))
    raw = position_to_wire(the_position(made))
    assert not any(name in raw for name in (b"leverage", b"margin", b"liquidation", b"funding", b"basis"))
    assert b"leverage" not in made.book.wire


def test_a_position_keeps_its_fields_when_it_is_stored_and_read_again() -> None:
    held = mark(the_position(opened()), Decimal(101), OPENING, HOUR_RATE)
    assert position_from_wire(position_to_wire(held)) == held
    assert [held.funding_rate, held.unrealized_pnl, held.unrealized_pnl_pct] == [HOUR_RATE, 100, 1]


def test_a_percentage_on_margin_is_marked_as_one() -> None:
    held = the_position(opened()).model_copy(update={"unrealized_pnl_pct_basis": "margin"})
    assert mark(held, Decimal(101), OPENING).unrealized_pnl_pct == 10


def test_margin_follows_additions_and_reductions() -> None:
    added = applied(bar(1), order("add", quantity=Decimal(50)), before=opened())
    assert [the_position(added).margin, added.book.exposure] == [1500, 1500]
    reduced = applied(bar(2), order("reduce", quantity=Decimal(120)), before=added)
    held = the_position(reduced)
    assert [held.quantity, held.margin, held.liquidation_price] == [30, 300, Decimal("90.4523")]


def test_more_can_be_held_than_the_equity_but_never_more_margin() -> None:
    poor = replace(Book(), day=Day(date=OPENING.date().isoformat(), equity=Decimal(1500)))
    account = Account(poor.with_orders("AAPL", (opening(),)), None, bar(0), bar(0).end(MINUTE), PERP)
    account.fill_orders()
    assert the_position(account).margin == 1000
    more = applied(bar(1), order("add", quantity=Decimal(100)), before=account)
    assert the_position(more).quantity == Decimal("149.5")  # 1,500 less the fee of the opening, ten times
    assert more.book.exposure <= 1500


@SIDES
@pytest.mark.parametrize(
    ("prices", "reason", "price"),
    [
        ({"open": "99", "low": "90", "high": "99.5", "close": "98"}, "liquidated", "90.4523"),
        (
            {"open": "80", "low": "79", "high": "81", "close": "80"},
            "liquidated",
            "90.4523",
        ),  # the gap is the exchange's
        ({"open": "99", "low": "91", "high": "99.5", "close": "98"}, None, None),
    ],
)
def test_a_liquidation_takes_the_margin_and_no_more(
    side: str, prices: dict[str, str], reason: str | None, price: str | None
) -> None:
    made = applied(bar_of(side, **prices), before=opened(side))
    if reason is None or price is None:
        assert made.closed is None
        return
    assert made.closed is not None
    assert made.closed.reason == reason
    assert made.closed.net == -1000 - 5  # the margin, and the fee of the opening
    assert the_fill(made).price == Decimal(price if side == "long" else "109.4527")
    assert made.book.day.equity + made.book.day.earned == CAPITAL - 1005


@pytest.mark.parametrize(("stop", "reason"), [("95", "stop_hit"), ("90", "liquidated")])
def test_of_stop_and_liquidation_the_nearer_one_comes_first(stop: str, reason: str) -> None:
    before = opened()
    before.position = the_position(before).model_copy(update={"stop_loss": Decimal(stop)})
    made = applied(bar_of("long", open="99", low="80", high="99", close="85"), before=before)
    assert made.closed is not None
    assert made.closed.reason == reason


def test_a_fill_at_the_target_costs_the_makers_fee_and_any_other_the_takers() -> None:
    before = opened()
    assert the_fill(before).cost == 5
    before.position = the_position(before).model_copy(update={"take_profit": Decimal(102)})
    assert the_fill(
        applied(bar_of("long", open="100", low="100", high="103", close="101"), before=before)
    ).cost == Decimal("2.04")
    assert the_fill(applied(bar(1, "102"), order("exit"), before=opened())).cost == Decimal("5.1")


@SIDES
@pytest.mark.parametrize(
    ("rate", "price", "paid"), [("0.0001", None, "1.01"), ("-0.0002", "100", "-2"), ("0.0001", "99", "0.99")]
)
def test_funding_is_paid_by_the_side_that_owes_it(side: str, rate: str, price: str | None, paid: str) -> None:
    due = FundingRate(OPENING + 2 * MINUTE, "AAPL", Decimal(rate), None if price is None else Decimal(price))
    made = applied(bar(1, "101"), before=opened(side), due=[due])
    (payment,) = made.funding
    expected = Decimal(paid) * (1 if side == "long" else -1)
    assert [payment.paid, payment.quantity] == [expected, 100]
    assert payment.entry_time == OPENING
    assert made.book.day.earned == -5 - expected
    assert made.book.trades["AAPL"].cost == 5 + expected


def test_who_paid_in_full_or_holds_nothing_pays_no_funding() -> None:
    due = [FundingRate(OPENING + MINUTE, "AAPL", HOUR_RATE)]
    assert applied(bar(0), due=due).funding == []
    assert applied(bar(0), opening(), terms=Terms(), due=due).funding == []


def test_rates_fall_due_after_one_bar_and_up_to_the_end_of_the_next() -> None:
    rates = FundingRates()
    for hours in (16, 0, 8, 8):
        rates.add(FundingRate(OPENING.replace(hour=hours, minute=0), "AAPL", Decimal(hours)))
    eight = OPENING.replace(hour=8, minute=0)
    assert [one.rate for one in rates.due("AAPL", eight - MINUTE, eight)] == [8]
    assert rates.due("AAPL", eight, eight + MINUTE) == ()
    assert [rates.newest("AAPL", at) for at in (eight - MINUTE, eight, OPENING)] == [0, 8, 8]
    assert rates.newest("MSFT", eight) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rates.csv", "timestamp,symbol,funding_rate,mark_price\n2026-03-02T08:00:00Z,BTCUSDT,0.0001,90000.5\n"),
        ("BTCUSDT-fundingRate-2026-03.csv", "calc_time,funding_interval_hours,last_funding_rate,mark_price\n1772438400000,8,0.0001,90000.5\n"),
        ("api.jsonl", '{"symbol":"BTCUSDT","fundingTime":1772438400000,"fundingRate":"0.0001","markPrice":"90000.5"}\n'),
    ],
)  # fmt: skip
def test_files_of_rates_are_read_as_exchanges_write_them(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    at = OPENING.replace(year=2026, month=3, day=2, hour=8, minute=0)
    assert list(read_funding(tmp_path / name)) == [FundingRate(at, "BTCUSDT", HOUR_RATE, Decimal("90000.5"))]


@pytest.mark.parametrize(
    "line",
    [
        b'{"timestamp":"2026-03-02T08:00:00Z","symbol":"BTC","funding_rate":"x"}',
        b'{"timestamp":"2026-03-02T08:00:00Z","symbol":"BTC","funding_rate":2}',
        b'{"timestamp":"2026-03-02","symbol":"BTC","funding_rate":0.1}',
        b'{"timestamp":"2026-03-02T08:00:00Z","symbol":"B{}C","funding_rate":0.1}',
        b'{"timestamp":"2026-03-02T08:00:00Z","symbol":"BTC","funding_rate":0.1,"mark_price":-1}',
    ],
)
def test_a_malformed_rate_is_a_bad_row(line: bytes) -> None:
    assert isinstance(parse_line(line, 7), BadRow)


def test_a_rate_is_a_line_of_standard_input() -> None:
    found = parse_line(b'{"timestamp":"2026-03-02T08:00:00Z","symbol":"BTC","funding_rate":0.0001}', 7)
    assert isinstance(found, FundingRate)
    assert (found.rate, found.price) == (HOUR_RATE, None)


def test_a_file_of_rates_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"rates\.csv cannot be read"):
        list(read_funding(tmp_path / "rates.csv"))


def test_the_leverage_of_a_symbol_goes_before_that_of_all() -> None:
    rules = FeedRules(exchange="always", leverages={"": Decimal(3), "BTC": Decimal(5)}, maker_bps=Decimal(1))
    assert [rules.terms(symbol).leverage for symbol in ("BTC", "ETH")] == [5, 3]
    assert FeedRules().terms("BTC").leverage is None


@given(
    side=st.sampled_from(["long", "short"]),
    leverage=st.integers(1, 125),
    prices=st.lists(st.decimals("50", "150", places=2), min_size=2, max_size=8),
    rate=st.decimals("-0.01", "0.01", places=4),
)
def test_no_position_ever_loses_more_than_its_margin_fees_and_funding(
    side: str, leverage: int, prices: list[Decimal], rate: Decimal
) -> None:
    made = opened(side, PERP._replace(leverage=Decimal(leverage)))
    margin, payments = Decimal(10_000) / leverage, Decimal(0)
    for at, price in enumerate(prices, start=1):
        if made.position is None:
            break
        low, high = min(price, made.position.current_price or price), max(price, made.position.current_price or price)
        one = Bar(OPENING + at * MINUTE, "AAPL", price, high, low, price, Decimal(1))
        made = applied(one, before=made, due=[FundingRate(one.end(MINUTE), "AAPL", rate)])
        payments += sum((payment.paid for payment in made.funding), Decimal(0))
        if made.position is not None:
            made.position = Position.model_validate(mark(made.position, price, one.end(MINUTE)).model_dump())
    day = made.book.day
    open_pnl = Decimal(0) if made.position is None else made.position.unrealized_pnl or Decimal(0)
    assert day.equity + day.earned + open_pnl >= CAPITAL - margin - 5 - payments - Decimal("0.02")
    if made.closed is not None:
        assert made.closed.net == made.closed.gross - made.closed.cost
        assert day.equity + day.earned == CAPITAL + made.closed.net
