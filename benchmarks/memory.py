"""Redis memory per decision, everything counted: ten thousand decisions of a real day, traded in lockstep."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis.asyncio import Redis

from benchmarks.day import trade
from benchmarks.stage import Stage
from llmctx.assets import asset
from llmctx.connection import open_redis
from llmctx.ops.server import EmbeddedServer

WARM, DECISIONS = 10, 10_000


async def measure(_: Stage) -> dict[str, str]:
    """bytes_per_decision on the embedded Valkey; bytes_per_decision_redis7 where redis-server is installed."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "redis") as server:
        figures["bytes_per_decision"] = await _measure(server.url, Path(folder) / "state")
    if shutil.which("redis-server"):
        with tempfile.TemporaryDirectory() as folder, _debian_redis(Path(folder)) as url:
            figures["bytes_per_decision_redis7"] = await _measure(url, Path(folder) / "state")
    return figures


async def _measure(url: str, state_dir: Path) -> str:
    async with open_redis(url) as redis:
        await trade(redis, url, state_dir, WARM)  # functions and live keys are no part of a decision's memory
        before = await _used(redis)
        await trade(redis, url, state_dir, DECISIONS)
        each = (await _used(redis) - before) / DECISIONS
    print(f"memory: {each:.0f} bytes a decision on {url}")
    return f"{each:.0f} B"


async def _used(redis: Redis) -> int:
    return int((await redis.info("memory"))["used_memory"])


@contextmanager
def _debian_redis(directory: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        ["redis-server", str(asset("redis.conf")), "--port", str(port), "--dir", str(directory)],
        stdout=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
