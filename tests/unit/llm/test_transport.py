"""What the aiohttp transport does beside the table of situations: proxies, TLS, event loops, limits."""

import asyncio
import datetime as dt
import gzip
import ipaddress
import resource
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from llmctx.decision.decision import OUTPUT
from llmctx.errors import EndpointError
from llmctx.llm.client import EndpointClient
from llmctx.llm.completion import Completion, Outcome
from llmctx.llm.transport import environment_proxy
from tests.unit.llm.wire import Answer, Wire, chunked, is_absolute, response
from tests.unit.makers import body, prompt_of

KEY = "sk-very-secret"
PROMPT = prompt_of()
GOOD = Answer(response(body()))
PROXY_NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_outer_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def ask(base_url: str, **settings: Any) -> Completion:
    client = EndpointClient(base_url, KEY, "asked-model", **{"max_attempts": 1} | settings)
    try:
        return await client.complete(PROMPT, OUTPUT)
    finally:
        await client.aclose()


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


async def test_without_trust_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Wire(GOOD) as proxy, Wire(GOOD) as endpoint:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        await ask(endpoint.base_url, trust_env=False)
    assert (proxy.requests, len(endpoint.requests)) == ([], 1)
    assert not is_absolute(endpoint.requests[0])


@pytest.mark.parametrize(
    ("name", "value", "proxy"),
    [
        ("HTTP_PROXY", "proxy.test:3128", "http://proxy.test:3128"),
        ("http_proxy", "http://proxy.test:3128", "http://proxy.test:3128"),
        ("ALL_PROXY", "http://proxy.test:3128", "http://proxy.test:3128"),
        ("HTTPS_PROXY", "http://proxy.test:3128", None),
        ("HTTP_PROXY", "", None),
    ],
)
def test_the_environment_names_a_proxy(
    name: str, value: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert environment_proxy("http://llm.test/v1") == proxy


def test_a_proxy_that_aiohttp_cannot_use_is_an_error_that_names_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://user:pass-word@127.0.0.1:1080")
    with pytest.raises(EndpointError, match="socks5 proxy") as raised:
        EndpointClient("http://llm.test/v1", KEY, "asked-model")
    assert "pass-word" not in str(raised.value)


async def test_passwords_in_netrc_are_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password other\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    async with Wire(GOOD) as wire:
        assert (await ask(wire.base_url)).outcome is Outcome.ANSWERED
    assert wire.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and its key in one file, signed by nobody else."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "endpoint.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """What an endpoint with that certificate speaks."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


async def test_a_certificate_that_the_environment_trusts_is_trusted(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with Wire(GOOD, tls=tls) as wire:
        assert (await ask(wire.base_url)).outcome is Outcome.ANSWERED


async def test_a_certificate_that_nobody_vouches_for_is_told_in_plain_words(tls: ssl.SSLContext) -> None:
    async with Wire(GOOD, tls=tls) as wire:
        completion = await ask(wire.base_url)
    assert (completion.outcome, wire.requests) == (Outcome.UNREACHABLE, [])
    assert completion.detail is not None
    assert completion.detail.startswith("connection: the endpoint's certificate is not trusted: self-signed")


async def test_a_certificate_of_another_host_is_told_in_plain_words(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with Wire(GOOD, tls=tls) as wire:
        completion = await ask(f"https://localhost:{wire.port}/v1")
    assert wire.requests == []
    assert "the endpoint's certificate is not trusted: Hostname mismatch" in str(completion.detail)


async def test_https_to_a_port_without_tls_is_told_in_plain_words() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(response(b"", "400 Bad Request"))
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        completion = await ask(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    assert completion.outcome is Outcome.UNREACHABLE
    assert "does the endpoint speak TLS on this port?" in str(completion.detail)


async def test_http_to_a_port_with_tls_is_told_in_plain_words(tls: ssl.SSLContext) -> None:
    async with Wire(GOOD, tls=tls) as wire:
        completion = await ask(wire.base_url.replace("https:", "http:"))
    assert completion.outcome is Outcome.UNREACHABLE
    assert "if it speaks TLS, its address begins with https://" in str(completion.detail)


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
    bomb = gzip.compress(bytes(400 * 1024 * 1024), compresslevel=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with Wire(Answer(response(bomb, "200 OK", "content-encoding: gzip"))) as wire:
        completion = await ask(wire.base_url)
    assert completion.outcome is Outcome.UNREADABLE
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # kilobytes


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
        client = EndpointClient(wire.base_url, KEY, "asked-model")
        for _ in range(2):
            await client.complete(PROMPT, OUTPUT)
        await client.aclose()
    assert [request.headers.get("cookie") for request in wire.requests] == [None, None]


async def test_cancelling_a_call_closes_its_connection() -> None:
    async with Wire(Answer(b"", "hang"), GOOD) as wire:
        client = EndpointClient(wire.base_url, KEY, "asked-model")
        task = asyncio.create_task(client.complete(PROMPT, OUTPUT))
        await wire.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await client.complete(PROMPT, OUTPUT)).outcome is Outcome.ANSWERED
        await client.aclose()
    assert wire.connections == 2


async def test_more_calls_at_once_than_one_pool_of_a_hundred_all_run() -> None:
    async with Wire(GOOD) as wire:
        client = EndpointClient(wire.base_url, KEY, "asked-model")
        completions = await asyncio.gather(*(client.complete(PROMPT, OUTPUT) for _ in range(150)))
        await client.aclose()
    assert {completion.outcome for completion in completions} == {Outcome.ANSWERED}


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
