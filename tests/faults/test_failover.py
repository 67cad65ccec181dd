"""A primary that is killed: a replica takes over, and the trail goes on there without a gap."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.connection import connect, primary_url
from llmctx.connection.streams import read_stream
from llmctx.llm.standin import Standin
from llmctx.schema import keys
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.lease import read_holder
from llmctx.trail.log.log import Log
from tests.faults.conftest import Worker, check_oracle
from tests.faults.raiser import Raiser
from tests.faults.sentinels import Group
from tests.integration.conftest import hold, raise_tick
from tests.integration.program import Program, until

SYMBOLS = [f"S{n:02}" for n in range(20)]


@pytest.fixture
async def group(tmp_path: Path) -> AsyncIterator[Group]:
    """A primary, two replicas, three sentinels; all in step."""
    made = Group(tmp_path)
    try:
        await asyncio.to_thread(made.start)
        await made.until_watched()
        yield made
    finally:
        made.stop()


@pytest.fixture
async def client(group: Group) -> AsyncIterator[Redis]:
    """A client of whoever is the primary."""
    made = connect(group.url)
    yield made
    await made.aclose()


@pytest.fixture
async def worker(group: Group, client: Redis, tmp_path: Path, standin: Standin) -> Worker:
    """A worker of a trail in that group, not started; positions are open."""
    await hold(client, *SYMBOLS)
    await bind_instance(client, tmp_path / "state")
    return Worker(group.url, tmp_path / "state", standin.base_url)


async def log_of(redis: Redis) -> list[tuple[str, dict[bytes, bytes]]]:
    return [(found.id, found.fields) for found in await read_stream(redis, Log(redis).key("log"))]


async def published_by(redis: Redis) -> list[tuple[str, dict[bytes, bytes]]]:
    return [(found.id, found.fields) for found in await read_stream(redis, keys.decisions(0))]


async def has_published(redis: Redis, count: int) -> bool:
    return len(await published_by(redis)) == count


@pytest.mark.more
async def test_what_the_promoted_replica_had_not_received_comes_back_from_the_spool(
    group: Group, client: Redis, worker: Worker
) -> None:
    process = worker.start()
    ticks = [f"tick{number}" for number in range(40)]
    for number, tick in enumerate(ticks):
        if number == 20:
            await until(partial(has_published, client, 20))
            await group.cut_off_replicas()
        await raise_tick(client, tick, SYMBOLS[number % len(SYMBOLS)])
    await until(partial(has_published, client, 40))
    log, published = await log_of(client), await published_by(client)
    dead = await group.kill_primary()
    await group.until_failed_over(dead)
    await until(partial(has_published, client, 40))
    assert (await log_of(client), await published_by(client)) == (log, published)
    assert await primary_url(group.url) == f"redis://127.0.0.1:{await group.primary()}/0"
    process.terminate()
    assert await asyncio.to_thread(process.wait, 60) == 0
    assert "Redis had forgotten 20 records" in worker.said.read_text()
    await check_oracle(client, ticks)


@pytest.mark.more
@pytest.mark.timeout(600)
async def test_ten_failovers_under_load_lose_no_tick(
    group: Group, client: Redis, worker: Worker, tmp_path: Path
) -> None:
    process = worker.start_alone()
    await until(lambda: read_holder(client, 0))  # a program that starts during a failover ends, and says why
    raiser = Raiser(group.url, SYMBOLS)
    raising = asyncio.create_task(raiser.run(count=4000, at_once=10))
    for number in range(10):
        await asyncio.sleep(2)
        if number % 2:  # the next primary lacks the newest records
            await group.cut_off_replicas()
            await asyncio.sleep(0.5)
        dead = await group.kill_primary()
        await group.until_failed_over(dead)
        await group.revive(dead)
        await group.until_watched()
    await raising
    process.terminate()
    assert await asyncio.to_thread(process.wait, 120) == 0, worker.said.read_text()[-3000:]
    print(f"\nticks {len(raiser.raised)}, raised again {raiser.again}, records {await Log(client).size()}")  # noqa: T201
    print(worker.said.read_text()[-3000:])  # noqa: T201
    await check_oracle(client, raiser.raised)
    program = Program(group.url, tmp_path)
    program.environment["LLMCTX_STATE_DIR"] = str(tmp_path / "state")
    assert (await program("verify")).code == 0


@pytest.mark.more
async def test_without_a_primary_the_error_names_the_sentinels_and_no_password(tmp_path: Path) -> None:
    url = "redis+sentinel://svc:hunterTwo@127.0.0.1:9,127.0.0.1:10/trading/0?sentinel_password=hunterTwo"
    ended = await Program(url, tmp_path)("status")
    assert ended.code == 3
    assert "no Sentinel of 127.0.0.1:9, 127.0.0.1:10 names a primary of trading" in ended.err
    assert "hunterTwo" not in ended.err
