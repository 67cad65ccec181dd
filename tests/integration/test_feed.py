"""The feed on real servers: what it writes is valid, is written once, and leaves alone what others write."""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator
from redis.asyncio import Redis

from llmctx import canonical
from llmctx.clock import to_ms
from llmctx.connection.streams import read_stream
from llmctx.context.package import build_package
from llmctx.context.read_rules import ReadRules
from llmctx.context.reader import read_snapshot
from llmctx.errors import FeedError, SchemaError
from llmctx.flow.bars import Bar
from llmctx.flow.feed import Feed
from llmctx.flow.feed_report import FeedReport
from llmctx.flow.lockstep import Lockstep
from llmctx.flow.rules import FeedRules
from llmctx.flow.simulated_market import simulate
from llmctx.flow.store import Store
from llmctx.flow.timeline import Item
from llmctx.schema import keys
from llmctx.schema.values import Position
from tests.integration.conftest import ByRules, Prepared, leaves, serving
from tests.integration.program import until

MARKET = simulate(seed=7, days=2, minutes=30)
SESSION = list(MARKET.items())
"""Bars and headlines of eight symbols over two days, in the order in which they become known."""
BARS = [item for item in SESSION if isinstance(item, Bar)]
OPEN = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
PATTERNS = {family.section for family in keys.FAMILIES}


async def feed(
    redis: Redis,
    items: Iterable[Item],
    *,
    ratios: Mapping[str, Decimal] | None = None,
    paper: bool = True,
    **options: Any,
) -> FeedReport:
    rules = FeedRules(ratios=ratios or {}, sectors=MARKET.sectors, cost_bps=Decimal(2) if paper else None)
    return await Feed(Store(redis, 1), rules, **options).run(items)


def day(symbol: str, prices: Sequence[float], start: datetime = OPEN) -> list[Bar]:
    """One bar a minute that closes at each price."""
    bars = []
    for n, price in enumerate(prices):
        close = Decimal(str(price))
        bars.append(Bar(start + timedelta(minutes=n), symbol, close, close, close, close, Decimal(100)))
    return bars


def wave(level: float, count: int = 40) -> list[float]:
    """Closes that stay within half a percent of a level."""
    return [round(level * (1 + 0.001 * (n % 5 - 2)), 2) for n in range(count)]


async def raw(redis: Redis, key: str) -> bytes:
    return cast("bytes", await redis.get(key) or b"")


async def held(redis: Redis) -> Position:
    """The position in AAPL."""
    return Position.model_validate(canonical.loads(await raw(redis, "positions:active:AAPL")))


async def hold(redis: Redis, *, price: float = 100.0, at: datetime = OPEN, **changes: object) -> None:
    """Write a position in AAPL, as an execution side would."""
    moment = at.isoformat().replace("+00:00", "Z")
    position = {
        "symbol": "AAPL", "entry_price": price, "current_price": price, "quantity": 10, "side": "long",
        "entry_time": moment, "unrealized_pnl": 0, "unrealized_pnl_pct": 0, "stop_loss": price * 0.5,
        "take_profit": price * 2, "last_update": moment,
    }  # fmt: skip
    await redis.set("positions:active:AAPL", json.dumps(position | changes))


async def live_keys(redis: Redis) -> dict[str, bytes]:
    """The live keys in the server, with their values."""
    found = {}
    async for name in redis.scan_iter():
        key = name.decode()
        try:
            keys.find_family(key)
        except SchemaError:
            continue
        found[key] = await raw(redis, key)
    return found


async def stream(redis: Redis, key: str) -> list[dict[bytes, bytes]]:
    """The entries of a stream, without their ids and runs."""
    return [found.fields | {b"run": b""} for found in await read_stream(redis, key)]


