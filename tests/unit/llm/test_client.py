import asyncio
import contextlib
import json
from typing import Any

import httpx
import pytest
import respx

from llmctx import canonical
from llmctx.decision.decision import OUTPUT
from llmctx.errors import EndpointError
from llmctx.limits import MAX_NAME_CHARS
from llmctx.llm.client import EndpointClient, NoEndpoint
from llmctx.llm.completion import Outcome
from llmctx.llm.mode import Mode
from llmctx.prompt.render import render
from llmctx.prompt.template import Parameters
from tests.conftest import free_port
from tests.unit.llm.calls import BASE_URL, KEY, PROMPT, TLS, Answered, Make, bad, complete, good, results
from tests.unit.makers import body, market, package_of, template_of


async def test_a_good_response_is_one_call_and_an_answer(answered: Answered, wire: respx.Route) -> None:
    completion = await answered(good(**{"x-request-id": "req-1"}))
    assert (wire.call_count, completion.outcome, completion.body) == (1, Outcome.ANSWERED, body())
    assert (completion.request_id, results(completion)) == ("req-1", ["ok"])


async def test_a_garbage_body_is_unreadable_and_not_asked_for_again(answered: Answered, wire: respx.Route) -> None:
    completion = await answered(httpx.Response(200, content=b"<html>"))
    assert (wire.call_count, completion.outcome, completion.body) == (1, Outcome.UNREADABLE, b"<html>")


async def test_an_empty_success_is_unreadable(answered: Answered, wire: respx.Route) -> None:
    completion = await answered(httpx.Response(204))
    assert (wire.call_count, completion.outcome) == (1, Outcome.UNREADABLE)


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError])
async def test_a_connection_error_is_asked_three_times_and_not_more(
    answered: Answered, error: type[httpx.TransportError], wire: respx.Route
) -> None:
    completion = await answered(error("the line is dead"))
    assert (wire.call_count, completion.outcome) == (3, Outcome.UNREACHABLE)
    assert results(completion) == ["connection"] * 3
    assert completion.body is None


@pytest.mark.usefixtures("waits")
async def test_a_connection_error_says_what_the_transport_said(answered: Answered) -> None:
    completion = await answered(httpx.ConnectError("the line is dead"))
    assert completion.detail == "connection: the line is dead (3 attempts within 60 s)"


@pytest.mark.usefixtures("waits")
async def test_a_transport_timeout_is_asked_again_and_ends_as_a_timeout(answered: Answered, wire: respx.Route) -> None:
    completion = await answered(httpx.ReadTimeout("slow"))
    assert (wire.call_count, completion.outcome) == (3, Outcome.TIMEOUT)
    assert results(completion) == ["timeout"] * 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_what_cannot_get_better_is_asked_once(answered: Answered, status: int, wire: respx.Route) -> None:
    completion = await answered(bad(status))
    assert (wire.call_count, completion.outcome) == (1, Outcome.REJECTED)
    assert results(completion) == [f"http {status}"]


async def test_a_used_up_quota_is_asked_once(answered: Answered, wire: respx.Route) -> None:
    completion = await answered(bad(429, "insufficient_quota"))
    assert (wire.call_count, completion.outcome) == (1, Outcome.REJECTED)


async def test_a_rejection_says_status_and_text_and_keeps_the_body(answered: Answered) -> None:
    completion = await answered(httpx.Response(404, text="no model\n asked-model"))
    assert completion.detail == "http 404: no model asked-model (1 attempt within 60 s)"
    assert completion.body == b"no model\n asked-model"


async def test_a_long_error_text_is_cut_in_the_detail_only(answered: Answered) -> None:
    completion = await answered(httpx.Response(400, text="x" * 5000))
    assert completion.detail is not None
    assert len(completion.detail) < 400
    assert completion.body == b"x" * 5000


async def never(_: httpx.Request) -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def test_no_answer_before_the_deadline_is_a_timeout(wire: respx.Route, make: Make) -> None:
    wire.mock(side_effect=never)
    completion = await complete(make(timeout_s=0.05))
    assert completion.outcome is Outcome.TIMEOUT
    assert completion.detail == "no answer before the deadline (1 attempt within 0.05 s)"
    assert results(completion) == ["cancelled at the deadline"]


async def test_an_attempt_cut_by_the_deadline_stands_beside_the_earlier_ones(wire: respx.Route, make: Make) -> None:
    outcomes = iter([bad(500, **{"retry-after-ms": "0"})])

    async def first_bad_then_never(request: httpx.Request) -> httpx.Response:
        return next(outcomes, None) or await never(request)

    wire.mock(side_effect=first_bad_then_never)
    completion = await complete(make(timeout_s=0.1))
    assert completion.outcome is Outcome.TIMEOUT
    assert results(completion) == ["http 500", "cancelled at the deadline"]


