"""A long mix: twenty thousand ticks, two workers, and kills of workers and server at random. `make chaos` runs it."""

import asyncio
import contextlib
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis.exceptions import RedisError

from llmctx.connection import connect
from llmctx.errors import TrailError
from llmctx.llm.standin import Standin
from llmctx.schema import keys
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Log
from tests.faults.conftest import Server, Worker, check_oracle
from tests.integration.conftest import hold

if TYPE_CHECKING:
    import subprocess

    from redis.asyncio import Redis

TICKS = 20_000
SYMBOLS = [f"S{n:03}" for n in range(150)]
AT_ONCE = 100

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]


class Raiser:
    """A feed's part: raises ticks, and raises again those that Redis forgot before they were settled."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url)
        self.raised: list[str] = []
        self.again = 0

    async def run(self) -> None:
        for first in range(0, TICKS, AT_ONCE):
            batch = [f"chaos:{SYMBOLS[n % len(SYMBOLS)]}:{n}" for n in range(first, first + AT_ONCE)]
            await self._raise(batch)
            self.raised += batch
            await asyncio.sleep(0.15)
        while unsettled := await self._unsettled():
            if not await self._any_waits():  # nobody will bring them unless they are raised once more
                self.again += len(unsettled)
                await self._raise(unsettled)
            await asyncio.sleep(1)
        await self._redis.aclose()

    async def _raise(self, ticks: list[str]) -> None:
        while True:
            with contextlib.suppress(RedisError, OSError):
                async with self._redis.pipeline(transaction=True) as batch:
                    for tick in ticks:
                        fields = {"id": tick, "symbol": tick.split(":")[1], "cause": "chaos"}
                        batch.xadd(keys.ticks(0), fields)  # type: ignore[arg-type]
                    await batch.execute()
                    return
            await asyncio.sleep(0.2)

    async def _unsettled(self) -> list[str]:
        while True:
            with contextlib.suppress(TrailError):
                found = await Log(self._redis).settled(self.raised)
                return [tick for tick, index in zip(self.raised, found, strict=True) if index is None]
            await asyncio.sleep(0.2)

    async def _any_waits(self) -> bool:
        with contextlib.suppress(RedisError, OSError):
            return bool(await self._redis.xlen(keys.ticks(0)))
        return True


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
        raiser = Raiser(server.url)
        raising = asyncio.create_task(raiser.run())
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
