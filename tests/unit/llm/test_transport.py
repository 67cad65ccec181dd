"""What the aiohttp transport does beside the table of situations: proxies, event loops, limits."""

import asyncio
import gzip
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from llmctx.decision.decision import OUTPUT
from llmctx.errors import EndpointError
from llmctx.limits import MAX_BODY_BYTES
from llmctx.llm.client import EndpointClient
from llmctx.llm.completion import Outcome
from tests.conftest import free_port
from tests.unit.llm.calls import KEY, PROMPT, ask
from tests.unit.llm.wire import Answer, Wire, chunked, is_absolute, response
from tests.unit.makers import body

GOOD = Answer(response(body()))


async def test_a_proxy_of_the_environment_gets_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Wire(GOOD) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:p%40ss@127.0.0.1:{proxy.port}")
        completion = await ask("http://llm.test/v1")
    assert completion.outcome is Outcome.ANSWERED
    (request,) = proxy.requests
    assert request.line == "POST http://llm.test/v1/chat/completions HTTP/1.1"
    assert request.headers["proxy-authorization"] == "Basic bWU6cEBzcw=="
    assert request.headers["authorization"] == f"Bearer {KEY}"


async def test_a_tunnel_through_a_proxy_shows_it_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Wire(Answer(response(b"", "407 Proxy Authentication Required"))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@127.0.0.1:{proxy.port}")
        completion = await ask("https://llm.test/v1")
    (request,) = proxy.requests
    assert request.line == "CONNECT llm.test:443 HTTP/1.1"
    assert request.headers["proxy-authorization"] == "Basic bWU6cEBzcw=="
    assert "authorization" not in request.headers
    assert completion.outcome is Outcome.UNREACHABLE
    assert completion.detail == "connection: the proxy answered http 407 (1 attempt within 60 s)"


@pytest.mark.parametrize("listed", ["127.0.0.1", "*", "other.test, 127.0.0.1"])
async def test_a_host_in_no_proxy_is_asked_directly(listed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Wire(GOOD) as proxy, Wire(GOOD) as endpoint:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", listed)
        await ask(endpoint.base_url)
    assert (proxy.requests, len(endpoint.requests)) == ([], 1)


async def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    completion = await ask("http://llm.test/v1")
    assert str(completion.detail).startswith("connection: the proxy cannot be reached: ")


async def test_without_trust_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Wire(GOOD) as proxy, Wire(GOOD) as endpoint:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        await ask(endpoint.base_url, trust_env=False)
    assert (proxy.requests, len(endpoint.requests)) == ([], 1)
    assert not is_absolute(endpoint.requests[0])


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://user:pass-word@127.0.0.1:1080",
        "http://[bad:pass-word",
        "http://h:pass-word",
        "http://",
        "http://a%3Ab:c@h:1",
    ],
)
def test_a_proxy_that_aiohttp_cannot_use_is_an_error_that_names_the_ways_out(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(EndpointError, match=r"(?s)names a proxy .*NO_PROXY") as raised:
        EndpointClient("http://llm.test/v1", KEY, "asked-model")
    assert "pass-word" not in str(raised.value)


async def test_passwords_in_netrc_are_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password other\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    async with Wire(GOOD) as wire:
        assert (await ask(wire.base_url)).outcome is Outcome.ANSWERED
    assert wire.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(b"\x15\x03\x01\x00\x02\x02\x46", "close"), "the response is not valid HTTP"),
        (Answer(response(b"not gzip", "200 OK", "content-encoding: gzip")), "is broken: Can not decode"),
        (Answer(response(b"short", length=9), "close"), "is broken: Not enough data"),
    ],
)
async def test_a_failed_connection_is_told_without_the_address(answer: Answer, said: str) -> None:
    async with Wire(answer) as wire:
        completion = await ask(f"{wire.base_url}?token=pass-word")
    assert said in str(completion.detail)
    assert str(wire.port) not in str(completion.detail)
    assert "pass-word" not in completion.model_dump_json()
    assert "400" not in str(completion.detail)


async def test_bytes_behind_a_response_are_not_the_next_response() -> None:
    evil = response(body().replace(b"chatcmpl", b"evil-cmpl"))
    async with Wire(Answer(response(body()) + evil), GOOD) as wire:
        client = EndpointClient(wire.base_url, KEY, "asked-model", max_attempts=1)
        completions = [await client.complete(PROMPT, OUTPUT) for _ in range(2)]
        await client.aclose()
    assert [completion.body for completion in completions] == [body()] * 2
    assert wire.connections == 2