async def test_cancelling_the_call_is_no_timeout(wire: respx.Route, make: Make) -> None:
    under_way = asyncio.Event()

    async def tell_and_never(request: httpx.Request) -> httpx.Response:
        under_way.set()
        return await never(request)

    wire.mock(side_effect=tell_and_never)
    task = asyncio.create_task(complete(make()))
    await under_way.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def sent(wire: respx.Route) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(wire.calls.last.request.content)
    return document


async def test_the_body_sent_asks_for_the_strict_schema(answered: Answered, wire: respx.Route) -> None:
    await answered(good())
    assert sent(wire)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "decision", "strict": True, "schema": OUTPUT.schema},
    }


async def test_the_body_sent_holds_the_messages_as_rendered_with_the_form_behind_the_system_text(
    answered: Answered, wire: respx.Route
) -> None:
    completion = await answered(good())
    system, user = json.loads(PROMPT.evidence)
    form = OUTPUT.asked(Mode.SCHEMA, "full").form
    assert sent(wire)["messages"] == [system | {"content": f"{system['content']}\n\n{form}"}, user]
    assert completion.messages == canonical.dumps(sent(wire)["messages"])


async def test_the_body_sent_holds_the_parameters_of_the_template_and_no_others(
    answered: Answered, wire: respx.Route
) -> None:
    await answered(good())
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


async def test_the_request_names_endpoint_model_and_schema(answered: Answered) -> None:
    completion = await answered(good())
    assert completion.request == {
        "endpoint": f"{BASE_URL}/",
        "model": "asked-model",
        "parameters": {"temperature": "0.0", "max_completion_tokens": 1200},
        "schema": "decision",
        "schema_sha256": canonical.sha256(OUTPUT.asked(Mode.SCHEMA, "full").bundle),
        "mode": "schema",
        "profile": "compatible",
    }
    assert completion.asked == OUTPUT.asked(Mode.SCHEMA, "full").bundle


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
    request = make(base_url).plan(Parameters(), OUTPUT).kept
    assert request["endpoint"].rstrip("/") == endpoint.rstrip("/")
    assert "pass-word" not in json.dumps(request)
    assert KEY not in json.dumps(request)


def test_an_endpoint_with_an_ipv6_address_is_a_url_in_the_request(make: Make) -> None:
    kept = make("http://[::1]:8000/v1").plan(Parameters(), OUTPUT).kept
    assert kept["endpoint"] == "http://[::1]:8000/v1/"


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("failure", [bad(401), bad(500), httpx.ConnectError("dead")])
async def test_a_failure_tells_what_was_asked_as_well(
    failure: httpx.Response | httpx.ConnectError, wire: respx.Route, make: Make
) -> None:
    wire.mock(side_effect=[failure] * 3)
    completion = await complete(make())
    assert completion.request["model"] == "asked-model"
    assert KEY not in completion.model_dump_json()


async def test_a_key_that_no_header_can_carry_raises_nothing_foreign(wire: respx.Route) -> None:
    wire.mock(return_value=good())
    with contextlib.suppress(EndpointError):
        client = EndpointClient(BASE_URL, "sk-ключ", "asked-model", http_client=httpx.AsyncClient(verify=TLS))
        try:
            completion = await complete(client)
        finally:
            await client.aclose()
        assert completion.outcome is Outcome.REJECTED


@pytest.mark.parametrize(
    "base_url", ["http://llm.test:secret/v1", "http://user:sec/ret@llm.test", "http://llm.test:99999/v1"]
)
def test_a_malformed_base_url_is_refused_and_not_shown(base_url: str) -> None:
    with pytest.raises(EndpointError, match="base URL is malformed") as caught:
        EndpointClient(base_url, KEY, "asked-model")
    assert not any(part in str(caught.value) for part in ("llm.test", "sec"))


async def test_the_default_transport_speaks_to_nobody_as_a_connection_error() -> None:
    client = EndpointClient(f"http://127.0.0.1:{free_port()}/v1", KEY, "asked-model", max_attempts=1)
    completion = await complete(client)
    await client.aclose()
    assert (completion.outcome, results(completion)) == (Outcome.UNREACHABLE, ["connection"])


async def test_no_endpoint_is_unreachable_and_says_what_to_set() -> None:
    completion = await NoEndpoint().complete(PROMPT, OUTPUT)
    assert (completion.outcome, completion.attempts, completion.body) == (Outcome.UNREACHABLE, (), None)
    assert "LLMCTX_LLM__BASE_URL" in str(completion.detail)


async def test_no_endpoint_has_nothing_to_close() -> None:
    await NoEndpoint().aclose()


async def test_an_error_that_no_transport_knows_is_an_outcome(wire: respx.Route, make: Make) -> None:
    wire.mock(side_effect=OverflowError(f"cannot convert {KEY}"))
    completion = await complete(make())
    assert completion.outcome is Outcome.ERROR
    assert completion.detail == "OverflowError: cannot convert (the API key) (1 attempt within 60 s)"
    assert len(completion.attempts) == 1


async def test_a_long_request_id_is_cut(answered: Answered) -> None:
    completion = await answered(good(**{"x-request-id": "r" * 5000}))
    assert len(completion.request_id or "") == MAX_NAME_CHARS
