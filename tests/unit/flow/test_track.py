from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.flow.bars import Bar
from llmctx.flow.indicators import MEMORY, Indicators
from llmctx.flow.track import Track

MINUTE = timedelta(minutes=1)
OPENING = datetime(2014, 6, 6, 13, 30, tzinfo=UTC)
NEXT_DAY = OPENING + timedelta(days=3)


def bar(start: datetime, close: str | Decimal, **changes: str) -> Bar:
    """A bar of one price, with changes."""
    numbers = {"open": close, "high": close, "low": close, "close": close, "volume": "100"} | changes
    return Bar(start, "AAPL", *(Decimal(number) for number in numbers.values()))


def track(*bars: Bar) -> Track:
    made = Track(MINUTE)
    for one in bars:
        made.add(one)
    return made


def warm(start: datetime = OPENING, level: int = 640) -> list[Bar]:
    """Forty bars that move a little."""
    return [bar(start + at * MINUTE, str(level + at % 5)) for at in range(40)]


def indicators_of(*closes: Decimal | str) -> dict[str, Decimal | None]:
    indicators = Indicators()
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
    assert (again.session, again.last) == (first.session, first.last)
    if told:
        assert again.indicators.values() == first.indicators.values()
