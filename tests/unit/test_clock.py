import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx import clock

MOMENTS = st.datetimes(timezones=st.timezones() | st.just(UTC), allow_imaginary=False).filter(
    lambda moment: 2 <= moment.year <= 9998
)
MILLISECONDS = st.integers(
    clock.to_ms(datetime(1000, 1, 1, tzinfo=UTC)), clock.to_ms(datetime(9999, 12, 31, tzinfo=UTC))
)


@given(MILLISECONDS)
def test_milliseconds_survive_the_way_through_a_datetime(ms: int) -> None:
    assert clock.to_ms(clock.from_ms(ms)) == ms


@given(MILLISECONDS)
def test_milliseconds_survive_the_way_through_a_text(ms: int) -> None:
    assert clock.to_ms(clock.parse_iso(clock.iso(ms))) == ms


@given(MOMENTS)
def test_a_moment_survives_the_way_through_milliseconds_but_for_its_microseconds(moment: datetime) -> None:
    lost = moment.astimezone(UTC) - clock.from_ms(clock.to_ms(moment))
    assert timedelta(0) <= lost < timedelta(milliseconds=1)


@given(MOMENTS)
def test_a_moment_is_read_from_its_own_text(moment: datetime) -> None:
    assert clock.parse_iso(moment.isoformat()) == moment.astimezone(UTC)


@given(MOMENTS)
def test_what_is_read_is_in_utc(moment: datetime) -> None:
    assert clock.parse_iso(moment.isoformat()).tzinfo is UTC


def test_a_time_is_written_as_the_schema_document_writes_it() -> None:
    assert clock.iso(1_746_778_530_123) == "2025-05-09T08:15:30.123Z"


@pytest.mark.parametrize(("ms", "text"), [(0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z")])
def test_a_time_around_the_epoch_is_written_right(ms: int, text: str) -> None:
    assert clock.iso(ms) == text


def test_no_millisecond_is_lost_to_the_rounding_of_a_float() -> None:
    assert clock.to_ms(datetime(2025, 5, 9, 8, 15, 30, 1000, tzinfo=UTC)) % 1000 == 1


def test_a_zone_is_taken_into_account() -> None:
    moment = datetime(2025, 5, 9, 10, 15, tzinfo=timezone(timedelta(hours=2)))
    assert clock.iso(clock.to_ms(moment)) == "2025-05-09T08:15:00.000Z"


@pytest.mark.parametrize("text", ["2025-05-09T08:15:30", "2025-05-09T08:15:30.123", "2025-05-09", "20250509T081530"])
def test_a_time_without_a_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no zone"):
        clock.parse_iso(text)


@pytest.mark.parametrize("text", ["", "now", "1746778530", "2025-13-01T00:00:00Z", "2025-02-29T00:00:00Z", "08:15Z"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        clock.parse_iso(text)


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"])
def test_a_time_that_leaves_the_calendar_in_utc_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        clock.parse_iso(text)


def test_a_year_is_written_with_four_digits() -> None:
    assert clock.iso(clock.to_ms(datetime(33, 4, 3, tzinfo=UTC))) == "0033-04-03T00:00:00.000Z"


def test_now_is_the_wall_clock_in_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    now = clock.now_ms()
    assert before <= now <= time.time_ns() // 1_000_000


def test_what_has_elapsed_is_in_milliseconds() -> None:
    since = clock.monotonic_s()
    elapsed = clock.elapsed_ms(since)
    assert 0 <= elapsed <= (clock.monotonic_s() - since) * 1000
