"""The writer does from Python code what the feed does with a file, and names malformed values."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.errors import FeedError
from llmctx.flow.bars import Bar
from llmctx.flow.feed import Feed
from llmctx.flow.news import Headline
from llmctx.flow.rules import FeedRules
from llmctx.flow.simulated_market import simulate
from llmctx.flow.store import Store
from llmctx.flow.writer import Writer, open_writer
from llmctx.schema import keys
from tests.integration.conftest import ByRules, serving
from tests.integration.test_feed import everything, hold

MARKET = simulate(seed=5, days=1, minutes=45)
START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
NUMBERS: dict[str, Any] = {"open": 100.0, "high": 101.5, "low": 99.25, "close": 100.1, "volume": 1000}


async def test_writing_from_code_equals_feeding_a_file(
    redis: Redis, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await Feed(Store(redis, 1), FeedRules(sectors=MARKET.sectors)).run(MARKET.items())
    fed = await everything(redis)
    await redis.flushall()
    async with open_writer(redis_url, sectors=MARKET.sectors) as writer:
        for item in MARKET.items():
            if isinstance(item, Bar):
                prices: dict[str, Any] = dict(zip(("open", "high", "low", "close", "volume"), item[2:], strict=True))
                await writer.bar(item.symbol, item.start, **prices)
            elif isinstance(item, Headline):
                await writer.headline(item.symbol, item.at, item.headline, source=item.source, url=item.url)
        assert caplog.messages == []
    assert await everything(redis) == fed


async def test_floats_stand_for_their_shortest_decimal_form(valkey: Redis, valkey_url: str) -> None:
    async with open_writer(valkey_url) as writer:
        await writer.bar("AAPL", START, **NUMBERS)
    assert json.loads(await valkey.get("stocks:price:AAPL") or b"")["price"]["low"] == 99.25


async def test_a_providers_score_takes_precedence(valkey: Redis, valkey_url: str) -> None:
    async with open_writer(valkey_url) as writer:
        await writer.headline("AAPL", START, "a wonderful, great success", score=-0.5)
    sentiment = json.loads(await valkey.get("stocks:sentiment:AAPL") or b"")
    assert (sentiment["sentiment_score"], sentiment["sentiment_label"]) == (-0.5, "bearish")


async def test_a_vix_reading_shows_in_the_market_from_the_next_bar_on(valkey: Redis, valkey_url: str) -> None:
    async with open_writer(valkey_url) as writer:
        await writer.vix(START, Decimal("18.5"))
        await writer.bar("AAPL", START, **NUMBERS)
    assert json.loads(await valkey.get("context:market") or b"")["vix"] == 18.5


@pytest.mark.parametrize(
    ("numbers", "start", "named"),
    [
        ({"high": 1}, START, "do not enclose"),
        ({"open": float("nan")}, START, "open 'nan'"),
        ({"volume": -1}, START, "volume '-1'"),
        ({}, START.replace(tzinfo=None), "no zone"),
    ],
)
async def test_a_malformed_bar_is_an_error_that_names_the_field(
    valkey_url: str, valkey: Redis, numbers: dict[str, Any], start: datetime, named: str
) -> None:
    async with open_writer(valkey_url) as writer:
        with pytest.raises(FeedError, match=named):
            await writer.bar("AAPL", start, **(NUMBERS | numbers))
    assert await valkey.dbsize() == 0


async def test_a_malformed_headline_is_an_error_that_names_the_field(valkey_url: str, valkey: Redis) -> None:
    async with open_writer(valkey_url) as writer:
        with pytest.raises(FeedError, match="headline must be a string"):
            await writer.headline("AAPL", START, " ")
        with pytest.raises(FeedError, match="sentiment_score"):
            await writer.headline("AAPL", START, "fine", score=1.5)
        with pytest.raises(FeedError, match="vix"):
            await writer.vix(START, -1)
    assert await valkey.dbsize() == 0


@pytest.mark.usefixtures("short_pauses")
async def test_in_lockstep_a_bar_returns_when_its_decision_is_published(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await hold(redis)
    async with serving(redis, redis_url, tmp_path, ByRules()), open_writer(redis_url, lockstep=True) as writer:
        for minute in range(3):
            await writer.bar("AAPL", START + timedelta(minutes=minute), **NUMBERS)
            assert await redis.xlen(keys.decisions(0)) == minute + 1


async def test_suspicious_data_is_logged(valkey: Redis, valkey_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with open_writer(valkey_url) as writer:
        assert isinstance(writer, Writer)
        await writer.bar("AAPL", START - timedelta(days=1), **NUMBERS)
        assert "XNYS is closed on 2026-03-01" in caplog.messages[0]
    assert await valkey.exists("stocks:price:AAPL")
