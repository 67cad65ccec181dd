from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from llmctx.flow.bars import Bar
from llmctx.flow.indicators import MEMORY, SlowMacd
from llmctx.flow.levels import Levels
from llmctx.flow.track import Track
from tests.conftest import present
from tests.unit.flow.makers import MINUTE, NEXT_DAY, OPENING, bar, indicators_of, track, warm


@pytest.mark.parametrize("price", ["90", "1280"])
def test_after_a_suspected_split_the_indicators_begin_anew(price: str) -> None:
    made = track(*warm(), bar(NEXT_DAY, price))
    assert set(made.indicators.values().values()) == {None}
    assert made.indicators.values() == indicators_of(price)


def test_only_bars_after_a_jump_count() -> None:
    after = warm(NEXT_DAY, level=90)
    made = track(*warm(), *after)
    assert made.indicators.values() == indicators_of(*(one.close for one in after))


def test_a_jump_within_the_session_is_a_price_move() -> None:
    bars = [*warm(), bar(OPENING + 40 * MINUTE, "90")]
    assert track(*bars).indicators.values() == indicators_of(*(one.close for one in bars))


@pytest.mark.parametrize(
    ("price", "restarts"), [("345", False), ("325", True), ("470", False), ("430", True), ("1180", False), ("26", True)]
)
def test_a_crash_is_a_price_move_and_a_ratio_is_a_split(price: str, *, restarts: bool) -> None:
    bars = [*warm(), bar(OPENING + 40 * MINUTE, "640"), bar(NEXT_DAY, price)]
    assert (track(*bars).indicators.values()["rsi_14"] is None) == restarts


def test_a_jump_is_seen_from_the_close_to_the_next_open() -> None:
    opened_as_before = bar(NEXT_DAY, "90", open="640", high="640")
    made = track(*warm(), opened_as_before)
    assert made.indicators.values()["rsi_14"] is not None


def test_with_a_ratio_earlier_closes_are_adjusted() -> None:
    made, before = Track(MINUTE), warm()
    for one in before:
        made.add(one, Decimal(7))
    assert made.add(bar(NEXT_DAY, "92"), Decimal(7)) == 7
    assert made.indicators.values() == indicators_of(*(one.close / 7 for one in before), "92")


def test_a_ratio_of_a_reverse_split_adjusts_upwards() -> None:
    made, before = Track(MINUTE), warm(level=100)
    for one in before:
        made.add(one)
    assert made.add(bar(NEXT_DAY, "1000"), Decimal("0.1")) == Decimal("0.1")
    assert made.indicators.values() == indicators_of(*(one.close * 10 for one in before), "1000")


def test_a_ratio_is_applied_at_a_jump_only() -> None:
    made, bars = Track(MINUTE), [*warm(), *warm(NEXT_DAY)]
    assert {made.add(one, Decimal(7)) for one in bars} == {None}
    assert made.indicators.values() == indicators_of(*(one.close for one in bars))


def test_a_jump_without_a_ratio_adjusts_nothing() -> None:
    made = track(*warm())
    assert made.add(bar(NEXT_DAY, "90")) is None


def test_a_second_jump_adjusts_what_was_adjusted_before() -> None:
    made, later = track(*warm()), NEXT_DAY + timedelta(days=1)
    made.add(bar(NEXT_DAY, "90"), Decimal(7))
    made.add(bar(later, "45.5"), None)
    made.add(bar(later + timedelta(days=1), "4.5"), Decimal(10))
    assert made.indicators.values() == indicators_of("4.55", "4.5")


def test_the_session_after_a_jump_begins_with_it() -> None:
    made = track(*warm(), bar(NEXT_DAY, "90"))
    assert made.session == {"last": 90, "open": 90, "high": 90, "low": 90, "volume": 100}


def test_adjusting_reaches_back_as_far_as_the_indicators_remember() -> None:
    made = Track(MINUTE)
    before = [bar(OPENING + at * MINUTE, str(640 + at % 7), volume="0") for at in range(MEMORY + 50)]
    for one in before:
        made.add(one)
    after = before[-1].start + timedelta(days=1)
    made.add(bar(after, "92"), Decimal(7))
    exact, found = indicators_of(*(one.close / 7 for one in before), "92"), made.indicators.values()
    for name, value in exact.items():
        known = found[name]
        assert value is not None
        assert known is not None
        assert float(known) == pytest.approx(float(value), rel=0, abs=2e-6), name


def test_no_bar_from_before_a_jump_stays_in_the_window_as_it_was() -> None:
    made = track(*warm())
    made.add(bar(NEXT_DAY, "92"), Decimal(7))
    assert all(one.close < 100 for one in made.window)
    assert not track(*warm(), bar(NEXT_DAY, "92")).window


def moving(start: datetime, count: int, scale: int = 1) -> list[Bar]:
    return [bar(start + at * MINUTE, Decimal(700 + at * at % 97) / scale) for at in range(count)]


def slow_of(bars: list[Bar], ratio: int = 1) -> dict[str, object] | None:
    slow = SlowMacd(timedelta(minutes=5), MINUTE)
    for one in bars:
        slow.add(one.start, one.close / ratio)
    return slow.reading()


@pytest.mark.parametrize("cut", [150, 152, 154])
def test_five_minute_readings_go_on_over_an_ordinary_night(cut: int) -> None:
    bars = [*moving(OPENING, cut), *moving(NEXT_DAY, 33)]
    found = present(track(*bars).macd_5m.reading())
    assert found == slow_of(bars)


def test_five_minute_readings_are_adjusted_by_a_ratio() -> None:
    before, after = moving(OPENING, 200), moving(NEXT_DAY, 13, scale=7)
    made = track(*before)
    for one in after:
        made.add(one, Decimal(7))
    exact = [one._replace(close=one.close / 7) for one in before] + after
    found = present(made.macd_5m.reading())
    assert found == slow_of(exact)


def test_five_minute_readings_begin_anew_after_a_jump_without_a_ratio() -> None:
    after = moving(NEXT_DAY, 172, scale=7)
    assert track(*moving(OPENING, 200), *after[:100]).macd_5m.reading() is None
    found = present(track(*moving(OPENING, 200), *after).macd_5m.reading())
    assert found == slow_of(after)


def levels_of(bars: list[Bar], ratio: int = 1) -> Levels:
    made = Levels()
    for one in bars:
        made.add(one.high / ratio, one.low / ratio)
    return made


def test_levels_are_those_of_the_bars() -> None:
    made, price = track(*warm()), Decimal(642)
    known = levels_of(warm())
    assert known.nearest(price) is not None
    assert made.levels.nearest(price) == known.nearest(price)


def test_levels_are_adjusted_by_a_ratio_and_forgotten_without_one() -> None:
    price, known = Decimal(128), levels_of(warm(), 5)
    made, forgetful = track(*warm()), track(*warm())
    made.add(bar(NEXT_DAY, "128"), Decimal(5))
    forgetful.add(bar(NEXT_DAY, "128"))
    assert (made.levels.below(price), made.levels.above(price)) == (known.below(price), known.above(price))
    assert known.above(price) == Decimal("128.8")
    assert forgetful.levels.nearest(price) is None
