from decimal import Decimal
from typing import Any

import pytest

from llmctx.replay.outcome import DecisionOutcome, PastDecision, last_seen, outcome_of, past_decision
from llmctx.replay.price_series import Candle, PriceSeries
from tests.unit.makers import NOW_MS

from .cases import case

MINUTE = 60_000


def decision(**said: Any) -> PastDecision:
    found = past_decision(case(price="150", stop="140", target="170", said=said))
    assert found is not None
    return found


def series(*closes: float, first: int = 0, jump: float = 0.0) -> dict[str, PriceSeries]:
    """Return one-minute bars from the decision on; each opens at the previous close, the first one `jump` away."""
    candles, before = [], 150 + jump
    for number, close in enumerate(closes):
        low, high = min(before, close), max(before, close)
        prices = (Decimal(str(price)) for price in (before, high, low, close))
        candles.append(Candle(NOW_MS + (first + number) * MINUTE, *prices))
        before = close
    return {"AAPL": PriceSeries(candles, MINUTE)}


def outcome(decided: PastDecision, bars: dict[str, PriceSeries], cost_bps: str = "0") -> DecisionOutcome:
    return outcome_of(decided, bars, last_seen([decided]), Decimal(cost_bps))


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
def test_following_the_verdict_is_compared_with_doing_nothing(
    said: dict[str, Any], closes: list[float], held: int, followed: int
) -> None:
    result = outcome(decision(**said), series(*closes)).results["5"]
    assert [result.unchanged, result.followed, result.gain] == [
        Decimal(held),
        Decimal(followed),
        Decimal(followed - held),
    ]


def test_trades_fill_at_the_next_open_not_at_the_price_seen() -> None:
    result = outcome(decision(action="exit"), series(*FALL, jump=-1)).results["5"]
    assert result.followed == -10


def test_fills_cost_the_given_basis_points() -> None:
    result = outcome(decision(action="exit"), series(*FALL), "2").results["5"]
    assert result.followed == -Decimal("0.30")


def test_the_market_move_is_in_percent() -> None:
    assert outcome(decision(), series(*RISE)).results["5"].move_pct == pytest.approx(5 / 150 * 100)


def test_horizons_beyond_the_bars_are_absent() -> None:
    assert set(outcome(decision(), series(*RISE)).results) == {"5", "end"}
    assert outcome(decision(), {}).results == {}
    assert outcome(decision(), series(*RISE, first=-9)).results == {}


def test_a_position_ends_with_the_bar_after_it_was_last_seen() -> None:
    first, last = decision(), decision()._replace(as_of_ms=NOW_MS + 2 * MINUTE)
    other = decision()._replace(opened_ms=1, as_of_ms=NOW_MS + 4 * MINUTE)
    ends = last_seen([first, last, other])
    assert outcome_of(first, series(*RISE), ends, Decimal(0)).results["end"].unchanged == 30


@pytest.mark.parametrize(
    ("said", "closes", "right"),
    [
        ({}, RISE, True), ({}, FALL, False), ({"action": "exit"}, FALL, True), ({"action": "exit"}, RISE, False),
        ({"action": "add", "quantity": 10}, FALL, False), ({"action": "adjust_stops", "stop_loss": 141}, RISE, None),
    ],
)  # fmt: skip
def test_a_decision_is_right_if_its_opposite_would_have_earned_less(
    said: dict[str, Any], closes: list[float], *, right: bool | None
) -> None:
    assert outcome(decision(**said), series(*closes)).right("5") is right
    assert outcome(decision(**said), series(*closes)).right("60") is None
