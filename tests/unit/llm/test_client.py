import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
import respx

from llmctx import clock
from llmctx.decision.decision import OUTPUT
from llmctx.errors import EndpointError
from llmctx.llm.client import EndpointClient, NoEndpoint
from llmctx.llm.completion import Completion, Outcome
from llmctx.prompt.render import render
from llmctx.prompt.template import Parameters
from tests.conftest import free_port
from tests.unit.makers import body, market, package_of, prompt_of, template_of

BASE_URL = "http://llm.test/v1"
KEY = "sk-very-secret"
Make = Callable[..., EndpointClient]
PROMPT = prompt_of()
TLS = ssl.create_default_context()
"""Read once: a client that reads the certificates itself takes longer than a test."""


@pytest.fixture
def wire() -> Iterator[respx.Route]:
    """What would go out to the endpoint."""
    with respx.mock(assert_all_called=False) as mock:
        yield mock.post(f"{BASE_URL}/chat/completions")


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes clients whose transport can be intercepted; closes them."""
    clients = []

    def _make(base_url: str | None = BASE_URL, **settings: Any) -> EndpointClient:
        client = EndpointClient(base_url, KEY, "asked-model", http_client=httpx.AsyncClient(verify=TLS), **settings)
        clients.append(client)
        return client

    yield _make
    for client in clients:
        await client.aclose()


async def ask(client: EndpointClient) -> Completion:
    return await client.complete(PROMPT, OUTPUT)


def good(**headers: str) -> httpx.Response:
    return httpx.Response(200, content=body(), headers=headers)


def bad(status: int, code: str = "some_code", **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": "no", "code": code}}, headers=headers)


def results(completion: Completion) -> list[str]:
    return [attempt.result for attempt in completion.attempts]


async def test_a_good_response_is_one_call_and_an_answer(wire: respx.Route, make: Make) -> None:
    wire.mock(return_value=good(**{"x-request-id": "req-1"}))
    completion = await ask(make())
    assert (wire.call_count, completion.outcome, completion.body) == (1, Outcome.ANSWERED, body())
    assert (completion.request_id, results(completion)) == ("req-1", ["ok"])


async def test_a_garbage_body_is_unreadable_and_not_asked_for_again(wire: respx.Route, make: Make) -> None:
    wire.mock(return_value=httpx.Response(200, content=b"<html>"))
    completion = await ask(make())
    assert (wire.call_count, completion.outcome, completion.body) == (1, Outcome.UNREADABLE, b"<html>")


async def test_an_empty_success_is_unreadable(wire: respx.Route, make: Make) -> None:
    wire.mock(return_value=httpx.Response(204))
    completion = await ask(make())
    assert (wire.call_count, completion.outcome) == (1, Outcome.UNREADABLE)


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
async def test_what_may_get_better_is_asked_three_times_and_not_more(
    status: int, wire: respx.Route, make: Make
) -> None:
    wire.mock(return_value=bad(status))
    completion = await ask(make())
    assert (wire.call_count, completion.outcome) == (3, Outcome.UNREACHABLE)
    assert results(completion) == [f"http {status}"] * 3


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError])
async def test_a_connection_error_is_asked_three_times_and_not_more(
    error: type[httpx.TransportError], wire: respx.Route, make: Make
) -> None:
    wire.mock(side_effect=error("the line is dead"))
    completion = await ask(make())
    assert (wire.call_count, completion.outcome) == (3, Outcome.UNREACHABLE)
    assert results(completion) == ["connection"] * 3
    assert completion.body is None


@pytest.mark.usefixtures("waits")
async def test_a_connection_error_says_what_the_transport_said(wire: respx.Route, make: Make) -> None:
    wire.mock(side_effect=httpx.ConnectError("the line is dead"))
    completion = await ask(make())
    assert completion.detail == "connection: the line is dead (3 attempts within 60 s)"


@pytest.mark.usefixtures("waits")
async def test_a_transport_timeout_is_asked_again_and_ends_as_a_timeout(wire: respx.Route, make: Make) -> None:
    wire.mock(side_effect=httpx.ReadTimeout("slow"))
    completion = await ask(make())
    assert (wire.call_count, completion.outcome) == (3, Outcome.TIMEOUT)
    assert results(completion) == ["timeout"] * 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_what_cannot_get_better_is_asked_once(status: int, wire: respx.Route, make: Make) -> None:
    wire.mock(return_value=bad(status))
    completion = await ask(make())
    assert (wire.call_count, completion.outcome) == (1, Outcome.REJECTED)
    assert results(completion) == [f"http {status}"]


async def test_a_used_up_quota_is_asked_once(wire: respx.Route, make: Make) -> None:
    wire.mock(return_value=bad(429, "insufficient_quota"))
    completion = await ask(make())
    assert (wire.call_count, completion.outcome) == (1, Outcome.REJECTED)


async def test_the_sdk_does_not_retry_where_the_endpoint_tells_it_to(wire: respx.Route, make: Make) -> None:
    wire.mock(return_value=bad(400, **{"x-should-retry": "true"}))
    await ask(make())
    assert wire.call_count == 1


@pytest.mark.usefixtures("waits")
async def test_a_setting_says_how_many_attempts_there_are(wire: respx.Route, make: Make) -> None:
    wire.mock(return_value=bad(500))
    await ask(make(max_attempts=5))
    assert wire.call_count == 5


async def test_a_single_attempt_waits_for_nothing(wire: respx.Route, make: Make, waits: list[float]) -> None:
    wire.mock(return_value=bad(500))
    await ask(make(max_attempts=1))
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
    completion = await ask(make())
    assert [(attempt.result, attempt.request_id) for attempt in completion.attempts] == [
        ("http 500", "req-1"),
        ("connection", None),
        ("ok", "req-3"),
    ]
    assert completion.outcome is Outcome.ANSWERED


@pytest.mark.usefixtures("waits")
async def test_an_attempt_that_cannot_get_better_ends_the_others(wire: respx.Route, make: Make) -> None:
    wire.mock(side_effect=[bad(500), bad(401), good()])
    completion = await ask(make())
    assert (wire.call_count, completion.outcome) == (2, Outcome.REJECTED)
    assert results(completion) == ["http 500", "http 401"]


async def test_a_rejection_says_status_and_text_and_keeps_the_body(wire: respx.Route, make: Make) -> None:
    wire.mock(return_value=httpx.Response(404, text="no model\n asked-model"))
    completion = await ask(make())
    assert completion.detail == "http 404: no model asked-model (1 attempt within 60 s)"
    assert completion.body == b"no model\n asked-model"


async def test_a_long_error_text_is_cut_in_the_detail_only(wire: respx.Route, make: Make) -> None:
    wire.mock(return_value=httpx.Response(400, text="x" * 5000))
    completion = await ask(make())
    assert completion.detail is not None
    assert len(completion.detail) < 400
    assert completion.body == b"x" * 5000


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
    headers: dict[str, str], seconds: float, wire: respx.Route, make: Make, waits: list[float]
) -> None:
    wire.mock(side_effect=[bad(429, **headers), good()])
    completion = await ask(make())
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
    await ask(make())
    assert waits == [9]


@pytest.mark.parametrize("text", ["soon", "", "1e", "Fri, 32 May 2099 10:15:30 GMT", "Fri, 09 May 2014 10:15:30 -0000"])
async def test_a_retry_after_that_says_nothing_falls_back_to_the_backoff(
    text: str, wire: respx.Route, make: Make, waits: list[float]
) -> None:
    wire.mock(side_effect=[bad(429, **{"retry-after": text}), good()])
    completion = await ask(make())
    assert completion.outcome is Outcome.ANSWERED
    assert len(waits) == 1
    assert 0 <= waits[0] <= 8


async def test_the_backoff_stays_within_its_bounds(wire: respx.Route, make: Make, waits: list[float]) -> None:
    wire.mock(side_effect=httpx.ConnectError("dead"))
    await ask(make(max_attempts=10, timeout_s=1000))
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
    headers: dict[str, str], wire: respx.Route, make: Make, waits: list[float]
) -> None:
    wire.mock(return_value=bad(429, **headers))
    completion = await ask(make(timeout_s=60))
    assert (wire.call_count, waits, completion.outcome) == (1, [], Outcome.UNREACHABLE)
    assert results(completion) == ["http 429"]


async def never(_: httpx.Request) -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def test_no_answer_before_the_deadline_is_a_timeout(wire: respx.Route, make: Make) -> None:
    wire.mock(side_effect=never)
    completion = await ask(make(timeout_s=0.05))
    assert completion.outcome is Outcome.TIMEOUT
    assert completion.detail == "no answer before the deadline (1 attempt within 0.05 s)"
    assert results(completion) == ["cancelled at the deadline"]


async def test_the_deadline_is_over_all_attempts_not_over_each(wire: respx.Route, make: Make) -> None:
    wire.mock(return_value=bad(500, **{"retry-after-ms": "50"}))
    completion = await ask(make(timeout_s=0.5, max_attempts=10_000))
    assert completion.outcome in (Outcome.UNREACHABLE, Outcome.TIMEOUT)  # as it falls between two attempts, or into one
    assert 1 < wire.call_count <= 11
    assert len(completion.attempts) == wire.call_count


async def test_an_attempt_cut_by_the_deadline_stands_beside_the_earlier_ones(wire: respx.Route, make: Make) -> None:
    outcomes = iter([bad(500, **{"retry-after-ms": "0"})])

    async def first_bad_then_never(request: httpx.Request) -> httpx.Response:
        return next(outcomes, None) or await never(request)

    wire.mock(side_effect=first_bad_then_never)
    completion = await ask(make(timeout_s=0.1))
    assert completion.outcome is Outcome.TIMEOUT
    assert results(completion) == ["http 500", "cancelled at the deadline"]


async def test_cancelling_the_call_is_no_timeout(wire: respx.Route, make: Make) -> None:
    under_way = asyncio.Event()

    async def tell_and_never(request: httpx.Request) -> httpx.Response:
        under_way.set()
        return await never(request)

    wire.mock(side_effect=tell_and_never)
    task = asyncio.create_task(ask(make()))
    await under_way.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def sent(wire: respx.Route) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(wire.calls.last.request.content)
    return document


async def test_the_body_sent_asks_for_the_strict_schema(wire: respx.Route, make: Make) -> None:
    wire.mock(return_value=good())
    await ask(make())
    assert sent(wire)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "decision", "strict": True, "schema": OUTPUT.schema},
    }


async def test_the_body_sent_holds_the_messages_as_rendered(wire: respx.Route, make: Make) -> None:
    wire.mock(return_value=good())
    await ask(make())
    assert sent(wire)["messages"] == json.loads(PROMPT.evidence)
    assert [message["role"] for message in sent(wire)["messages"]] == ["system", "user"]


async def test_the_body_sent_holds_the_parameters_of_the_template_and_no_others(wire: respx.Route, make: Make) -> None:
    wire.mock(return_value=good())
    await ask(make())
    assert sent(wire).keys() == {"model", "messages", "response_format", "temperature", "max_completion_tokens"}
    assert (sent(wire)["model"], sent(wire)["temperature"]) == ("asked-model", 0)
    assert sent(wire)["max_completion_tokens"] == 1200


async def test_every_parameter_that_a_template_may_set_is_sent_and_recorded(wire: respx.Route, make: Make) -> None:
    wire.mock(return_value=good())
    parameters = "{temperature: 0.7, top_p: 0.9, seed: 7, max_tokens: 50, reasoning_effort: low}"
    prompt = render(template_of("Decide.", parameters=parameters), package_of(market()))
    completion = await make().complete(prompt, OUTPUT)
    asked = {"temperature": 0.7, "top_p": 0.9, "seed": 7, "max_tokens": 50, "reasoning_effort": "low"}
    assert {name: sent(wire)[name] for name in asked} == asked
    assert completion.request["parameters"] == asked | {"temperature": "0.7", "top_p": "0.9"}


async def test_the_request_names_endpoint_model_and_schema(wire: respx.Route, make: Make) -> None:
    wire.mock(return_value=good())
    completion = await ask(make())
    assert completion.request == {
        "endpoint": f"{BASE_URL}/",
        "model": "asked-model",
        "parameters": {"temperature": "0.0", "max_completion_tokens": 1200},
        "schema": "decision",
        "schema_sha256": OUTPUT.sha256,
    }


@pytest.mark.parametrize(
    ("base_url", "endpoint"),
    [
        ("http://user:pass-word@llm.test/v1", "http://llm.test/v1/"),
        ("http://user:pass-word@llm.test:8080/v1", "http://llm.test:8080/v1/"),
        ("http://llm.test/v1?key=pass-word", "http://llm.test/v1"),
        ("http://llm.test/v1#pass-word", "http://llm.test/v1"),
    ],
)
def test_no_key_and_no_password_of_the_url_is_in_the_request(base_url: str, endpoint: str, make: Make) -> None:
    request = make(base_url)._request(Parameters(), OUTPUT)
    assert request["endpoint"].rstrip("/") == endpoint.rstrip("/")
    assert "pass-word" not in json.dumps(request)
    assert KEY not in json.dumps(request)


def test_an_endpoint_with_an_ipv6_address_is_a_url_in_the_request(make: Make) -> None:
    assert make("http://[::1]:8000/v1")._request(Parameters(), OUTPUT)["endpoint"] == "http://[::1]:8000/v1/"


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("failure", [bad(401), bad(500), httpx.ConnectError("dead")])
async def test_a_failure_tells_what_was_asked_as_well(
    failure: httpx.Response | httpx.ConnectError, wire: respx.Route, make: Make
) -> None:
    wire.mock(side_effect=[failure] * 3)
    completion = await ask(make())
    assert completion.request["model"] == "asked-model"
    assert KEY not in completion.model_dump_json()


async def test_a_key_that_no_header_can_carry_raises_nothing_foreign(wire: respx.Route) -> None:
    wire.mock(return_value=good())
    with contextlib.suppress(EndpointError):
        client = EndpointClient(BASE_URL, "sk-ключ", "asked-model", http_client=httpx.AsyncClient(verify=TLS))
        try:
            completion = await ask(client)
        finally:
            await client.aclose()
        assert completion.outcome is Outcome.REJECTED


@pytest.mark.parametrize("base_url", ["http://llm.test:port/v1", "http://llm.test:99999/v1"])
async def test_a_base_url_that_is_none_is_an_error_of_the_family(base_url: str) -> None:
    with pytest.raises(EndpointError, match=r"llm\.test"):
        await ask(EndpointClient(base_url, KEY, "asked-model"))


async def test_the_default_transport_speaks_to_nobody_as_a_connection_error() -> None:
    client = EndpointClient(f"http://127.0.0.1:{free_port()}/v1", KEY, "asked-model", max_attempts=1)
    completion = await ask(client)
    await client.aclose()
    assert (completion.outcome, results(completion)) == (Outcome.UNREACHABLE, ["connection"])


async def test_no_endpoint_is_unreachable_and_says_what_to_set() -> None:
    completion = await NoEndpoint().complete(PROMPT, OUTPUT)
    assert (completion.outcome, completion.attempts, completion.body) == (Outcome.UNREACHABLE, (), None)
    assert "LLMCTX_LLM__BASE_URL" in str(completion.detail)


async def test_no_endpoint_has_nothing_to_close() -> None:
    await NoEndpoint().aclose()
