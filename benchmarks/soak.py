"""`python -m benchmarks.soak MINUTES RATE`: does the memory of `llmctx run` grow with the records it makes?

The service, the stand-in and the server run in processes of their own; this one raises ticks with values that change.
Prints the slope of each sixth of the time, so that one sees it flatten as caches fill up. The last line is that of the
second half: `bench soak_kb_per_record SLOPE KB`.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.paced import raise_ticks
from benchmarks.stage import Stage, stage
from llmctx.llm.standin import MODEL
from llmctx.trail.log.log import Log

SAMPLE_S = 2.0
WINDOWS = 6


class Sample(NamedTuple):
    """The service at one moment."""

    records: int
    """How many records the log has."""
    kilobytes: int
    """How much memory the service has resident."""


async def soak(where: Stage, minutes: float, rate: float) -> float:
    """Run the service for so long at so many ticks a second; the slope of its memory in KB a record."""
    log, samples = Log(where.redis), []
    command = (
        "-c", "from llmctx.cli import main; main()", "run", "--redis-url", where.url,
        "--state-dir", str(where.state_dir), "--endpoint", where.base_url, "--model", MODEL,
    )  # fmt: skip
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.DEVNULL)
    try:
        raising = asyncio.create_task(raise_ticks(where.redis, "soak", rate, minutes * 60))
        while not raising.done():
            await asyncio.sleep(SAMPLE_S)
            samples.append(Sample(await log.size(), _resident_kb(process.pid)))
        await raising
        await _until_drained(log)
    finally:
        process.terminate()
        await process.wait()
    length = max(2, len(samples) // WINDOWS)
    for begin in range(0, len(samples) - length + 1, length):
        _print(samples[begin : begin + length])
    return _slope(samples[len(samples) // 2 :])


def _print(window: list[Sample]) -> None:
    first, last = window[0], window[-1]
    print(
        f"soak: {first.records} to {last.records} records, {first.kilobytes / 1024:.1f} to "
        f"{last.kilobytes / 1024:.1f} MB, {_slope(window):.3f} KB a record"
    )


def _resident_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError(f"process {pid} has no VmRSS: it has ended")


async def _until_drained(log: Log) -> None:
    size, ends = -1, time.monotonic() + 60
    while (now := await log.size()) != size and time.monotonic() < ends:
        size = now
        await asyncio.sleep(1)


def _slope(samples: list[Sample]) -> float:
    """Least squares: kilobytes a record."""
    count = len(samples)
    mean_records = sum(sample.records for sample in samples) / count
    mean_kb = sum(sample.kilobytes for sample in samples) / count
    spread = sum((sample.records - mean_records) ** 2 for sample in samples)
    grown = sum((sample.records - mean_records) * (sample.kilobytes - mean_kb) for sample in samples)
    return grown / spread if spread else 0.0


async def main(minutes: float, rate: float) -> None:
    """Soak on a stage of its own."""
    async with stage() as where:
        slope = await soak(where, minutes, rate)
    print(f"bench soak_kb_per_record {slope:.3f} KB")


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), float(sys.argv[2])))
