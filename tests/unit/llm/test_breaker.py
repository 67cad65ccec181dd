import pytest

from llmctx import clock
from llmctx.llm.breaker import Breaker


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, which a test sets."""
    at = [100.0]
    monkeypatch.setattr(clock, "monotonic_s", lambda: at[0])
    return at


def opened(failures: int = 3, open_s: float = 10) -> Breaker:
    breaker = Breaker(failures, open_s)
    for _ in range(failures):
        assert breaker.refuse() is None
        breaker.fail()
    return breaker


def test_it_opens_after_failures_in_a_row_and_says_so(now: list[float]) -> None:
    breaker = opened()
    now[0] += 4
    assert breaker.refuse() == "circuit breaker open after 3 failures in a row, for another 6.0 s"
    assert breaker.is_open


def test_a_success_between_failures_keeps_it_closed() -> None:
    breaker = Breaker(3, 10)
    for _ in range(4):
        breaker.fail()
        breaker.fail()
        breaker.succeed()
    assert breaker.refuse() is None


def test_after_the_pause_one_trial_passes_and_the_next_call_does_not(now: list[float]) -> None:
    breaker = opened()
    now[0] += 10
    assert breaker.refuse() is None
    assert "a trial is under way" in (breaker.refuse() or "")
    assert breaker.is_open


def test_a_trial_that_succeeds_closes_it(now: list[float]) -> None:
    breaker = opened()
    now[0] += 10
    breaker.refuse()
    assert not breaker.is_closed
    breaker.succeed()
    assert breaker.is_closed
    assert [breaker.refuse(), breaker.refuse()] == [None, None]


def test_a_trial_that_fails_opens_it_for_another_pause(now: list[float]) -> None:
    breaker = opened()
    now[0] += 10
    breaker.refuse()
    breaker.fail()
    now[0] += 9
    assert "for another 1.0 s" in (breaker.refuse() or "")
    now[0] += 1
    assert breaker.refuse() is None


def test_a_trial_that_tells_nothing_leaves_room_for_another(now: list[float]) -> None:
    breaker = opened()
    now[0] += 10
    breaker.refuse()
    breaker.release()
    assert breaker.refuse() is None
