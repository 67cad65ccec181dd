"""An append-only file that was cut within a transaction: Redis 7.0 executes the remaining half at a later restart."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.replay.verify import verify_log
from llmctx.schema import keys
from llmctx.trail.log.lease import read_holder
from llmctx.trail.log.log import Log
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner
from tests.conftest import SERVERS, binary_of, present
from tests.faults.conftest import Server, check_oracle, end_lease
from tests.faults.test_forgetful_server import prepared, settle
from tests.integration.conftest import SETTLEMENT, decided
from tests.integration.program import until

SYMBOL_LIST = "audit:{0}:symbol:AAPL"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Debian's Redis if it is installed: Valkey 9 drops the half at once."""
    made = Server(binary_of(SERVERS[-1]), tmp_path / "server")
    made.directory.mkdir()
    made.start()
    yield made
    if made.running:
        made.kill()


async def append_only(redis: Redis, owner: Owner, tick: str) -> None:
    """Do what a worker does that is killed right after the append."""
    holder = present(await read_holder(redis, 0))
    await owner.log.append(await decided(redis, "AAPL", tick), holder.owner, SETTLEMENT)


def cut_last_transaction(aof: Path, whole: int) -> None:
    """Leave this many whole commands of the file's last transaction, and a part of the next one."""
    text = aof.read_bytes()
    begin = text.rindex(b"*1\r\n$5\r\nMULTI\r\n")
    commands = list(re.finditer(rb"\*\d+\r\n\$\d+\r\n[A-Z]+\r\n", text[begin:]))
    with aof.open("r+b") as file:
        file.truncate(begin + commands[1 + whole].start() + 5)


async def has_new_file(redis: Redis) -> bool:
    found = await redis.info("persistence")
    return bool(found["aof_rewrites"]) and not found["aof_rewrite_in_progress"]


@pytest.mark.parametrize("whole", [1, 3])
async def test_half_of_an_append_does_not_take_the_index_of_a_later_record(
    server: Server, client: Redis, tmp_path: Path, whole: int
) -> None:
    home = TrailHome(client, "", await prepared(client, tmp_path), tmp_path / "state")
    async with Owner(home) as owner:
        await settle(client, owner, "a")
        await until(lambda: has_new_file(client))  # while it is made there are two, and the newer one may be empty
        await append_only(client, owner, "half")
        server.kill()
    cut_last_transaction(server.aof, whole)
    server.start()
    await end_lease(client)
    async with Owner(home) as owner:
        await settle(client, owner, "b")
        await until(lambda: has_new_file(client))
        server.kill()
        server.start()
        await settle(client, owner, "c")
    await check_oracle(client, ["a", "b", "c"])


async def test_a_record_that_came_back_without_map_and_list_is_in_both_again(client: Redis, tmp_path: Path) -> None:
    home = TrailHome(client, "", await prepared(client, tmp_path), tmp_path / "state")
    async with Owner(home) as owner:
        await settle(client, owner, "a")
        await append_only(client, owner, "half")
    await client.hdel("audit:{0}:ticks", "half")
    await client.rpop(SYMBOL_LIST)
    async with Owner(home) as owner:
        await settle(client, owner, "b")
    assert await client.lrange(SYMBOL_LIST, 0, -1) == [b"1", b"2", b"3"]
    assert (await Log(client).tick_map())["half"] == 2
    await check_oracle(client, ["a", "half", "b"])


async def test_a_decision_that_came_back_alone_is_the_latest_of_its_symbol(client: Redis, tmp_path: Path) -> None:
    home = TrailHome(client, "", await prepared(client, tmp_path), tmp_path / "state")
    async with Owner(home) as owner:
        await settle(client, owner, "a")
        before = await client.get(keys.latest(0, "AAPL"))
        assert before is not None
        await settle(client, owner, "b")
        await client.set(keys.latest(0, "AAPL"), before)
        await owner.resume()
    assert (await verify_log(Log(client))).fault is None
    assert await client.get(keys.latest(0, "AAPL")) != before
