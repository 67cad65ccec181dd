"""An auditor with an export alone is told why something was sold, who allowed it, and what was really got."""

import asyncio
import subprocess
import sys

import pytest
from redis.asyncio import Redis

from llmctx import clock
from llmctx.decision.mandate.mandate import Mandate
from llmctx.decision.verdict import GuardPolicy
from llmctx.flow.feed import Feed
from llmctx.flow.lockstep import Lockstep
from llmctx.flow.rules import FeedRules
from llmctx.flow.simulated_market import simulate
from llmctx.flow.store import Store
from llmctx.schema import keys
from tests.conftest import ROOT
from tests.integration.conftest import ByRules, Prepared, leaves, serving
from tests.integration.program import Program
from tests.integration.test_prove import sign

MARKET = simulate(seed=11, days=1, minutes=40)


async def trade(redis: Redis, url: str, made: Program) -> None:
    """A session of the paper broker, and an export of its trail in `out`."""
    policy = GuardPolicy(mandate=Mandate(by="R. Ohm", why="review"))
    async with serving(redis, url, made.folder / "var", ByRules(), policy=policy):
        feed = Feed(Store(redis, 1), FeedRules(sectors=MARKET.sectors), lockstep=Lockstep(redis, 1))
        await feed.run(MARKET.items())
    sold = next(leaf for leaf in await leaves(redis) if _is_sale(leaf) and "about" in leaf)
    at = ("annotate", str(sold["about"]["index"]), "--by", "R. Meier", "--why", "as agreed")  # type: ignore[index]
    assert (await made(*at)).code == 0
    await sign(redis, made.folder / "var")
    assert (await made("export", "out")).code == 0


async def audit(made: Program) -> subprocess.CompletedProcess[str]:
    """What audit/verify.py says of the export."""
    key = (await made("key")).out.strip()
    command = [sys.executable, str(ROOT / "audit" / "verify.py"), str(made.folder / "out"), "--key", key]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)


def _is_sale(leaf: dict[str, object]) -> bool:
    effect = leaf.get("effect")
    return isinstance(effect, dict) and effect["status"] == "filled" and effect["side"] == "sell"


@pytest.fixture
async def exported(valkey: Redis, valkey_url: str, dumb: Program, prepared: Prepared, short_pauses: None) -> Program:  # noqa: ARG001
    await prepared.once("trades", valkey, dumb.folder, lambda: trade(valkey, valkey_url, dumb))
    return dumb


async def test_every_fill_of_the_paper_broker_is_an_effect(exported: Program, valkey: Redis) -> None:
    fills = await valkey.xlen(keys.FILLS)
    effects = [leaf["effect"] for leaf in await leaves(valkey) if leaf["kind"] == "effect"]
    filled = [each for each in effects if isinstance(each, dict) and "price" in each]
    assert len(filled) == fills > 5
    assert await valkey.xlen(keys.effects(0)) == 0
    assert exported.folder.exists()


async def test_one_command_says_why_who_and_what_was_got(exported: Program, valkey: Redis) -> None:
    found = [leaf for leaf in await leaves(valkey) if _is_sale(leaf)]
    by_decision = next(leaf for leaf in found if "about" in leaf)
    by_broker = [leaf for leaf in found if "about" not in leaf]
    everything = await exported("reconcile", "--from", "out", "--json")
    trades = {line["address"]: line for line in everything.lines}
    index = str(by_decision["about"]["index"])  # type: ignore[index]
    trade = trades[index]
    assert (trade["findings"], trade["statuses"]) == ([], ["filled"])
    assert trade["people"] == ["annotated by R. Meier: as agreed"]
    assert trade["slippage_bps"] is not None
    said, shown, queried = await exported.all(
        f"reconcile --from out --symbol {by_decision['symbol']}",
        f"show {index} --from out",
        "query effects --from out --json",
    )
    for ended in (said, shown):
        assert "annotated by R. Meier: as agreed" in ended.out
        assert str(by_decision["verdict"]["reason"]).partition(":")[0] in ended.out or ended is said  # type: ignore[index]
    assert f"decision {index}" in said.out
    reasons = {line["reason"] for line in everything.lines if line["action"] == "none"}
    assert {leaf["effect"]["reason"] for leaf in by_broker} <= reasons  # type: ignore[index]
    assert len([row for row in queried.lines if row["fill_price"] is not None]) == await valkey.xlen(keys.FILLS)


async def test_each_question_of_an_auditor_is_one_command_on_the_export_alone(exported: Program, valkey: Redis) -> None:
    sales = [leaf for leaf in await leaves(valkey) if _is_sale(leaf)]
    sale = next(leaf for leaf in sales if "about" in leaf)
    index, minute = sale["about"]["index"], clock.iso(sale["as_of_ms"])[11:16]  # type: ignore[index]
    alone = Program("redis://127.0.0.1:1/0", exported.folder, "http://127.0.0.1:1/v1")
    why, who, within, got = await alone.all(
        f"reconcile --symbol {sale['symbol']} --at {minute} --from out",
        f"show {index} --from out",
        f"mandate of {index} --from out",
        f"reconcile --symbol {sale['symbol']} --at {minute} --from out --json",
    )
    assert f"decision {index}: {sale['verdict']['reason']}".split(":")[0] in why.out  # type: ignore[index]
    assert "annotated by R. Meier: as agreed" in who.out
    assert "set by R. Ohm: review" in who.out
    assert "annotated by R. Meier: as agreed" in within.out
    assert "the evidence yields this verdict again" in within.out
    done = next(line for line in got.lines if line["address"] == str(index))
    assert done["filled"] == sale["effect"]["quantity"]  # type: ignore[index]
    assert (done["fill_price"], done["slippage_bps"]) != (None, None)
    assert (await alone("verify", "out", "--effects")).code == 0


async def test_a_stop_at_the_broker_has_its_answers_too(exported: Program, valkey: Redis) -> None:
    found = {leaf["id"]: leaf for leaf in await leaves(valkey) if leaf["kind"] == "effect" and "about" not in leaf}
    stop = next(leaf for leaf in found.values() if leaf["effect"].get("reason") == "stop_hit")  # type: ignore[attr-defined]
    everything = await exported("reconcile", "--from", "out", "--symbol", str(stop["symbol"]), "--json")
    trade = next(line for line in everything.lines if stop["as_of_ms"] in line["done_ms"] and line["action"] == "none")
    assert (trade["reason"], trade["findings"]) == ("stop_hit", [])
    assert f"saw stop {float(trade['fill_price']):g}" in trade["stood"]
    within = await exported("mandate", "of", trade["address"], "--from", "out")
    assert (within.code, "no decision asked for it" in within.out) == (0, True)


@pytest.mark.more
async def test_both_verifiers_accept_a_trail_with_effects(exported: Program) -> None:
    inside = await exported("verify", "--effects")
    assert (inside.code, "effects" in inside.out) == (0, True), inside.out + inside.err
    assert (await exported("verify", "out", "--effects")).code == 0
    done = await audit(exported)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.more
async def test_an_effect_that_was_altered_fails_both(exported: Program) -> None:
    path = exported.folder / "out" / "0" / "leaves.jsonl"
    path.write_text(path.read_text().replace('"side":"sell"', '"side":"buy"', 1))
    assert (await exported("verify", "out")).code == 1
    assert (await audit(exported)).returncode == 1
