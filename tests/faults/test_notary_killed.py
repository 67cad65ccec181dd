"""The notary is killed at each of its writes, as a process; the next one goes on and the trail verifies."""

import asyncio
import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.trail.log.log import Log
from tests.integration.conftest import ByRules, hold, serving, short_pauses  # noqa: F401  a fixture
from tests.integration.program import Program

POINTS = ("signed", "anchored", "checkpointed", "told")
"""In the order in which they are reached: nothing written, leaves written, note written, Redis told."""


async def record(redis: Redis, made: Program, *ticks: str) -> None:
    async with serving(redis, made.environment["LLMCTX_REDIS_URL"], made.folder / "var", ByRules()) as running:
        for tick in ticks:
            await running.decide(redis, tick, "AAPL")


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("point", POINTS)
async def test_a_notary_killed_at_a_write_is_followed_by_one_that_goes_on(
    valkey: Redis, valkey_url: str, tmp_path: Path, point: str, times: int
) -> None:
    made = Program(valkey_url, tmp_path)
    await hold(valkey, "AAPL")
    await record(valkey, made, "a", "b")
    armed = f"from llmctx import killpoint; killpoint.arm({point!r}, {times})"
    process = await made.start("notary", "--verbose", before=armed)
    if times == 2:
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readline(), 120)  # the key
        await asyncio.wait_for(process.stdout.readline(), 120)  # the first checkpoint: now there is something new
        await record(valkey, made, "c")
    await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == -signal.SIGKILL
    await record(valkey, made, "d")
    exported = await made("export", "export", "--json")
    size = await Log(valkey).size()
    assert (exported.code, exported.document["size"]) == (0, size)
    in_redis, alone = await asyncio.gather(made("verify", "--json"), made("verify", "export", "--json"))
    assert (in_redis.code, in_redis.document["covered"], in_redis.document["warnings"]) == (0, size, [])
    assert (alone.code, alone.document["records"]) == (0, size)
