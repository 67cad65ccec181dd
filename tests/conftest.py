"""What every test may use: real servers, the schema document's examples, and no way to a live endpoint."""

import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.connection import connect
from llmctx.llm.standin import Standin
from llmctx.ops.server import EmbeddedServer

pytest_plugins = ["pytester"]

logging.getLogger("llmctx").setLevel(logging.INFO)  # as the command line does: tests read what is logged

ROOT = Path(__file__).parent.parent
ASSETS = Path(__file__).parent / "assets"
SHARED_DATA = ROOT.parent / "shared" / "data"

_LOOPBACK = ("127.", "::1", "localhost")


def _only_loopback(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = str(arguments[1][0])
        if not host.startswith(_LOOPBACK):
            raise RuntimeError(f"a test tried to reach {host}; tests speak to this machine only")


sys.addaudithook(_only_loopback)


@pytest.fixture(autouse=True)
def _no_outer_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the person who runs the tests must not reach them."""
    for name in list(os.environ):
        if name.startswith(("LLMCTX_", "OPENAI_")):
            monkeypatch.delenv(name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def debian_redis(directory: Path) -> Iterator[str]:
    """Debian's redis-server with the project's redis.conf, on a free port."""
    port = free_port()
    process = subprocess.Popen(
        ["redis-server", str(ROOT / "redis.conf"), "--port", str(port), "--dir", str(directory)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The embedded Valkey."""
    with EmbeddedServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server.url


@pytest.fixture(scope="session")
def debian_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's Redis, where it is installed."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    with debian_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(params=["valkey", "redis"])
def redis_url(request: pytest.FixtureRequest) -> str:
    """The address of each server in turn."""
    url: str = request.getfixturevalue("valkey_url" if request.param == "valkey" else "debian_url")
    return url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of each server in turn, with nothing in it (functions included)."""
    client = connect(redis_url)
    await client.flushall()
    await client.function_flush()
    yield client
    await client.aclose()


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Redis]:
    """A client of the embedded Valkey, with nothing in it (functions included)."""
    client = connect(valkey_url)
    await client.flushall()
    await client.function_flush()
    yield client
    await client.aclose()


@pytest.fixture
async def standin() -> AsyncIterator[Standin]:
    """The stand-in model, over real HTTP."""
    async with Standin() as server:
        yield server


@pytest.fixture(scope="session")
def schema_examples() -> dict[str, str]:
    """The examples of the schema document as they stand there: key (for AAPL) to JSON text."""
    examples: dict[str, str] = json.loads((ASSETS / "schema_examples.json").read_text(encoding="utf-8"))
    return examples