async def everything(redis: Redis) -> dict[str, object]:
    """Everything a feed leaves behind, except run ids and arrival times."""
    names = [name.decode() async for name in redis.scan_iter()]
    streams = {key: await stream(redis, key) for key in names if key.startswith(("stocks:bars:", "positions:"))
               and await redis.type(key) == b"stream"}  # fmt: skip
    ticks = [
        (found.fields[b"id"].partition(b":")[2], found.fields[b"symbol"], found.fields[b"cause"])
        for found in await read_stream(redis, keys.ticks(0))
    ]
    news = {key: await redis.zrange(key, 0, -1) for key in names if key.startswith("stocks:news:")}
    scores = await redis.zrange(keys.SCORES, 0, -1, withscores=True)
    book = await raw(redis, keys.BOOK)
    return {
        "live": await live_keys(redis), "streams": streams, "ticks": ticks, "news": news, "scores": scores, "book": book
    }  # fmt: skip


@pytest.fixture
async def fed(redis: Redis, redis_url: str, prepared: Prepared, tmp_path: Path) -> FeedReport:
    """What the feed reports of the whole session, which is in the server."""
    return await prepared.once(redis_url, redis, tmp_path, partial(feed, redis, SESSION))


def validators() -> dict[str, Draft202012Validator]:
    """The JSON Schema of every family."""
    return {family.section: Draft202012Validator(family.model.model_json_schema()) for family in keys.FAMILIES}


async def check_all(redis: Redis, against: Mapping[str, Draft202012Validator]) -> set[str]:
    """Check every live key against its model and JSON Schema, and return the families present."""
    present = set()
    for key, value in (await live_keys(redis)).items():
        family = keys.find_family(key)
        family.model.model_validate(canonical.loads(value))
        against[family.section].validate(json.loads(value))
        present.add(family.section)
    return present


async def test_every_family_is_present_and_valid_during_a_session(redis: Redis) -> None:
    feeder, against, present = Feed(Store(redis, 1), FeedRules(sectors=MARKET.sectors)), validators(), set()
    for begin in range(0, len(SESSION), 40):
        await feeder.run(SESSION[begin : begin + 40])
        present |= await check_all(redis, against)
    assert present == PATTERNS


@pytest.mark.usefixtures("fed")
async def test_live_keys_have_exactly_the_fields_of_the_schema_document(
    redis: Redis, schema_examples: dict[str, str]
) -> None:
    found = await live_keys(redis)
    for key, text in schema_examples.items():
        family, example = keys.find_family(key), json.loads(text)
        kept = [json.loads(value) for name, value in found.items() if keys.find_family(name) is family]
        assert kept, key
        if isinstance(example, dict):
            extra = {"clock"} if family.section == "system" else set()
            assert all(value.keys() - extra == example.keys() for value in kept), key
    ranked = json.loads(found["candidates:ranked"])
    assert all(row.keys() == {"symbol", "score", "price", "signals", "timestamp"} for row in ranked)


async def test_a_feed_beside_another_one_counts_only_its_own_ticks(redis: Redis) -> None:
    one, other = Feed(Store(redis, 1)), Feed(Store(redis, 1))
    for item in SESSION[:300]:
        await one.run([item])
        await other.run([item])
    raised = await redis.xlen(keys.ticks(0))
    assert raised > 0
    assert one.report.ticks + other.report.ticks == raised
    assert one.report.bars + other.report.bars == len([item for item in SESSION[:300] if isinstance(item, Bar)])


async def test_two_feeds_of_different_symbols_trade_in_one_book(redis: Redis) -> None:
    one, other = Feed(Store(redis, 1)), Feed(Store(redis, 1))
    for bar in BARS:
        await (one if bar.symbol < "E" else other).run([bar])
    fills = await stream(redis, keys.FILLS)
    assert one.report.fills + other.report.fills == len(fills) > 0
    book = json.loads(await raw(redis, keys.BOOK))
    costs_and_earnings = sum(Decimal(f[b"realized"].decode()) - Decimal(f[b"cost"].decode()) for f in fills)
    assert Decimal(book["day"]["equity"]) + Decimal(book["day"]["earned"]) - 100_000 == costs_and_earnings
    assert book["trades"].keys() == {key.rpartition(":")[2] for key in await live_keys(redis) if "active" in key}


async def test_every_live_key_is_valid_from_the_first_bar_on(redis: Redis) -> None:
    await feed(redis, BARS[:1])
    assert await check_all(redis, validators()) == PATTERNS - {"position", "monitoring", "signals"}


