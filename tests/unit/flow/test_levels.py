from collections import deque
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.flow.levels import Levels

Row = tuple[Decimal, Decimal]
"""High and low of a bar."""


def levels(rows: Sequence[Row]) -> Levels:
    made = Levels()
    for high, low in rows:
        made.add(high, low)
    return made


def rows(*prices: int) -> list[Row]:
    """Bars that reach one above and one below a price."""
    return [(Decimal(price + 1), Decimal(price - 1)) for price in prices]


def swings(bars: Sequence[Row]) -> list[Decimal]:
    """Every swing, by its definition, oldest first."""
    found = []
    for at in range(5, len(bars) - 5):
        around = bars[at - 5 : at + 6]
        high, low = bars[at]
        found += [high] if all(high >= other for other, _ in around) else []
        found += [low] if all(low <= other for _, other in around) else []
    return found


PEAK = rows(100, 101, 102, 103, 104, 110, 104, 103, 102, 101, 100)
TROUGH = rows(100, 99, 98, 97, 96, 90, 96, 97, 98, 99, 100)


def test_no_bars_have_no_levels() -> None:
    made = Levels()
    assert (made.below(Decimal(1)), made.above(Decimal(1)), made.nearest(Decimal(1))) == (None, None, None)


def test_a_high_that_no_bar_within_five_exceeds_is_a_level() -> None:
    assert levels(PEAK).above(Decimal(105)) == 111


def test_a_low_that_no_bar_within_five_undercuts_is_a_level() -> None:
    assert levels(TROUGH).below(Decimal(95)) == 89


@pytest.mark.parametrize("bars", [PEAK, TROUGH])
def test_a_swing_is_not_known_before_five_bars_have_passed(bars: list[Row]) -> None:
    assert levels(bars[:-1]).nearest(Decimal(100)) is None
    assert levels(bars).nearest(Decimal(100)) is not None


@pytest.mark.parametrize("at", [0, 4, 6, 10])
def test_a_bar_within_five_that_exceeds_it_takes_a_high_away(at: int) -> None:
    bars = list(PEAK)
    bars[at] = (Decimal(112), bars[at][1])
    assert levels(bars).above(Decimal(105)) is None


def test_a_bar_that_only_equals_it_does_not() -> None:
    bars = list(PEAK)
    bars[6] = (Decimal(111), bars[6][1])
    assert levels(bars).above(Decimal(105)) == 111


def test_what_was_support_resists_once_the_price_lies_below_it() -> None:
    made = levels(TROUGH)
    assert made.nearest(Decimal(95)) == {"next_level": 89, "type": "support"}
    assert made.nearest(Decimal(85)) == {"next_level": 89, "type": "resistance"}


def test_the_price_itself_is_not_its_nearest_level() -> None:
    made = levels(TROUGH)
    assert (made.below(Decimal(89)), made.above(Decimal(89)), made.nearest(Decimal(89))) == (None, None, None)


@pytest.mark.parametrize(
    ("more", "level", "kind"),
    [((91, 120), 91, "support"), ((120, 94), 94, "resistance"), ((80, 120), 89, "support"), ((93, 93), 89, "support")],
)
def test_the_sessions_high_and_low_count_as_well(more: tuple[int, int], level: int, kind: str) -> None:
    found = levels(TROUGH).nearest(Decimal(93), *(Decimal(one) for one in more))
    assert found == {"next_level": level, "type": kind}


def test_only_the_fifty_newest_are_kept() -> None:
    first, last = 100, 100 + 60
    bars = [row for top in range(first, last) for row in rows(*[top - 50] * 5, top, *[top - 50] * 5)]
    kept = levels(bars)
    newest: deque[Decimal] = deque(maxlen=50)
    for level in swings(bars):
        newest.extend([] if level in newest else [level])
    assert kept.below(Decimal(10_000)) == max(newest)
    assert kept.above(Decimal(0)) == min(newest)
    assert min(newest) > min(swings(bars))


prices = st.integers(90, 110).map(Decimal)
bars_of = st.lists(st.tuples(prices, prices).map(lambda pair: (max(pair), min(pair))), max_size=80)


@given(bars_of, prices, st.lists(prices, max_size=2))
def test_levels_are_the_swings_by_their_definition(bars: list[Row], price: Decimal, more: list[Decimal]) -> None:
    made, known = levels(bars), swings(bars)[-50:]
    assert made.below(price) == max((one for one in known if one < price), default=None)
    assert made.above(price) == min((one for one in known if one > price), default=None)
    found, every = made.nearest(price, *more), {*known, *more} - {price}
    assert (found is None) == (not every)
    if found is not None:
        assert found["next_level"] in every
        assert abs(found["next_level"] - price) == min(abs(one - price) for one in every)
        assert found["type"] == ("support" if found["next_level"] < price else "resistance")


@given(bars_of, bars_of, prices, st.sampled_from(["2", "5", "0.1", "0.25"]).map(Decimal))
def test_after_a_split_levels_are_those_of_adjusted_bars(
    before: list[Row], after: list[Row], price: Decimal, ratio: Decimal
) -> None:
    made = levels(before)
    made.adjust(ratio)
    for high, low in after:
        made.add(high, low)
    fresh = levels([(high / ratio, low / ratio) for high, low in before] + after)
    for one in (price, price / ratio):
        assert (made.below(one), made.above(one)) == (fresh.below(one), fresh.above(one))
