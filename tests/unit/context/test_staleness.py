from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from llmctx import canonical, clock
from llmctx.context.read_rules import ReadRules
from llmctx.context.staleness import Status, age, future_moment, written_at
from llmctx.schema.keys import model_of
from tests.unit.context.scene import TEXTS, TIMES, edited

LATE = datetime(2026, 1, 1, tzinfo=UTC)
LATER = "2026-01-01T00:00:00.001Z"


def value_of(section: str, text: str | None = None) -> BaseModel:
    return model_of(section).model_validate(canonical.loads((text or TEXTS[section]).encode()))


def test_a_status_is_written_as_its_word() -> None:
    assert [str(status) for status in Status] == ["fresh", "stale", "empty", "missing", "invalid"]


@pytest.mark.parametrize(
    ("section", "written"),
    [
        ("price", "2025-05-09T08:15:30.123Z"),
        ("indicators", "2025-05-09T08:15:30.123Z"),
        ("sentiment", "2025-05-09T08:15:30.123Z"),
        ("candidates", "2025-05-09T08:15:30.123Z"),
        ("position", "2025-05-09T10:15:30.123Z"),
        ("monitoring", "2025-05-09T10:15:30.123Z"),
        ("signals.entry", "2025-05-09T09:45:30.123Z"),
        ("system", "2025-05-09T10:15:30.123Z"),
        ("performance", "2025-05-09T16:00:00.000Z"),
        ("market", "2025-05-09T10:15:30.123Z"),
        ("thesis", "2025-05-09T10:00:00.000Z"),
    ],
)
def test_a_value_has_its_time_of_writing(section: str, written: str) -> None:
    assert written_at(value_of(section)) == clock.parse_iso(written)


def test_the_watchlist_has_no_time_of_writing() -> None:
    assert written_at(value_of("watchlist")) is None


@pytest.mark.parametrize("newer", [0, 1])
def test_the_ranking_is_as_old_as_its_newest_candidate(newer: int) -> None:
    text = edited("candidates", newer, "timestamp", to="2025-05-09T12:00:00Z")
    assert written_at(value_of("candidates", text)) == datetime(2025, 5, 9, 12, tzinfo=UTC)


def age_of(section: str, old_ms: int, **limits_s: int) -> tuple[int | None, Status]:
    value = value_of(section)
    written = written_at(value)
    assert written is not None
    limits = {name.replace("__", "."): limit for name, limit in limits_s.items()}
    return age(value, section, clock.to_ms(written) + old_ms, ReadRules(max_age_s=limits))


@pytest.mark.parametrize(
    ("old_ms", "status"), [(0, Status.FRESH), (90_000, Status.FRESH), (90_001, Status.STALE), (10**12, Status.STALE)]
)
def test_a_value_is_stale_when_it_is_older_than_its_limit(old_ms: int, status: Status) -> None:
    assert age_of("price", old_ms, price=90) == (old_ms, status)


def test_a_value_without_a_limit_is_fresh_however_old() -> None:
    assert age_of("thesis", 10**12, price=90) == (10**12, Status.FRESH)


def test_a_value_without_a_time_has_no_age_and_is_fresh() -> None:
    assert age(value_of("watchlist"), "watchlist", 10**13, ReadRules(max_age_s={"watchlist": 1})) == (
        None,
        Status.FRESH,
    )


def test_a_value_from_slightly_ahead_has_age_0() -> None:
    assert age_of("price", -1500, price=90) == (0, Status.FRESH)


def test_a_limit_of_0_makes_any_age_stale() -> None:
    assert age_of("price", 1, price=0) == (1, Status.STALE)


def test_all_signal_types_share_one_limit() -> None:
    assert age_of("signals.entry", 60_001, signals=60) == (60_001, Status.STALE)


@pytest.mark.parametrize(("own", "status"), [(30, Status.STALE), (90, Status.FRESH)])
def test_a_signal_types_own_limit_comes_first(own: int, status: Status) -> None:
    assert age_of("signals.entry", 60_000, signals=60, signals__entry=own)[1] is status


def test_the_limit_of_one_signal_type_is_not_that_of_another() -> None:
    assert age_of("signals.exit", 60_000, signals=90, signals__entry=30)[1] is Status.FRESH


def test_a_signal_types_own_limit_may_be_0() -> None:
    assert age_of("signals.entry", 1, signals=60, signals__entry=0)[1] is Status.STALE


@given(st.integers(0, 10**12), st.integers(0, 10**9))
def test_only_age_and_limit_decide(old_ms: int, limit_s: int) -> None:
    assert age_of("market", old_ms, market=limit_s) == (
        old_ms,
        Status.STALE if old_ms > limit_s * 1000 else Status.FRESH,
    )


@pytest.mark.parametrize("section", TEXTS)
def test_a_value_before_the_latest_moment_is_not_in_the_future(section: str) -> None:
    assert future_moment(value_of(section), LATE) is None


MOMENTS = (*TIMES, ("sentiment", ("latest_news", 0, "timestamp"), "latest_news[0].timestamp"))


@pytest.mark.parametrize(("section", "path", "named"), MOMENTS)
def test_a_time_in_the_future_is_found_and_its_path_named(section: str, path: tuple[Any, ...], named: str) -> None:
    assert future_moment(value_of(section, edited(section, *path, to=LATER)), LATE) == f"{named} {LATER}"


@pytest.mark.parametrize(("section", "path", "named"), MOMENTS)
def test_the_latest_moment_itself_is_not_in_the_future(section: str, path: tuple[Any, ...], named: str) -> None:
    assert named
    assert future_moment(value_of(section, edited(section, *path, to="2026-01-01T00:00:00Z")), LATE) is None


def test_a_time_that_is_null_is_not_in_the_future() -> None:
    assert future_moment(value_of("system", edited("system", "last_scan_time", to=None)), LATE) is None


def test_none_is_not_in_the_future() -> None:
    assert future_moment(None, LATE) is None


@given(st.timedeltas(timedelta(days=-300), timedelta(days=300)))
def test_only_a_moment_after_the_latest_is_in_the_future(ahead: timedelta) -> None:
    text = edited("price", "timestamp", to=(LATE + ahead).isoformat())
    assert (future_moment(value_of("price", text), LATE) is not None) == (ahead > timedelta(0))