@pytest.mark.usefixtures("fed")
async def test_a_package_can_be_built_from_what_it_writes(redis: Redis) -> None:
    symbols = [name.decode().rpartition(":")[2] async for name in redis.scan_iter("positions:active:*")]
    assert symbols
    for symbol in symbols:
        package = build_package(await read_snapshot(redis, symbol, 0, ReadRules()))
        assert package.refusal is None
        statuses = {name: section.status for name, section in package.sections.items()}
        assert "invalid" not in statuses.values()
        assert statuses["monitoring"] == statuses["market"] == statuses["performance"] == "fresh"


@pytest.mark.usefixtures("fed")
async def test_live_keys_live_for_at_least_a_day(redis: Redis) -> None:
    timed = [key for key in await live_keys(redis) if not key.startswith("positions:")]
    assert len(timed) > 3 * len(MARKET.sectors)
    for key in timed:
        assert await redis.ttl(key) > keys.DAY_S - 60


@pytest.mark.usefixtures("fed")
async def test_positions_bars_history_and_ticks_never_expire(redis: Redis) -> None:
    names = [name.decode() async for name in redis.scan_iter()]
    kept = [name for name in names if name.startswith(("positions:", "stocks:bars:", "ticks:"))]
    assert {keys.FILLS, keys.CLOSED, keys.DAYS, keys.BOOK} <= set(kept)
    for name in kept:
        assert await redis.ttl(name) == -1


async def test_a_bar_is_known_at_its_end(redis: Redis) -> None:
    await feed(redis, BARS[:8])
    for key, value in (await live_keys(redis)).items():
        if key != "watchlist:current":
            rows = json.loads(value) if key == "candidates:ranked" else [json.loads(value)]
            assert {row["timestamp"] for row in rows} == {"2026-03-02T14:31:00.000Z"}, key


@pytest.mark.more
async def test_headlines_appear_at_their_own_time_and_never_earlier(redis: Redis) -> None:
    feeder, seen = Feed(Store(redis, 1)), 0
    for item in SESSION:
        await feeder.run([item])
        state = json.loads(await raw(redis, "system:state"))
        sentiment = json.loads(await raw(redis, f"stocks:sentiment:{item.symbol}"))  # type: ignore[union-attr]
        news = sentiment["latest_news"]
        assert all(line["timestamp"] <= sentiment["timestamp"] <= state["timestamp"] for line in news)
        if not isinstance(item, Bar):
            seen += 1
            assert news[0]["headline"] == item.headline  # type: ignore[union-attr]
            assert news[0]["timestamp"] == state["timestamp"]
    assert seen == len(MARKET.news) == feeder.report.headlines


async def test_each_tick_is_raised_once_with_the_runs_id(redis: Redis, fed: FeedReport) -> None:
    ids = [found.fields[b"id"].decode() for found in await read_stream(redis, keys.ticks(0))]
    assert len(ids) == len(set(ids)) == fed.ticks > 0
    assert {tick.partition(":")[0] for tick in ids} == {fed.run}


@pytest.mark.usefixtures("fed")
async def test_feeding_the_same_data_twice_adds_nothing(redis: Redis) -> None:
    before = await everything(redis)
    again = await feed(redis, SESSION)
    assert await everything(redis) == before
    assert (again.bars, again.ticks, again.headlines, again.already_fed) == (0, 0, 0, len(SESSION))


