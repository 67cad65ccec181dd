"""TLS, user and password in the address of a server, which reads its users from the lines of `llmctx acl`."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import NamedTuple

import pytest

from llmctx.connection import open_redis, primary_url
from llmctx.errors import ServerError
from llmctx.ops.acl.users import users_for
from tests.certificates import make_certificate
from tests.conftest import SERVERS, binary_of, free_port, start_server
from tests.integration.program import Program, until

USERS = '[reader]\nroles = ["auditor", "operator"]\npassword = "hunter/Two"\n'


class TlsServer(NamedTuple):
    """A server that speaks TLS."""

    place: str
    """HOST:PORT."""
    certificate: Path
    """Its certificate."""

    def address(self, user: str = "reader", password: str = "hunter%2FTwo", options: str = "?ssl_ca_certs={}") -> str:
        return f"rediss://{user}:{password}@{self.place}/0{options.format(self.certificate)}"


@pytest.fixture(params=SERVERS)
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TlsServer]:
    """Debian's Redis speaks TLS itself; the embedded Valkey, which is built without it, stands behind a TLS proxy."""
    users, acl = tmp_path / "users.toml", tmp_path / "users.acl"
    users.write_text(USERS)
    acl.write_text("".join(f"{user.line}\n" for user in users_for(0, users)))
    certificate, port = make_certificate(tmp_path / "server.pem"), free_port()
    options = ["--aclfile", str(acl)]
    if request.param == "redis":
        options += tls_options(port, certificate)
    process, plain = start_server(binary_of(request.param), tmp_path, *options)
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "valkey":
            await stack.enter_async_context(tls_proxy(port, plain, certificate))
        yield TlsServer(f"127.0.0.1:{port}", certificate)
    process.kill()
    process.wait(60)


def tls_options(port: int, certificate: Path) -> list[str]:
    """Options of a server or a sentinel that speaks TLS at a port, and to others."""
    file = str(certificate)
    files = ["--tls-ca-cert-file", file, "--tls-cert-file", file, "--tls-key-file", file]
    return ["--tls-port", str(port), "--tls-auth-clients", "no", "--tls-replication", "yes", *files]


@contextlib.asynccontextmanager
async def tls_proxy(port: int, behind: int, certificate: Path) -> AsyncIterator[None]:
    """Speak TLS at a port, and pass on what is said to another one."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(65536):
                target.write(piece)
                await target.drain()
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", behind)
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))

    proxy = await asyncio.start_server(serve, "127.0.0.1", port, ssl=context)
    yield
    proxy.close()


async def test_the_programs_speak_tls_as_a_user_of_the_acl_file(server: TlsServer, tmp_path: Path) -> None:
    program = Program(server.address(), tmp_path)
    status, verified = await program("status"), await program("verify")
    assert status.code == 0, status.err
    assert f"rediss://***@{server.place}/0" in status.out
    assert "has no trail yet" in verified.err
    assert "hunter" not in status.out + status.err + verified.err


@pytest.mark.parametrize(
    ("user", "password", "options"),
    [
        ("reader", "hunter%2FTwo", ""),  # a certificate that nobody trusts
        ("reader", "wrong", "?ssl_ca_certs={}"),
        ("nobody", "hunter%2FTwo", "?ssl_ca_certs={}"),
    ],
)
async def test_what_is_not_trusted_is_refused(server: TlsServer, user: str, password: str, options: str) -> None:
    with pytest.raises(ServerError) as caught:
        async with open_redis(server.address(user, password, options)):
            pass
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize("binary", SERVERS[1:])
async def test_sentinels_and_their_servers_are_spoken_to_over_tls(binary: str, tmp_path: Path) -> None:
    """Debian's Redis alone: the embedded Valkey is built without TLS, and Sentinels name addresses of their own."""
    certificate = make_certificate(tmp_path / "server.pem")
    sentinel, port, watched = tmp_path / "sentinel.conf", free_port(), free_port()
    server, _ = start_server(binary_of(binary), tmp_path, *tls_options(watched, certificate))
    async with open_redis(f"rediss://127.0.0.1:{watched}/0?ssl_ca_certs={certificate}") as client:
        await client.config_set("requirepass", "one")
    lines = tls_options(port, certificate)
    sentinel.write_text(
        "".join(f"{name.removeprefix('--')} {value}\n" for name, value in zip(lines[::2], lines[1::2], strict=True))
        + f"port 0\nrequirepass two\nsentinel monitor trading 127.0.0.1 {watched} 1\nsentinel auth-pass trading one\n"
    )
    watching = await asyncio.to_thread(Popen, [binary_of(binary), str(sentinel), "--sentinel"], stdout=DEVNULL)
    url = f"rediss+sentinel://:one@127.0.0.1:{port}/trading/0?sentinel_password=two&ssl_ca_certs={certificate}"
    try:
        await until(partial(is_answered, url))
        async with open_redis(url) as redis:
            assert await redis.ping()
        with pytest.raises(ServerError, match="names a primary of trading"):
            await primary_url(url.replace("=two", "=wrong"))
    finally:
        for process in (watching, server):
            process.kill()
            process.wait(60)


async def is_answered(url: str) -> bool:
    with contextlib.suppress(ServerError):
        return bool(await primary_url(url))
    return False
