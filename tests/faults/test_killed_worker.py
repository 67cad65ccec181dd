"""SIGKILL of the worker at each step between reading a tick and publishing: the next one settles the rest."""

import asyncio
import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.llm.standin import Standin
from llmctx.trail.log.log import Log
from llmctx.worker.budget import read_budget
from tests.faults.conftest import Server, Worker, check_oracle, end_lease
from tests.integration.conftest import hold, raise_tick
from tests.integration.program import until

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
    await worker.drain(client)
    await check_oracle(client, raised)


@pytest.mark.parametrize("index", ["0", "7"])
async def test_a_tick_planted_during_the_call_survives_a_kill_before_the_map_is_put_right(
    server: Server, client: Redis, tmp_path: Path, index: str
) -> None:
    await hold(client, "AAPL")
    await raise_tick(client, "planted", "AAPL")
    async with Standin(latency_ms=1000) as slow:
        worker = Worker(server.url, tmp_path / "state", slow.base_url)
        killed = asyncio.create_task(worker.until_killed("found"))
        await until(lambda: slow.requests == 1)
        await client.hset("audit:{0}:ticks", "planted", index)
        await killed
        await end_lease(client)
        await worker.drain(client)
    await check_oracle(client, ["planted"])


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
    await worker.drain(client)
    await check_oracle(client, ["poison"])


@pytest.mark.more
@pytest.mark.parametrize("server", ["valkey"], indirect=True)
async def test_a_worker_that_was_stopped_and_wakes_up_after_another_took_over_harms_nothing(
    server: Server, client: Redis, tmp_path: Path, standin: Standin
) -> None:
    await hold(client, *SYMBOLS)
    worker = Worker(server.url, tmp_path / "state", standin.base_url)
    sleeper = worker.start_alone()
    raised: list[str] = []

    async def raise_some(name: str) -> None:
        for symbol in SYMBOLS:
            raised.append(f"{name}-{symbol}")
            await raise_tick(client, raised[-1], symbol)

    async def settled() -> bool:
        return None not in await Log(client).settled(raised)

    await raise_some("first")
    await until(settled)
    sleeper.send_signal(signal.SIGSTOP)
    await end_lease(client)
    other = worker.start()
    await raise_some("second")
    await until(settled)
    sleeper.send_signal(signal.SIGCONT)
    await raise_some("third")
    await until(settled)
    for process in (sleeper, other):
        process.terminate()
        assert await asyncio.to_thread(process.wait, 120) == 0
    await check_oracle(client, raised)


@pytest.mark.parametrize("server", ["valkey"], indirect=True)
async def test_what_a_killed_worker_reserved_of_the_budget_stays_reserved(
    server: Server, client: Redis, tmp_path: Path, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMCTX_DAILY_BUDGET__CALLS", "100")
    raised = [f"{symbol}-0" for symbol in SYMBOLS]
    await hold(client, *SYMBOLS)
    for tick in raised:
        await raise_tick(client, tick, tick.partition("-")[0])
    worker = Worker(server.url, tmp_path / "state", standin.base_url)
    await worker.until_killed("reserved", 3)
    await end_lease(client)
    await worker.drain(client)
    await check_oracle(client, raised)
    budget = await read_budget(client)
    assert budget is not None
    assert budget["unsettled_calls"] >= 3
    assert budget["used"]["calls"] == len(raised) + budget["unsettled_calls"]
