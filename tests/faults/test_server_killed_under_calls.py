"""The server dies and comes back while calls are in flight on the shared connection."""

import asyncio
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.functions import ServerFunction
from tests.faults.conftest import Server
from tests.integration.program import until


async def test_every_call_gets_its_own_reply_or_an_error(client: Redis, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "add.lua"
    file.write_text("local function run(keys, args) redis.call('SADD', keys[1], args[1]) return args[1] end")
    add, stop = ServerFunction(file), asyncio.Event()
    answered: list[str] = []
    failed: list[str] = []

    async def call(caller: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            value = f"{caller}:{number}"
            try:
                answer = await add(client, ["set"], [value])
            except RedisError:
                failed.append(value)
                await asyncio.sleep(0.02)
            else:
                assert answer == value.encode()
                answered.append(value)

    callers = [asyncio.create_task(call(caller)) for caller in range(20)]
    await until(lambda: len(answered) >= 100)
    await asyncio.to_thread(server.kill)
    wanted = len(failed) + 5  # the others are retried until the server is back
    await until(lambda: len(failed) >= wanted)
    await asyncio.to_thread(server.start)
    wanted = len(answered) + 100
    await until(lambda: len(answered) >= wanted)
    stop.set()
    await asyncio.gather(*callers)
