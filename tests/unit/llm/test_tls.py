import asyncio
import ssl
from pathlib import Path

import pytest

from llmctx.llm.completion import Outcome
from tests.certificates import make_certificate
from tests.unit.llm.calls import ask
from tests.unit.llm.wire import Answer, Wire, response
from tests.unit.makers import body

GOOD = Answer(response(body()))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and its key in one file, signed by nobody else."""
    return make_certificate(tmp_path_factory.mktemp("tls") / "endpoint.pem")


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
