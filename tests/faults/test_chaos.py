"""A long mix: twenty thousand ticks, two workers, and kills of workers and server at random. `make chaos` runs it."""

import asyncio
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llmctx.connection import connect
from llmctx.llm.standin import Standin
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Log
from tests.faults.conftest import Server, Worker, check_oracle
from tests.faults.raiser import Raiser
from tests.integration.conftest import hold

if TYPE_CHECKING:
    import subprocess

    from redis.asyncio import Redis

TICKS = 20_000
SYMBOLS = [f"S{n:03}" for n in range(150)]
AT_ONCE = 100

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]


async def kill_at_random(
    server: Server, worker: Worker, running: list["subprocess.Popen[bytes]"], kills: dict[str, int]
) -> None:
    source = random.Random(4)
    while True:
        await asyncio.sleep(source.uniform(1, 4))
        restart_ended(worker, running)
        if source.random() < 0.6:
            place = source.randrange(len(running))
            running[place].kill()
            running[place].wait()
            running[place] = worker.start_alone()
            kills["worker"] += 1
        else:
            server.kill()
            if source.random() < 0.5:
                with server.aof.open("r+b") as file:
                    file.truncate(max(0, file.seek(0, 2) - source.randrange(1, 3000)))
                kills["torn aof"] += 1
            await asyncio.to_thread(server.start)
            kills["server"] += 1


def restart_ended(worker: Worker, running: list["subprocess.Popen[bytes]"]) -> None:
    """As a supervisor does: a worker that finds no server at its start ends with 3."""
    for place, process in enumerate(running):
        if process.poll() is not None:
            assert process.returncode == 3, worker.said.read_text()[-3000:]
            running[place] = worker.start_alone()


async def test_twenty_thousand_ticks_under_random_kills(server: Server, tmp_path: Path) -> None:
    client: Redis = connect(server.url)
    await hold(client, *SYMBOLS)
    await bind_instance(client, tmp_path / "state")
    async with Standin() as standin:
        worker = Worker(server.url, tmp_path / "state", standin.base_url)
        running, kills = [worker.start_alone(), worker.start_alone()], {"worker": 0, "server": 0, "torn aof": 0}
        raiser = Raiser(server.url, SYMBOLS)
        raising = asyncio.create_task(raiser.run(TICKS, AT_ONCE))
        killing = asyncio.create_task(kill_at_random(server, worker, running, kills))
        await asyncio.sleep(TICKS / AT_ONCE * 0.15)
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        if not server.running:
            server.start()
        restart_ended(worker, running)
        await raising
        for process in running:
            process.terminate()
        codes = [await asyncio.to_thread(process.wait, 120) for process in running]
    settled = len(await Log(client).tick_map())
    print(f"\nkills            {kills}\nticks raised     {len(raiser.raised)}, again {raiser.again}")
    print(f"ticks settled    {settled}\nrecords          {await Log(client).size()}")
    await check_oracle(client, raiser.raised)
    print("none twice, nothing published that is not in the trail, verify passes")
    assert codes == [0, 0]
    await client.aclose()
