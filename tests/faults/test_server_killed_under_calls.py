"""The server dies and comes back while calls are in flight on the shared connection."""

import asyncio
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.functions import ServerFunction
from tests.faults.conftest import Server


async def test_every_call_gets_its_own_reply_or_an_error(client: Redis, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "add.lua"
    file.write_text("local function run(keys, args) redis.call('SADD', keys[1], args[1]) return args[1] end")
    add, stop = ServerFunction(file), asyncio.Event()
    answered: list[str] = []

    async def call(caller: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            value = f"{caller}:{number}"
            try:
                answer = await add(client, ["set"], [value])
            except RedisError:
                await asyncio.sleep(0.02)
            else:
                assert answer == value.encode()
                answered.append(value)

    callers = [asyncio.create_task(call(caller)) for caller in range(20)]
    for _ in range(2):
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(4)  # calls fail, or are retried until the server is back
        await asyncio.to_thread(server.start)
    before = len(answered)
    await asyncio.sleep(1)
    stop.set()
    await asyncio.gather(*callers)
    assert len(answered) > before
