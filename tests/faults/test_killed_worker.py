"""SIGKILL of the worker at each step between reading a tick and publishing: the next one settles the rest."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.llm.standin import Standin
from tests.faults.conftest import Server, Worker, check_oracle, end_lease
from tests.integration.conftest import hold, raise_tick

SYMBOLS = [f"S{n}" for n in range(8)]


@pytest.mark.parametrize("point", ["read", "started", "appended", "spooled", "durable", "published"])
@pytest.mark.parametrize("server", ["valkey"], indirect=True)
async def test_what_a_worker_left_at_any_step_is_settled_once(
    server: Server, client: Redis, tmp_path: Path, standin: Standin, point: str
) -> None:
    await hold(client, *SYMBOLS)
    raised = [f"{symbol}-{n}" for n in range(3) for symbol in SYMBOLS]
    for tick in raised:
        await raise_tick(client, tick, tick.partition("-")[0])
    worker = Worker(server.url, tmp_path / "state", standin.base_url)
    await worker.until_killed(point, 1 if point in ("read", "durable") else 3)
    await end_lease(client)
    await worker.drain()
    await check_oracle(client, raised)


@pytest.mark.parametrize("server", ["valkey"], indirect=True)
async def test_a_tick_that_kills_its_worker_five_times_is_a_dead_letter(
    server: Server, client: Redis, tmp_path: Path, standin: Standin
) -> None:
    await hold(client, "AAPL")
    await raise_tick(client, "poison", "AAPL")
    worker = Worker(server.url, tmp_path / "state", standin.base_url)
    for _ in range(5):
        await worker.until_killed("started")
        await end_lease(client)
    await worker.drain()
    await check_oracle(client, ["poison"])
