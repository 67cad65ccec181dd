from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.context.corporate_action import LIMIT, OVERNIGHT, overnight_move

FRIDAY = datetime(2025, 5, 9, 20, tzinfo=UTC)
MONDAY = datetime(2025, 5, 12, 13, 30, tzinfo=UTC)
PRICES = st.decimals(Decimal("0.01"), 10_000, places=2)


def move(before: str, now: str, later: timedelta = MONDAY - FRIDAY) -> Decimal | None:
    return overnight_move(Decimal(before), FRIDAY, Decimal(now), FRIDAY + later)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ("700", "100", "-0.857"),
        ("100", "50", "-0.500"),
        ("10", "100", "9.000"),
        ("1", "1.41", "0.410"),
        ("1", "0.59", "-0.410"),
    ],
)
def test_a_jump_between_two_sessions_returns_its_size(before: str, now: str, expected: str) -> None:
    found = move(before, now)
    assert found is not None
    assert f"{found:.3f}" == expected


@pytest.mark.parametrize(
    ("before", "now"), [("100", "100"), ("100", "90"), ("100", "140"), ("100", "60"), ("3", "4.2")]
)
def test_an_ordinary_overnight_move_is_not_a_jump(before: str, now: str) -> None:
    assert move(before, now) is None


@given(PRICES, PRICES, st.timedeltas(timedelta(days=-30), OVERNIGHT - timedelta(microseconds=1)))
def test_within_a_session_no_move_is_a_corporate_action(before: Decimal, now: Decimal, later: timedelta) -> None:
    assert overnight_move(before, FRIDAY, now, FRIDAY + later) is None


def test_marks_exactly_four_hours_apart_lie_in_different_sessions() -> None:
    assert move("700", "100", timedelta(hours=4)) is not None


@given(PRICES, PRICES)
def test_a_move_is_returned_only_beyond_the_limit(before: Decimal, now: Decimal) -> None:
    found = overnight_move(before, FRIDAY, now, MONDAY)
    assert (found is not None) == (abs(now - before) > LIMIT * before)


@given(PRICES)
def test_a_reverse_split_is_a_jump_too(price: Decimal) -> None:
    assert overnight_move(price, FRIDAY, price * 2, MONDAY) == 1
