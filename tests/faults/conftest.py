"""What fault tests share: servers that can be killed, a worker process with a kill point, and the oracle."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.connection import connect
from llmctx.connection.streams import read_stream
from llmctx.replay.verify import verify_log
from llmctx.schema import keys
from llmctx.trail.log.lease import lease_key, read_holder
from llmctx.trail.log.log import Log
from llmctx.worker.publish import KEPT
from tests import call, prefork
from tests.conftest import ONE_SERVER, binary_of, free_port, start_server
from tests.integration.conftest import short_pauses  # noqa: F401  a fixture
from tests.integration.program import until


class Server:
    """A server that dies on demand, and comes back with whatever it has left."""

    def __init__(self, binary: str, directory: Path) -> None:
        self._binary = binary
        self.directory = directory
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        self._process, _ = start_server(self._binary, self.directory, *arguments, port=self.port)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(120)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def aof(self) -> Path:
        """The server's append-only file."""
        return max(self.directory.glob("appendonlydir/*.incr.aof"), key=lambda path: path.stat().st_mtime)


@pytest.fixture(params=ONE_SERVER)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """Each kind of server in turn, separate from all others."""
    made = Server(binary_of(request.param), tmp_path / "server")
    made.directory.mkdir()
    made.start()
    yield made
    if made.running:
        made.kill()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Redis]:
    made = connect(server.url)
    yield made
    await made.aclose()


class Worker:
    """`llmctx run` in a separate process."""

    def __init__(self, url: str, state_dir: Path, endpoint: str) -> None:
        self.said = state_dir.with_name("worker.err")
        self._arguments = [
            "run", "--redis-url", url, "--state-dir", str(state_dir), "--endpoint", endpoint,
            "--model", "llmctx-standin", "--no-notary",
        ]  # fmt: skip

    def start(self, kill_point: str = "", times: int = 1, before: str = "") -> subprocess.Popen[bytes]:
        arm = before + f"from llmctx import killpoint; killpoint.arm({kill_point!r}, {times})" if kill_point else before
        with self.said.open("ab") as said:
            return call.start(*self._arguments, before=arm, stdout=subprocess.DEVNULL, stderr=said)

    def start_alone(self) -> subprocess.Popen[bytes]:
        """A process that receives signals directly, SIGSTOP and SIGKILL too."""
        with self.said.open("ab") as said:
            return subprocess.Popen([prefork.INSTALLED, *self._arguments], stdout=subprocess.DEVNULL, stderr=said)

    async def until_killed(self, kill_point: str, times: int = 1, before: str = "") -> None:
        """`before` is code that the process runs first."""
        process = self.start(kill_point, times, before)
        code = await asyncio.to_thread(process.wait, 120)
        assert code == -signal.SIGKILL, f"it ended with {code} before it reached {kill_point}"

    async def drain(self, redis: Redis) -> None:
        """Settle the ticks raised so far, and stop."""
        process = self.start()
        await until(lambda: read_holder(redis, 0))
        process.terminate()
        assert await asyncio.to_thread(process.wait, 120) == 0


async def end_lease(redis: Redis) -> None:
    """Let ten seconds seem to have passed since the owner died."""
    await redis.delete(lease_key(0))


async def check_oracle(redis: Redis, raised: list[str]) -> None:
    """Check that every tick raised is settled exactly once, and that exactly the publishable records are published."""
    records = {entry.index: entry.record async for entry in Log(redis).read()}
    settled = [t for leaf in records.values() if "tick" in leaf for t in (leaf["tick"], *leaf.get("conflated", []))]
    assert sorted(settled) == sorted(set(raised))
    assert await redis.xlen(keys.ticks(0)) == 0
    published = [found.number for found in await read_stream(redis, keys.decisions(0))]
    expected = [index for index, leaf in records.items() if leaf["verdict"]["action"] != "none"]
    assert published == (expected[-len(published) :] if published else [])
    assert len(published) >= min(len(expected), KEPT)
    report = await verify_log(Log(redis))
    assert report.fault is None
    assert await Log(redis).durable() == len(records)
