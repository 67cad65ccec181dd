"""Publishing gets over whatever somebody else writes to the stream of decisions, and says so."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.connection.streams import StreamEntry, read_stream
from llmctx.errors import LeaseError
from llmctx.functions import execute
from llmctx.schema import keys
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Log
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner
from llmctx.worker.publish import Publisher
from llmctx.worker.status import read_status
from tests.integration.conftest import decided, hold

STREAM = keys.decisions(0)
Act = Callable[[Redis], Awaitable[object]]


def add(entry_id: str, text: str = "{}") -> Act:
    return lambda redis: redis.xadd(STREAM, {"decision": text}, id=entry_id)


async def add_and_delete(redis: Redis) -> None:
    await redis.xdel(STREAM, await redis.xadd(STREAM, {"a": "b"}))


async def in_place_of_a_stream(redis: Redis) -> None:
    await redis.set(STREAM, "x")


async def none_left(redis: Redis) -> None:
    await redis.delete(STREAM)
    await redis.xadd(STREAM, {"a": "b"})


FOREIGN: dict[str, Act] = {
    "an id by the clock": lambda redis: redis.xadd(STREAM, {"a": "b"}),
    "the next index": add("3-1"),
    "a far index": add("999-1"),
    "another sequence": add("2-7"),
    "several": lambda redis: redis.xadd(STREAM, {"a": "b"}, id="18446744073709551615-1"),
    "added and deleted": add_and_delete,
    "a higher last id": lambda redis: execute(redis, "XSETID", STREAM, "5000-0"),
    "no stream": in_place_of_a_stream,
    "another stream": none_left,
}


@pytest.fixture
async def home(redis: Redis, redis_url: str, tmp_path: Path) -> TrailHome:
    await hold(redis, "AAPL", "MSFT")
    instance, _ = await bind_instance(redis, tmp_path)
    return TrailHome(redis, redis_url, instance, tmp_path)


async def settle(owner: Owner, redis: Redis, symbol: str, tick: str) -> int:
    return (await owner.settle(await decided(redis, symbol, tick))).index


async def published(redis: Redis) -> list[StreamEntry]:
    return await read_stream(redis, STREAM)


async def check_stream(redis: Redis, last: int) -> None:
    """Every decision is published once under its index, and latest is the newest."""
    found = await published(redis)
    assert [entry.id for entry in found] == [f"{index}-1" for index in range(1, last + 1)]
    assert [json.loads(entry.fields[b"decision"])["address"] for entry in found] == [str(n) for n in range(1, last + 1)]
    newest = json.loads(await redis.get(keys.latest(0, "AAPL")) or b"")
    assert newest["address"] == str(last)


@pytest.mark.parametrize("act", FOREIGN.values(), ids=FOREIGN.keys())
@pytest.mark.parametrize("restarted", [False, True])
async def test_publishing_goes_on(redis: Redis, home: TrailHome, logged: list[str], act: Act, restarted: bool) -> None:
    async with Owner(home) as owner:
        await settle(owner, redis, "MSFT", "t1")
        await settle(owner, redis, "AAPL", "t2")
        if not restarted:
            await act(redis)
            assert await settle(owner, redis, "AAPL", "t3") == 3
    if restarted:
        await act(redis)
        async with Owner(home) as owner:
            assert await settle(owner, redis, "AAPL", "t3") == 3
    await check_stream(redis, 3)
    loud = [message for message in logged if STREAM in message and "true decisions are published" in message]
    is_counted = act is not FOREIGN["added and deleted"] and act is not FOREIGN["a higher last id"]
    assert len(loud) == is_counted
    (partition,) = (await read_status(redis, home.url))["partitions"]
    assert partition["repairs"] == ({"decisions": 1} if is_counted else {})


async def test_groups_keep_their_place_and_what_is_pending(redis: Redis, home: TrailHome) -> None:
    await redis.xgroup_create(STREAM, "execution", id="0", mkstream=True)
    await redis.xgroup_create(STREAM, "idle", id="0")
    async with Owner(home) as owner:
        for tick in ("t1", "t2"):
            await settle(owner, redis, "AAPL", tick)
        await redis.xreadgroup("execution", "one", {STREAM: ">"})
        await redis.xack(STREAM, "execution", "1-1")
        await redis.xadd(STREAM, {"a": "b"})
        await settle(owner, redis, "AAPL", "t3")
    assert await ids(redis, "execution", "one", "0") == ["2-1"]
    assert await ids(redis, "execution", "one", ">") == ["3-1"]
    assert await ids(redis, "idle", "one", ">") == ["1-1", "2-1", "3-1"]


async def test_a_group_that_was_given_a_forged_decision_gets_the_true_one(redis: Redis, home: TrailHome) -> None:
    await redis.xgroup_create(STREAM, "execution", id="0", mkstream=True)
    async with Owner(home) as owner:
        await settle(owner, redis, "AAPL", "t1")
        await redis.xadd(STREAM, {"decision": "{}"}, id="2-1")
        assert await ids(redis, "execution", "one", ">") == ["1-1", "2-1"]
        await settle(owner, redis, "AAPL", "t2")
    assert await ids(redis, "execution", "one", "0") == ["1-1"]
    assert await ids(redis, "execution", "one", ">") == ["2-1"]


async def ids(redis: Redis, group: str, consumer: str, after: str) -> list[str]:
    answer = await redis.xreadgroup(group, consumer, {STREAM: after})
    return [entry_id.decode() for _, entries in answer for entry_id, _ in entries]  # type: ignore[union-attr,str-unpack]


async def test_a_reader_may_delete_what_it_has_read(redis: Redis, home: TrailHome, logged: list[str]) -> None:
    async with Owner(home) as owner:
        for index in (1, 2, 3):
            await settle(owner, redis, "AAPL", f"t{index}")
            await redis.xdel(STREAM, f"{index}-1")
        await settle(owner, redis, "AAPL", "t4")
    assert [entry.id for entry in await published(redis)] == ["4-1"]
    assert logged == []


async def test_nobody_without_the_lease_removes_anything(redis: Redis, home: TrailHome) -> None:
    async with Owner(home) as owner:
        await settle(owner, redis, "AAPL", "t1")
    await redis.xadd(STREAM, {"a": "b"})
    with pytest.raises(LeaseError):
        await Publisher(redis, Log(redis), 1, "nobody").resume()
    assert len(await published(redis)) == 2
    assert await Log(redis).repairs() == {}
