from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.flow.marks import STOP, TARGET, adjust, mark, rounded_price
from llmctx.schema.values import Position
from tests.unit.flow.makers import OPENING, position

AT = OPENING
LATER = AT + timedelta(minutes=1)
SIDES = st.sampled_from(["long", "short"])
prices = st.decimals("0.01", "100000", places=4)


def opened(side: str = "long", price: str | Decimal = "640") -> Position:
    """Fifteen shares with the stop and target of a new position."""
    paid, sign = Decimal(price), 1 if side == "long" else -1
    return position(
        side,
        entry_price=paid,
        current_price=paid,
        quantity=Decimal(15),
        stop_loss=rounded_price(paid * (1 - sign * STOP)),
        take_profit=rounded_price(paid * (1 + sign * TARGET)),
    )


@pytest.mark.parametrize(
    ("price", "rounded"),
    [
        ("640.123456", "640.1235"),
        ("640.12345", "640.1234"),  # a half goes to the even digit
        ("640.12355", "640.1236"),
        ("100000", "100000.0000"),
        ("1.23456789", "1.2346"),
        ("0.123456789", "0.123457"),
        ("0.0123456789", "0.0123457"),
        ("0.000040004449", "0.0000400044"),
        ("1E-10", "1.00000E-10"),
    ],
)
def test_a_price_has_four_places_and_a_cheap_one_six_figures(price: str, rounded: str) -> None:
    assert str(rounded_price(Decimal(price))) == rounded


@given(st.decimals("0.00000001", "10000000", places=12))
def test_rounding_moves_a_price_by_less_than_a_hundredth_of_a_percent(price: Decimal) -> None:
    rounded = rounded_price(price)
    assert abs(rounded / price - 1) < Decimal("0.0001")
    assert rounded_price(rounded) == rounded


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


@pytest.mark.parametrize(("entry", "price"), [("1e-15", "1e15"), ("1e15", "1e-15")])
def test_whatever_can_be_a_price_can_be_a_mark(entry: str, price: str) -> None:
    held = position(entry_price=Decimal(entry), stop_loss=None, take_profit=None)
    marked = mark(held, Decimal(price), LATER)
    assert (marked.unrealized_pnl > 0) == (Decimal(price) > Decimal(entry))


def test_a_mark_stands_on_the_entry_and_not_on_the_mark_before() -> None:
    twice = mark(mark(opened(), Decimal(600), AT), Decimal(646), LATER)
    assert twice == mark(opened(), Decimal(646), LATER)


@given(side=SIDES, price=prices)
def test_a_long_position_earns_what_a_short_one_loses(side: str, price: Decimal) -> None:
    other = "short" if side == "long" else "long"
    assert mark(opened(side), price, LATER).unrealized_pnl == -mark(opened(other), price, LATER).unrealized_pnl


def test_unknown_fields_of_a_position_survive_a_mark() -> None:
    position = Position.model_validate(opened().model_dump() | {"broker": "X"})
    assert mark(position, Decimal(646), LATER).model_dump()["broker"] == "X"


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


@given(side=SIDES, price=st.decimals("50", "1000", places=2), ratio=st.integers(2, 20))
def test_a_split_changes_what_a_position_is_worth_by_rounding_only(side: str, price: Decimal, ratio: int) -> None:
    before = opened(side, price)
    after = adjust(before, Decimal(ratio))
    worth = before.current_price * before.quantity
    assert abs(after.current_price * after.quantity - worth) <= after.quantity * Decimal("0.00005")
    assert after.stop_loss is not None
    assert after.take_profit is not None
    low, high = sorted([after.stop_loss, after.take_profit])
    assert low < after.current_price < high
