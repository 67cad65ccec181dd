from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.flow.bars import Bar
from llmctx.flow.exchange import Exchange
from llmctx.flow.track import WINDOW, Track
from tests.unit.flow.makers import MINUTE, NEXT_DAY, OPENING, bar, indicators_of, track, warm


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
        bar(OPENING, "640", high="700", low="600"), bar(NEXT_DAY, "645", open="644", high="646", low="643", volume="7")
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


@pytest.mark.parametrize(("volume", "multiple"), [("100", "1"), ("350", "3.5"), ("0", "0"), ("50", "0.5")])
def test_relative_volume_is_a_multiple_of_the_mean_of_the_window(volume: str, multiple: str) -> None:
    assert track(*warm(), bar(40, volume=volume)).relative_volume == Decimal(multiple)


def test_the_mean_is_that_of_the_twenty_bars_before_alone() -> None:
    bars = [bar(0, volume="1000000"), *(bar(1 + at, volume=str(10 * at)) for at in range(WINDOW))]
    assert track(*bars, bar(30, volume="190")).relative_volume == 2


def test_a_window_that_is_not_full_gives_no_multiple() -> None:
    assert track(*warm()[:WINDOW]).relative_volume is None
    assert track(*warm()[: WINDOW + 1]).relative_volume == 1


def test_a_usual_volume_of_0_gives_no_multiple() -> None:
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
def test_every_valid_bar_has_a_change_of_the_day(open_: str, last: str) -> None:
    low, high = sorted([open_, last], key=Decimal)
    assert track(bar(0, last, open=open_, high=high, low=low)).change_pct != 0


def test_the_indicators_before_the_newest_bar_are_kept_beside_those_after_it() -> None:
    bars = warm()
    made = track(*bars)
    assert made.now == indicators_of(*(one.close for one in bars))
    assert made.before == indicators_of(*(one.close for one in bars[:-1]))


def test_a_winter_evening_belongs_to_the_session_of_the_exchanges_own_date() -> None:
    made = Track(MINUTE, Exchange("XNYS").date_at)
    rows = [("2026-02-10T14:30", 50, 900), ("2026-02-10T20:59", 54, 400), ("2026-02-11T00:30", 53, 7)]
    for at, price, volume in rows:
        start = datetime.fromisoformat(f"{at}:00+00:00")
        made.add(Bar(start, "XYZ", *(Decimal(price),) * 4, Decimal(volume)))
    assert made.session == {"last": 53, "open": 50, "high": 54, "low": 50, "volume": 1307}
    made.add(Bar(datetime(2026, 2, 11, 14, 30, tzinfo=UTC), "XYZ", *(Decimal(52),) * 4, Decimal(5)))
    assert (made.session["open"], made.session["volume"], made.previous_close) == (Decimal(52), Decimal(5), Decimal(53))


def test_a_fraction_of_a_volume_says_once_for_all_that_fractions_are_traded() -> None:
    assert not track(bar(0, volume="3"), bar(1, volume="4.0")).in_fractions
    assert track(bar(0, volume="1.5"), bar(1, volume="4")).in_fractions
