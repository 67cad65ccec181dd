"""SIGKILL of the server during a feed: lost writes are sent again, with the same ticks."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.connection import open_redis
from llmctx.connection.streams import read_stream
from llmctx.errors import ServerError
from llmctx.flow import feed as feeding
from llmctx.flow.compose import FedBar
from llmctx.flow.feed import Feed
from llmctx.flow.lockstep import Lockstep
from llmctx.flow.rules import FeedRules
from llmctx.flow.simulated_market import simulate
from llmctx.flow.store import Store
from llmctx.schema import keys
from llmctx.trail.log.log import Log
from tests.faults.conftest import Server, check_oracle
from tests.integration.conftest import ByRules, hold, serving
from tests.integration.program import until
from tests.integration.test_feed import everything, feed

MARKET = simulate(seed=7, days=1, minutes=60)


async def undisturbed(redis: Redis) -> dict[str, object]:
    """What the feed leaves behind if nothing goes wrong."""
    await feed(redis, MARKET.items())
    left = await everything(redis)
    await redis.flushall()
    return left


def at_bar(number: int, act: Callable[[], None]) -> Callable[[FedBar], None]:
    """Run an action after a number of bars."""
    seen = 0

    def on_bar(_: FedBar) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            act()

    return on_bar


def kill_and_cut(server: Server, cut: int) -> None:
    """Kill the server, cut the last bytes of its file, and start it again."""
    server.kill()
    size = server.aof.stat().st_size
    os.truncate(server.aof, max(0, size - cut))
    server.start("--aof-load-truncated", "yes")


def comparable(found: dict[str, object]) -> dict[str, object]:
    """What must be the same; ticks sent again may come in another order."""
    ticks = found["ticks"]
    assert isinstance(ticks, list)
    return found | {"ticks": sorted(ticks)}


@pytest.mark.parametrize("cut", [1, 3_000, 200_000])
async def test_bars_lost_by_the_server_are_sent_again(
    server: Server, client: Redis, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    expected = await undisturbed(client)
    summary = await feed(client, MARKET.items(), on_bar=at_bar(300, lambda: kill_and_cut(server, cut)))
    assert comparable(await everything(client)) == comparable(expected)
    assert summary.bars == len(MARKET.bars)
    assert summary.ticks == await client.xlen(keys.ticks(0))
    assert any("has lost the most recent writes" in text for text in caplog.messages)


async def test_bars_lost_at_the_very_end_are_sent_again(server: Server, client: Redis) -> None:
    expected = await undisturbed(client)
    last = len(MARKET.bars)
    summary = await feed(client, MARKET.items(), on_bar=at_bar(last, lambda: kill_and_cut(server, 20_000)))
    assert comparable(await everything(client)) == comparable(expected)
    assert summary.bars == last


@pytest.mark.more
@pytest.mark.usefixtures("short_pauses")
async def test_in_lockstep_a_lost_tick_is_raised_again_and_settled_once(
    server: Server, client: Redis, tmp_path: Path
) -> None:
    await client.config_set("appendfsync", "no")
    feeder = Feed(
        Store(client, 1),
        FeedRules(sectors=MARKET.sectors),
        lockstep=Lockstep(client, 1),
        on_bar=at_bar(250, lambda: kill_and_cut(server, 30_000)),
    )
    async with serving(client, server.url, tmp_path, ByRules()):
        summary = await feeder.run(MARKET.items())
    records = [found.fields for found in await read_stream(client, "stocks:bars:ACME")]
    assert len(records) == 60
    assert summary.bars == len(MARKET.bars)
    ticks = await settled_ticks(client)
    assert len(ticks) == summary.ticks
    await check_oracle(client, ticks)


async def settled_ticks(redis: Redis) -> list[str]:
    """Every tick settled in the trail."""
    return sorted(await Log(redis).tick_map())


async def test_a_server_that_is_away_for_a_while_is_waited_for(
    server: Server, client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async def come_back() -> None:
        await until(lambda: any("Redis is away" in text for text in caplog.messages))
        await asyncio.to_thread(server.start)

    server.kill()
    coming = asyncio.create_task(come_back())
    feeder = Feed(Store(client, 1))
    feeder._started = True  # the server was up at the start
    summary = await feeder.run(MARKET.bars[:20])
    await coming
    assert summary.bars == 20


async def test_a_server_that_stays_away_is_an_error(
    server: Server, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "MAX_AWAY_S", 0.1)
    await hold(client, "AAPL")
    server.kill()
    with pytest.raises(ServerError):
        await feed(client, MARKET.bars[:1])


async def test_another_connection_sees_what_was_sent_again(server: Server, client: Redis) -> None:
    await feed(client, MARKET.bars[:100], on_bar=at_bar(90, lambda: kill_and_cut(server, 5_000)))
    async with open_redis(server.url) as other:
        assert sum([await other.xlen(f"stocks:bars:{symbol}") for symbol in MARKET.sectors]) == 100
