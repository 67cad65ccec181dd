"""`llmctx adopt` proposes a mapping for another system's keys, shows packages made with it, and writes nothing there."""

import json
import time
import tomllib
from decimal import Decimal
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.clock import iso, now_ms
from llmctx.context.staleness import Status
from llmctx.ops.adopt.preview import preview
from llmctx.ops.adopt.proposal import Proposal, propose
from llmctx.ops.adopt.survey import survey
from tests.integration.program import Program

SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")


async def write_bot(redis: Redis) -> None:
    """The keys of a bot: hashes for positions, one hash for all tickers, JSON for the rest, and what no section is."""
    now_s = time.time()
    now_ms = int(now_s * 1000)
    for symbol in SYMBOLS:
        held: Any = {
            "avgPx": "98", "markPx": "100", "size": "0.5", "posSide": "LONG", "openTime": now_ms - 600_000,
            "upl": "1", "sl": "95", "tp": "", "ts": now_ms, "lever": "3",
        }  # fmt: skip
        await redis.hset(f"bot:position:{symbol}", mapping=held)
        ticker = {"last": 100, "high": 101, "low": 97, "vol": 12.5, "ts": now_ms}
        await redis.hset("tickers", symbol, json.dumps(ticker))
        await redis.set(f"ind:{symbol.lower()}:5m", json.dumps({"rsi": 55.2, "macd": {"macdLine": 1.1}, "time": now_s}))
    await redis.set("bot:status", json.dumps({"status": "running", "market": "24/7", "heartbeat": now_s}))
    await redis.sadd("seen", "x")
    await redis.set("counter", "7")


async def proposed(redis: Redis, max_keys: int = 1000) -> Proposal:
    found = propose(await survey(redis, max_keys))
    assert found is not None
    return found


async def test_the_keys_of_a_bot_are_recognised_and_give_packages_that_can_be_decided_on(redis: Redis) -> None:
    await write_bot(redis)
    found = await proposed(redis)
    keys = {name: (rule.key, rule.kind, rule.field) for name, rule in found.sections.rules.items()}
    assert keys == {
        "price": ("tickers", "hash", "{symbol}"),
        "indicators": ("ind:{symbol_lower}:5m", "string", None),
        "position": ("bot:position:{symbol}", "hash", None),
        "system": ("bot:status", "string", None),
    }
    assert found.symbols == SYMBOLS
    package = await preview(redis, found.sections, "BTC-USDT")
    assert package.refusal is None
    assert {package.sections[name].status for name in keys} == {Status.FRESH}
    assert (package.position.side, package.position.take_profit) == ("long", None)


async def test_what_is_missing_is_named_in_the_file(redis: Redis) -> None:
    await write_bot(redis)
    for symbol in SYMBOLS:
        await redis.hdel(f"bot:position:{symbol}", "posSide", "openTime", "ts")
    await redis.set("bot:status", json.dumps({"market": "24/7", "heartbeat": time.time()}))
    found = await proposed(redis)
    assert found.missing == {"system": ("state",)}
    assert "# state was not found, and may not be null" in found.text
    assert "# no side was found: a quantity below 0 is short, any other long" in found.text
    rule = found.sections.rules["position"]
    assert rule.first_seen == ("last_update", "entry_time")
    await redis.hset("bot:position:BTC-USDT", "size", "-0.5")
    package = await preview(redis, found.sections, "BTC-USDT")
    assert (package.position.side, package.position.quantity) == ("short", Decimal("0.5"))


POSITIONS: dict[str, Any] = {
    "binance": {
        "symbol": "BTCUSDT", "positionAmt": "-0.010", "entryPrice": "60000.0", "markPrice": "59500.1",
        "unRealizedProfit": "5.0", "liquidationPrice": "71000", "leverage": "5", "positionSide": "BOTH",
    },
    "freqtrade": {
        "pair": "BTC/USDT", "is_open": True, "open_rate": 60000.0, "amount": 0.01, "current_rate": 59500.1,
        "open_timestamp": 1_772_800_000_000, "stop_loss_abs": 62000.0, "profit_abs": 5.0, "is_short": True,
    },
    "alpaca": {
        "asset_id": "x", "symbol": "BTCUSD", "avg_entry_price": "60000", "qty": "-0.01", "side": "short",
        "unrealized_pl": "5", "unrealized_plpc": "0.01", "current_price": "59500.1",
    },
}  # fmt: skip


