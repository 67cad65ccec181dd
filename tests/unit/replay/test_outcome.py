from decimal import Decimal
from typing import Any

import pytest

from llmctx.replay.calibration import calibrate
from llmctx.replay.market import Candle, Series
from llmctx.replay.measure import Share
from llmctx.replay.outcome import Outcome, Taken, ends_of, outcome_of, taken_of
from tests.unit.makers import NOW_MS

from .cases import case

MINUTE = 60_000


def taken(**said: Any) -> Taken:
    found = taken_of(case(price="150", stop="140", target="170", said=said))
    assert found is not None
    return found


def series(*closes: float, first: int = 0, jump: float = 0.0) -> dict[str, Series]:
    """One-minute bars that begin with the decision; each opens where the one before closed, the first `jump` away."""
    candles, before = [], 150 + jump
    for number, close in enumerate(closes):
        low, high = min(before, close), max(before, close)
        prices = (Decimal(str(price)) for price in (before, high, low, close))
        candles.append(Candle(NOW_MS + (first + number) * MINUTE, *prices))
        before = close
    return {"AAPL": Series(candles, MINUTE)}


def outcome(decision: Taken, bars: dict[str, Series], cost_bps: str = "0") -> Outcome:
    return outcome_of(decision, bars, ends_of([decision]), Decimal(cost_bps))


RISE, FALL = [151 + n for n in range(5)], [149 - n for n in range(5)]


@pytest.mark.parametrize(
    ("said", "closes", "held", "followed"),
    [
        ({}, RISE, 50, 50),
        ({"action": "exit"}, RISE, 50, 0),
        ({"action": "exit"}, FALL, -50, 0),
        ({"action": "reduce", "quantity": 4}, FALL, -50, -30),
        ({"action": "add", "quantity": 10}, RISE, 50, 100),
        ({"action": "adjust_stops", "stop_loss": 148}, FALL, -50, -20),
        ({"action": "adjust_stops", "take_profit": 152}, RISE, 50, 20),
    ],
)
def test_following_is_told_from_leaving_the_position_be(
    said: dict[str, Any], closes: list[float], held: int, followed: int
) -> None:
    made = outcome(taken(**said), series(*closes)).made["5"]
    assert [made.held, made.followed, made.gain] == [Decimal(held), Decimal(followed), Decimal(followed - held)]


def test_a_trade_is_filled_at_the_next_opening_not_at_the_price_that_was_seen() -> None:
    made = outcome(taken(action="exit"), series(*FALL, jump=-1)).made["5"]
    assert made.followed == -10


def test_fills_cost_what_they_are_said_to_cost() -> None:
    made = outcome(taken(action="exit"), series(*FALL), "2").made["5"]
    assert made.followed == -Decimal("0.30")


def test_the_market_s_move_is_in_percent() -> None:
    assert outcome(taken(), series(*RISE)).made["5"].move_pct == pytest.approx(5 / 150 * 100)


def test_a_horizon_that_the_bars_do_not_reach_is_not_told() -> None:
    assert set(outcome(taken(), series(*RISE)).made) == {"5", "end"}
    assert outcome(taken(), {}).made == {}
    assert outcome(taken(), series(*RISE, first=-9)).made == {}


def test_the_end_of_a_position_is_the_bar_after_it_was_last_seen() -> None:
    first, last = taken(), taken()._replace(as_of_ms=NOW_MS + 2 * MINUTE)
    other = taken()._replace(entry_ms=1, as_of_ms=NOW_MS + 4 * MINUTE)
    ends = ends_of([first, last, other])
    assert outcome_of(first, series(*RISE), ends, Decimal(0)).made["end"].held == 30


@pytest.mark.parametrize(
    ("said", "closes", "right"),
    [
        ({}, RISE, True), ({}, FALL, False), ({"action": "exit"}, FALL, True), ({"action": "exit"}, RISE, False),
        ({"action": "add", "quantity": 10}, FALL, False), ({"action": "adjust_stops", "stop_loss": 141}, RISE, None),
    ],
)  # fmt: skip
def test_a_decision_is_right_where_its_opposite_would_have_made_less(
    said: dict[str, Any], closes: list[float], *, right: bool | None
) -> None:
    assert outcome(taken(**said), series(*closes)).right("5") is right
    assert outcome(taken(**said), series(*closes)).right("60") is None


def test_a_perfect_forecast_has_a_brier_score_of_0_and_a_coin_one_of_a_quarter() -> None:
    assert calibrate([(1.0, True), (0.0, False)]).brier == 0
    assert calibrate([(0.5, True), (0.5, False)]).brier == 0.25
    assert calibrate([(1.0, False)]).brier == 1


def test_the_reliability_table_puts_said_beside_seen() -> None:
    found = calibrate([(0.7, True), (0.7, True), (0.7, False), (0.72, True), (0.9, False), (1.0, True)])
    assert [(row.low, row.right) for row in found.bins] == [(0.7, Share(3, 4)), (0.9, Share(1, 2))]
    assert found.bins[0].confidence == pytest.approx(0.705)
    assert found.base == Share(4, 6)
    assert found.brier_base == pytest.approx(2 / 9)


def test_of_nothing_there_is_no_calibration() -> None:
    assert calibrate([]).brier is None
