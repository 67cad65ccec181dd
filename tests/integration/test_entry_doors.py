"""Whatever stands in an entry of a stream: it is settled, the trail stays readable, and the next tick is decided."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.context.marks import read_bar
from llmctx.replay.verify import verify_log
from llmctx.schema import keys
from llmctx.trail.log.log import Log
from tests.integration.conftest import ByRules, leaves, live, serving
from tests.integration.program import until

pytestmark = pytest.mark.usefixtures("short_pauses")

LARGE = 2_000_000
EFFECT = {"id": "x", "symbol": "AAPL", "status": "accepted", "at": "2026-03-02T15:00:05Z"}
CONFIRMED = {"last": "85", "at_ms": 1772463600000, "entry_ms": 1772461800000, "entry_price": "100", "by": "x"}


def tick(**fields: object) -> dict[str, object]:
    return {"id": "c", "symbol": "AAPL"} | fields


def confirmed(**changes: object) -> dict[str, object]:
    return tick(confirmation=json.dumps(CONFIRMED | {"why": "y"} | changes))


TICKS: dict[str, tuple[str, dict[str, object]]] = {
    "a confirmed price of two million digits": ("skipped", confirmed(last="85." + "1" * LARGE)),
    "a confirmed price at a time that cannot be written": ("skipped", confirmed(at_ms=10**15)),
    "a confirmed entry price of two million digits": ("skipped", confirmed(entry_price="1." + "0" * LARGE)),
    "a confirmation that is a long list": ("skipped", tick(confirmation=f"[{'1,' * LARGE}1]")),
    "a price that is confirmed by a list": ("skipped", confirmed(by=["x"])),
    "a price that is a list": ("skipped", confirmed(last=[0, [1], 2])),
    "a long reason to confirm": ("skipped", confirmed(why="x" * LARGE)),
    "a long cause": ("decision", tick(cause="x" * LARGE)),
    "a long symbol": ("skipped", tick(symbol="A" * LARGE)),
    "a long id": ("dead_letter", tick(id="i" * LARGE)),
    "a long field beside": ("decision", tick(other="o" * LARGE)),
}
EFFECTS: dict[str, str] = {
    "a time before 1970": json.dumps(EFFECT | {"at": "0001-01-01T00:00:00Z"}),
    "a number of a million digits": json.dumps(EFFECT | {"fee": 12345}).replace("12345", "0e-1000000"),
    "a long reason": json.dumps(EFFECT | {"reason": "x" * LARGE}),
    "a long address": json.dumps(EFFECT | {"address": "9" * 9000}),
}


async def check(redis: Redis, url: str, state_dir: Path, stream: str, fields: Any) -> list[dict[str, Any]]:
    """The records after an entry of a stream and a tick on a breached stop, which is an exit all the same."""
    await redis.mset(live("AAPL", price=85.0))
    async with serving(redis, url, state_dir, ByRules()) as running:
        await redis.xadd(stream, fields)
        await until(partial(is_empty, redis, stream))
        await running.decide(redis, "t", "AAPL")
    found: Any = await leaves(redis)
    assert max(len(json.dumps(leaf)) for leaf in found) < 20_000
    assert [leaf["verdict"]["action"] for leaf in found if leaf.get("tick") == "t"] == ["exit"]
    assert (await verify_log(Log(redis))).fault is None
    return list(found)


async def is_empty(redis: Redis, stream: str) -> bool:
    return await redis.xlen(stream) == 0


@pytest.mark.parametrize("name", TICKS)
async def test_a_tick_entry_of_any_form(valkey: Redis, valkey_url: str, tmp_path: Path, name: str) -> None:
    kind, fields = TICKS[name]
    found = await check(valkey, valkey_url, tmp_path, keys.ticks(0), fields)
    assert [leaf["kind"] for leaf in found if leaf.get("tick", "t") != "t"] == [kind]


@pytest.mark.parametrize("name", EFFECTS)
async def test_an_effect_that_cannot_be_recorded(valkey: Redis, valkey_url: str, tmp_path: Path, name: str) -> None:
    found = await check(valkey, valkey_url, tmp_path, keys.effects(0), {"effect": EFFECTS[name]})
    assert [leaf["incident"]["what"] for leaf in found if leaf["kind"] == "incident"] == ["effect"]


async def test_an_error_in_confirming_a_price_costs_the_confirmation_alone(
    valkey: Redis, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    def breaks(*_: object) -> None:
        raise OverflowError("date value out of range")

    monkeypatch.setattr("llmctx.pipeline.compose_confirmation", breaks)
    found = await check(valkey, valkey_url, tmp_path, keys.ticks(0), confirmed())
    (settled,) = [leaf for leaf in found if leaf.get("tick") == "c"]
    assert (settled["kind"], settled["verdict"]["action"]) == ("dead_letter", "exit")
    assert any("AAPL: the price cannot be confirmed: OverflowError" in line for line in logged)


async def test_recorded_data_from_before_1970_leave_a_readable_trail(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    held = live("AAPL", price=85.0)
    state = json.loads(held["system:state"]) | {"timestamp": "1960-01-01T00:00:00Z"}
    await valkey.mset(held | {"system:state": json.dumps(state)})
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        await running.decide(valkey, "t", "AAPL")
    assert (await verify_log(Log(valkey))).fault is None


def test_a_bar_with_two_million_digits_confirms_nothing() -> None:
    assert read_bar(b"5-0", b"1." + b"0" * LARGE) is None
    assert read_bar(b"5-0", b"1.5") is not None


async def test_a_durable_size_that_is_none_is_replaced(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    await valkey.mset(live("AAPL", price=85.0))
    for number, durable in enumerate(("9" * 5000, "x", "-1")):
        await valkey.set("audit:{0}:durable", durable)
        async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
            await running.decide(valkey, f"t{number}", "AAPL")
        assert await Log(valkey).durable() == await Log(valkey).size()