@pytest.mark.parametrize(("bot", "key"), [("binance", "BTCUSDT"), ("freqtrade", "BTC/USDT:USDT"), ("alpaca", "BTCUSD")])
async def test_the_positions_of_well_known_interfaces_are_adopted_as_they_are(redis: Redis, bot: str, key: str) -> None:
    await redis.set(f"{bot}:position:{key}", json.dumps(POSITIONS[bot]))
    ticker = {"e": "24hrTicker", "E": int(time.time() * 1000), "c": "59500.1", "o": "60000", "h": "61000", "l": "59000"}
    await redis.set(f"{bot}:ticker:{key}", json.dumps(ticker))
    found = await proposed(redis)
    assert (found.symbols, found.missing) == ((key,), {})
    package = await preview(redis, found.sections, key)
    assert package.refusal is None
    held = package.position
    assert (held.side, held.quantity, held.entry_price) == ("short", Decimal("0.01"), Decimal(60000))
    assert package.sections["price"].status is Status.FRESH


async def test_nested_objects_behind_a_symbol_with_its_exchange_are_adopted(redis: Redis) -> None:
    now = iso(now_ms())
    quote = {"ltp": "1500.5", "ohlc": {"open": "1490", "high": "1510", "low": "1485", "close": "1480"}, "volume": "9"}
    held = {
        "netQty": "-25", "entry": {"price": "1520", "time": "2026-03-02T04:00:00Z"}, "ltp": "1500.5",
        "risk": {"stopLoss": "1550", "target": ""}, "pnl": {"unrealised": "487.5"}, "updatedAt": now,
    }  # fmt: skip
    for symbol in ("NSE:INFY", "NSE:TCS"):
        await redis.set(f"algo/{symbol}/state", json.dumps({"quote": quote, "updatedAt": now}))
        await redis.set(f"algo/{symbol}/position", json.dumps(held))
    found = await proposed(redis)
    assert found.symbols == ("NSE:INFY", "NSE:TCS")
    package = await preview(redis, found.sections, "NSE:INFY")
    assert {package.sections[name].status for name in ("price", "position")} == {Status.FRESH}
    price: Any = package.sections["price"].value
    assert price.price.last == Decimal("1500.5")
    position = package.position
    assert (position.side, position.quantity, position.entry_price) == ("short", Decimal(25), Decimal(1520))
    assert (position.current_price, position.stop_loss, position.unrealized_pnl) == (
        Decimal("1500.5"), Decimal(1550), Decimal("487.5"),
    )  # fmt: skip


async def test_keys_with_the_schemas_own_names_need_no_fields(redis: Redis, schema_examples: dict[str, str]) -> None:
    await redis.mset(schema_examples)
    found = await proposed(redis)
    assert set(found.sections.rules) >= {"price", "position", "market", "performance", "watchlist", "candidates"}
    assert not any(rule.fields for rule in found.sections.rules.values())


async def test_no_more_keys_are_looked_at_than_allowed(redis: Redis) -> None:
    await redis.mset({f"price:S{i}": "{}" for i in range(3000)})
    found = await survey(redis, 100)
    assert (found.keys, found.complete) == (100, False)


async def test_nothing_is_written_to_the_server_and_the_file_is_valid(
    valkey: Redis, valkey_url: str, dumb: Program
) -> None:
    redis, redis_url, program = valkey, valkey_url, dumb
    await write_bot(redis)
    await redis.config_resetstat()
    ended = await program("adopt", redis_url, "--output", "found.toml")
    assert ended.code == 0, ended.err
    assert "a decision can be asked for" in ended.out
    assert set(tomllib.loads((program.folder / "found.toml").read_text("utf-8"))["sections"]) >= {"position", "price"}
    written = {"set", "hset", "del", "expire", "fcall", "function|load", "publish", "xadd"}
    assert not {f"cmdstat_{name}" for name in written} & (await redis.info("commandstats")).keys()
    again = await program("adopt", redis_url, "--output", "found.toml")
    assert (again.code, "exists already" in again.err) == (2, True)


@pytest.mark.parametrize("keys", [{}, {"counter": "7", "notes": '{"a": 1}'}])
async def test_a_keyspace_without_any_section_is_told(
    valkey: Redis, valkey_url: str, dumb: Program, keys: dict[str, str]
) -> None:
    for key, value in keys.items():
        await valkey.set(key, value)
    ended = await dumb("adopt", valkey_url)
    assert (ended.code, "looks like a section" in ended.err) == (1, True)
