"""The trading system's side: ticks raised, awaited and followed beside a service that is at work."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.client import Client, open_client
from llmctx.context.tick import Tick
from llmctx.errors import SchemaError, TrailError, UnsettledError
from llmctx.schema import keys, values
from llmctx.trail.log.log import Log
from tests.integration.conftest import ByRules, hold, serving


async def first(client: Client, count: int, after: dict[int, int] | None = None) -> list[values.Thesis]:
    """The first decisions that a follower receives."""
    found: list[values.Thesis] = []
    async with asyncio.timeout(30):
        async for decision in client.follow(after):
            found.append(decision)
            if len(found) == count:
                break
    return found


async def test_a_client_raises_a_tick_and_is_told_what_became_of_it(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await hold(redis, "AAPL", "M&M.NS", "币安人生USDT", "NSE:INFY", "BRK B")
    async with serving(redis, redis_url, tmp_path, ByRules()), open_client(redis_url) as client:
        for symbol in ("AAPL", "M&M.NS", "币安人生USDT", "NSE:INFY", "BRK B"):
            settled = await client.decide(symbol, timeout_s=30)
            entry = await Log(redis).entry(int(settled.address))
            assert entry is not None
            assert (entry.record["symbol"], entry.record["kind"], settled.kind) == (symbol, "decision", "decision")
            assert settled.decision is not None
            assert (settled.decision.symbol, settled.decision.address) == (symbol, settled.address)


async def test_a_tick_without_a_position_is_told_as_skipped_with_the_reason(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    async with serving(redis, redis_url, tmp_path, ByRules()), open_client(redis_url) as client:
        settled = await client.decide("MSFT", timeout_s=30)
    assert (settled.kind, settled.decision) == ("skipped", None)
    assert "position" in settled.reason


async def test_a_tick_raised_twice_has_one_record(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    async with serving(redis, redis_url, tmp_path, ByRules()), open_client(redis_url) as client:
        ticks = [await client.raise_tick("AAPL", tick_id="order-7") for _ in range(2)]
        places = {(await client.settled(tick, timeout_s=30)).address for tick in ticks}
    assert len(places) == 1


async def test_a_follower_gets_each_decision_once_and_goes_on_where_it_was(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await hold(redis, "AAPL", "MSFT")
    async with serving(redis, redis_url, tmp_path, ByRules()), open_client(redis_url) as client:
        made = [(await client.decide(symbol, timeout_s=30)).address for symbol in ("AAPL", "MSFT", "AAPL")]
        followed = asyncio.create_task(first(client, 1))
        await asyncio.sleep(0.2)
        later = (await client.decide("MSFT", timeout_s=30)).address
        assert [decision.address for decision in await first(client, 4, {0: -1})] == [*made, later]
        assert [decision.address for decision in await first(client, 2, {0: int(made[1])})] == [made[2], later]
        assert [decision.address for decision in await followed] == [later]


async def test_a_follower_passes_over_what_is_no_decision(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    async with serving(redis, redis_url, tmp_path, ByRules()), open_client(redis_url) as client:
        settled = await client.decide("AAPL", timeout_s=30)
    await redis.xadd(keys.decisions(0), {"a": "b"})
    async with open_client(redis_url) as client:
        follower = asyncio.create_task(first(client, 2, {0: -1}))
        await asyncio.sleep(0.3)
        assert not follower.done()
        follower.cancel()
        assert [decision.address for decision in await first(client, 1, {0: -1})] == [settled.address]


async def test_an_entry_planted_in_the_tick_map_is_not_believed(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    async with serving(redis, redis_url, tmp_path, ByRules()), open_client(redis_url) as client:
        await client.decide("AAPL", timeout_s=30)
    await redis.hset(Log(redis).key("ticks"), "planted", "1")
    async with open_client(redis_url) as client:
        with pytest.raises(UnsettledError, match="planted"):
            await client.settled(Tick(id="planted", symbol="AAPL"), timeout_s=0.3)


async def test_a_malformed_symbol_is_refused_before_anything_is_raised(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    async with serving(redis, redis_url, tmp_path, ByRules()), open_client(redis_url) as client:
        with pytest.raises(SchemaError, match=r"\{AAPL\}"):
            await client.raise_tick("{AAPL}")


async def test_a_server_without_a_trail_is_named(redis: Redis, redis_url: str) -> None:
    assert await redis.dbsize() == 0
    with pytest.raises(TrailError, match="no trail yet"):
        async with open_client(redis_url):
            pass


async def test_what_is_too_long_is_refused_before_it_is_sent(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    await hold(valkey, "AAPL")
    said = {"id": "x", "symbol": "AAPL", "status": "accepted", "at": "2026-03-02T15:00:05Z", "reason": "x" * 20_000}
    async with serving(valkey, valkey_url, tmp_path, ByRules()), open_client(valkey_url) as client:
        with pytest.raises(SchemaError, match="The tick id has 300 characters, more than 200"):
            await client.raise_tick("AAPL", tick_id="i" * 300)
        with pytest.raises(SchemaError, match=r"The effect x has 20\d+ bytes, more than 16384"):
            await client.report_effect(values.Effect.model_validate(said))
        assert await valkey.xlen(keys.effects(0)) == 0
        assert (await client.decide("AAPL", cause="c" * 300, timeout_s=30)).kind == "decision"
