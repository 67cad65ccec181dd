"""Whether the console and an open page grow while many decisions a second are recorded.

    python -m benchmarks.console_stream                  # of a demo made for this: 500 a second for a minute
    python -m benchmarks.console_stream --rate 200 --seconds 20

Copies of the demo's own records are appended to its log at this rate. Meanwhile a Chromium has the desk open, and a
program reads the stream of the API. Printed are the rate that was reached, how many records the program received of
those appended, and the memory of the console, the page's script heap and its nodes, after a warm-up and at the end.
"""

import argparse
import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import aiohttp
from playwright.async_api import CDPSession, async_playwright
from redis.asyncio import Redis

from benchmarks.console import CHROMIUM, demo_console

LOG = "audit:{0}:log"
_STEP_S = 0.1
_SETTLES_S, _WAITS_S = 3.0, 60.0
_KB = 1024


class Sizes(NamedTuple):
    """The values that may grow."""

    console_kb: int
    """Memory of the console's process."""
    heap_kb: int
    """Script heap of the page, after a collection."""
    nodes: int
    """Nodes of the page."""


class Feed:
    """Appends copies of a log's newest records, and says how many."""

    def __init__(self, redis: Redis, rate: int) -> None:
        self._redis, self._rate = redis, rate
        self.appended = 0
        """How many were appended."""

    async def run(self, seconds: float) -> float:
        """Append for so many seconds; return the rate that was reached."""
        loop = asyncio.get_running_loop()
        newest: list[Any] = await self._redis.xrevrange(LOG, count=100) or []
        index = int(newest[0][0].partition(b"-")[0]) + 1
        begun, before = loop.time(), self.appended
        while (passed := loop.time() - begun) < seconds:
            async with self._redis.pipeline(transaction=False) as batch:
                for _ in range(before + int(passed * self._rate) - self.appended):
                    batch.xadd(LOG, newest[index % len(newest)][1], id=f"{index}-1")
                    index, self.appended = index + 1, self.appended + 1
                await batch.execute()
            await asyncio.sleep(_STEP_S)
        return (self.appended - before) / (loop.time() - begun)


async def count_events(base: str, counts: list[int]) -> None:
    """Count the decisions of the stream until cancelled."""
    url = f"{base}api/v1/decisions/stream"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout()) as session, session.get(url) as stream:
        async for line in stream.content:
            if line.startswith(b"event: decision"):
                counts[0] += 1


async def until_all(counts: list[int], appended: int) -> float:
    """Wait until the reader has every record, at most a minute; return how long that took, in seconds."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for _ in range(int(_WAITS_S / _STEP_S)):
        if counts[0] >= appended:
            break
        await asyncio.sleep(_STEP_S)
    return loop.time() - begun


async def sizes_of(pid: int, page: CDPSession) -> Sizes:
    """The present values of the console and the page."""
    await page.send("HeapProfiler.collectGarbage")
    found = {each["name"]: each["value"] for each in (await page.send("Performance.getMetrics"))["metrics"]}
    return Sizes(_resident_kb(pid), int(found["JSHeapUsedSize"]) // _KB, int(found["Nodes"]))


def _server_of(base: str) -> str:
    with urlopen(f"{base}api/v1/health") as answer:
        return str(json.load(answer)["status"]["url"])


def _resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


async def measure(base: str, pid: int, rate: int, seconds: int) -> None:
    """Append records and print what happened."""
    redis, counts = Redis.from_url(_server_of(base)), [0]
    reader = asyncio.create_task(count_events(base, counts))
    async with async_playwright() as playwright:
        chromium = str(CHROMIUM) if CHROMIUM.exists() else None
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(base)
        session = await page.context.new_cdp_session(page)
        await session.send("Performance.enable")
        feed = Feed(redis, rate)
        await feed.run(seconds / 4)
        before = await sizes_of(pid, session)
        reached = await feed.run(seconds)
        behind_s = await until_all(counts, feed.appended)
        await asyncio.sleep(_SETTLES_S)
        after = await sizes_of(pid, session)
        shown = await page.inner_text("[data-key=head]")
        await browser.close()
    reader.cancel()
    with suppress(asyncio.CancelledError):
        await reader
    await redis.aclose()
    print(f"rate     {reached:,.0f} records a second for {seconds} s; {rate:,} were wanted")
    print(f"stream   {counts[0]:,} received of {feed.appended:,} appended, the last one {behind_s:.1f} s late")
    print("desk    ", " ".join(shown.split()))
    for name, was, now in zip(Sizes._fields, before, after, strict=True):
        print(f"{name:<10} {was:>9,} -> {now:>9,}")


def main() -> None:
    """Measure on a demo made for this."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", metavar="N", type=int, default=500, help="records a second")
    parser.add_argument("--seconds", metavar="N", type=int, default=60, help="for how long")
    parser.add_argument("--at", nargs=2, metavar=("URL", "PID"), help="a running console to which records may be added")
    given = parser.parse_args()
    if given.at is not None:
        asyncio.run(measure(given.at[0], int(given.at[1]), given.rate, given.seconds))
        return
    with demo_console() as console:
        asyncio.run(measure(console.base, console.pid, given.rate, given.seconds))


if __name__ == "__main__":
    main()
