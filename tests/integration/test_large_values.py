"""Values of 65 MB where others can write: the service goes on, stops are obeyed, and memory stays bounded."""

import gc
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.schema import keys
from tests.integration.conftest import ByRules, Running, leaves, live, serving

pytestmark = [pytest.mark.usefixtures("short_pauses"), pytest.mark.more]

SIZE = 65_000_000
ONES = "[" + "1," * (SIZE // 2) + "1]"
MOST_AT_ONCE = 8 * SIZE
Write = Callable[[Redis], Awaitable[Any]]


def entry(stream: str, **fields: Any) -> Write:
    given: dict[Any, Any] = fields
    return lambda redis: redis.xadd(stream, given)


def tick(**fields: str) -> Write:
    return entry(keys.ticks(0), id="large", symbol="AAPL", **fields)


def value(key: str, text: str) -> Write:
    return lambda redis: redis.set(key, text)


def field(key: str, name: str, text: str) -> Write:
    return lambda redis: redis.hset(key, name, text)


PLACES: dict[str, Callable[[], Write]] = {
    "a cause": lambda: tick(cause="x" * SIZE),
    "a field beside": lambda: tick(other="x" * SIZE),
    "the name of a field": lambda: tick(**{"x" * SIZE: "1"}),
    "a confirmation": lambda: tick(confirmation=ONES),
    "a request": lambda: entry(keys.ticks(0), request=ONES),
    "an effect": lambda: entry(keys.effects(0), effect=ONES),
    "a market": lambda: value("context:market", json.dumps({"x": "x" * SIZE})),
    "news": lambda: value("stocks:sentiment:AAPL", json.dumps({"news": [{"headline": "x" * SIZE}]})),
    "a bar": lambda: entry("stocks:bars:AAPL", close="1" * SIZE),
    "a foreign record": lambda: entry("audit:{0}:log", record="x" * SIZE),
    "a foreign field": lambda: entry("audit:{0}:log", other="x" * SIZE),
    "a foreign decision": lambda: entry(keys.decisions(0), decision=ONES),
    "the map of ticks": lambda: field("audit:{0}:ticks", "second", "9" * SIZE),
    "a person": lambda: field("audit:people", "x", "x" * SIZE),
    "the durable size": lambda: value("audit:{0}:durable", "9" * SIZE),
}


def memory_bytes(name: str) -> int:
    """A figure of this process: VmRSS is what it has in memory, VmHWM the most since `forget_peak`."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def forget_peak() -> None:
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


async def verdict_of(redis: Redis, running: Running, tick_id: str, symbol: str) -> tuple[str, str]:
    await running.decide(redis, tick_id, symbol)
    record = next(each.record for each in running.entries if tick_id in each.ticks)
    return record["kind"], record["verdict"]["action"]


@pytest.mark.parametrize("name", PLACES)
async def test_a_value_of_65_mb(valkey: Redis, valkey_url: str, tmp_path: Path, name: str) -> None:
    await valkey.mset(live("AAPL", price=85.0) | live("MSFT", price=85.0))
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        assert await verdict_of(valkey, running, "first", "AAPL") == ("decision", "exit")
        await PLACES[name]()(valkey)
        forget_peak()
        before = memory_bytes("VmRSS")
        assert await verdict_of(valkey, running, "second", "AAPL") == ("decision", "exit")
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        assert await verdict_of(valkey, running, "third", "MSFT") == ("decision", "exit")
    assert memory_bytes("VmHWM") - before < MOST_AT_ONCE
    assert max(len(json.dumps(leaf)) for leaf in await leaves(valkey)) < 20_000


async def test_many_together_take_no_more_than_a_few(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    await valkey.mset(live("AAPL", price=85.0) | live("MSFT", price=85.0))
    for number in range(40):
        await valkey.xadd(keys.ticks(0), {"id": f"large:{number}", "symbol": "AAPL", "cause": "x" * 5_000_000})
        await valkey.xadd(keys.effects(0), {"effect": "1" * 5_000_000})
    forget_peak()
    before = memory_bytes("VmRSS")
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        assert await verdict_of(valkey, running, "t", "MSFT") == ("decision", "exit")
        await running.until_settled(*[f"large:{number}" for number in range(40)])
    assert memory_bytes("VmHWM") - before < 120_000_000


async def test_many_of_them_at_once(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    await valkey.mset(live("AAPL", price=85.0) | live("MSFT", price=85.0))
    for number in range(4):
        await tick(cause="x" * SIZE)(valkey)
        await entry(keys.effects(0), effect=str(number) * SIZE)(valkey)
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        assert await verdict_of(valkey, running, "t", "MSFT") == ("decision", "exit")
