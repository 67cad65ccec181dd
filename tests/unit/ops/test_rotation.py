"""Which backups stay: the newest of each day and week that is kept, and always the newest of all."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from llmctx.clock import to_ms
from llmctx.ops.backup.rotation import kept_times

START = datetime(2026, 1, 5, tzinfo=UTC)
"""The beginning of a Monday."""
LAST = 23 / 24
"""A day's last backup."""


def hourly(days: int) -> list[int]:
    return [to_ms(START + timedelta(hours=hour)) for hour in range(days * 24)]


def days_of(times_ms: set[int]) -> list[float]:
    return [(time_ms - to_ms(START)) / 86_400_000 for time_ms in sorted(times_ms)]


def test_the_last_of_each_of_the_last_days_stays() -> None:
    assert days_of(kept_times(hourly(10), 3, 0)) == [7 + LAST, 8 + LAST, 9 + LAST]


def test_the_last_of_each_of_the_last_weeks_stays() -> None:
    assert days_of(kept_times(hourly(21), 0, 2)) == [13 + LAST, 20 + LAST]


def test_days_without_a_backup_do_not_count() -> None:
    sparse = [to_ms(START + timedelta(days=day)) for day in (0, 9, 30)]
    assert days_of(kept_times(sparse, 2, 0)) == [9, 30]


@given(st.sets(st.integers(0, 10**12)), st.integers(0, 9), st.integers(0, 9))
def test_the_newest_stays_and_nothing_is_invented(times_ms: set[int], daily: int, weekly: int) -> None:
    kept = kept_times(times_ms, daily, weekly)
    assert kept <= times_ms
    assert kept >= {*sorted(times_ms)[-1:]}
    assert len(kept) <= max(1, daily) + weekly