@pytest.mark.usefixtures("fed")
async def test_two_parts_give_the_same_keys_as_the_whole(redis: Redis) -> None:
    whole, size = await everything(redis), len(SESSION)
    for cut in (4, size // 2, size - 3):  # the last leaves out some symbols of the last minute
        await redis.flushall()
        await feed(redis, SESSION[:cut])
        await feed(redis, SESSION[cut:])
        assert await everything(redis) == whole, cut


@pytest.mark.usefixtures("fed")
async def test_a_file_that_grows_gives_the_same_keys_as_the_whole(redis: Redis) -> None:
    whole = await everything(redis)
    await redis.flushall()
    await feed(redis, SESSION[:300])
    await feed(redis, SESSION)
    assert await everything(redis) == whole


async def test_a_position_rewritten_by_somebody_between_bars_is_marked_and_not_overwritten(redis: Redis) -> None:
    bars = day("AAPL", wave(100.0, 60))
    feeder = Feed(Store(redis, 1))
    await feeder.run(bars[:10])
    await hold(redis, at=OPEN, quantity=7, stop_loss=1.5, note="by hand")
    await feeder.run(bars[10:11])
    now = json.loads(await raw(redis, "positions:active:AAPL"))
    assert (now["quantity"], now["stop_loss"], now["note"]) == (7, 1.5, "by hand")
    assert (now["current_price"], now["last_update"]) == (float(bars[10].close), "2026-03-02T14:41:00.000Z")


async def test_a_position_closed_by_somebody_between_bars_stays_closed(redis: Redis) -> None:
    bars = day("AAPL", wave(100.0, 30))
    await hold(redis)
    feeder = Feed(Store(redis, 1))
    await feeder.run(bars[:20])
    await redis.delete("positions:active:AAPL")
    await feeder.run(bars[20:21])
    assert not await redis.exists("positions:active:AAPL", "positions:monitoring:AAPL")
    assert json.loads(await raw(redis, "system:state"))["active_positions_count"] == 0
    assert json.loads(await raw(redis, keys.BOOK))["trades"] == {}


@pytest.mark.parametrize("theirs", ["no json", "[]", '{"symbol": "AAPL"}', '{"a": 1, "a": 2}'])
async def test_a_malformed_position_is_left_alone_and_its_tick_raised(redis: Redis, theirs: str) -> None:
    await redis.set("positions:active:AAPL", theirs)
    summary = await feed(redis, day("AAPL", wave(100.0, 2)))
    assert await redis.get("positions:active:AAPL") == theirs.encode()
    assert summary.ticks == 2
    causes = {found.fields[b"cause"] for found in await read_stream(redis, keys.ticks(0))}
    assert causes == {b"position_unusable"}


async def test_a_position_key_of_another_type_is_left_alone(redis: Redis) -> None:
    await redis.hset("positions:active:AAPL", "quantity", "10")
    summary = await feed(redis, day("AAPL", wave(100.0, 2)))
    assert await redis.hgetall("positions:active:AAPL") == {b"quantity": b"10"}
    assert (summary.bars, summary.ticks) == (2, 2)


async def test_a_book_that_cannot_be_read_is_named(redis: Redis) -> None:
    await redis.set(keys.BOOK, "no book")
    with pytest.raises(FeedError, match="positions:book"):
        await feed(redis, BARS[:1])


async def test_bars_out_of_order_are_skipped_and_logged(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    bars = day("AAPL", wave(100.0, 3))
    other = day("BBBB", wave(100.0, 3))
    summary = await feed(redis, [bars[0], bars[2], other[1]])
    assert (summary.bars, summary.bad_rows) == (2, 1)
    assert "BBBB at 2026-03-02T14:31:00.000Z: earlier than the bar before it" in caplog.messages[0]


async def test_a_corrected_bar_takes_the_place_of_the_newest_one(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    bars = day("AAPL", wave(100))
    wrong = bars[-2]._replace(high=Decimal(140), close=Decimal(130), volume=Decimal(90_000))
    await hold(redis)
    report = await feed(redis, [*bars[:-2], wrong], paper=False)
    assert (await held(redis)).current_price == 130
    again = await feed(redis, [bars[-2], bars[-1]], paper=False)
    assert (report.corrected, again.corrected, again.bars) == (0, 1, 1)
    assert ["came again with other values" in text for text in caplog.messages] == [True]
    assert len(await stream(redis, keys.bars("AAPL"))) == len(bars)
    assert await redis.xlen(keys.ticks(0)) == report.ticks + again.ticks
    corrected = await live_keys(redis)
    await redis.flushall()
    await hold(redis)
    await feed(redis, bars, paper=False)
    assert await live_keys(redis) == corrected


async def test_a_corrected_bar_takes_the_place_of_an_older_one(redis: Redis) -> None:
    bars = day("AAPL", wave(100, 60))
    wrong = bars[40]._replace(high=Decimal(140), close=Decimal(130), volume=Decimal(90_000))
    await hold(redis)
    await feed(redis, [*bars[:40], wrong, *bars[41:]], paper=False)
    before = await live_keys(redis)
    again = await feed(redis, [bars[40], bars[41]], paper=False)
    assert (again.corrected, again.bars, again.bad_rows) == (1, 0, 0)
    corrected = await live_keys(redis)
    assert all(corrected[f"stocks:{name}:AAPL"] != before[f"stocks:{name}:AAPL"] for name in ("price", "indicators"))
    found = await read_stream(redis, keys.bars("AAPL"))
    assert [entry.id for entry in found] == [f"{to_ms(bar.start)}-0" for bar in bars]
    assert Decimal(found[40].fields[b"close"].decode()) == bars[40].close
    await redis.flushall()
    await hold(redis)
    await feed(redis, bars, paper=False)
    fresh = await live_keys(redis)
    signals = {key for key in fresh if key.startswith("signals:")}  # what was seen at earlier bars stays as it was said
    assert {key: fresh[key] for key in fresh.keys() - signals} == {
        key: corrected[key] for key in fresh.keys() - signals
    }


async def test_bars_on_a_holiday_are_logged_and_nothing_is_traded(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    sunday = [
        bar._replace(start=bar.start - timedelta(days=1)) for bar in BARS if bar.start < OPEN + timedelta(hours=2)
    ]
    summary = await feed(redis, sunday)
    assert summary.opened == 0
    assert caplog.messages == [text for text in caplog.messages if "XNYS is closed on 2026-03-01" in text] != []
    assert json.loads(await raw(redis, "system:state"))["market_status"] == "closed"


async def test_without_a_broker_positions_are_only_marked(redis: Redis) -> None:
    await hold(redis, price=84.0)
    theirs = [bar._replace(symbol="AAPL") for bar in BARS if bar.symbol == "ACME"]
    summary = await Feed(Store(redis, 1), FeedRules(cost_bps=None)).run([*theirs])
    assert (summary.opened, summary.closed, summary.fills) == (0, 0, 0)
    assert (await held(redis)).current_price == theirs[-1].close
    assert not await redis.exists(keys.BOOK, keys.FILLS, keys.PORTFOLIO, "metrics:performance")


NEXT_DAY = OPEN + timedelta(days=1)
SPLIT = [*day("AAPL", wave(700.0)), *day("AAPL", wave(100.0), NEXT_DAY)]
"""A 7:1 split between two sessions."""


async def split(redis: Redis, items: Iterable[Item] = SPLIT, **options: Any) -> FeedReport:
    """Feed the split with a position from before it."""
    await hold(redis, price=700.0)
    return await feed(redis, items, **options)


async def test_an_overnight_jump_is_suspected_and_logged(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    summary = await split(redis)
    assert summary.suspected == 40
    assert "--adjust AAPL=RATIO" in caplog.messages[0]
    causes = [found.fields[b"cause"] for found in await read_stream(redis, keys.ticks(0))]
    assert causes[-40:] == [b"corporate_action_suspected"] * 40


async def test_a_suspected_position_is_not_marked(redis: Redis) -> None:
    await split(redis, SPLIT[:40])
    before = await redis.get("positions:active:AAPL")
    await feed(redis, SPLIT[40:])
    assert await redis.get("positions:active:AAPL") == before


@pytest.mark.usefixtures("short_pauses")
async def test_after_a_suspected_split_no_stop_is_obeyed_and_the_records_say_why(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    async with serving(redis, redis_url, tmp_path, ByRules()):
        await split(redis, SPLIT[30:50], lockstep=Lockstep(redis, 1))
    suspected = [leaf for leaf in await leaves(redis) if leaf.get("cause") == "corporate_action_suspected"]
    assert len(suspected) == 10
    for leaf in suspected:
        verdict: Any = leaf["verdict"]
        assert (leaf["kind"], verdict["action"], verdict["guards"][-1]["name"]) == (
            "decision",
            "hold",
            "stop_unconfirmed",
        )
        assert "a split or another unit" in verdict["reason"]


@pytest.mark.usefixtures("short_pauses")
async def test_adjust_explains_an_overnight_jump(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    async with serving(redis, redis_url, tmp_path, ByRules()):
        summary = await split(redis, SPLIT[30:50], lockstep=Lockstep(redis, 1), ratios={"AAPL": Decimal(7)})
    assert summary.suspected == 0
    assert "skipped" not in {leaf["kind"] for leaf in await leaves(redis)}


async def test_adjust_divides_prices_and_multiplies_shares(redis: Redis) -> None:
    await split(redis, SPLIT[:40])
    before = await held(redis)
    await feed(redis, SPLIT[40:41], ratios={"AAPL": Decimal(7)})
    after = await held(redis)
    assert after.quantity == before.quantity * 7
    assert abs(after.entry_price * 7 - before.entry_price) < Decimal("0.001")
    assert after.entry_time == before.entry_time
    assert after.current_price == SPLIT[40].close


async def test_adjust_explains_a_jump_that_was_fed_without_it(redis: Redis) -> None:
    await split(redis, SPLIT[:60])
    summary = await feed(redis, SPLIT, ratios={"AAPL": Decimal(7)})
    assert (summary.bars, summary.suspected, summary.adjusted) == (20, 0, ["AAPL"])


async def test_a_wrong_ratio_explains_nothing(redis: Redis) -> None:
    summary = await split(redis, ratios={"AAPL": Decimal(2)})
    assert summary.suspected == 40


async def test_a_crash_is_marked(redis: Redis) -> None:
    await hold(redis)
    bars = [*day("AAPL", wave(100.0)), *day("AAPL", wave(60.0, 2), NEXT_DAY)]
    assert (await feed(redis, bars)).suspected == 0


async def test_a_new_session_begins_each_day(redis: Redis) -> None:
    await feed(redis, [*day("AAPL", [90, 110, 100]), *day("AAPL", [101, 102], NEXT_DAY)])
    price = json.loads(await raw(redis, "stocks:price:AAPL"))["price"]
    assert price == {"last": 102, "open": 101, "high": 102, "low": 101, "volume": 200}


async def test_the_ranking_follows_the_sorted_set_and_drops_symbols_without_bars(redis: Redis) -> None:
    await feed(redis, SESSION)
    ranked = json.loads(await raw(redis, "candidates:ranked"))
    scores = [row["score"] for row in ranked]
    assert scores == sorted(scores, reverse=True)
    kept = cast("list[bytes]", await redis.zrevrange(keys.SCORES, 0, -1))
    assert [row["symbol"] for row in ranked] == [name.decode() for name in kept]
    later = [bar._replace(start=bar.start + timedelta(hours=2)) for bar in BARS[-8:] if bar.symbol != "GILT"]
    await feed(redis, later)
    assert "GILT" not in {row["symbol"] for row in json.loads(await raw(redis, "candidates:ranked"))}


async def test_each_update_is_announced_on_the_keys_channel(redis: Redis) -> None:
    async with redis.pubsub() as channel:
        await channel.psubscribe("updates:*")
        while await channel.get_message(timeout=1) is None:
            pass  # the confirmation of the subscription
        await feed(redis, SESSION[:40])
        await redis.publish("updates:end", b"")
        announced: dict[str, bytes] = {}
        while "end" not in announced:
            message = await channel.get_message(ignore_subscribe_messages=True, timeout=1)
            if message is not None:
                announced[message["channel"].decode().removeprefix("updates:")] = message["data"]
    del announced["end"]
    assert announced == await live_keys(redis)


async def test_in_lockstep_the_next_bar_waits_for_the_decision(redis: Redis) -> None:
    await hold(redis)
    going = asyncio.create_task(feed(redis, day("AAPL", wave(100.0, 60)), lockstep=Lockstep(redis, 1)))
    await until(lambda: redis.exists(keys.ticks(0)))
    await asyncio.sleep(0.05)
    assert await redis.xlen("stocks:bars:AAPL") == await redis.xlen(keys.ticks(0)) == 1
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
