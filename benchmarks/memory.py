"""Redis memory per decision, everything counted: ten thousand decisions of a real day through the real pipeline."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import cast

from redis.asyncio import Redis

from benchmarks.day import Day, bars
from benchmarks.stage import Stage
from llmctx.assets import asset
from llmctx.connection import open_redis
from llmctx.context.tick import Tick
from llmctx.llm.completion import Attempt, Completion, OutputSchema, read_completion
from llmctx.llm.rulebook import Facts, decide
from llmctx.ops.server import EmbeddedServer
from llmctx.prompt.render import Prompt
from llmctx.prompt.template import load_template
from llmctx.schema import keys
from llmctx.trail.instance import bind_instance
from llmctx.worker.session import Asking, own

DECISIONS = 10_000


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
        instance, _ = await bind_instance(redis, state_dir)
        asking = Asking(load_template(asset("prompts"), "position"), _ByRules())
        async with own(redis, instance, 0, asking, state_dir=state_dir) as (_, pipeline):
            day, seen = Day(), iter(bars())
            for bar in islice(seen, 10):  # functions and live keys are no part of a decision's memory
                await redis.mset(day.after(bar))
                await pipeline.decide(Tick(id=f"warm:{bar.symbol}:{bar.start:%s}", symbol=bar.symbol))
            before = await _used(redis)
            for bar in islice(seen, DECISIONS):
                await redis.mset(day.after(bar))
                tick = Tick(
                    id=f"9f86d081884c:{bar.symbol}:{bar.start:%s}000", symbol=bar.symbol, cause="position_marked"
                )
                entry_id = cast("bytes", await redis.xadd(keys.ticks(0), tick.fields()))
                await pipeline.decide(tick, entry_ids=(entry_id.decode(),))
            each = (await _used(redis) - before) / DECISIONS
        print(f"memory: {each:.0f} bytes a decision on {url}")
        return f"{each:.0f} B"


async def _used(redis: Redis) -> int:
    return int((await redis.info("memory"))["used_memory"])


class _ByRules:
    """Answers as the stand-in does, without the way over HTTP; ids as long as a provider's."""

    def __init__(self) -> None:
        self._count = 0

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        self._count += 1
        text = prompt.messages[1].content
        answer = json.dumps(decide(Facts(text)))
        body = {
            "id": f"chatcmpl-{os.urandom(12).hex()}", "object": "chat.completion", "created": int(time.time()),
            "model": "llmctx-standin", "system_fingerprint": "rules-1",
            "choices": [{
                "index": 0, "message": {"role": "assistant", "content": answer, "refusal": None},
                "finish_reason": "stop", "logprobs": None,
            }],
            "usage": {"prompt_tokens": len(text) // 4, "completion_tokens": len(answer) // 4},
        }  # fmt: skip
        request = {
            "endpoint": "http://127.0.0.1:8700/v1", "model": "llmctx-standin",
            "parameters": {"max_completion_tokens": 1200, "temperature": "0"},
            "schema": output.name, "schema_sha256": output.sha256,
        }  # fmt: skip
        attempts = (Attempt("ok", 400 + self._count % 900, f"standin-{self._count}"),)
        return read_completion(json.dumps(body).encode(), request, attempts)


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
