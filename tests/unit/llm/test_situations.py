"""One table of what can happen on a wire, and one outcome for each, whichever transport meets it."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import httpx
import httpx2
import pytest

from llmctx.decision.decision import OUTPUT
from llmctx.llm.client import EndpointClient
from llmctx.llm.completion import Completion, Outcome
from tests.conftest import free_port
from tests.unit.llm.calls import KEY, PROMPT, TLS, complete
from tests.unit.llm.wire import Answer, Wire, chunked, response
from tests.unit.makers import body

GOOD = body()
LIMIT = 100_000
HUGE = b" " * (LIMIT + 1)
TRANSPORTS: dict[str, Callable[[], Any]] = {
    "aiohttp": lambda: None,
    "httpx2": lambda: httpx2.AsyncClient(verify=TLS),
    "httpx": lambda: httpx.AsyncClient(verify=TLS),
}
Ask = Callable[..., Any]


class Situation(NamedTuple):
    """What the endpoint sends, and what must become of the call."""

    answers: tuple[Answer, ...]
    outcome: Outcome
    results: tuple[str, ...]
    body: bytes | None
    detail: str = ""
    """What the detail must contain."""
    request_id: str | None = None


def answered(*answers: Answer, results: tuple[str, ...] = ("ok",), request_id: str | None = None) -> Situation:
    return Situation(answers, Outcome.ANSWERED, results, GOOD, request_id=request_id)


def unreadable(answer: Answer, content: bytes | None, detail: str = "") -> Situation:
    return Situation((answer,), Outcome.UNREADABLE, ("ok",), content, detail)


def rejected(status: str, content: bytes, detail: str, *headers: str) -> Situation:
    answer = Answer(response(content, status, *headers))
    return Situation((answer,), Outcome.REJECTED, (f"http {status[:3]}",), content, detail)


def overloaded(status: str, content: bytes | None, detail: str = "", *, sent: bytes | None = None) -> Situation:
    answer = Answer(response(content if sent is None else sent, status))  # type: ignore[arg-type]
    return Situation((answer,), Outcome.UNREACHABLE, (f"http {status[:3]}",) * 3, content, detail)


def broken(raw: bytes, then: Any = "close", detail: str = "connection: ") -> Situation:
    return Situation((Answer(raw, then),), Outcome.UNREACHABLE, ("connection",) * 3, None, detail)


def raw_deflate(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush()


def typed(charset: str) -> bytes:
    return response(GOOD, "200 OK", f"content-type: application/json; charset={charset}")


QUOTA = b'{"error": {"message": "no", "code": "insufficient_quota"}}'
GOOD_ANSWER = Answer(response(GOOD))
SITUATIONS = {
    "good": answered(Answer(response(GOOD, "200 OK", "x-request-id: req-1")), request_id="req-1"),
    "created": answered(Answer(response(GOOD, "201 Created"))),
    "chunked": answered(Answer(chunked(GOOD[:7], GOOD[7:]) + b"0\r\n\r\n")),
    "chunked with extensions and trailers": answered(
        Answer(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
            + b"%x;note=1\r\n%b\r\n0\r\nx-trailer: 1\r\n\r\n" % (len(GOOD), GOOD)
        )
    ),
    "HTTP/1.0 until the connection closes": answered(Answer(b"HTTP/1.0 200 OK\r\n\r\n" + GOOD, "close")),
    "HTTP/1.1 until the connection closes": answered(Answer(b"HTTP/1.1 200 OK\r\n\r\n" + GOOD, "close")),
    "gzip": answered(Answer(response(gzip.compress(GOOD), "200 OK", "content-encoding: gzip"))),
    "gzip, chunked": answered(
        Answer(
            chunked(gzip.compress(GOOD)[:9], gzip.compress(GOOD)[9:]).replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n", 1)
            + b"0\r\n\r\n"
        )
    ),
    "deflate": answered(Answer(response(zlib.compress(GOOD), "200 OK", "content-encoding: deflate"))),
    "deflate without its header": answered(
        Answer(response(raw_deflate(GOOD), "200 OK", "content-encoding: deflate"))
    ),
    "an encoding nobody knows": answered(Answer(response(GOOD, "200 OK", "content-encoding: rot13"))),
    "early hints first": answered(Answer(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + response(GOOD))),
    "blank lines before the body": answered(Answer(chunked(b"\n", b"\n\n", GOOD) + b"0\r\n\r\n"))._replace(
        body=b"\n\n\n" + GOOD
    ),
    "charset idna": answered(Answer(typed("idna"))),
    "charset zlib": answered(Answer(typed("zlib"))),
    "charset rot13": answered(Answer(typed("rot13"))),
    "charset of odd bytes": answered(Answer(typed('"\xff\xfe'))),
    "a request id that is not UTF-8": answered(
        Answer(response(GOOD, "200 OK", "x-request-id: \xe9t\xe9")), request_id="été"
    ),
    "two request ids": answered(
        Answer(response(GOOD, "200 OK", "x-request-id: a", "X-Request-Id: b")), request_id="a, b"
    ),
    "an error, then an answer": answered(
        Answer(response(b"{}", "500 Oops")), GOOD_ANSWER, results=("http 500", "ok")
    ),
    "retry after a year beyond all years": answered(
        Answer(response(b"{}", "429 Slow", "retry-after: Fri, 09 May 99999999999 10:15:30 GMT")),
        GOOD_ANSWER,
        results=("http 429", "ok"),
    ),
    "retry after odd bytes": answered(
        Answer(response(b"{}", "429 Slow", "retry-after: \xb2\xff")), GOOD_ANSWER, results=("http 429", "ok")
    ),
    "hung up on, then an answer": answered(Answer(b"", "close"), GOOD_ANSWER, results=("connection", "ok")),
    "a page": unreadable(Answer(response(b"<html>", "200 OK", "content-type: text/html")), b"<html>"),
    "no content": unreadable(Answer(b"HTTP/1.1 204 No Content\r\n\r\n"), b""),
    "an empty body": unreadable(Answer(response(b"")), b""),
    "bytes that are not UTF-8": unreadable(Answer(response(b"\xff\xfe\x00")), b"\xff\xfe\x00"),
    "deep nesting": unreadable(Answer(response(b"[" * 50_000)), b"[" * 50_000),
    "a body over the limit": unreadable(Answer(response(HUGE)), None, f"larger than {LIMIT} bytes (1 attempt"),
    "a chunked body over the limit": unreadable(Answer(chunked(HUGE)), None, f"larger than {LIMIT} bytes"),
    "a gzip bomb": unreadable(
        Answer(response(gzip.compress(HUGE * 50), "200 OK", "content-encoding: gzip")), None, f"larger than {LIMIT}"
    ),
    "a bad request": rejected("400 Bad Request", b"no\n model", "http 400: no model (1 attempt within 60 s)"),
    "an error in Latin-1": rejected("400 Bad", b"caf\xe9", "http 400: caf\ufffd (1", "content-type: text/plain"),
    "an error of charset zlib": rejected("400 Bad", b"no", "http 400: no (1", "content-type: text/plain; charset=zlib"),
    "an error of charset idna": rejected("422 Bad", b"no" * 40, "no", "content-type: text/plain; charset=idna"),
    "a refused key that is echoed": rejected(
        "401 Unauthorized", b"bad key " + KEY.encode(), "http 401: bad key (the API key) (1 attempt"
    ),
    "a redirect": rejected(
        "307 Temporary Redirect", b"", "redirects are not followed; this one leads to https://x.test/v2 (1 attempt",
        "location: https://user:pw@x.test/v2?token=1",
    ),
    "a redirect to nowhere": rejected("308 Permanent Redirect", b"there", "http 308: there", "x-location: none"),
    "a redirect to what is no URL": rejected("302 Found", b"", "redirects are not followed", "location: http://[bad"),
    "an empty 304": Situation(
        (Answer(b"HTTP/1.1 304 Not Modified\r\n\r\n"),), Outcome.REJECTED, ("http 304",), b"", "http 304: "
    ),
    "a used-up quota": Situation((Answer(response(QUOTA, "429 No")),), Outcome.REJECTED, ("http 429",), QUOTA),
    "too many requests": overloaded("429 Too Many Requests", b"slow down", "http 429: slow down (3 attempts"),
    "unavailable, with a page": overloaded("503 Service Unavailable", b"<html>", "http 503: <html>"),
    "unavailable, with odd JSON": overloaded("503 Service Unavailable", b'{"error": ["x"]}'),
    "a status beyond all": overloaded("599 What", b"?"),
    "an error page over the limit": overloaded(
        "500 Oops", None, f"http 500: the response is larger than {LIMIT} bytes", sent=HUGE
    ),
    "hung up on before any byte": broken(b""),
    "reset before any byte": broken(b"", "reset"),
    "hung up on within the head": broken(b"HTTP/1.1 200 OK\r\ncontent-"),
    "hung up on within the body": broken(response(GOOD[:9], length=len(GOOD))),
    "reset within the body": broken(response(GOOD[:9], length=len(GOOD)), "reset"),
    "hung up on between chunks": broken(chunked(GOOD[:9])),
    "a chunk that is none": broken(chunked(GOOD) + b"xyz\r\n"),
    "a greeting of another protocol": broken(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "a TLS alert": broken(b"\x15\x03\x01\x00\x02\x02\x46"),
    "a length that is none": broken(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n" + GOOD),
    "a flood of headers": broken(response(GOOD, "200 OK", *(f"x-{number}: 1" for number in range(20_000)))),
    "a header without end": broken(response(GOOD, "200 OK", "x-long: " + "x" * 300_000)),
    "gzip that is none": broken(response(b"not gzip", "200 OK", "content-encoding: gzip"), "keep"),
    "silence": Situation((Answer(b"", "hang"),), Outcome.TIMEOUT, ("cancelled at the deadline",), None, "deadline"),
    "silence within the body": Situation(
        (Answer(response(GOOD[:9], length=len(GOOD)), "hang"),),
        Outcome.TIMEOUT,
        ("cancelled at the deadline",),
        None,
        "no answer before the deadline (1 attempt within 0.3 s)",
    ),
}  # fmt: skip


@pytest.fixture(params=TRANSPORTS)
async def ask(request: pytest.FixtureRequest) -> AsyncIterator[Ask]:
    """Asks an endpoint over one of the transports; the connections stay open until the test ends."""
    clients: dict[str, EndpointClient] = {}

    async def _ask(base_url: str, **settings: Any) -> Completion:
        if base_url not in clients:
            http_client = TRANSPORTS[request.param]()
            clients[base_url] = EndpointClient(base_url, KEY, "asked-model", http_client=http_client, **settings)
        return await complete(clients[base_url])

    yield _ask
    for client in clients.values():
        await client.aclose()


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("name", SITUATIONS)
async def test_every_transport_maps_a_situation_to_the_same_outcome(name: str, ask: Ask) -> None:
    situation = SITUATIONS[name]
    timeout_s = 0.3 if situation.outcome is Outcome.TIMEOUT else 60
    async with Wire(*situation.answers) as wire:
        completion = await ask(wire.base_url, max_body_bytes=LIMIT, timeout_s=timeout_s, max_attempts=3)
    assert completion.outcome is situation.outcome, completion.detail
    assert tuple(attempt.result for attempt in completion.attempts) == situation.results
    assert completion.body == situation.body
    assert situation.detail in (completion.detail or "")
    assert completion.request_id == situation.request_id
    assert len(wire.requests) == len(situation.results)
    assert KEY not in completion.model_dump_json(exclude={"body"})


async def test_the_bytes_sent_are_a_post_of_the_recorded_messages(ask: Ask) -> None:
    async with Wire(GOOD_ANSWER) as wire:
        completion = await ask(wire.base_url)
    (request,) = wire.requests
    assert request.line == "POST /v1/chat/completions HTTP/1.1"
    document = json.loads(request.body)
    assert completion.messages is not None
    assert completion.messages in request.body
    assert document["messages"][0]["content"].startswith(PROMPT.messages[0].content)
    assert document["messages"][1:] == [PROMPT.messages[1]._asdict()]
    assert document["response_format"]["json_schema"]["schema"] == OUTPUT.bounded  # a server on this machine
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert (request.headers["content-type"], request.headers["accept"]) == ("application/json", "application/json")
    assert request.headers["user-agent"].startswith("AsyncOpenAI/Python ")


async def test_one_connection_serves_many_calls(ask: Ask) -> None:
    async with Wire(GOOD_ANSWER) as wire:
        for _ in range(5):
            assert (await ask(wire.base_url)).outcome is Outcome.ANSWERED
    assert (wire.connections, len(wire.requests)) == (1, 5)


async def test_a_kept_connection_that_the_endpoint_has_closed_is_not_used_again(ask: Ask) -> None:
    async with Wire(Answer(response(GOOD), "close")) as wire:
        for _ in range(3):
            completion = await ask(wire.base_url)
            assert [attempt.result for attempt in completion.attempts] == ["ok"]
            await asyncio.sleep(0.05)  # the end of the connection arrives
    assert wire.connections == 3


@pytest.mark.usefixtures("waits")
async def test_a_kept_connection_that_dies_under_a_request_is_one_failed_attempt(ask: Ask) -> None:
    async with Wire(GOOD_ANSWER, Answer(b"", "reset"), GOOD_ANSWER) as wire:
        await ask(wire.base_url)
        completion = await ask(wire.base_url)
    assert [attempt.result for attempt in completion.attempts] == ["connection", "ok"]
    assert (wire.connections, len(wire.requests)) == (2, 3)


async def test_a_call_cut_at_its_deadline_leaves_no_answer_for_the_next(ask: Ask) -> None:
    async with Wire(Answer(response(b"late" * 10, length=400), "hang"), GOOD_ANSWER) as wire:
        assert (await ask(wire.base_url, timeout_s=0.3)).outcome is Outcome.TIMEOUT
        assert (await ask(wire.base_url)).body == GOOD
    assert wire.connections == 2


async def test_a_redirect_brings_the_prompt_nowhere_else(ask: Ask) -> None:
    async with Wire(GOOD_ANSWER) as other:
        for status in ("301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"):
            async with Wire(Answer(response(b"", status, f"location: {other.base_url}/x"))) as wire:
                assert (await ask(wire.base_url)).outcome is Outcome.REJECTED
    assert other.requests == []


async def test_nobody_listening_is_a_connection_error(ask: Ask) -> None:
    completion = await ask(f"http://127.0.0.1:{free_port()}/v1", max_attempts=1)
    assert (completion.outcome, [attempt.result for attempt in completion.attempts]) == (
        Outcome.UNREACHABLE,
        ["connection"],
    )


async def test_a_host_name_too_long_for_dns_raises_nothing_foreign(ask: Ask) -> None:
    completion = await ask(f"http://{'a' * 70}.test/v1", max_attempts=1)
    assert completion.outcome is Outcome.UNREACHABLE
