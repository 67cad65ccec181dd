"""A whole tick (read from the stream, decided, appended, published, acknowledged) against a bare SDK call."""

import asyncio
import time
from typing import Any

import openai

from benchmarks.stage import SYMBOLS, Stage
from llmctx.context.tick import Tick
from llmctx.schema import keys
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import bind_instance
from llmctx.worker.home import TrailHome
from llmctx.worker.partition import serve_partition

IN_FLIGHT = 32
ROUNDS = 6


async def measure(stage: Stage) -> dict[str, str]:
    """tick_cpu_ratio: CPU of a whole tick / CPU of a bare chat.completions.create; ticks_per_s: whole ticks."""
    async with stage.config() as config:
        arguments = await stage.request()
        instance, _ = await bind_instance(stage.redis, stage.state_dir)
        stop, settled = asyncio.Event(), Counter()
        service = asyncio.create_task(
            serve_partition(
                TrailHome(stage.redis, stage.url, instance, stage.state_dir),
                0,
                config,
                stop,
                concurrency=IN_FLIGHT,
                on_entry=settled.add,
            )
        )
        sdk = openai.AsyncOpenAI(base_url=stage.base_url, api_key="none", max_retries=0)
        bare_cpu = tick_cpu = tick_wall = 0.0
        for number in range(ROUNDS + 1):
            began = time.process_time()
            await _call_all(sdk, arguments)
            bare = time.process_time() - began
            began, began_wall = time.process_time(), time.perf_counter()
            await _tick_all(stage, settled, number)
            tick, wall = time.process_time() - began, time.perf_counter() - began_wall
            if number > 0:  # the first round opens connections
                bare_cpu, tick_cpu, tick_wall = bare_cpu + bare, tick_cpu + tick, tick_wall + wall
        await sdk.close()
        stop.set()
        await service
    count = ROUNDS * len(SYMBOLS)
    print(f"CPU of a tick: {tick_cpu / count * 1e3:.2f} ms, of a bare call: {bare_cpu / count * 1e3:.2f} ms")
    return {"tick_cpu_ratio": f"{tick_cpu / bare_cpu:.2f} x", "ticks_per_s": f"{count / tick_wall:.0f} /s"}


async def _call_all(sdk: openai.AsyncOpenAI, arguments: dict[str, Any]) -> None:
    room = asyncio.Semaphore(IN_FLIGHT)

    async def call() -> None:
        async with room:
            await sdk.chat.completions.create(**arguments)

    await asyncio.gather(*(call() for _ in SYMBOLS))


async def _tick_all(stage: Stage, settled: "Counter", number: int) -> None:
    """Raise one tick a symbol and wait until each is settled."""
    settled.expect(len(SYMBOLS))
    async with stage.redis.pipeline(transaction=False) as raising:
        for symbol in SYMBOLS:
            tick = Tick(id=f"bench:{number}:{symbol}", symbol=symbol, cause="benchmark")
            raising.xadd(keys.ticks(0), tick.fields())
        await raising.execute()
    await settled.done.wait()


class Counter:
    """Counts records until all that are expected are there."""

    def __init__(self) -> None:
        self.done = asyncio.Event()
        self._missing = 0

    def expect(self, count: int) -> None:
        self.done.clear()
        self._missing = count

    def add(self, entry: Entry) -> None:
        assert entry.record["kind"] == "decision", entry.record["verdict"]
        self._missing -= 1
        if self._missing == 0:
            self.done.set()
