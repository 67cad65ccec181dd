from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.flow.marks import adjust, is_over, mark, open_position
from llmctx.schema.values import Position

AT = datetime(2014, 6, 6, 13, 30, tzinfo=UTC)
LATER = AT + timedelta(minutes=1)
UP, DOWN = (Decimal("0.2"), Decimal("0.1")), (Decimal("0.1"), Decimal("0.2"))
LEVELS = {"long": UP, "short": DOWN}
SIDES = pytest.mark.parametrize("side", LEVELS)


def opened(side: str = "long", price: str | Decimal = "640") -> Position:
    position = open_position("AAPL", Decimal(price), AT, *LEVELS[side])
    assert position is not None
    return position


@pytest.mark.parametrize(("macd", "signal"), [(None, None), (Decimal(1), None), (None, Decimal(1))])
def test_nothing_is_opened_while_the_indicators_are_not_warm(macd: Decimal | None, signal: Decimal | None) -> None:
    assert open_position("AAPL", Decimal(640), AT, macd, signal) is None


@pytest.mark.parametrize(
    ("macd", "signal", "side"),
    [("0.2", "0.1", "long"), ("0.1", "0.1", "long"), ("0", "0", "long"), ("-0.2", "-0.1", "short")],
)
def test_the_side_is_that_of_macd(macd: str, signal: str, side: str) -> None:
    position = open_position("AAPL", Decimal(640), AT, Decimal(macd), Decimal(signal))
    assert position is not None
    assert position.side == side


@SIDES
def test_a_new_position_is_marked_at_its_entry(side: str) -> None:
    position = opened(side)
    assert (position.symbol, position.entry_price, position.current_price) == ("AAPL", Decimal(640), Decimal(640))
    assert (position.entry_time, position.last_update) == (AT, AT)
    assert (position.unrealized_pnl, position.unrealized_pnl_pct) == (Decimal(0), Decimal(0))


@pytest.mark.parametrize(("side", "stop", "target"), [("long", "633.6", "652.8"), ("short", "646.4", "627.2")])
def test_the_stop_is_one_percent_against_and_the_target_two_in_favour(side: str, stop: str, target: str) -> None:
    position = opened(side)
    assert (position.stop_loss, position.take_profit) == (Decimal(stop), Decimal(target))


@pytest.mark.parametrize(
    ("price", "quantity"), [("640", 15), ("10000", 1), ("10000.01", 1), ("250000", 1), ("5000.01", 1), ("0.5", 20_000)]
)
def test_the_size_is_about_ten_thousand_and_at_least_one_share(price: str, quantity: int) -> None:
    assert opened("long", price).quantity == quantity


prices = st.decimals("0.01", "100000", places=4)


@given(side=st.sampled_from(["long", "short"]), price=prices)
def test_stop_and_target_enclose_the_entry_and_a_new_position_is_not_over(side: str, price: Decimal) -> None:
    position = opened(side, price)
    assert position.stop_loss is not None
    assert position.take_profit is not None
    low, high = sorted([position.stop_loss, position.take_profit])
    assert low < price < high
    assert (position.stop_loss < price) == (side == "long")
    assert not is_over(position)


def test_a_price_below_a_hundredth_of_a_cent_opens_a_position() -> None:
    assert opened("long", "0.00004").quantity == 250_000_000


def test_a_price_of_less_than_a_cent_is_not_at_its_stop_at_once() -> None:
    assert not is_over(opened("long", "0.004"))


def test_a_mark_moves_price_profit_and_time_and_nothing_else() -> None:
    before = opened()
    after = mark(before, Decimal(646), LATER)
    changed = {name for name in Position.model_fields if getattr(before, name) != getattr(after, name)}
    assert changed == {"current_price", "unrealized_pnl", "unrealized_pnl_pct", "last_update"}
    assert (after.current_price, after.last_update) == (Decimal(646), LATER)


