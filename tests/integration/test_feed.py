"""The feed on real servers: what it writes is valid, is written once, and leaves alone what others write."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest
from redis.asyncio import Redis

from llmctx import canonical
from llmctx.connection import read_stream
from llmctx.context.package import build_package
from llmctx.context.reader import read_snapshot
from llmctx.context.snapshot import ReadRules
from llmctx.errors import SchemaError
from llmctx.flow.bars import Bar
from llmctx.flow.feed import Feed
from llmctx.flow.lockstep import Lockstep
from llmctx.flow.session import simulate
from llmctx.flow.summary import Summary
from llmctx.flow.writer import BarWriter
from llmctx.schema import keys
from llmctx.schema.values import Position
from tests.integration.conftest import ByRules, leaves, serving, until

SESSION = list(simulate(seed=7, minutes=60))
"""240 bars of four symbols; positions are opened from the 34th minute on."""
OPEN = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


async def feed(redis: Redis, bars: Iterable[Bar], **options: object) -> Summary:
    return await Feed(BarWriter(redis, 1), **options).run(bars)  # type: ignore[arg-type]


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


async def live_keys(redis: Redis) -> dict[str, bytes]:
    """Every key of the schema document that is there."""
    found = {}
    async for name in redis.scan_iter():
        key = name.decode()
        try:
            keys.find_family(key)
        except SchemaError:
            continue
        found[key] = await raw(redis, key)
    return found


async def everything(redis: Redis) -> dict[str, object]:
    """All that a feed leaves behind, the ids of runs and the times of arrival aside."""
    streams = {
        key: [(found.id, found.fields | {b"run": b""}) for found in await read_stream(redis, key)]
        for key in [name.decode() async for name in redis.scan_iter("stocks:bars:*")]
    }
    ticks = [
        (found.fields[b"id"].partition(b":")[2], found.fields[b"symbol"], found.fields[b"cause"])
        for found in await read_stream(redis, keys.ticks(0))
    ]
    return {"live": await live_keys(redis), "bars": streams, "ticks": ticks}


async def test_a_feed_beside_another_one_counts_only_its_own_ticks(redis: Redis) -> None:
    one, other = Feed(BarWriter(redis, 1)), Feed(BarWriter(redis, 1))
    for bar in SESSION:
        await one.run([bar])
        await other.run([bar])
    raised = await redis.xlen(keys.ticks(0))
    assert raised > 0
    assert one.summary.ticks + other.summary.ticks == raised
    assert one.summary.bars + other.summary.bars == len(SESSION)


async def test_every_live_key_that_it_writes_is_valid(redis: Redis) -> None:
    await feed(redis, SESSION)
    found = await live_keys(redis)
    assert {keys.find_family(key).section for key in found} == {"price", "indicators", "position", "system"}
    for key, value in found.items():
        keys.find_family(key).model.model_validate(canonical.loads(value))


async def test_every_live_key_is_valid_from_the_first_bar_on(redis: Redis) -> None:
    await feed(redis, SESSION[:1])
    for key, value in (await live_keys(redis)).items():
        keys.find_family(key).model.model_validate(canonical.loads(value))


async def test_a_decision_can_be_asked_for_what_it_writes(redis: Redis) -> None:
    await feed(redis, SESSION)
    symbols = [name.decode().rpartition(":")[2] async for name in redis.scan_iter("positions:active:*")]
    assert symbols
    for symbol in symbols:
        assert build_package(await read_snapshot(redis, symbol, 0, ReadRules())).refusal is None


async def test_live_keys_live_for_a_day_at_least(redis: Redis) -> None:
    await feed(redis, SESSION)
    timed = [key for key in await live_keys(redis) if not key.startswith("positions:")]
    assert len(timed) == 9
    for key in timed:
        assert await redis.ttl(key) > keys.DAY_S - 60


async def test_positions_bars_and_ticks_never_expire(redis: Redis) -> None:
    await feed(redis, SESSION)
    names = [name.decode() async for name in redis.scan_iter()]
    kept = [name for name in names if name.startswith(("positions:", "stocks:bars:", "ticks:"))]
    assert any(name.startswith("positions:") for name in kept)
    for name in kept:
        assert await redis.ttl(name) == -1


async def test_a_bar_is_known_at_its_end(redis: Redis) -> None:
    await feed(redis, SESSION[:4])
    for key, value in (await live_keys(redis)).items():
        assert json.loads(value)["timestamp"] == "2026-03-02T14:31:00.000Z", key


async def test_each_tick_is_raised_once_with_the_runs_id(redis: Redis) -> None:
    summary = await feed(redis, SESSION)
    ids = [found.fields[b"id"].decode() for found in await read_stream(redis, keys.ticks(0))]
    assert len(ids) == len(set(ids)) == summary.ticks > 0
    assert {tick.partition(":")[0] for tick in ids} == {summary.run}


async def test_the_same_bars_twice_add_nothing(redis: Redis) -> None:
    await feed(redis, SESSION)
    before = await everything(redis)
    again = await feed(redis, SESSION)
    assert await everything(redis) == before
    assert (again.bars, again.ticks, again.already_fed) == (0, 0, len(SESSION))


async def fed_in_parts(redis: Redis, cuts: Sequence[int]) -> dict[str, object]:
    await redis.flushall()
    for first, last in zip([0, *cuts], [*cuts, len(SESSION)], strict=True):
        await feed(redis, SESSION[first:last])
    return await everything(redis)


@pytest.mark.parametrize("cut", [4, 80, 136, 160, 236])
async def test_two_halves_give_the_same_keys_as_the_whole(redis: Redis, cut: int) -> None:
    assert await fed_in_parts(redis, [cut]) == await fed_in_parts(redis, [])


async def test_a_file_that_grows_gives_the_same_keys_as_the_whole(redis: Redis) -> None:
    await feed(redis, SESSION[:100])
    await feed(redis, SESSION)
    grown = await everything(redis)
    assert grown == await fed_in_parts(redis, [])


@pytest.mark.parametrize("cut", [237, 239])
async def test_a_second_part_without_some_symbols_still_counts_them(redis: Redis, cut: int) -> None:
    assert await fed_in_parts(redis, [cut]) == await fed_in_parts(redis, [])


async def test_a_position_that_somebody_rewrote_between_bars_is_marked_and_not_overwritten(redis: Redis) -> None:
    bars = day("AAPL", wave(100.0, 60))
    feeder = Feed(BarWriter(redis, 1))
    await feeder.run(bars[:40])
    mine = await held(redis)
    theirs = mine.model_dump(mode="json") | {"quantity": 7, "stop_loss": 1.5, "note": "by hand"}
    await redis.set("positions:active:AAPL", json.dumps(theirs))
    await feeder.run(bars[40:41])
    now = json.loads(await raw(redis, "positions:active:AAPL"))
    assert (now["quantity"], now["stop_loss"], now["note"]) == (7, 1.5, "by hand")
    assert (now["current_price"], now["last_update"]) == (float(bars[40].close), "2026-03-02T15:11:00.000Z")


async def test_a_position_that_somebody_closed_between_bars_is_not_brought_back_as_it_was(redis: Redis) -> None:
    bars = day("AAPL", wave(100.0, 60))
    feeder = Feed(BarWriter(redis, 1))
    await feeder.run(bars[:40])
    before = json.loads(await raw(redis, "positions:active:AAPL"))
    await redis.delete("positions:active:AAPL")
    await feeder.run(bars[40:41])
    now = json.loads(await raw(redis, "positions:active:AAPL"))
    assert now["entry_time"] == "2026-03-02T15:11:00.000Z" != before["entry_time"]


@pytest.mark.parametrize("theirs", ["no json", "[]", '{"symbol": "AAPL"}', '{"a": 1, "a": 2}'])
async def test_a_position_that_cannot_be_used_is_left_alone_and_its_tick_raised(redis: Redis, theirs: str) -> None:
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


async def test_bars_that_come_too_late_are_left_out_and_told(redis: Redis) -> None:
    troubles: list[str] = []
    bars = day("AAPL", wave(100.0, 3))
    summary = await feed(redis, [bars[0], bars[2], bars[1]], on_trouble=troubles.append)
    assert (summary.bars, summary.bad_rows) == (2, 1)
    assert "AAPL at 2026-03-02T14:31:00.000Z: earlier than the bar before it" in troubles[0]


NEXT_DAY = OPEN + timedelta(days=1)
SPLIT = [*day("AAPL", wave(700.0)), *day("AAPL", wave(100.0), NEXT_DAY)]
"""A 7:1 split between two sessions."""


async def test_an_overnight_jump_is_suspected_and_told(redis: Redis) -> None:
    troubles: list[str] = []
    summary = await feed(redis, SPLIT, on_trouble=troubles.append)
    assert summary.suspected == 40
    assert "--adjust AAPL=RATIO" in troubles[0]
    causes = [found.fields[b"cause"] for found in await read_stream(redis, keys.ticks(0))]
    assert causes[-40:] == [b"corporate_action_suspected"] * 40


async def test_a_suspected_position_is_not_marked(redis: Redis) -> None:
    await feed(redis, SPLIT[:40])
    before = await redis.get("positions:active:AAPL")
    assert before is not None
    await feed(redis, SPLIT[40:])
    assert await redis.get("positions:active:AAPL") == before


@pytest.mark.usefixtures("short_pauses")
async def test_ticks_after_an_overnight_jump_are_skipped_with_that_reason(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    async with serving(redis, redis_url, tmp_path, ByRules()):
        await feed(redis, SPLIT, settled=Lockstep(redis, 1))
    suspected = [leaf for leaf in await leaves(redis) if leaf.get("cause") == "corporate_action_suspected"]
    assert {leaf["kind"] for leaf in suspected} == {"skipped"}
    assert len(suspected) == 40
    assert all("suspected corporate action" in str(leaf["verdict"]) for leaf in suspected)
    assert all("stocks:price:AAPL" in str(leaf["verdict"]) for leaf in suspected)


@pytest.mark.usefixtures("short_pauses")
async def test_adjust_mends_an_overnight_jump(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    async with serving(redis, redis_url, tmp_path, ByRules()):
        summary = await feed(redis, SPLIT, settled=Lockstep(redis, 1), ratios={"AAPL": Decimal(7)})
    assert summary.suspected == 0
    assert "skipped" not in {leaf["kind"] for leaf in await leaves(redis)}


async def test_adjust_divides_prices_and_multiplies_shares(redis: Redis) -> None:
    await feed(redis, SPLIT[:40])
    before = await held(redis)
    await feed(redis, SPLIT[40:41], ratios={"AAPL": Decimal(7)})
    after = await held(redis)
    assert after.quantity == before.quantity * 7
    assert abs(after.entry_price * 7 - before.entry_price) < Decimal("0.001")
    assert after.entry_time == before.entry_time
    assert after.current_price == SPLIT[40].close


async def test_adjust_mends_a_jump_that_was_fed_without_it(redis: Redis) -> None:
    await feed(redis, SPLIT[:60])
    summary = await feed(redis, SPLIT, ratios={"AAPL": Decimal(7)})
    assert (summary.bars, summary.suspected) == (20, 0)


async def test_the_wrong_ratio_mends_nothing(redis: Redis) -> None:
    summary = await feed(redis, SPLIT, ratios={"AAPL": Decimal(2)})
    assert summary.suspected == 40


async def test_a_move_within_the_limit_is_marked(redis: Redis) -> None:
    bars = [*day("AAPL", wave(100.0)), *day("AAPL", wave(65.0, 5), NEXT_DAY)]
    assert (await feed(redis, bars)).suspected == 0


async def test_the_session_begins_anew_each_day(redis: Redis) -> None:
    await feed(redis, [*day("AAPL", [90, 110, 100]), *day("AAPL", [101, 102], NEXT_DAY)])
    price = json.loads(await raw(redis, "stocks:price:AAPL"))["price"]
    assert price == {"last": 102, "open": 101, "high": 102, "low": 101, "volume": 200}


async def lockstep_session(redis: Redis, url: str, state_dir: Path) -> list[object]:
    """What a lockstep session decides, without what changes from run to run."""
    await redis.flushall()
    async with serving(redis, url, state_dir, ByRules()):
        await feed(redis, SESSION, settled=Lockstep(redis, 1))
    return [
        (leaf.get("symbol"), leaf.get("as_of_ms"), leaf["kind"], leaf.get("decision"), leaf["verdict"])
        for leaf in await leaves(redis)
        if leaf["kind"] != "notice"
    ]


@pytest.mark.usefixtures("short_pauses")
async def test_in_lockstep_no_tick_is_conflated(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    async with serving(redis, redis_url, tmp_path, ByRules()):
        summary = await feed(redis, SESSION, settled=Lockstep(redis, 1))
    records = [leaf for leaf in await leaves(redis) if "tick" in leaf]
    assert len(records) == summary.ticks
    assert not any("conflated" in leaf for leaf in records)


@pytest.mark.usefixtures("short_pauses")
async def test_a_session_in_lockstep_is_the_same_every_time(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    first = await lockstep_session(redis, redis_url, tmp_path / "one")
    second = await lockstep_session(redis, redis_url, tmp_path / "two")
    assert first == second
    assert len(first) > 50


async def test_in_lockstep_the_next_bar_waits_for_the_decision(redis: Redis) -> None:
    bars = day("AAPL", wave(100.0, 60))
    going = asyncio.create_task(feed(redis, bars, settled=Lockstep(redis, 1)))
    await until(lambda: redis.exists(keys.ticks(0)))
    await asyncio.sleep(0.05)
    fed = await redis.xlen("stocks:bars:AAPL")
    assert await redis.xlen(keys.ticks(0)) == 1
    assert fed < 60
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
