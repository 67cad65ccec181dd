"""A week of crypto minutes through feed, paper broker and backtest; every book is recounted independently."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from llmctx import canonical, clock
from llmctx.assets import asset
from llmctx.backtest import Session, run_backtest
from llmctx.connection import open_redis
from llmctx.connection.streams import read_stream
from llmctx.flow.bars import Bar
from llmctx.flow.book import Book
from llmctx.flow.feed import Feed
from llmctx.flow.funding import FundingRate
from llmctx.flow.rules import FeedRules
from llmctx.flow.store import Store
from llmctx.flow.timeline import Item
from llmctx.ops.server import EmbeddedServer
from llmctx.pipeline import DecisionConfig
from llmctx.prompt.book import PromptBook
from llmctx.publication import published_text
from llmctx.schema import keys
from llmctx.trail.log.log import Log
from tests.crypto import MINUTE, crypto_items
from tests.integration.conftest import ByRules
from tests.recount import Recount, Rules

LOT, TAKER, MAKER = Decimal("0.0001"), Decimal("0.0005"), Decimal("0.0002")
TERMS = FeedRules(
    exchange="always",
    cost_bps=Decimal(5),
    maker_bps=Decimal(2),
    leverages={"BTCUSDT": Decimal(10), "SOLUSDT": Decimal(100)},
    lots={"": LOT},
)
"""Bitcoin on margin, ether in full, and a third that is liquidated before its stop is reached."""
RULES = {
    "BTCUSDT": Rules(LOT, TAKER, MAKER, Decimal(10)),
    "ETHUSDT": Rules(LOT, TAKER, MAKER),
    "SOLUSDT": Rules(LOT, TAKER, MAKER, Decimal(100)),
}
_CLOSINGS = ("stop_hit", "target_reached", "liquidated")
Row = dict[str, str]


async def rows(redis: Redis, key: str) -> list[Row]:
    found = await read_stream(redis, key)
    return [{name.decode(): value.decode() for name, value in one.fields.items()} for one in found]


def time_of(text: str) -> datetime:
    return clock.parse_iso(text)


def recounted(items: list[Item], fills: list[Row], decided: Mapping[tuple[str, datetime], Any]) -> Recount:
    """The book of the same bars and rates; only when something is opened, and what was decided, is taken over."""
    openings = {}
    for fill in fills:
        if fill["reason"] not in _CLOSINGS and not fill["reason"].startswith("decision "):
            side = "long" if fill["side"] == "buy" else "short"
            openings[fill["symbol"], time_of(fill["at"])] = side, fill["reason"]
    count, rates = Recount(RULES, openings), defaultdict[str, list[FundingRate]](list)
    for item in items:
        if isinstance(item, FundingRate):
            rates[item.symbol].append(item)
        elif isinstance(item, Bar):
            since = count.before.get(item.symbol, (item.start, Decimal(0)))[0]
            due = [rate for rate in rates[item.symbol] if since < rate.at <= item.start + MINUTE]
            count.bar(item, due)
            if (item.symbol, item.start + MINUTE) in decided:
                count.waiting[item.symbol] = decided[item.symbol, item.start + MINUTE]
    return count


async def assert_same_books(redis: Redis, items: list[Item], decided: Mapping[tuple[str, datetime], Any]) -> Recount:
    fills, funding = await rows(redis, keys.FILLS), await rows(redis, keys.FUNDING)
    count = recounted(items, fills, decided)
    names = ("side", "quantity", "price", "cost", "reason")
    told = [
        (row["symbol"], time_of(row["at"]), row["side"], *(Decimal(row[name]) for name in names[1:4]), row["reason"])
        for row in fills
    ]
    assert told == count.fills
    assert [
        (row["symbol"], time_of(row["at"]), *(Decimal(row[name]) for name in ("rate", "quantity", "price", "paid")))
        for row in funding
    ] == count.funding
    day = Book.from_wire(cast("bytes", await redis.get(keys.BOOK))).day
    assert day.equity + day.earned == count.equity
    closed = await rows(redis, keys.CLOSED)
    assert len(closed) == sum(row[-1] in _CLOSINGS for row in count.fills) + sum(
        row["reason"].startswith("decision ") for row in closed
    )
    return count


async def decisions_of(redis: Redis) -> dict[tuple[str, datetime], list[tuple[str, dict[str, Any]]]]:
    """What was decided, by symbol and the end of the bar that it was decided on; from the trail, which keeps all."""
    found: dict[tuple[str, datetime], list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    async for entry in Log(redis).read():
        said = canonical.loads(published_text(entry, 1) or b'{"action":"none"}')
        if said["action"] in ("exit", "reduce", "add", "adjust_stops"):
            place = said["symbol"], time_of(said["as_of"])
            found[place].append((said["address"], said | {"entry_time": time_of(said["entry_time"])}))
    return found


async def fed_and_recounted(redis: Redis, seed: int, minutes: int) -> Recount:
    items = crypto_items(seed, minutes)
    report = await Feed(Store(redis, 1), TERMS).run(items)
    assert report.bars == sum(isinstance(item, Bar) for item in items)
    return await assert_same_books(redis, items, {})


@pytest.mark.more
async def test_a_day_of_crypto_minutes_has_the_recounted_books(valkey: Redis) -> None:
    count = await fed_and_recounted(valkey, 5, 1440)
    assert {fill[-1] for fill in count.fills} >= set(_CLOSINGS)
    assert count.funding


@pytest.mark.more
@pytest.mark.timeout(1500)
async def test_a_week_of_crypto_minutes_has_the_recounted_books(valkey: Redis) -> None:
    count = await fed_and_recounted(valkey, 8, 7 * 1440)
    assert {fill[0] for fill in count.fills if fill[-1] == "liquidated"} == {"SOLUSDT"}
    assert {payment[0] for payment in count.funding} == {"BTCUSDT", "SOLUSDT"}
    assert len(count.fills) > 100


async def traded_and_recounted(folder: Path, items: list[Item]) -> dict[str, str]:
    """Trade items with decisions in lockstep and recount the books; which prompt each symbol was asked with."""
    prompts = PromptBook(asset("prompts"), "position/v4", {"BTC*": "perp/v1", "SOL*": "perp/v1"})
    result = await run_backtest(DecisionConfig(prompts, ByRules()), Session(items, TERMS), folder)
    with EmbeddedServer(folder / "redis") as server:
        async with open_redis(server.url) as redis:
            count = await assert_same_books(redis, items, await decisions_of(redis))
            records = [entry.record async for entry in Log(redis).read()]
    told = result.as_dict()
    assert told["funding"] == sum((payment[-1] for payment in count.funding), Decimal(0))
    assert told["trading_costs"] == sum((fill[5] for fill in count.fills), Decimal(0))
    assert told["realized"] == pytest.approx(count.equity - 100_000)
    assert abs(told["open"] - count.open_profit()) <= Decimal("0.1")
    assert any(fill[-1].startswith("decision ") for fill in count.fills)
    asked = [(record["symbol"], record["prompt"]["template"]) for record in records if "prompt" in record]
    return dict(asked)


async def test_decisions_of_a_backtest_lead_to_the_recounted_books(tmp_path: Path) -> None:
    asked = await traded_and_recounted(tmp_path, crypto_items(5, 70, hours=1))
    assert asked == {"BTCUSDT": "perp", "ETHUSDT": "position", "SOLUSDT": "perp"}


@pytest.mark.more
@pytest.mark.timeout(3000)
async def test_days_of_decisions_lead_to_the_recounted_books(tmp_path: Path) -> None:
    await traded_and_recounted(tmp_path, crypto_items(9, 4 * 1440, ("SOLUSDT",)))
