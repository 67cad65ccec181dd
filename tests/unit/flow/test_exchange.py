from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.errors import FeedError
from llmctx.flow.exchange import ALWAYS, NAMES, Exchange

AMERICAN = pytest.mark.parametrize("name", ["XNYS", "XNAS"])


def status(name: str, at: str) -> str:
    return Exchange(name).status(datetime.fromisoformat(f"{at}+00:00"))


@AMERICAN
@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2014-06-06T04:00", "pre_market"),
        ("2014-06-06T13:29:59", "pre_market"),
        ("2014-06-06T13:30", "open"),
        ("2014-06-06T19:59:59", "open"),
        ("2014-06-06T20:00", "after_hours"),
        ("2014-06-07T03:59", "after_hours"),  # still Friday evening in New York
        ("2014-06-07T04:00", "closed"),
        ("2014-06-08T15:00", "closed"),
        ("2014-06-09T03:59", "closed"),
        ("2014-06-09T04:00", "pre_market"),
    ],
)
def test_new_york_is_open_from_half_past_nine_to_four(name: str, at: str, expected: str) -> None:
    assert status(name, at) == expected


@AMERICAN
@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        ("2024-03-08", "14:30", "21:00"),  # the Friday before the clocks go forward
        ("2024-03-11", "13:30", "20:00"),
        ("2024-11-01", "13:30", "20:00"),  # the Friday before they go back
        ("2024-11-04", "14:30", "21:00"),
    ],
)
def test_hours_follow_the_clocks_of_the_exchange(name: str, day: str, opens: str, closes: str) -> None:
    _assert_open_from_to(name, day, opens, closes)


@AMERICAN
@pytest.mark.parametrize(
    "day",
    ["2024-01-01", "2024-01-15", "2024-03-29", "2024-07-04", "2024-11-28", "2024-12-25", "2012-10-29", "2025-01-09"],
)
def test_new_york_is_closed_on_its_holidays(name: str, day: str) -> None:
    assert {status(name, f"{day}T{hour}:00") for hour in ("06", "15", "23")} == {"closed"}


@AMERICAN
@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        ("2013-11-29", "14:30", "18:00"),
        ("2024-07-03", "13:30", "17:00"),
        ("2024-11-29", "14:30", "18:00"),
        ("2024-12-24", "14:30", "18:00"),
    ],
)
def test_new_york_closes_at_one_on_half_days(name: str, day: str, opens: str, closes: str) -> None:
    _assert_open_from_to(name, day, opens, closes)


@pytest.mark.parametrize(
    ("name", "day", "opens", "closes"),
    [
        ("XLON", "2024-06-03", "07:00", "15:30"),
        ("XLON", "2024-12-03", "08:00", "16:30"),
        ("XLON", "2024-12-24", "08:00", "12:30"),
        ("XETR", "2024-06-03", "07:00", "15:30"),
        ("XETR", "2024-12-03", "08:00", "16:30"),
        ("XETR", "2024-12-23", "08:00", "16:30"),
        ("XETR", "2024-12-30", "08:00", "13:00"),  # its last trading day of the year
        ("XPAR", "2024-06-03", "07:00", "15:30"),
        ("XPAR", "2024-12-24", "08:00", "13:05"),
    ],
)
def test_european_exchanges_keep_their_own_hours(name: str, day: str, opens: str, closes: str) -> None:
    _assert_open_from_to(name, day, opens, closes)


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("XLON", "2024-08-26"),
        ("XLON", "2024-12-26"),
        ("XETR", "2024-05-01"),
        ("XETR", "2024-12-24"),
        ("XETR", "2024-12-31"),
        ("XPAR", "2024-05-01"),
    ],
)
def test_european_exchanges_keep_their_own_holidays(name: str, day: str) -> None:
    assert status(name, f"{day}T11:00") == "closed"


@pytest.mark.parametrize("at", ["2014-06-06T15:00", "2014-06-08T03:00", "2024-12-25T00:00"])
def test_a_market_that_never_closes_is_open(at: str) -> None:
    assert status(ALWAYS, at) == "open"


@pytest.mark.parametrize("name", ["", "NYSE", "xnys", "XTKS", "Always"])
def test_an_unknown_exchange_is_refused_and_the_known_ones_are_named(name: str) -> None:
    with pytest.raises(FeedError) as caught:
        Exchange(name)
    assert repr(name) in caught.value.what
    assert all(known in caught.value.do for known in NAMES)


def test_without_a_name_it_is_new_york() -> None:
    assert Exchange().name == "XNYS"


@given(st.sampled_from(NAMES), st.datetimes(datetime(1995, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  as hypothesis takes it
def test_every_moment_has_a_status_and_weekends_are_closed(name: str, at: datetime) -> None:
    found = Exchange(name).status(at)
    assert found in {"open", "pre_market", "after_hours", "closed"}
    if name != ALWAYS and at.weekday() == 5 and 6 <= at.hour < 18:
        assert found == "closed"


@given(st.sampled_from(NAMES), st.dates(date(2000, 1, 1), date(2030, 1, 1)))
def test_asking_again_or_in_another_order_changes_nothing(name: str, day: date) -> None:
    noon = datetime(day.year, day.month, day.day, 15, tzinfo=UTC)
    times = [noon + timedelta(days=days) for days in range(20)]
    one = Exchange(name)
    assert [one.status(at) for at in times] == [one.status(at) for at in reversed(times)][::-1]


def _assert_open_from_to(name: str, day: str, opens: str, closes: str) -> None:
    exchange, moment = Exchange(name), timedelta(milliseconds=1)
    first, last = (datetime.fromisoformat(f"{day}T{at}+00:00") for at in (opens, closes))
    assert [exchange.status(at) for at in (first - moment, first)] == ["pre_market", "open"]
    assert [exchange.status(at) for at in (last - moment, last)] == ["open", "after_hours"]