@pytest.mark.parametrize(
    ("side", "price", "pnl", "percent"),
    [
        ("long", "646.4", "96", "1"),
        ("long", "633.6", "-96", "-1"),
        ("short", "646.4", "-96", "-1"),
        ("short", "633.6", "96", "1"),
        ("long", "640", "0", "0"),
        ("long", "640.01", "0.15", "0.0016"),
    ],
)
def test_a_mark_tells_the_profit_in_money_and_percent(side: str, price: str, pnl: str, percent: str) -> None:
    position = mark(opened(side), Decimal(price), LATER)
    assert (position.unrealized_pnl, position.unrealized_pnl_pct) == (Decimal(pnl), Decimal(percent))


def test_a_mark_stands_on_the_entry_and_not_on_the_mark_before() -> None:
    twice = mark(mark(opened(), Decimal(600), AT), Decimal(646), LATER)
    assert twice == mark(opened(), Decimal(646), LATER)


@given(side=st.sampled_from(["long", "short"]), price=prices)
def test_a_long_position_earns_what_a_short_one_loses(side: str, price: Decimal) -> None:
    other = "short" if side == "long" else "long"
    assert mark(opened(side), price, LATER).unrealized_pnl == -mark(opened(other), price, LATER).unrealized_pnl


def test_unknown_fields_of_a_position_survive_a_mark() -> None:
    position = Position.model_validate(opened().model_dump() | {"broker": "X"})
    assert mark(position, Decimal(646), LATER).model_dump()["broker"] == "X"


@pytest.mark.parametrize(
    ("side", "price", "over"),
    [
        ("long", "633.61", False),
        ("long", "633.6", True),
        ("long", "633", True),
        ("long", "652.79", False),
        ("long", "652.8", True),
        ("long", "700", True),
        ("short", "646.39", False),
        ("short", "646.4", True),
        ("short", "700", True),
        ("short", "627.21", False),
        ("short", "627.2", True),
        ("short", "500", True),
    ],
)
def test_a_position_is_over_when_its_mark_has_reached_stop_or_target(side: str, price: str, *, over: bool) -> None:
    assert is_over(mark(opened(side), Decimal(price), LATER)) == over


@SIDES
@pytest.mark.parametrize("price", ["1", "100000"])
def test_a_position_without_stop_and_target_is_never_over(side: str, price: str) -> None:
    open_ended = opened(side).model_copy(update={"stop_loss": None, "take_profit": None})
    assert not is_over(mark(open_ended, Decimal(price), LATER))


def test_a_split_divides_prices_and_multiplies_shares() -> None:
    position = adjust(mark(opened(), Decimal(644), LATER), Decimal(7))
    assert (position.entry_price, position.current_price, position.quantity) == (
        Decimal("91.4286"),
        Decimal(92),
        Decimal(105),
    )
    assert (position.stop_loss, position.take_profit) == (Decimal("90.5143"), Decimal("93.2571"))


def test_a_reverse_split_multiplies_prices_and_divides_shares() -> None:
    position = adjust(opened(), Decimal("0.1"))
    assert (position.entry_price, position.quantity) == (Decimal(6400), Decimal("1.5"))
    assert (position.stop_loss, position.take_profit) == (Decimal(6336), Decimal(6528))


def test_a_split_leaves_who_and_when_and_the_profit() -> None:
    before = mark(opened(), Decimal(644), LATER)
    after = adjust(before, Decimal(7))
    same = {"symbol", "side", "entry_time", "last_update", "unrealized_pnl", "unrealized_pnl_pct"}
    assert after.model_dump(include=same) == before.model_dump(include=same)


def test_a_split_leaves_a_stop_or_target_that_is_not_set() -> None:
    open_ended = opened().model_copy(update={"stop_loss": None, "take_profit": None})
    position = adjust(open_ended, Decimal(7))
    assert (position.stop_loss, position.take_profit) == (None, None)


@given(side=st.sampled_from(["long", "short"]), price=st.decimals("50", "1000", places=2), ratio=st.integers(2, 20))
def test_a_split_changes_what_a_position_is_worth_by_rounding_only(side: str, price: Decimal, ratio: int) -> None:
    before = opened(side, price)
    after = adjust(before, Decimal(ratio))
    worth = before.current_price * before.quantity
    assert abs(after.current_price * after.quantity - worth) <= after.quantity * Decimal("0.00005")
    assert not is_over(after)
