"""When a step of maintenance is due."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from llmctx.ops.maintenance.schedule import STEPS, Schedule

HOUR_MS = 3_600_000
MIDNIGHT_MS = 1_772_409_600_000  # 2026-03-02T00:00:00Z


def test_a_step_that_was_never_done_is_due() -> None:
    assert Schedule().is_due("backup", None, MIDNIGHT_MS)


def test_a_step_falls_due_at_the_time_of_day_that_is_set() -> None:
    schedule = Schedule(at="02:30")
    due_ms = MIDNIGHT_MS + 2 * HOUR_MS + HOUR_MS // 2
    assert not schedule.is_due("archive", MIDNIGHT_MS - HOUR_MS, due_ms - 1)
    assert schedule.is_due("archive", MIDNIGHT_MS - HOUR_MS, due_ms)
    assert not schedule.is_due("archive", due_ms, due_ms + 23 * HOUR_MS)


def test_an_interval_of_zero_is_never_due() -> None:
    never = Schedule.model_validate({f"{step}_every_h": 0 for step in STEPS})
    assert not any(never.is_due(step, None, 1) for step in STEPS)


@given(st.integers(1, 400), st.integers(0, 2**42))
def test_a_step_falls_due_once_in_each_interval(hours: int, now_ms: int) -> None:
    schedule = Schedule(cleanup_every_h=hours)
    due_ms = schedule.due_ms("cleanup", now_ms)
    assert now_ms - hours * HOUR_MS < due_ms <= now_ms
    assert schedule.due_ms("cleanup", due_ms + hours * HOUR_MS - 1) == due_ms


@pytest.mark.parametrize("at", ["24:00", "2:00", "noon", "02:60"])
def test_a_time_of_day_has_a_form(at: str) -> None:
    with pytest.raises(ValidationError, match="at"):
        Schedule(at=at)
