"""A cleanup removes what live data leaves behind, says how much, and never touches the trail or a position."""

import json
import os
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.clock import iso, now_ms
from llmctx.connection.streams import read_stream
from llmctx.ops.cleanup import lists
from llmctx.ops.cleanup.scope import Scope, Tally
from llmctx.schema import keys
from llmctx.schema.keys import DAY_S
from tests.integration.program import Program
from tests.integration.test_prove import make_trail

HOUR_MS, DAY_MS = 3_600_000, DAY_S * 1000
LOOK_ALIKES = (
    "audit:{0}:symbol:stocks:price:AAPL", "stocks:price:{AAPL}:audit", "stocks:price:", "xstocks:price:AAPL",
    "stocks:price:a  b", "positions:active:signals:exit:AAPL", "positions:active:stocks:price:AAPL",
    "signals:exit:{positions}:active:AAPL", "positions:monitoring:{x}:AAPL", "signals:AAPL", "decisions:{0}:latest:AAPL",
    "watchlist:current:old", "audit:{0}:blob:signals:exit:AAPL", "positions:monitored:ZZZ", "candidates:ranked:{0}",
)  # fmt: skip
"""Names that hold the name of a family, and are of none."""


def monitoring(at_ms: int) -> str:
    signals = {"rsi_1m": None, "macd_5m": None, "support_resistance": None}
    return json.dumps(
        {
            "technical_signals": signals,
            "profit_target": None,
            "stop_loss": None,
            "time_in_trade": "00:01:00",
            "timestamp": iso(at_ms),
        }
    )


def signal(at_ms: int) -> str:
    return json.dumps({"reason": "x", "price": 1, "timestamp": iso(at_ms), "indicators": {}, "confidence": 0.5})


async def cleaned(made: Program, *options: str) -> dict[str, Any]:
    """What each step did."""
    ended = await made("cleanup", "--json", *options)
    assert ended.code == 0, ended.err
    return {step["step"]: step for step in ended.lines}


async def state_of(redis: Redis) -> dict[bytes, tuple[Any, bool]]:
    """Every key's content, and whether it expires."""
    return {name: (await redis.dump(name), await redis.ttl(name) >= 0) async for name in redis.scan_iter()}


@pytest.fixture
def made(redis: Redis, redis_url: str, tmp_path: Any) -> Program:  # noqa: ARG001
    return Program(redis_url, tmp_path)


async def test_keys_that_should_expire_get_the_ttl_of_their_family(
    redis: Redis, made: Program, schema_examples: dict[str, str]
) -> None:
    await redis.mset(schema_examples)
    await redis.expire("context:market", 50)
    dry = await cleaned(made, "--dry-run")
    assert dry["expire"]["keys"] == len(schema_examples) - 3
    assert [await redis.ttl(key) for key in ("stocks:price:AAPL", "watchlist:current")] == [-1, -1]
    done = await cleaned(made)
    assert done["expire"] == dry["expire"] | {"dry_run": False}
    assert done["expire"]["bytes"] > 1000
    ttls = {key: await redis.ttl(key) for key in schema_examples}
    assert ttls["positions:active:AAPL"] == ttls["positions:monitoring:AAPL"] == -1
    assert 0 < ttls["context:market"] <= 50
    assert DAY_S - 60 < ttls["stocks:price:AAPL"] <= DAY_S < 7 * DAY_S - 60 < ttls["system:state"] <= 7 * DAY_S
    assert (await cleaned(made))["expire"]["keys"] == 0


async def test_what_belongs_to_a_closed_position_goes_and_what_may_be_opened_stays(redis: Redis, made: Program) -> None:
    now = now_ms()
    old, young = now - 2 * HOUR_MS, now - 1000
    await redis.set("positions:active:HELD", "{}")
    await redis.hset("positions:active:ODD", "not", "a string")
    for symbol, at_ms in (("HELD", old), ("ODD", old), ("GONE", old), ("NEW", young)):
        await redis.set(f"positions:monitoring:{symbol}", monitoring(at_ms))
        await redis.set(f"signals:exit:{symbol}", signal(at_ms), ex=900)
        await redis.set(f"signals:entry:{symbol}", signal(at_ms), ex=900)
    await redis.set("positions:monitoring:BAD", "not JSON")
    await redis.xadd(keys.CLOSED, {"symbol": "SOLD", "exit_time": iso(old + 1000)})
    await redis.set("signals:entry:SOLD", signal(old), ex=900)
    await redis.set("signals:breakout:SOLD", signal(old + 2000), ex=900)
    gone = {b"positions:monitoring:GONE", b"signals:exit:GONE", b"signals:entry:SOLD"}
    before = await state_of(redis)
    dry = await cleaned(made, "--dry-run")
    assert await state_of(redis) == before
    done = await cleaned(made)
    assert before.keys() - (await state_of(redis)).keys() == gone
    for found in (dry, done):
        assert (found["closed_positions"]["keys"], {*found["closed_positions"]["names"]}) == (
            3,
            {key.decode() for key in gone},
        )
    assert done["closed_positions"]["bytes"] == dry["closed_positions"]["bytes"] > 300


