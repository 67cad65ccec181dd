import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmctx.replay.measure import Share, agreement_within, mean, quantile


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
def test_the_wilson_interval_is_the_published_one(count: int, of: int, low: float, high: float) -> None:
    # 81 of 263 is the example of Newcombe (1998), table I; the others follow from Wilson's closed form.
    interval = Share(count, of).interval
    assert interval is not None
    assert interval == pytest.approx((low, high), abs=1e-4)


@settings(deadline=None)
@given(st.integers(1, 5000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_an_interval_encloses_its_share_and_stays_between_0_and_1(counted: tuple[int, int]) -> None:
    share = Share(*counted)
    assert share.interval is not None
    assert share.value is not None
    low, high = share.interval
    assert 0 <= low <= share.value + 1e-12
    assert share.value - 1e-12 <= high <= 1


def test_of_nothing_there_is_no_share_no_mean_and_no_quantile() -> None:
    assert (Share(0, 0).value, Share(0, 0).interval, mean([]), quantile([], 0.5)) == (None, None, None, None)


def test_a_mean_has_an_interval_from_two_values_on() -> None:
    one, two = mean([3.0]), mean([1.0, 3.0])
    assert one is not None
    assert two is not None
    assert (one.value, one.reach) == (3.0, None)
    assert (two.value, two.of) == (2.0, 2)
    assert two.reach == pytest.approx(1.959964 * math.sqrt(2) / math.sqrt(2), abs=1e-6)


def test_quantiles_are_values_that_occur() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (quantile(values, 0.5), quantile(values, 0.95), quantile(values, 0), quantile(values, 1)) == (50, 95, 1, 100)


def test_agreement_counts_every_pair_within_a_group() -> None:
    assert agreement_within([["a", "a", "b"], ["a"], ["b", "b"]]) == Share(2, 4)
