import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import openai
import pytest

from llmctx.decision.decision import OUTPUT
from llmctx.decision.parse import Misfit, judge, parse
from llmctx.errors import EndpointError
from llmctx.llm.client import EndpointClient
from llmctx.llm.completion import Completion, Outcome
from llmctx.llm.mode import Mode
from llmctx.llm.output import fields_for
from llmctx.llm.standin import FAULTS, MODEL, Standin
from tests.unit.makers import prompt_of

PROMPT = prompt_of()
REQUEST = {
    "model": MODEL,
    "messages": [message._asdict() for message in PROMPT.messages],
    **fields_for(OUTPUT.asked(), Mode.SCHEMA),
}
Open = Callable[..., Awaitable[Standin]]


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


@pytest.fixture
async def running() -> AsyncIterator[Open]:
    """Starts stand-ins and stops them."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Standin:
            return await stack.enter_async_context(Standin(**settings))

        yield start


async def complete(standin: Standin, **settings: Any) -> Completion:
    """What the real client, over its own transport, makes of it."""
    client = EndpointClient(standin.base_url, "none", MODEL, **settings)
    try:
        return await client.complete(PROMPT, OUTPUT)
    finally:
        await client.aclose()


async def post(http: httpx.AsyncClient, standin: Standin, content: bytes) -> httpx.Response:
    return await http.post(f"{standin.base_url}/chat/completions", content=content)


async def test_the_models_are_listed(standin: Standin) -> None:
    client = openai.AsyncOpenAI(base_url=standin.base_url, api_key="none")
    assert [model.id async for model in client.models.list()] == [MODEL]
    await client.close()


async def test_the_sdk_gets_a_typed_completion(standin: Standin) -> None:
    client = openai.AsyncOpenAI(base_url=standin.base_url, api_key="none")
    answer = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": PROMPT.messages[1].content}]
    )
    await client.close()
    assert answer.model == MODEL
    assert answer.choices[0].finish_reason == "stop"
    assert not isinstance(parse(answer.choices[0].message.content or ""), Misfit)


async def test_the_client_gets_a_decision(standin: Standin) -> None:
    completion = await complete(standin)
    decision, failure = judge(completion)
    assert (decision is not None, failure) == (True, "")
    assert completion.attempts[0].request_id == "standin-1"


async def test_the_same_prompt_gets_the_same_answer(standin: Standin) -> None:
    first, second = await complete(standin), await complete(standin)
    assert first.content == second.content
    assert first.response_id != second.response_id


async def test_it_never_says_it_is_a_language_model(standin: Standin) -> None:
    completion = await complete(standin)
    assert completion.model == "llmctx-standin"


async def test_requests_on_one_connection_are_all_answered(standin: Standin, http: httpx.AsyncClient) -> None:
    for _ in range(3):
        response = await post(http, standin, json.dumps(REQUEST).encode())
        assert response.status_code == 200
    assert standin.requests == 3


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/nothing"), ("GET", "/"), ("POST", "/v1/models"), ("GET", "/v1/chat/completions"), ("PUT", "/v1/x")],
)
async def test_what_is_not_there_is_404_and_named(
    method: str, path: str, standin: Standin, http: httpx.AsyncClient
) -> None:
    response = await http.request(method, standin.base_url.removesuffix("/v1") + path)
    assert response.status_code == 404
    assert response.json()["error"]["message"] == f"the stand-in has no {method} {path}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"\xff",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"messages": null}',
        b'{"messages": ["text"]}',
        b'{"messages": [{"role": "user"}]}',
        b'{"messages": [{"content": "text"}]}',
        b'{"messages": [{"role": "user", "content": null}]}',
        b'{"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}',
    ],
)
async def test_a_body_that_is_no_request_is_400(body: bytes, standin: Standin, http: httpx.AsyncClient) -> None:
    response = await post(http, standin, body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_request_error"


async def test_a_deeply_nested_body_is_400(standin: Standin, http: httpx.AsyncClient) -> None:
    response = await post(http, standin, b"[" * 200_000)
    assert response.status_code == 400


async def test_a_stream_is_400_and_told(standin: Standin, http: httpx.AsyncClient) -> None:
    response = await post(http, standin, json.dumps(REQUEST | {"stream": True}).encode())
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "the stand-in does not stream"


async def test_a_bad_request_leaves_the_connection_usable(standin: Standin, http: httpx.AsyncClient) -> None:
    await post(http, standin, b"no json")
    response = await post(http, standin, json.dumps(REQUEST).encode())
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("fault", "outcome", "attempts"),
    [
        ("http_429", Outcome.UNREACHABLE, ["http 429", "http 429"]),
        ("http_500", Outcome.UNREACHABLE, ["http 500", "http 500"]),
        ("quota", Outcome.REJECTED, ["http 429"]),
        ("disconnect", Outcome.UNREACHABLE, ["connection", "connection"]),
        ("refusal", Outcome.REFUSED, ["ok"]),
        ("truncated", Outcome.TRUNCATED, ["ok"]),
        ("filtered", Outcome.FILTERED, ["ok"]),
        ("garbage", Outcome.UNREADABLE, ["ok"]),
        ("prose", Outcome.ANSWERED, ["ok"]),
        ("misfit", Outcome.ANSWERED, ["ok"]),
        ("no_schema", Outcome.REJECTED, ["http 400"]),
        ("no_temperature", Outcome.REJECTED, ["http 400"]),
    ],
)
async def test_a_fault_is_what_its_name_says(fault: str, outcome: Outcome, attempts: list[str], running: Open) -> None:
    completion = await complete(await running(faults={fault: 1}), max_attempts=2)
    assert completion.outcome is outcome
    assert [attempt.result for attempt in completion.attempts] == attempts
    assert judge(completion)[0] is None


async def test_a_hanging_stand_in_runs_into_the_deadline(running: Open) -> None:
    completion = await complete(await running(faults={"hang": 1}), timeout_s=0.1)
    assert completion.outcome is Outcome.TIMEOUT


async def test_prose_is_no_json_and_a_misfit_names_its_field(running: Open) -> None:
    prose = judge(await complete(await running(faults={"prose": 1})))[1]
    misfit = judge(await complete(await running(faults={"misfit": 1})))[1]
    assert prose.startswith("misfit: the answer is not one JSON text")
    assert misfit == "misfit: confidence: must lie between 0 and 1"


def test_every_fault_is_tried_above() -> None:
    tried = {"http_429", "http_500", "quota", "hang", "disconnect", "refusal", "truncated", "filtered", "garbage"}
    assert set(FAULTS) == tried | {"prose", "misfit", "no_schema", "no_temperature"}


def test_an_unknown_fault_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(EndpointError, match=r"no fault 'http_418'(.|\n)*http_429"):
        Standin(faults={"http_418": 1})


async def faults_met(standin: Standin, http: httpx.AsyncClient) -> list[int]:
    content = json.dumps(REQUEST).encode()
    return [(await post(http, standin, content)).status_code for _ in range(20)]


async def test_faults_come_at_their_rate_and_again_for_the_same_seed(running: Open, http: httpx.AsyncClient) -> None:
    first = await faults_met(await running(faults={"http_500": 0.5}, seed=7), http)
    again = await faults_met(await running(faults={"http_500": 0.5}, seed=7), http)
    assert first == again
    assert set(first) == {200, 500}


async def test_a_rate_of_zero_is_no_fault(running: Open, http: httpx.AsyncClient) -> None:
    assert set(await faults_met(await running(faults={"http_500": 0}), http)) == {200}


async def test_a_port_that_is_taken_is_an_error_that_names_it(standin: Standin) -> None:
    port = int(standin.base_url.split(":")[2].partition("/")[0])
    with pytest.raises(EndpointError, match=f"127.0.0.1:{port}"):
        await Standin(port=port).__aenter__()


async def test_closing_ends_requests_that_hang() -> None:
    async with Standin(faults={"hang": 1}) as standin:
        completion = await complete(standin, timeout_s=0.1, max_attempts=1)
    assert completion.outcome is Outcome.TIMEOUT
