import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmctx.replay.stats import EquityCurve, Share, agreement_within, calibrate, mean, quantile


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),
        (1, 1, 0.2065, 1.0),
    ],
)
def test_the_wilson_interval_matches_published_values(count: int, of: int, low: float, high: float) -> None:
    # 81 of 263 is the example of Newcombe (1998), table I; the others follow from Wilson's closed form.
    interval = Share(count, of).interval
    assert interval is not None
    assert interval == pytest.approx((low, high), abs=1e-4)


@settings(deadline=None)
@given(st.integers(1, 5000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_an_interval_contains_its_share_and_stays_between_0_and_1(counted: tuple[int, int]) -> None:
    share = Share(*counted)
    assert share.interval is not None
    assert share.value is not None
    low, high = share.interval
    assert 0 <= low <= share.value + 1e-12
    assert share.value - 1e-12 <= high <= 1


def test_an_empty_sample_has_no_share_no_mean_no_quantile_and_no_calibration() -> None:
    assert (Share(0, 0).value, Share(0, 0).interval, mean([]), quantile([], 0.5)) == (None, None, None, None)
    assert calibrate([]).brier is None


def test_a_mean_of_two_or_more_values_has_an_interval() -> None:
    one, two = mean([3.0]), mean([1.0, 3.0])
    assert one is not None
    assert two is not None
    assert (one.value, one.reach) == (3.0, None)
    assert (two.value, two.of) == (2.0, 2)
    assert two.reach == pytest.approx(1.959964 * math.sqrt(2) / math.sqrt(2), abs=1e-6)


def test_quantiles_are_values_of_the_sample() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (quantile(values, 0.5), quantile(values, 0.95), quantile(values, 0), quantile(values, 1)) == (50, 95, 1, 100)


def test_agreement_counts_every_pair_within_a_group() -> None:
    assert agreement_within([["a", "a", "b"], ["a"], ["b", "b"]]) == Share(2, 4)


def test_the_brier_score_is_0_for_a_perfect_forecast_and_a_quarter_for_a_coin() -> None:
    assert calibrate([(1.0, True), (0.0, False)]).brier == 0
    assert calibrate([(0.5, True), (0.5, False)]).brier == 0.25
    assert calibrate([(1.0, False)]).brier == 1


def test_the_reliability_table_compares_confidence_with_the_share_that_was_right() -> None:
    found = calibrate([(0.7, True), (0.7, True), (0.7, False), (0.72, True), (0.9, False), (1.0, True)])
    assert [(row.low, row.right) for row in found.bins] == [(0.7, Share(3, 4)), (0.9, Share(1, 2))]
    assert found.bins[0].confidence == pytest.approx(0.705)
    assert found.base == Share(4, 6)
    assert found.brier_base == pytest.approx(2 / 9)


ZERO = Decimal(0)


def curve(*equity: int) -> EquityCurve:
    made = EquityCurve()
    for at, value in enumerate(equity):
        made.mark(at, Decimal(value), Decimal(value) / 4)
    return made


def test_the_drawdown_is_the_deepest_fall_from_an_earlier_peak() -> None:
    assert curve(100, 120, 90, 130, 110).drawdown == (Decimal(30), Decimal("0.25"))


def test_a_book_that_only_rises_has_no_drawdown() -> None:
    assert curve(100, 101, 102).drawdown == (ZERO, ZERO)


def test_the_last_mark_of_a_time_counts() -> None:
    made = curve(100)
    made.mark(0, Decimal(90), Decimal(45))
    assert [point.equity for point in made.points] == [90]
    assert made.exposure == (Decimal("0.5"), Decimal("0.5"))


def test_an_empty_curve_has_no_drawdown_and_no_exposure() -> None:
    assert (EquityCurve().drawdown, EquityCurve().exposure) == ((ZERO, ZERO), (ZERO, ZERO))
