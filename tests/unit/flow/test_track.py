from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.flow.bars import Bar
from llmctx.flow.indicators import MEMORY, IndicatorSet, SlowMacd
from llmctx.flow.levels import Levels
from llmctx.flow.track import WINDOW, Track
from tests.unit.flow.makers import MINUTE, NEXT_DAY, OPENING, bar, track


def warm(start: datetime = OPENING, level: int = 640) -> list[Bar]:
    """Forty bars that move a little."""
    return [bar(start + at * MINUTE, str(level + at % 5)) for at in range(40)]


def indicators_of(*closes: Decimal | str) -> dict[str, Decimal | None]:
    indicators = IndicatorSet()
    for close in closes:
        indicators.add(Decimal(close))
    return indicators.values()


def test_a_new_track_knows_nothing() -> None:
    made = Track(MINUTE)
    assert (made.last, made.known_at, made.session) == (None, None, {})


def test_a_bar_is_known_at_its_end() -> None:
    made = Track(timedelta(minutes=5))
    made.add(bar(OPENING, "640"))
    assert made.known_at == OPENING + timedelta(minutes=5)


def test_the_first_bar_is_the_session() -> None:
    made = track(bar(OPENING, "640", open="641", high="642", low="639"))
    assert made.session == {"last": 640, "open": 641, "high": 642, "low": 639, "volume": 100}


def test_later_bars_widen_the_session_and_add_their_volume() -> None:
    made = track(
        bar(OPENING, "640", open="641", high="642", low="639"),
        bar(OPENING + MINUTE, "650", open="640", high="651", low="640"),
        bar(OPENING + 2 * MINUTE, "630", open="650", high="650", low="629"),
    )
    assert made.session == {"last": 630, "open": 641, "high": 651, "low": 629, "volume": 300}


def test_another_utc_date_is_another_session() -> None:
    made = track(
        bar(OPENING, "640", high="700", low="600"),
        bar(NEXT_DAY, "645", open="644", high="646", low="643", volume="7"),
    )
    assert made.session == {"last": 645, "open": 644, "high": 646, "low": 643, "volume": 7}


def test_a_pause_within_a_date_is_the_same_session() -> None:
    made = track(bar(OPENING, "640"), bar(OPENING + timedelta(hours=6), "645"))
    assert made.session == {"last": 645, "open": 640, "high": 645, "low": 640, "volume": 200}


closes = st.lists(st.decimals("90", "110", places=2), min_size=1, max_size=20)


@given(closes)
def test_the_session_is_what_its_bars_add_up_to(prices: list[Decimal]) -> None:
    bars = [
        bar(OPENING + at * MINUTE, price, high=str(price + 1), low=str(price - 1)) for at, price in enumerate(prices)
    ]
    assert track(*bars).session == {
        "last": prices[-1],
        "open": prices[0],
        "high": max(prices) + 1,
        "low": min(prices) - 1,
        "volume": list(accumulate(100 for _ in prices))[-1],
    }


def test_the_indicators_are_those_of_the_closes() -> None:
    bars = warm()
    assert track(*bars).indicators.values() == indicators_of(*(one.close for one in bars))


def test_the_indicators_go_on_over_an_ordinary_night() -> None:
    bars = [*warm(), *warm(NEXT_DAY)]
    assert track(*bars).indicators.values() == indicators_of(*(one.close for one in bars))


@pytest.mark.parametrize("price", ["90", "1200"])
def test_after_an_overnight_jump_the_indicators_begin_anew(price: str) -> None:
    made = track(*warm(), bar(NEXT_DAY, price))
    assert set(made.indicators.values().values()) == {None}
    assert made.indicators.values() == indicators_of(price)


def test_what_comes_after_a_jump_is_all_that_counts() -> None:
    after = warm(NEXT_DAY, level=90)
    made = track(*warm(), *after)
    assert made.indicators.values() == indicators_of(*(one.close for one in after))


def test_a_jump_within_the_session_is_a_price_move() -> None:
    bars = [*warm(), bar(OPENING + 40 * MINUTE, "90")]
    assert track(*bars).indicators.values() == indicators_of(*(one.close for one in bars))


@pytest.mark.parametrize(("price", "restarts"), [("384", False), ("383.9", True), ("896", False), ("896.1", True)])
def test_a_jump_is_a_move_of_more_than_forty_percent(price: str, *, restarts: bool) -> None:
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


def test_a_jump_without_a_ratio_applies_none() -> None:
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


@given(st.lists(st.tuples(st.sampled_from(["100", "101", "14"]), st.sampled_from([1, 1440])), max_size=40), st.data())
def test_taking_the_bars_again_gives_the_same_track(steps: list[tuple[str, int]], data: st.DataObject) -> None:
    first, told, start = Track(MINUTE), [], OPENING
    for price, minutes in steps:
        start += minutes * MINUTE
        one = bar(start, price)
        told.append((one, first.add(one, data.draw(st.none() | st.just(Decimal(7))))))
    again = Track(MINUTE)
    for one, ratio in told:
        assert again.add(one, ratio) == ratio
    assert (again.session, again.last, again.window) == (first.session, first.last, first.window)
    if told:
        assert again.indicators.values() == first.indicators.values()
        assert (again.previous_close, again.change_pct) == (first.previous_close, first.change_pct)
        assert again.macd_5m.reading() == first.macd_5m.reading()


def test_a_new_track_has_no_window_no_close_before_and_no_usual_volume() -> None:
    made = Track(MINUTE)
    assert (list(made.window), made.previous_close, made.relative_volume) == ([], None, None)