@pytest.mark.usefixtures("short_pauses")
async def test_no_key_of_the_trail_no_position_and_no_look_alike_is_touched(
    redis: Redis, redis_url: str, made: Program
) -> None:
    await make_trail(redis, redis_url, made)
    old = now_ms() - 9 * DAY_MS
    for number, name in enumerate(LOOK_ALIKES):
        await redis.set(name, (monitoring, signal)[number % 2](old))
    for symbol in ("audit", "active", "AAPL"):
        await redis.set(f"positions:active:{symbol}", "{}")
    for n in range(12):
        await redis.xadd("ticks:{7}", {"id": str(n)})
    kept = {
        name: found
        for name, found in (await state_of(redis)).items()
        if name.startswith((b"audit:", b"positions:active:", b"ticks:", b"decisions:"))
    }
    kept |= {name.encode(): (await redis.dump(name), False) for name in LOOK_ALIKES}
    await cleaned(made)
    now = await state_of(redis)
    assert {name: now.get(name) for name in kept} == kept
    assert len([name for name in kept if name.startswith(b"audit:{0}:")]) > 5
    await redis.delete(*LOOK_ALIKES)
    assert (await made("verify", "--json")).code == 0


async def test_stale_lists_and_long_streams_are_cut_and_fresh_ones_stay(redis: Redis, made: Program) -> None:
    now = now_ms()
    ranked = [{"symbol": "A", "score": 1, "price": 1, "signals": [], "timestamp": iso(now - 2 * DAY_MS)}]
    await redis.set("candidates:ranked", json.dumps(ranked))
    await redis.hset(keys.SCREENED, mapping={"OLD": f"{now - 8 * DAY_MS} 0 {{}}", "NEW": f"{now} 0 {{}}"})
    await redis.zadd(keys.SCORES, {"OLD": 1, "NEW": 2})
    await redis.zadd(keys.news("A"), {"old": now - 8 * DAY_MS, "new": now})
    async with redis.pipeline() as filling:
        for n in range(1, 5601):
            filling.xadd(keys.bars("LONG"), {"close": "1"}, id=f"{n}-0")
            if n <= 5400:
                filling.xadd(keys.bars("CAPPED"), {"close": "1"}, id=f"{n}-0")
        await filling.execute()
    dry = await cleaned(made, "--dry-run")
    assert await redis.xlen(keys.bars("LONG")) == 5600
    done = await cleaned(made)
    assert (done["stale_lists"]["keys"], done["stale_lists"]["items"]) == (1, 2)
    assert await redis.exists("candidates:ranked") == 0
    assert (await redis.hkeys(keys.SCREENED), await redis.zrange(keys.SCORES, 0, -1)) == ([b"NEW"], [b"NEW"])
    assert await redis.zrange(keys.news("A"), 0, -1) == [b"new"]
    assert (dry["streams"]["items"], done["streams"]["items"], done["streams"]["names"]) == (
        600,
        600,
        [keys.bars("LONG")],
    )
    assert (await redis.xlen(keys.bars("LONG")), await redis.xlen(keys.bars("CAPPED"))) == (keys.MAX_BARS, 5400)
    assert [entry.id for entry in await read_stream(redis, keys.bars("LONG"), count=1)] == ["601-0"]
    assert done["streams"]["bytes"] > 0


async def test_dead_consumers_go_unless_something_is_pending(
    redis: Redis, made: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = (keys.ticks(0), keys.effects(0), keys.decisions(0))
    for stream in streams:
        await redis.xadd(stream, {"decision": "{}"}, id="1-1")
        await redis.xgroup_create(stream, "desk", id="0")
        await redis.xgroup_createconsumer(stream, "desk", "idle")
        await redis.xreadgroup("desk", "busy", {stream: ">"})
    assert (await cleaned(made))["consumers"]["items"] == 0  # a second is no week
    scope = await Scope.of(redis, 1, apply=True)
    monkeypatch.setattr(lists, "STALE_MS", 0)
    tally = Tally()
    await lists.remove_consumers(scope, tally)
    assert tally.names == [f"{stream} desk idle" for stream in streams]
    assert [(await redis.xinfo_consumers(stream, "desk"))[0]["name"] for stream in streams] == [b"busy"] * 3


async def test_old_results_of_replays_go_and_other_files_stay(redis: Redis, made: Program) -> None:  # noqa: ARG001
    folder = made.folder / "var" / "replays"
    folder.mkdir(parents=True)
    for name, text in (
        ("old", '{"format":"llmctx-replay/1"}'),
        ("new", '{"format":"llmctx-replay/1"}'),
        ("mine", "{}"),
    ):
        (folder / f"{name}.jsonl").write_text(text + "\n")
        if name != "new":
            os.utime(folder / f"{name}.jsonl", (1, 1))
    assert (await cleaned(made, "--dry-run"))["replays"]["items"] == 1
    assert (await cleaned(made))["replays"]["names"] == [
        "var/replays/old.jsonl".replace("var", str(made.folder / "var"))
    ]
    assert sorted(path.name for path in folder.iterdir()) == ["mine.jsonl", "new.jsonl"]
    assert (await cleaned(made, "--keep-replays", "0"))["replays"]["items"] == 1
