"""Ticks at an even pace, with values that change: what a trading day looks like to a service.

A burst lets records share a write to the disk and a turn of the loop; ticks that come singly do not.
"""

import asyncio
import json
import sys
import time
from typing import Any

import openai
from redis.asyncio import Redis

from benchmarks.stage import SYMBOLS, Stage
from benchmarks.tick import Counter
from llmctx.clock import iso, now_ms
from llmctx.context.tick import Tick
from llmctx.schema import keys
from llmctx.tasks import end
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import bind_instance
from llmctx.worker.home import TrailHome
from llmctx.worker.serve import ServeOptions, serve, tune_gc

RATIO_RATE, RATIO_S, ENDPOINT_MS = 50.0, 10.0, 2000
ADDED_RATE, ADDED_S = 100.0, 15.0
_GRACE_S = 60.0


async def raise_ticks(redis: Redis, name: str, rate: float, seconds: float) -> None:
    """Write a new price and raise a tick, `rate` times a second; each tick id ends in the time it was raised at."""
    began = time.time()
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.time()))
        symbol, price, now = SYMBOLS[number % len(SYMBOLS)], round(150 + number % 97 / 100, 2), iso(now_ms())
        session = {"last": price, "open": 149.8, "high": 151.2, "low": 149.5, "volume": 25_000_000 + number}
        tick = Tick(id=f"{name}:{number}:{time.time():.6f}", symbol=symbol, cause="benchmark")
        async with redis.pipeline(transaction=False) as both:
            both.set(f"stocks:price:{symbol}", json.dumps({"price": session, "timestamp": now}))
            both.xadd(keys.ticks(0), tick.fields())
            await both.execute()


async def measure(stage: Stage) -> dict[str, str]:
    """tick_cpu_ratio_paced: as tick_cpu_ratio, at 50 ticks/s, a 2 s endpoint, changing values, with the notary.

    tick_added_p99_ms: from raising a tick to its record being published, without the endpoint's time, at 100 ticks/s.
    """
    async with stage.standin(ENDPOINT_MS) as slow:
        ratio = await _ratio(slow)
    figures = {"tick_cpu_ratio_paced": f"{ratio:.2f} x"}
    try:
        figures["tick_added_p99_ms"] = f"{await _added(stage):.0f} ms"
    except TimeoutError:
        print(f"tick_added_p99_ms was not measured: the machine did not keep up with {ADDED_RATE:.0f} ticks/s")
    return figures


async def _ratio(stage: Stage) -> float:
    count = round(RATIO_RATE * RATIO_S)
    arguments = await stage.request()
    sdk = openai.AsyncOpenAI(base_url=stage.base_url, api_key="none", max_retries=0, timeout=60)
    await sdk.chat.completions.create(**arguments)
    began = time.process_time()
    await asyncio.gather(*(_call_at(sdk, arguments, number / RATIO_RATE) for number in range(count)))
    bare = time.process_time() - began
    await sdk.close()
    async with _Serving(stage) as settled:
        await _raise(stage, settled, "warm", RATIO_RATE, 1)
        began = time.process_time()
        await _raise(stage, settled, "paced", RATIO_RATE, RATIO_S)
        ticks = time.process_time() - began
    print(f"paced: CPU of a tick {ticks / count * 1e3:.2f} ms, of a bare call {bare / count * 1e3:.2f} ms")
    return ticks / bare


async def _call_at(sdk: openai.AsyncOpenAI, arguments: dict[str, Any], after_s: float) -> None:
    await asyncio.sleep(after_s)
    await sdk.chat.completions.create(**arguments)


async def _added(stage: Stage) -> float:
    async with _Serving(stage) as settled:
        await _raise(stage, settled, "warm", ADDED_RATE, 2)
        settled.added_ms.clear()
        await _raise(stage, settled, "added", ADDED_RATE, ADDED_S)
    ordered = sorted(settled.added_ms)
    p50, p99 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
    print(f"added at {ADDED_RATE:.0f} ticks/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {ordered[-1]:.1f} ms")
    return p99


async def _raise(stage: Stage, settled: "_Added", name: str, rate: float, seconds: float) -> None:
    """Raise ticks from a process of its own, whose CPU counts for nobody."""
    settled.expect(round(rate * seconds))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.paced", stage.url, name, str(rate), str(seconds)
    )
    async with asyncio.timeout(_GRACE_S + 2 * seconds):
        await settled.done.wait()
    await process.wait()


class _Added(Counter):
    """Also notes how long each tick took beside the endpoint's answer."""

    def __init__(self) -> None:
        super().__init__()
        self.added_ms: list[float] = []

    def add(self, entry: Entry) -> None:
        raised_s, answer_ms = float(entry.record["tick"].rpartition(":")[2]), entry.record["timings_ms"]["complete"]
        self.added_ms.append((time.time() - raised_s) * 1000 - float(answer_ms))
        for tick in entry.record.get("conflated", []):
            self.added_ms.append((time.time() - float(tick.rpartition(":")[2])) * 1000 - float(answer_ms))
        super().add(entry)


class _Serving:
    """The whole service, notary included, as `llmctx run` runs it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def __aenter__(self) -> _Added:
        self._config = self._stage.config()
        config = await self._config.__aenter__()
        instance, _ = await bind_instance(self._stage.redis, self._stage.state_dir)
        home = TrailHome(self._stage.redis, self._stage.url, instance, self._stage.state_dir)
        settled, self._stop = _Added(), asyncio.Event()
        options = ServeOptions(concurrency=len(SYMBOLS))
        self._task = asyncio.create_task(serve(home, config, self._stop, options, on_entry=settled.add))
        tune_gc()
        return settled

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await self._task
        await end(self._task)
        await self._config.__aexit__(None, None, None)


async def _main(url: str, name: str, rate: float, seconds: float) -> None:
    redis = Redis.from_url(url)
    await raise_ticks(redis, name, rate, seconds)
    await redis.aclose()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))