@pytest.mark.parametrize("count", [1, 2, 20, 21, 50])
def test_the_window_is_the_twenty_bars_before_the_newest(count: int) -> None:
    bars = warm()[:count] if count <= 40 else [*warm(), *warm(OPENING + timedelta(hours=1))][:count]
    assert list(track(*bars).window) == bars[max(0, count - 1 - WINDOW) : count - 1]


def test_the_window_reaches_over_an_ordinary_night() -> None:
    bars = [*warm(), *warm(NEXT_DAY)[:3]]
    assert list(track(*bars).window) == bars[-1 - WINDOW : -1]


def test_no_bar_from_before_a_jump_stays_in_the_window_as_it_was() -> None:
    made = track(*warm())
    made.add(bar(NEXT_DAY, "92"), Decimal(7))
    assert all(one.close < 100 for one in made.window)
    assert not track(*warm(), bar(NEXT_DAY, "92")).window


@pytest.mark.parametrize(("volume", "multiple"), [("100", "1"), ("350", "3.5"), ("0", "0"), ("50", "0.5")])
def test_the_volume_is_told_as_a_multiple_of_the_mean_of_the_window(volume: str, multiple: str) -> None:
    assert track(*warm(), bar(40, volume=volume)).relative_volume == Decimal(multiple)


def test_the_mean_is_that_of_the_twenty_bars_before_alone() -> None:
    bars = [bar(0, volume="1000000"), *(bar(1 + at, volume=str(10 * at)) for at in range(WINDOW))]
    assert track(*bars, bar(30, volume="190")).relative_volume == 2


def test_no_multiple_is_told_while_the_window_is_not_full() -> None:
    assert track(*warm()[:WINDOW]).relative_volume is None
    assert track(*warm()[: WINDOW + 1]).relative_volume == 1


def test_no_multiple_is_told_of_a_usual_volume_of_nothing() -> None:
    quiet = [bar(at, volume="0") for at in range(WINDOW)]
    assert track(*quiet, bar(WINDOW)).relative_volume is None


def test_the_close_before_is_the_last_of_the_session_before() -> None:
    bars = [bar(0, "640"), bar(1, "650"), bar(NEXT_DAY, "645"), bar(NEXT_DAY + MINUTE, "646")]
    assert [track(*bars[:count]).previous_close for count in (1, 2, 3, 4)] == [None, None, 650, 650]


@pytest.mark.parametrize(("price", "ratio", "previous"), [("92", "7", "91.5"), ("6400", "0.1", "6405")])
def test_a_split_adjusts_the_close_before(price: str, ratio: str, previous: str) -> None:
    made = track(bar(0, "640.5"))
    made.add(bar(NEXT_DAY, price), Decimal(ratio))
    assert made.previous_close == Decimal(previous)


def test_after_a_jump_without_a_ratio_no_close_before_is_known_until_the_next_day() -> None:
    made = track(bar(0, "640"), bar(NEXT_DAY, "92", open="90", low="90"))
    assert (made.previous_close, made.change_pct) == (None, Decimal("2.2222"))
    made.add(bar(NEXT_DAY + timedelta(days=1), "93"))
    assert (made.previous_close, made.change_pct) == (Decimal(92), Decimal("1.0870"))


@pytest.mark.parametrize(
    ("bars", "change"),
    [
        ([bar(0, "101", open="100", low="100")], "1"),
        ([bar(0, "100")], "0"),
        ([bar(0, "101", open="100", low="100"), bar(1, "99", open="101", high="101")], "-1"),
        ([bar(0, "100"), bar(NEXT_DAY, "103", open="101", low="101")], "3"),
        ([bar(0, "100"), bar(NEXT_DAY, "103"), bar(NEXT_DAY + MINUTE, "98.5")], "-1.5"),
        ([bar(0, "300"), bar(NEXT_DAY, "301")], "0.3333"),
    ],
)
def test_the_days_change_is_from_the_close_before_else_from_the_open(bars: list[Bar], change: str) -> None:
    found = track(*bars).change_pct
    assert found == Decimal(change)
    assert found.as_tuple().exponent == -4


@pytest.mark.parametrize(("open_", "last"), [("1e-15", "1e15"), ("0.0000001", "1000000000000000"), ("1e15", "1e-15")])
def test_whatever_can_be_a_bar_has_a_change_of_the_day(open_: str, last: str) -> None:
    low, high = sorted([open_, last], key=Decimal)
    assert track(bar(0, last, open=open_, high=high, low=low)).change_pct != 0


def test_the_indicators_before_the_newest_bar_are_kept_beside_those_after_it() -> None:
    bars = warm()
    made = track(*bars)
    assert made.now == indicators_of(*(one.close for one in bars))
    assert made.before == indicators_of(*(one.close for one in bars[:-1]))


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
    found = track(*bars).macd_5m.reading()
    assert found is not None
    assert found == slow_of(bars)


def test_five_minute_readings_are_adjusted_by_a_ratio() -> None:
    before, after = moving(OPENING, 200), moving(NEXT_DAY, 13, scale=7)
    made = track(*before)
    for one in after:
        made.add(one, Decimal(7))
    exact = [one._replace(close=one.close / 7) for one in before] + after
    found = made.macd_5m.reading()
    assert found is not None
    assert found == slow_of(exact)


def test_five_minute_readings_begin_anew_after_a_jump_without_a_ratio() -> None:
    after = moving(NEXT_DAY, 172, scale=7)
    assert track(*moving(OPENING, 200), *after[:100]).macd_5m.reading() is None
    found = track(*moving(OPENING, 200), *after).macd_5m.reading()
    assert found is not None
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
