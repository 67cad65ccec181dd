"""Positions that are written with a plain SET raise ticks: each change one, the feed's own writes none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.errors import ServerError
from llmctx.schema import keys
from llmctx.schema.mapping.rule import SectionRule
from llmctx.schema.mapping.sections import Sections
from llmctx.trail.log.log import Log
from llmctx.worker import watch
from llmctx.worker.watch import Watch, check_notifications
from tests.integration.conftest import (
    SETTLEMENT,
    ByRules,
    Running,
    draft,
    held_lease,
    leaves,
    live,
    serving,
)
from tests.integration.program import until

pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_CHECK_S", 0.01)
    monkeypatch.setattr(watch, "_RETRY_S", 0.05)


@pytest.fixture
async def told(redis: Redis) -> AsyncIterator[Redis]:
    """A server that tells of keys that are written."""
    await redis.config_set("notify-keyspace-events", "K$")
    yield redis
    await redis.config_set("notify-keyspace-events", "")


@asynccontextmanager
async def watching(redis: Redis, url: str, state_dir: Path) -> AsyncIterator[tuple[Running, Watch]]:
    async with serving(redis, url, state_dir, ByRules()) as running:
        made = Watch(redis, url, 1)
        task = asyncio.create_task(made.run())
        try:
            yield running, made
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def put(redis: Redis, symbol: str, price: float) -> None:
    """What an execution side does: the position, with a plain SET, the rest beside it."""
    found = live(symbol, price=price)
    position = found.pop(f"positions:active:{symbol}")
    await redis.mset(found)
    await redis.set(f"positions:active:{symbol}", position)


async def decided(redis: Redis) -> list[tuple[str, str]]:
    return [(str(leaf["symbol"]), str(leaf["cause"])) for leaf in await leaves(redis) if "tick" in leaf]


async def test_a_position_written_by_others_raises_a_tick_and_each_change_another(
    told: Redis, redis_url: str, tmp_path: Path
) -> None:
    async with watching(told, redis_url, tmp_path) as (running, _):
        for price in (100.0, 101.0, 102.0):
            await put(told, "AAPL", price)
            await until(lambda price=price: len(running.entries) == price - 99)  # type: ignore[misc]
    assert await decided(told) == [("AAPL", watch.CAUSE)] * 3


async def test_a_position_too_large_to_be_read_raises_a_tick_that_says_so(
    told: Redis, redis_url: str, tmp_path: Path
) -> None:
    async with watching(told, redis_url, tmp_path) as (running, _):
        await put(told, "AAPL", 100.0)
        await until(lambda: len(running.entries) == 1)
        await told.set("positions:active:AAPL", "x" * 1_000_000)
        await until(lambda: len(running.entries) == 2)
    assert "has 1000000 bytes, more than the cap of 262144" in running.entries[1].record["verdict"]["reason"]


async def test_who_raises_a_tick_himself_has_none_raised_twice(told: Redis, redis_url: str, tmp_path: Path) -> None:
    async with watching(told, redis_url, tmp_path) as (running, watcher):
        for n in range(20):
            async with told.pipeline(transaction=True) as both:
                both.mset(live("AAPL", price=100.0 + n))
                both.set("positions:active:AAPL", live("AAPL", price=100.0 + n)["positions:active:AAPL"])
                both.xadd(keys.ticks(0), {"id": f"feed:{n}", "symbol": "AAPL", "cause": "bar"})
                await both.execute()
            await running.until_settled(f"feed:{n}")
        await put(told, "MSFT", 50.0)  # what was heard before has been looked at once this is settled
        await until(lambda: watcher.raised)
        await until(lambda: len(running.entries) == 21)
    assert watcher.raised == 1


async def test_what_is_written_again_unchanged_raises_nothing(told: Redis, redis_url: str, tmp_path: Path) -> None:
    async with watching(told, redis_url, tmp_path) as (running, watcher):
        await put(told, "AAPL", 100.0)
        await until(lambda: len(running.entries) == 1)
        await put(told, "AAPL", 100.0)
        await put(told, "MSFT", 50.0)
        await until(lambda: len(running.entries) == 2)
    assert watcher.raised == 2


async def test_a_change_while_a_decision_is_made_is_not_lost(told: Redis, redis_url: str, tmp_path: Path) -> None:
    completer = ByRules()
    completer.gate.clear()
    async with serving(told, redis_url, tmp_path, completer) as running:
        task = asyncio.create_task(Watch(told, redis_url, 1).run())
        await put(told, "AAPL", 100.0)
        await until(lambda: completer.asked["AAPL"])
        await put(told, "AAPL", 101.0)
        completer.gate.set()
        await until(lambda: len(running.entries) == 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_changed_while_nobody_listened_is_found(told: Redis, redis_url: str, tmp_path: Path) -> None:
    await put(told, "AAPL", 100.0)
    async with watching(told, redis_url, tmp_path) as (running, _):
        await until(lambda: len(running.entries) == 1)
        for client in await told.client_list(_type="pubsub"):
            await told.client_kill_filter(_id=client["id"])
        await put(told, "AAPL", 101.0)
        await until(lambda: len(running.entries) == 2)


async def test_two_watchers_raise_one_tick(told: Redis, redis_url: str, tmp_path: Path) -> None:
    async with watching(told, redis_url, tmp_path) as (running, _):
        second = asyncio.create_task(Watch(told, redis_url, 1).run())
        await put(told, "AAPL", 100.0)
        await running.until_settled(*[entry.record["tick"] for entry in running.entries if "tick" in entry.record])
        await until(lambda: len(running.entries) == 1)
        await running.decide(told, "last", "AAPL")
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
    assert len(await decided(told)) == 2


async def test_a_server_that_tells_nobody_is_an_error_that_says_what_to_set(redis: Redis) -> None:
    await redis.config_set("notify-keyspace-events", "Ex")
    with pytest.raises(ServerError, match=r"CONFIG SET notify-keyspace-events K\$") as error:
        await check_notifications(redis)
    assert error.value.exit_code == 3
    await redis.config_set("notify-keyspace-events", "KA")
    await check_notifications(redis)
    await redis.config_set("notify-keyspace-events", "")


@pytest.mark.parametrize("snapshot", [b"x", b"[]", b"{}", b'{"sections": 5}'])
async def test_a_record_whose_snapshot_cannot_be_read_does_not_end_the_watch(
    told: Redis, redis_url: str, snapshot: bytes
) -> None:
    lease = await held_lease(told)
    await Log(told).append(draft("t1")._replace(pieces={"snapshot": snapshot}), lease.owner, SETTLEMENT)
    made = Watch(told, redis_url, 1)
    task = asyncio.create_task(made.run())
    try:
        await put(told, "AAPL", 100.0)
        await until(lambda: made.raised == 1)
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def mapped(**position: object) -> Sections:
    """A mapping of positions alone."""
    return Sections({"position": SectionRule.model_validate(position)})


async def test_a_position_in_a_mapped_hash_raises_a_tick_for_each_change(told: Redis, redis_url: str) -> None:
    await told.config_set("notify-keyspace-events", "Kh")
    made = Watch(told, redis_url, 1, mapped(key="bot:{symbol}:pos", kind="hash"))
    task = asyncio.create_task(made.run())
    try:
        await told.hset("bot:AAPL:pos", mapping={"avg": "1"})
        await until(lambda: made.raised == 1)
        await told.hset("bot:MSFT:pos", "avg", "2")
        await until(lambda: made.raised == 2)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    raised: Any = await told.xrange(keys.ticks(0))
    assert [fields[b"symbol"] for _, fields in raised] == [b"AAPL", b"MSFT"]


async def test_positions_that_are_fields_of_one_hash_are_not_watched(told: Redis, redis_url: str) -> None:
    with pytest.raises(ServerError, match="fields of one hash"):
        Watch(told, redis_url, 1, mapped(key="positions", kind="hash", field="{symbol}"))
