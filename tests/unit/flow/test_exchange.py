import sys
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.errors import FeedError
from llmctx.flow.calendar.library import LibraryCalendar
from llmctx.flow.calendar.own import HOURS
from llmctx.flow.exchange import ALWAYS, CURRENCIES, NAMES, Exchange
from tests.conftest import COSTLY

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
        ("XETR", "2023-12-29", "08:00", "13:00"),  # the 30th is a Saturday
        ("XPAR", "2024-06-03", "07:00", "15:30"),
        ("XPAR", "2024-12-24", "08:00", "13:05"),
    ],
)
def test_european_exchanges_keep_their_own_hours(name: str, day: str, opens: str, closes: str) -> None:
    _assert_open_from_to(name, day, opens, closes)


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("XLON", "2024-08-26"), ("XLON", "2024-12-26"), ("XETR", "2024-05-01"), ("XETR", "2024-12-24"),
        ("XETR", "2024-12-31"), ("XPAR", "2024-05-01"),
    ],
)  # fmt: skip
def test_european_exchanges_keep_their_own_holidays(name: str, day: str) -> None:
    assert status(name, f"{day}T11:00") == "closed"


@pytest.mark.parametrize("at", ["2014-06-06T15:00", "2014-06-08T03:00", "2024-12-25T00:00"])
def test_a_market_that_never_closes_is_open(at: str) -> None:
    assert status(ALWAYS, at) == "open"


@pytest.mark.parametrize("name", ["", "nyse", "xnys", "XABC", "Always"])
def test_an_unknown_exchange_is_refused_and_the_known_ones_are_named(name: str) -> None:
    with pytest.raises(FeedError) as caught:
        Exchange(name)
    assert repr(name) in caught.value.what
    assert all(known in caught.value.do for known in NAMES)


def test_without_a_name_it_is_new_york() -> None:
    assert Exchange().name == "XNYS"


@COSTLY
@given(st.sampled_from(NAMES), st.datetimes(datetime(1995, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  as hypothesis takes it
def test_every_moment_has_a_status_and_weekends_are_closed(name: str, at: datetime) -> None:
    found = Exchange(name).status(at)
    assert found in {"open", "pre_market", "after_hours", "closed"}
    if name not in (ALWAYS, CURRENCIES) and at.weekday() == 5 and 6 <= at.hour < 18:
        assert found == "closed"


@COSTLY
@given(st.sampled_from(NAMES), st.dates(date(2000, 1, 1), date(2030, 1, 1)))
def test_asking_again_or_in_another_order_changes_nothing(name: str, day: date) -> None:
    noon = datetime(day.year, day.month, day.day, 15, tzinfo=UTC)
    times = [noon + timedelta(days=days) for days in range(20)]
    one = Exchange(name)
    assert [one.status(at) for at in times] == [one.status(at) for at in reversed(times)][::-1]


@pytest.mark.parametrize("first_year", [2020, pytest.param(2012, marks=pytest.mark.more)])
@pytest.mark.parametrize("name", HOURS)
def test_the_core_and_the_library_agree_on_every_day(name: str, first_year: int) -> None:
    core, library = Exchange(name), LibraryCalendar(name)
    days = [date(first_year, 1, 1) + timedelta(days=days) for days in range(8 * 365 + 2)]
    assert [day for day in days if core.session(day) != library.session(day)] == []


@pytest.mark.parametrize(
    ("name", "at", "day", "expected"),
    [
        ("XTKS", "2026-01-05T02:29", "2026-01-05", "open"),
        ("XTKS", "2026-01-05T02:30", "2026-01-05", "lunch_break"),
        ("XTKS", "2026-01-05T03:30", "2026-01-05", "open"),
        ("XTKS", "2024-11-01T06:10", "2024-11-01", "after_hours"),  # it closed at three until November 2024
        ("XTKS", "2026-01-05T06:10", "2026-01-05", "open"),
        ("XTKS", "2026-01-02T05:00", "2026-01-02", "closed"),
        ("XNSE", "2026-01-26T05:00", "2026-01-26", "closed"),  # Republic Day
        ("XNSE", "2026-01-27T03:45", "2026-01-27", "open"),
        ("XNSE", "2026-01-27T10:00", "2026-01-27", "after_hours"),
        ("XNSE", "2026-01-26T20:00", "2026-01-27", "pre_market"),
        ("CMES", "2026-01-04T23:00", "2026-01-05", "open"),  # Sunday evening is Monday's session
        ("CMES", "2026-01-02T23:30", "2026-01-03", "closed"),
        ("CMES", "2026-01-05T22:30", "2026-01-05", "after_hours"),  # the daily pause
        ("CMES", "2026-01-05T23:00", "2026-01-06", "open"),
        ("CMES", "2026-07-06T21:30", "2026-07-06", "after_hours"),  # an hour earlier in summer
        ("CMES", "2026-01-02T22:00", "2026-01-02", "after_hours"),
        ("FX", "2026-07-05T21:00", "2026-07-06", "open"),
        ("FX", "2026-07-05T20:59", "2026-07-05", "closed"),
        ("FX", "2026-07-10T20:59", "2026-07-10", "open"),
        ("FX", "2026-07-10T21:00", "2026-07-11", "closed"),
    ],
)
def test_a_moment_has_the_exchange_s_own_date_and_status(name: str, at: str, day: str, expected: str) -> None:
    moment = datetime.fromisoformat(f"{at}+00:00")
    exchange = Exchange(name)
    assert (str(exchange.date_at(moment)), exchange.status(moment)) == (day, expected)


@pytest.mark.parametrize(
    ("name", "start", "expected"),
    [
        ("XNYS", "2026-03-04T00:00", "2026-03-04"),  # as Yahoo and others stamp a day
        ("XNYS", "2026-03-04T05:00", "2026-03-04"),  # midnight in New York
        ("XTKS", "2026-03-03T15:00", "2026-03-04"),
        ("XNZE", "2026-03-04T00:00", "2026-03-04"),
        ("FX", "2026-03-03T22:00", "2026-03-04"),
    ],
)
def test_a_bar_of_a_day_has_the_date_of_its_midnight(name: str, start: str, expected: str) -> None:
    at = datetime.fromisoformat(f"{start}+00:00")
    assert str(Exchange(name).date_of_bar(at, timedelta(days=1))) == expected


def test_beyond_the_holidays_that_are_known_every_weekday_is_open(caplog: pytest.LogCaptureFixture) -> None:
    assert status("XNSE", "2040-01-26T05:00") == "open"
    assert status("XNSE", "2040-01-28T05:00") == "closed"
    assert ["knows no holidays of XNSE" in text for text in caplog.messages] == [True]


def test_without_the_library_the_core_says_what_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    with pytest.raises(FeedError) as caught:
        Exchange("XTKS")
    assert "pip install 'llmctx[calendars]'" in caught.value.do
    assert status("XPAR", "2026-12-24T13:05") == "after_hours"
    assert status("XPAR", "2013-12-25T11:00") == "open"
    assert ["no holidays of XPAR before 2019" in text for text in caplog.messages] == [True]


def _assert_open_from_to(name: str, day: str, opens: str, closes: str) -> None:
    exchange, moment = Exchange(name), timedelta(milliseconds=1)
    first, last = (datetime.fromisoformat(f"{day}T{at}+00:00") for at in (opens, closes))
    assert [exchange.status(at) for at in (first - moment, first)] == ["pre_market", "open"]
    assert [exchange.status(at) for at in (last - moment, last)] == ["open", "after_hours"]
