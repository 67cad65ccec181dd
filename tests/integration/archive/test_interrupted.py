"""An archiver that is killed at any step, or runs beside another one, neither loses nor doubles anything."""

import asyncio
import contextlib
import random
import signal

import duckdb
import pytest
from redis.asyncio import Redis

from llmctx.trail.archive.reader import open_archive
from llmctx.trail.log.log import Log
from tests.integration.archive.conftest import SIGNED_FIRST
from tests.integration.conftest import ByRules, hold, raise_tick, serving
from tests.integration.program import Program
from tests.integration.test_prove import SIZE, sign

ARCHIVE = ("archive", "--to", "kept", "--older-than", "0d", "--keep", "0", "--json")
AT_WORK = """
import os, signal
from llmctx.ops.archive import run
async def stopped(redis, real=run.server_ms):
    os.kill(os.getpid(), signal.SIGTERM)
    return await real(redis)
run.server_ms = stopped
"""
"""What a command runs first so that it gets SIGTERM while its own code runs, and sends a command to Redis next."""
QUICK = ("records_written", "noticed", "trimmed")
FURTHER = ("drafted", "blob_written", "notes_written", "manifest_written", "proven", "settled_kept", "appended")
POINTS = [*QUICK, *(pytest.param(point, marks=pytest.mark.more) for point in FURTHER)]


async def check(redis: Redis, made: Program) -> None:
    """Every record is somewhere, once; so is each notice, and the trail is verified."""
    archive = open_archive(str(made.folder / "kept"))
    (part,) = archive.parts
    log = Log(redis)
    live = [entry async for entry in log.read()]
    entries = [*archive.entries(part), *live]
    assert [entry.index for entry in entries] == list(range(await log.size()))
    noted = [entry.record["archived"]["end"] for entry in entries if "archived" in entry.record]
    assert noted == [segment.end for segment in archive.segments[0]]
    assert part.size == await log.first() == live[0].index
    rows = duckdb.execute(f"SELECT count(*), count(DISTINCT index) FROM '{made.folder}/kept/0/*.parquet'").fetchone()
    assert rows == (part.size, part.size)
    assert (await made("verify", "--json")).code == 0


@pytest.mark.more
@pytest.mark.parametrize("point", POINTS)
async def test_an_archiver_that_is_killed_is_completed_by_the_next_one(
    valkey: Redis, proven: Program, point: str
) -> None:
    armed = f"from llmctx import killpoint; killpoint.arm({point!r})"
    process = await proven.start(*ARCHIVE, before=armed)
    await process.communicate()
    assert process.returncode == -signal.SIGKILL
    again = await proven(*ARCHIVE)
    while again.code == 3:  # the lease of the killed one ends by itself
        again = await proven(*ARCHIVE)
    assert again.code == 0, again.err
    await check(valkey, proven)
    assert await Log(valkey).first() >= SIZE


async def test_a_command_that_is_stopped_at_work_ends(valkey: Redis, proven: Program) -> None:
    stopped = await proven.ended(await proven.start(*ARCHIVE, before=AT_WORK))
    assert (stopped.code, stopped.out, stopped.err) == (130, "", "")
    assert await Log(valkey).first() == 0


async def test_a_smaller_range_that_was_cut_short_is_taken_over_as_it_is(valkey: Redis, proven: Program) -> None:
    armed = "from llmctx import killpoint; killpoint.arm('records_written')"
    process = await proven.start(*ARCHIVE[:5], "--keep", "2", before=armed)
    await process.communicate()
    assert process.returncode == -signal.SIGKILL
    done = await proven(*ARCHIVE)
    assert [segment["end"] for segment in done.lines] == [SIGNED_FIRST, SIZE]
    await check(valkey, proven)


async def test_two_archivers_at_once_archive_everything_once(redis: Redis, trail: Program) -> None:
    one, other = await asyncio.gather(trail(*ARCHIVE), trail(*ARCHIVE))
    assert sorted((one.code, other.code)) in ([0, 0], [0, 3]), one.err + other.err
    await check(redis, trail)


@pytest.mark.more
async def test_archivers_killed_at_random_beside_a_worker_lose_nothing(redis: Redis, trail: Program) -> None:
    chance = random.Random(12)
    await hold(redis, "AAPL", "MSFT")
    async with serving(redis, trail.environment["LLMCTX_REDIS_URL"], trail.folder / "var", ByRules()) as running:
        for count in range(30):
            await raise_tick(redis, f"k{count}", chance.choice(("AAPL", "MSFT")))
            process = await trail.start(*ARCHIVE)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), chance.uniform(0.3, 4))
            if process.returncode is None:
                process.kill()
            await process.communicate()
        await running.until_settled("k29")
        assert (await trail(*ARCHIVE)).code == 0
    await sign(redis, trail.folder / "var")
    await check(redis, trail)
    archive = open_archive(str(trail.folder / "kept"))
    entries = [*archive.entries(archive.parts[0]), *[entry async for entry in Log(redis).read()]]
    ticks = [tick for entry in entries for tick in entry.ticks]
    assert len(ticks) == len(set(ticks))
    assert {f"k{count}" for count in range(30)} <= set(ticks)
