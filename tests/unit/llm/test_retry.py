"""How often an endpoint is asked, and after which waits."""

from email.utils import format_datetime

import httpx
import pytest
import respx

from llmctx import clock
from llmctx.llm.completion import Outcome
from tests.unit.llm.calls import Answered, Make, bad, complete, good, results


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
async def test_what_may_get_better_is_asked_again(answered: Answered, status: int) -> None:
    completion = await answered(*[*[bad(status)] * 7, good()])
    assert completion.outcome is Outcome.ANSWERED
    assert results(completion) == [*[f"http {status}"] * 7, "ok"]


async def test_an_endpoint_that_replies_is_asked_until_the_deadline(answered: Answered, wire: respx.Route) -> None:
    completion = await answered(bad(503, **{"retry-after-ms": "30"}), timeout_s=0.4)
    assert completion.outcome in (Outcome.UNREACHABLE, Outcome.TIMEOUT)
    assert wire.call_count > 4


@pytest.mark.usefixtures("waits")
async def test_an_endpoint_that_never_replies_is_given_up_after_three_attempts(answered: Answered) -> None:
    assert results(await answered(httpx.ConnectError("dead"))) == ["connection"] * 3


@pytest.mark.usefixtures("waits")
async def test_a_server_that_restarts_is_waited_for(answered: Answered) -> None:
    dead, loading = httpx.ConnectError("refused"), httpx.Response(503, json={"error": {"message": "Loading model"}})
    assert (await answered(dead, dead, loading, dead, dead, loading, loading, good())).outcome is Outcome.ANSWERED


async def test_a_wait_that_google_asks_for_in_the_body_is_waited(answered: Answered, waits: list[float]) -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]
    busy = httpx.Response(429, json=[{"error": {"code": 429, "message": "slow", "details": details}}])
    await answered(busy, good())
    assert waits == [34.5]


async def test_the_sdk_does_not_retry_where_the_endpoint_tells_it_to(answered: Answered, wire: respx.Route) -> None:
    await answered(bad(400, **{"x-should-retry": "true"}))
    assert wire.call_count == 1


@pytest.mark.usefixtures("waits")
async def test_a_setting_says_how_many_attempts_there_are(answered: Answered, wire: respx.Route) -> None:
    await answered(bad(500), max_attempts=5)
    assert wire.call_count == 5


async def test_a_single_attempt_waits_for_nothing(answered: Answered, wire: respx.Route, waits: list[float]) -> None:
    await answered(bad(500), max_attempts=1)
    assert (wire.call_count, waits) == (1, [])


@pytest.mark.usefixtures("waits")
async def test_every_attempt_is_kept_in_order_with_its_request_id(wire: respx.Route, make: Make) -> None:
    wire.mock(
        side_effect=[
            bad(500, **{"x-request-id": "req-1"}),
            httpx.ConnectError("dead"),
            good(**{"x-request-id": "req-3"}),
        ]
    )
    completion = await complete(make())
    assert [(attempt.result, attempt.request_id) for attempt in completion.attempts] == [
        ("http 500", "req-1"),
        ("connection", None),
        ("ok", "req-3"),
    ]
    assert completion.outcome is Outcome.ANSWERED


@pytest.mark.usefixtures("waits")
async def test_an_attempt_that_cannot_get_better_ends_the_others(answered: Answered, wire: respx.Route) -> None:
    completion = await answered(bad(500), bad(401), good())
    assert (wire.call_count, completion.outcome) == (2, Outcome.REJECTED)
    assert results(completion) == ["http 500", "http 401"]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1250"}, 1.25),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0),
        ({"retry-after-ms": "1250", "retry-after": "7"}, 1.25),
        ({"retry-after-ms": "-5"}, 0),
        ({"retry-after": "Fri, 09 May 2014 10:15:30 GMT"}, 0),
    ],
)
async def test_what_the_endpoint_asks_for_is_waited(
    answered: Answered, headers: dict[str, str], seconds: float, waits: list[float]
) -> None:
    completion = await answered(bad(429, **headers), good())
    assert completion.outcome is Outcome.ANSWERED
    assert waits == [seconds]


async def test_an_http_date_is_waited_for(
    wire: respx.Route, make: Make, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ms = 1_746_785_730_000
    monkeypatch.setattr(clock, "now_ms", lambda: now_ms)
    wire.mock(
        side_effect=[bad(503, **{"retry-after": format_datetime(clock.from_ms(now_ms + 9000), usegmt=True)}), good()]
    )
    await complete(make())
    assert waits == [9]


@pytest.mark.parametrize("text", ["soon", "", "1e", "Fri, 32 May 2099 10:15:30 GMT", "Fri, 09 May 2014 10:15:30 -0000"])
async def test_a_retry_after_that_says_nothing_falls_back_to_the_backoff(
    answered: Answered, text: str, waits: list[float]
) -> None:
    completion = await answered(bad(429, **{"retry-after": text}), good())
    assert completion.outcome is Outcome.ANSWERED
    assert len(waits) == 1
    assert 0 <= waits[0] <= 8


async def test_the_backoff_stays_within_its_bounds(answered: Answered, waits: list[float]) -> None:
    await answered(httpx.ConnectError("dead"), max_attempts=10, timeout_s=1000)
    assert len(waits) == 9
    assert all(0 <= wait <= min(8, 0.25 * 2**i) for i, wait in enumerate(waits))


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "61"},
        {"retry-after-ms": "60001"},
        {"retry-after-ms": "inf"},
        {"retry-after": "1e400"},
        {"retry-after": "Fri, 09 May 2099 10:15:30 GMT"},
    ],
)
async def test_a_wait_beyond_the_deadline_ends_at_once(
    answered: Answered, headers: dict[str, str], wire: respx.Route, waits: list[float]
) -> None:
    completion = await answered(bad(429, **headers), timeout_s=60)
    assert (wire.call_count, waits, completion.outcome) == (1, [], Outcome.UNREACHABLE)
    assert results(completion) == ["http 429"]


@pytest.mark.parametrize("headers", [{"retry-after": "0"}, {"retry-after-ms": "nan"}])
async def test_an_endpoint_that_always_asks_for_no_wait_is_not_flooded(
    answered: Answered, headers: dict[str, str], waits: list[float]
) -> None:
    await answered(bad(429, **headers), max_attempts=20, timeout_s=1000)
    assert waits[:6] == [0] * 6
    assert sum(waits[6:]) > 5


async def test_the_deadline_is_over_all_attempts_not_over_each(answered: Answered, wire: respx.Route) -> None:
    completion = await answered(bad(500, **{"retry-after-ms": "50"}), timeout_s=0.5, max_attempts=10_000)
    assert completion.outcome in (Outcome.UNREACHABLE, Outcome.TIMEOUT)  # as it falls between two attempts, or into one
    assert 1 < wire.call_count <= 11
    assert len(completion.attempts) == wire.call_count