async def test_an_encoding_that_was_not_offered_is_a_connection_error() -> None:
    async with Wire(Answer(response(b"\x0b\x02\x80{}\x03", "200 OK", "content-encoding: br"))) as wire:
        completion = await ask(wire.base_url)
    assert "br" not in wire.requests[0].headers["accept-encoding"].split(", ")
    assert completion.outcome is Outcome.UNREACHABLE
    assert wire.base_url not in str(completion.detail)


async def test_a_gzip_bomb_is_left_after_the_limit() -> None:
    bomb = gzip.compress(bytes(50 * 1024 * 1024), compresslevel=9)
    async with Wire(Answer(response(bomb, "200 OK", "content-encoding: gzip"))) as wire:
        await ask(wire.base_url)  # what is allocated once
        tracemalloc.start()
        try:
            completion = await ask(wire.base_url)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert completion.outcome is Outcome.UNREADABLE
    assert peak_bytes < 5 * MAX_BODY_BYTES


async def test_an_endless_body_is_left_after_the_limit() -> None:
    async with Wire(Answer(chunked(*[b" " * 65536] * 40), "hang")) as wire:
        completion = await ask(wire.base_url, timeout_s=30)
    assert (completion.outcome, completion.body) == (Outcome.UNREADABLE, None)


async def test_a_body_of_exactly_the_limit_is_kept() -> None:
    async with Wire(GOOD) as wire:
        kept = await ask(wire.base_url, max_body_bytes=len(body()))
        left = await ask(wire.base_url, max_body_bytes=len(body()) - 1)
    assert (kept.outcome, left.outcome) == (Outcome.ANSWERED, Outcome.UNREADABLE)


async def test_cookies_of_an_endpoint_are_not_sent_back() -> None:
    async with Wire(Answer(response(body(), "200 OK", "set-cookie: a=b; path=/"))) as wire:
        client = EndpointClient(f"http://localhost:{wire.port}/v1", KEY, "asked-model")
        for _ in range(2):
            await client.complete(PROMPT, OUTPUT)
        await client.aclose()
    assert [request.headers.get("cookie") for request in wire.requests] == [None, None]


async def test_cancelling_a_call_closes_its_connection() -> None:
    async with Wire(Answer(b"", "hang"), GOOD) as wire:
        client = EndpointClient(wire.base_url, KEY, "asked-model")
        task = asyncio.create_task(client.complete(PROMPT, OUTPUT))
        await wire.arrived()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await client.complete(PROMPT, OUTPUT)).outcome is Outcome.ANSWERED
        await client.aclose()
    assert wire.connections == 2


async def test_more_calls_than_a_default_pool_holds_are_all_under_way_at_once() -> None:
    async with Wire(Answer(b"", "hang")) as wire:
        client = EndpointClient(wire.base_url, KEY, "asked-model")
        tasks = [asyncio.create_task(client.complete(PROMPT, OUTPUT)) for _ in range(150)]
        await asyncio.wait_for(wire.arrived(150), 120)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await client.aclose()


async def test_one_client_serves_several_event_loops() -> None:
    async def ask_and_close() -> Outcome:
        outcome = (await client.complete(PROMPT, OUTPUT)).outcome
        await client.aclose()
        return outcome

    async with Wire(GOOD) as wire:
        client = EndpointClient(wire.base_url, KEY, "asked-model")
        here = (await client.complete(PROMPT, OUTPUT)).outcome
        there = await asyncio.to_thread(lambda: asyncio.run(ask_and_close()))
        again = await ask_and_close()  # the other loop closed its own connections only
    assert [here, there, again] == [Outcome.ANSWERED] * 3
    assert wire.connections == 2


async def test_a_closed_client_opens_new_connections_when_it_is_used_again() -> None:
    async with Wire(GOOD) as wire:
        client = EndpointClient(wire.base_url, KEY, "asked-model")
        for _ in range(2):
            assert (await client.complete(PROMPT, OUTPUT)).outcome is Outcome.ANSWERED
            await client.aclose()


def test_importing_the_client_imports_no_http_library() -> None:
    code = "import sys, llmctx.llm.client; print([n for n in ('aiohttp', 'openai', 'httpx2', 'httpx') if n in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
