"""A stop that is reached by a price that is not believed: held, published, told, and confirmed."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx import clock
from llmctx.connection import server_ms
from llmctx.connection.streams import read_stream
from llmctx.replay.verify import verify_log
from llmctx.schema import keys
from llmctx.trail.log.log import Log
from llmctx.worker import unconfirmed
from tests.conftest import ROOT
from tests.integration.conftest import ByRules, Running, leaves, person, serving
from tests.integration.program import Program, until

pytestmark = pytest.mark.usefixtures("short_pauses")

SYMBOL = "KLMN"
HOUR_MS = 3_600_000


async def write(redis: Redis, price: str, *, stop: float = 46.5, entry: float = 48.0, age_ms: int = 0) -> None:
    """Write a price of now, or of `age_ms` before, with a position that was marked together with it."""
    now_ms = await server_ms(redis)
    at, last = clock.iso(now_ms - age_ms), float(price)
    move = (last - entry) * 20
    position = {
        "symbol": SYMBOL, "entry_price": entry, "current_price": last, "quantity": 20, "side": "long",
        "entry_time": "2026-06-01T14:30:00.000Z", "unrealized_pnl": move, "unrealized_pnl_pct": move / entry / 20 * 100,
        "stop_loss": stop, "take_profit": None, "last_update": at,
    }  # fmt: skip
    session = {"last": last, "open": last, "high": last, "low": last, "volume": 1000}
    state = {
        "state": "running", "market_status": "open", "active_positions_count": 1, "watchlist_count": 1,
        "last_scan_time": None, "timestamp": clock.iso(now_ms),
    }  # fmt: skip
    await redis.mset(
        {
            f"positions:active:{SYMBOL}": json.dumps(position),
            f"stocks:price:{SYMBOL}": json.dumps({"price": session, "timestamp": at}),
            "system:state": json.dumps(state),
        }
    )


def told(record: dict[str, Any]) -> tuple[str, list[str]]:
    """The action of a record, and the guardrails that fired and concern the stop."""
    verdict = record["verdict"]
    fired = [guard["name"] for guard in verdict.get("guards", ())]
    return verdict["action"], [name for name in fired if name in ("stop_unconfirmed", "stale", "stop_loss_breached")]


HELD, LEFT = ("hold", ["stop_unconfirmed"]), ("exit", ["stop_loss_breached"])


async def decide(program: Program) -> dict[str, Any]:
    document: dict[str, Any] = (await program("decide", SYMBOL, "--json")).document
    return document


@asynccontextmanager
async def service(redis: Redis, url: str, folder: Path) -> AsyncIterator[Running]:
    async with serving(redis, url, folder, ByRules()) as running:
        yield running


async def settle(redis: Redis, running: Running, tick: str) -> dict[str, Any]:
    """The record of a tick that is raised now."""
    await running.decide(redis, tick, SYMBOL)
    return next(entry.record for entry in running.entries if entry.record.get("tick") == tick)


async def test_a_price_in_other_units_holds_the_stop_until_a_person_confirms_it(dumb: Program, valkey: Redis) -> None:
    await write(valkey, "50.4")
    assert told(await decide(dumb)) == ("hold", [])
    for price in ("0.504", "0.503"):
        await write(valkey, price)
        record = await decide(dumb)
        assert told(record) == HELD
        assert "a ratio of 100:1" in record["verdict"]["reason"]
        assert "llmctx confirm" in record["verdict"]["reason"]
    published = json.loads((await read_stream(valkey, keys.decisions(0)))[-1].fields[b"decision"])
    assert (published["action"], "stop_loss 46.5" in published["reason"]) == ("hold", True)
    status = await dumb("status", "--json")
    assert status.document["partitions"][0]["unconfirmed_stops"] == [SYMBOL]
    assert f"{SYMBOL} wait for `llmctx confirm`" in (await dumb("status")).out
    assert (
        "implausible price.price.last 0.503 is -99.0% from the believed price 50.4"
        in (await dumb("context", SYMBOL)).out
    )
    shown = (await dumb("context", SYMBOL, "--prompt", "position")).out
    assert "## price: fresh, " in shown
    assert "- (implausible): price.price.last 0.503 is -99.0%" in shown

    ended = await dumb("confirm", SYMBOL, "--by", "R. Ohm", "--why", "two sources show it", "--json")
    assert (ended.code, told(ended.document)) == (0, LEFT)
    ohm = await person(valkey, "R. Ohm")
    assert f"{ohm} confirmed the price" in ended.document["verdict"]["reason"]
    notice = [leaf for leaf in await leaves(valkey) if leaf["kind"] == "notice"][-1]
    assert notice["symbol"] == SYMBOL
    said: Any = notice["confirmation"]
    assert (said["by"], said["why"], said["last"]) == (ohm, "two sources show it", "0.503")
    assert (await dumb("status", "--json")).document["partitions"][0]["unconfirmed_stops"] == []

    await write(valkey, "0.51")  # the same level: still confirmed
    assert told(await decide(dumb)) == LEFT
    await write(valkey, "0.051")  # another one: not confirmed
    assert told(await decide(dumb)) == HELD
    assert (await dumb("verify", "--strict")).code == 0


async def test_a_crash_is_confirmed_by_the_next_price_also_after_a_restart(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    await write(valkey, "50")
    async with service(valkey, valkey_url, tmp_path) as running:
        assert told(await settle(valkey, running, "a")) == ("hold", [])
        await write(valkey, "27.1")
        assert told(await settle(valkey, running, "b")) == HELD
        assert any("The stop is not obeyed before" in trouble for trouble in running.troubles)
    async with service(valkey, valkey_url, tmp_path) as running:  # what it knows now it has from the trail
        assert told(await settle(valkey, running, "c")) == HELD
        await write(valkey, "26.8")
        assert told(await settle(valkey, running, "d")) == LEFT
    assert (await verify_log(Log(valkey))).fault is None


async def test_a_crash_is_confirmed_by_a_later_bar(dumb: Program, valkey: Redis) -> None:
    await write(valkey, "50")
    await decide(dumb)
    await write(valkey, "27.1")
    assert told(await decide(dumb)) == HELD
    for entry_id, close, expected in (("1-0", "26.9", HELD), ("2-0", "none", HELD)):
        await valkey.xadd(keys.bars(SYMBOL), {"close": close}, id=entry_id)
        assert told(await decide(dumb)) == expected
    await valkey.xadd(keys.bars(SYMBOL), {"open": "27", "close": "26.9"}, id=f"{await server_ms(valkey)}-0")
    assert told(await decide(dumb)) == LEFT
    assert (await dumb("verify", "--strict")).code == 0


async def test_a_held_stop_is_told_again_and_decided_again(
    valkey: Redis, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unconfirmed, "_INTERVAL_S", 0.05)
    await write(valkey, "50")
    async with service(valkey, valkey_url, tmp_path) as running:
        await settle(valkey, running, "a")
        await write(valkey, "27.1")
        await settle(valkey, running, "b")
        await running.until_trouble("the stop still waits for a confirmation")
    async with service(valkey, valkey_url, tmp_path) as running:
        await running.until_trouble("the stop still waits for a confirmation")
        await write(valkey, "26.8")  # nobody raises a tick
        await until(lambda: any(told(entry.record) == LEFT for entry in running.entries))
        count = len(running.entries)
        await settle(valkey, running, "c")
    causes = [entry.record.get("cause") for entry in running.entries]
    assert "stop_unconfirmed" in causes[:count]


async def test_a_price_far_in_the_past_holds_and_a_stale_one_does_not(dumb: Program, valkey: Redis) -> None:
    await write(valkey, "46", age_ms=24 * HOUR_MS)
    record = await decide(dumb)
    assert told(record) == HELD
    assert "(confirmed by any newer price)" in record["verdict"]["reason"]
    await write(valkey, "46", age_ms=300_000)
    assert told(await decide(dumb)) == ("exit", ["stale", "stop_loss_breached"])


async def test_a_rewritten_position_is_judged_in_its_own_units(dumb: Program, valkey: Redis) -> None:
    await write(valkey, "50")
    await decide(dumb)
    await write(valkey, "5", entry=4.8)  # half written: the stop is still the old one
    assert told(await decide(dumb)) == HELD
    await write(valkey, "5", entry=4.8, stop=4.65)
    assert told(await decide(dumb)) == ("hold", [])
    await write(valkey, "4.6", entry=4.8, stop=4.65)
    assert told(await decide(dumb)) == LEFT


async def test_the_setting_exit_obeys_the_stop_and_says_what_is_wrong(dumb: Program, valkey: Redis) -> None:
    dumb.environment["LLMCTX_UNCONFIRMED_STOP"] = "exit"
    await write(valkey, "50")
    await decide(dumb)
    await write(valkey, "0.0001")
    record = await decide(dumb)
    assert told(record) == LEFT
    assert "but price.price.last 0.0001 is -100.0% from the believed price 50" in record["verdict"]["reason"]


async def test_confirm_beside_a_running_owner_goes_through_it(program: Program, valkey: Redis, tmp_path: Path) -> None:
    await write(valkey, "50")
    async with program.running(valkey) as process:
        await decide(program)
        await write(valkey, "25")
        assert told(await decide(program)) == HELD
        ended = await program("confirm", SYMBOL, "--by", "A. Volt", "--why", "halted and reopened there", "--json")
        assert told(ended.document) == LEFT
        await program.stop(process)
    assert (await program("verify")).code == 0
    folder = str(tmp_path / "export")
    assert (await program("export", folder)).code == 0
    key = (await program("key")).out.strip()
    audit = await asyncio.create_subprocess_exec(
        sys.executable, ROOT / "audit" / "verify.py", folder, "--key", key, stdout=asyncio.subprocess.DEVNULL
    )
    assert await audit.wait() == 0


@pytest.mark.parametrize(
    "options", [("--by", "", "--why", "x"), ("--by", "x", "--why", " "), ("--by", "x" * 101, "--why", "y")]
)
async def test_confirm_needs_a_name_and_a_reason(options: tuple[str, ...], dumb: Program, valkey: Redis) -> None:
    assert (await dumb("confirm", SYMBOL, *options)).code == 2
    assert await valkey.dbsize() == 0


async def test_confirm_without_a_price_says_so(dumb: Program) -> None:
    ended = await dumb("confirm", SYMBOL, "--by", "x", "--why", "y")
    assert (ended.code, "There is no price to confirm" in ended.err) == (2, True)


async def test_a_malformed_confirmation_is_a_skipped_tick(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    await write(valkey, "50")
    fields: dict[Any, Any] = {"id": "bad", "symbol": SYMBOL, "confirmation": '{"last": "NaN", "by": "x", "why": "y"}'}
    await valkey.xadd(keys.ticks(0), fields)
    async with service(valkey, valkey_url, tmp_path) as running:
        await running.until_settled("bad")
    assert [leaf["kind"] for leaf in await leaves(valkey)] == ["notice", "skipped"]
