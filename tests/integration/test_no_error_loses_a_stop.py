"""An error is raised in every step of a tick, from snapshot to publishing: the tick settles, a breached stop is an exit."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

import pytest
from redis.asyncio import Redis

from llmctx.connection.streams import read_stream
from llmctx.decision import guards
from llmctx.decision.approval import ApprovalRule
from llmctx.decision.decision import OUTPUT
from llmctx.decision.trigger import TriggerPolicy
from llmctx.decision.verdict import GuardPolicy
from llmctx.llm.budget import BudgetTerms, CallCost
from llmctx.llm.budget_limits import DailyBudget
from llmctx.llm.completion import Completion
from llmctx.llm.output import OutputSchema
from llmctx.prompt.render import Prompt
from llmctx.publication import published_text
from llmctx.replay.verify import verify_log
from llmctx.schema import keys
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.log import Draft, Log
from llmctx.trail.log.packing import Layout, lay_out
from llmctx.worker.owner import Owner
from tests.integration.breaking import ALWAYS, exit_of, exits, failing
from tests.integration.conftest import ByRules, hold, leaves, live, raise_tick, serving

pytestmark = pytest.mark.usefixtures("short_pauses")

STEPS = {
    "llmctx.pipeline.read_snapshot": (1, "decision"),
    "llmctx.symbols.memory.SymbolMemory.of": (ALWAYS, "dead_letter"),
    "llmctx.symbols.memory.ledger_after": (ALWAYS, "decision"),
    "llmctx.pipeline.halt_in": (ALWAYS, "dead_letter"),
    "llmctx.pipeline.with_room": (ALWAYS, "dead_letter"),
    "llmctx.symbols.standing.StandingDecisions.instead_of_asking": (ALWAYS, "dead_letter"),
    "llmctx.pipeline.render": (ALWAYS, "skipped"),
    "llmctx.prompt.render.Message": (ALWAYS, "skipped"),
    "llmctx.decision.conclude.judge": (ALWAYS, "failed"),
    "llmctx.decision.parse.parse": (ALWAYS, "failed"),
    "llmctx.decision.guards.ground": (ALWAYS, "decision"),
    "llmctx.decision.grounding.cited_numbers": (ALWAYS, "decision"),
    "llmctx.pipeline.conclude": (ALWAYS, "dead_letter"),
    "llmctx.pipeline.compose": (ALWAYS, "dead_letter"),
    "llmctx.record._guarded": (ALWAYS, "dead_letter"),
    "llmctx.record._head": (ALWAYS, "dead_letter"),
    "llmctx.record._draft": (ALWAYS, "dead_letter"),
    "llmctx.record.named_blobs": (ALWAYS, "dead_letter"),
    "llmctx.record.evidence_fields": (ALWAYS, "dead_letter"),
    "llmctx.record.verdict_fields": (ALWAYS, "dead_letter"),
    "llmctx.record.mandate_fields": (ALWAYS, "dead_letter"),
    "llmctx.leaf_fields.policy_fields": (ALWAYS, "dead_letter"),
    "llmctx.leaf_fields._present": (ALWAYS, "dead_letter"),
    "llmctx.leaf_fields.text_of": (ALWAYS, "dead_letter"),
    "llmctx.rules.code": (ALWAYS, "dead_letter"),
    "llmctx.record.prompt_fields": (ALWAYS, "dead_letter"),
    "llmctx.record.completion_fields": (ALWAYS, "dead_letter"),
    "llmctx.record.decision_fields": (ALWAYS, "dead_letter"),
    "llmctx.record.grounding_fields": (ALWAYS, "dead_letter"),
    "llmctx.pipeline.build_package": (ALWAYS, "dead_letter"),
    "llmctx.context.first_seen.read_content": (ALWAYS, "dead_letter"),
    "llmctx.context.package.age_of": (ALWAYS, "dead_letter"),
    "llmctx.context.package.values.Position": (ALWAYS, "dead_letter"),
    "llmctx.pipeline.conclude_unasked": (ALWAYS, "decision"),
    "llmctx.decision.conclude.guard": (ALWAYS, "dead_letter"),
    "llmctx.decision.guards._Draft": (ALWAYS, "dead_letter"),
    "llmctx.record.sections_fields": (ALWAYS, "dead_letter"),
    "llmctx.context.snapshot.Snapshot.evidence": (ALWAYS, "dead_letter"),
    "llmctx.pipeline.clock.Stopwatch": (1, "decision"),
    "llmctx.pipeline.Pipeline._ask": (ALWAYS, "dead_letter"),
    "llmctx.worker.budget.SharedBudget.reserve": (ALWAYS, "dead_letter"),
    "llmctx.worker.budget._RESERVE": (ALWAYS, "skipped"),
    "llmctx.worker.budget._SETTLE": (ALWAYS, "decision"),
    "llmctx.llm.budget.CallCost.used": (ALWAYS, "decision"),
    "llmctx.symbols.memory.SymbolMemory._known_after": (ALWAYS, "decision"),
    "llmctx.symbols.memory.thesis_of": (ALWAYS, "decision"),
    "llmctx.symbols.standing.StandingDecisions._standing": (ALWAYS, "decision"),
    "llmctx.symbols.memory.SymbolMemory.add": (ALWAYS, "decision"),
    "llmctx.symbols.standing.StandingDecisions.add": (ALWAYS, "decision"),
    "llmctx.decision.guards.propose": (ALWAYS, "decision"),
    "llmctx.worker.settler.Settler._count_attempts": (1, "decision"),
}
"""Where an error is raised -> how many times, and the kind of record that settles the tick all the same."""


class Case(NamedTuple):
    """Something that breaks off, and the kind of record that settles a tick all the same."""

    tick: str
    patch: Callable[[pytest.MonkeyPatch], None]
    kind: str


async def check_each(
    cases: list[Case], redis: Redis, url: str, state_dir: Path, *nameless: str
) -> dict[str, dict[str, Any]]:
    """The record of a tick of each case, all settled by one service: an exit of everything, published, and verified.

    What is published names the position, except for the `nameless` cases.
    """
    budget = BudgetTerms(DailyBudget(calls=1000), CallCost({}, model="rules"), OUTPUT)
    policy = GuardPolicy(approval=ApprovalRule(add=Decimal(0)))
    trigger = TriggerPolicy(every_minutes=1)
    async with serving(redis, url, state_dir, ByRules(), policy=policy, budget=budget, trigger=trigger) as running:
        for tick, patch, _ in cases:
            with pytest.MonkeyPatch.context() as patched:
                patch(patched)
                await running.decide(redis, tick, "AAPL")
    records: dict[str, Any] = {str(leaf["tick"]): leaf for leaf in await leaves(redis) if "tick" in leaf}
    found = {tick: (leaf["kind"], *exit_of(leaf)) for tick, leaf in records.items()}
    assert found == {tick: (kind, "exit", "10", "stop_loss_breached") for tick, _, kind in cases}
    assert await exits(redis, *nameless) == [kind for _, _, kind in cases]
    assert (await verify_log(Log(redis))).fault is None
    assert await redis.xlen(keys.ticks(0)) == 0
    return records


async def check(redis: Redis, kind: str) -> dict[str, Any]:
    """The one record of the tick, which is an exit of everything, published, and verifies."""
    (record,) = [record for record in await leaves(redis) if "tick" in record]
    assert (record["tick"], record["kind"]) == ("t", kind)
    assert exit_of(record) == ("exit", "10", "stop_loss_breached")
    assert await exits(redis) == [kind]
    assert (await verify_log(Log(redis))).fault is None
    assert await redis.xlen(keys.ticks(0)) == 0
    return record


@pytest.fixture
async def breached(valkey: Redis) -> None:
    """A position whose price is at its stop, and a tick for it."""
    await valkey.mset(live("AAPL", price=85.0))
    await raise_tick(valkey, "t", "AAPL")


async def test_a_step_that_breaks_off(
    valkey: Redis, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmctx.worker.settler.MAX_ATTEMPTS", 2)

    def breaks(step: str, times: int) -> Callable[[pytest.MonkeyPatch], None]:
        return lambda patch: patch.setattr(step, failing(times, resolve_name(step)))

    await valkey.mset(live("AAPL", price=85.0))
    cases = [Case(step, breaks(step, times), kind) for step, (times, kind) in STEPS.items()]
    await check_each(cases, valkey, valkey_url, tmp_path, "llmctx.context.package.values.Position")


async def test_a_guardrail_that_breaks_off(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    def breaks(name: str) -> Callable[[pytest.MonkeyPatch], None]:
        return lambda patch: patch.setitem(guards._CHECKS, name, failing(ALWAYS, guards._CHECKS[name]))

    await valkey.mset(live("AAPL", price=85.0))
    cases = [Case(name, breaks(name), "decision") for name in guards._CHECKS]
    for record in (await check_each(cases, valkey, valkey_url, tmp_path)).values():
        assert "judging_failed" in {guard["name"] for guard in record["verdict"]["guards"]}


@pytest.mark.usefixtures("breached")
async def test_an_append_that_breaks_off(
    valkey: Redis, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, broken = Owner.settle, failing(2, lambda: None)

    async def settle_later(owner: Owner, draft: Draft, entry_ids: tuple[str, ...] = ()) -> Entry:
        if draft.tick:
            broken()
        return await settle(owner, draft, entry_ids)

    monkeypatch.setattr(Owner, "settle", settle_later)
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        await running.until_settled("t")
    await check(valkey, "decision")


@pytest.mark.usefixtures("breached")
async def test_an_endpoint_client_that_breaks_off(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    class Breaks(ByRules):
        async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:  # noqa: ARG002
            raise OverflowError("cannot convert Infinity to integer")

    async with serving(valkey, valkey_url, tmp_path, Breaks()) as running:
        await running.until_settled("t")
    record = await check(valkey, "failed")
    assert record["completion"]["outcome"] == "error"


async def test_a_record_that_cannot_be_published_does_not_hold_up_those_after_it(
    valkey: Redis, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_of_others(entry: Entry, partitions: int) -> bytes | None:
        if entry.record.get("symbol") == "AAPL":
            raise OverflowError("cannot convert Infinity to integer")
        return published_text(entry, partitions)

    monkeypatch.setattr("llmctx.worker.publish.published_text", only_of_others)
    await valkey.mset(live("AAPL", price=85.0) | live("MSFT", price=85.0))
    await raise_tick(valkey, "t", "AAPL")
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        await running.until_settled("t")
        await running.decide(valkey, "u", "MSFT")
    assert await exits(valkey) == ["decision"]
    assert any(trouble.startswith("Record 1 cannot be published (OverflowError: ") for trouble in running.troubles)


STEP = "llmctx.pipeline.read_snapshot"
PACKAGE = "llmctx.context.package.Package"


async def unjudged(redis: Redis) -> str:
    """The reason of the one record of the tick: a dead letter without evidence, published as a hold."""
    (record,) = [record for record in await leaves(redis) if "tick" in record]
    verdict: Any = record["verdict"]
    assert (record["kind"], "snapshot" in record, verdict["action"]) == ("dead_letter", False, "hold")
    (published,) = [json.loads(entry.fields[b"decision"]) for entry in await read_stream(redis, keys.decisions(0))]
    assert (published["action"], published["entry_time"], published["reason"]) == ("hold", None, verdict["reason"])
    assert (await verify_log(Log(redis))).fault is None
    return str(verdict["reason"])


@pytest.mark.usefixtures("breached")
async def test_a_stop_that_cannot_be_judged_at_all_is_told_loudly(
    valkey: Redis, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(STEP, failing(ALWAYS, lambda: None))
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        await running.until_settled("t")
    assert (await unjudged(valkey)).startswith(
        "THE STOP COULD NOT BE JUDGED, look at the position yourself: a decision"
    )
    assert any("AAPL: THE STOP COULD NOT BE JUDGED" in trouble for trouble in running.troubles)


@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({"stop_loss": None}, "hold"),
        ({"stop_loss": 84.99}, "hold"),
        ({"stop_loss": 85.0}, "exit"),
        ({"side": "short", "stop_loss": 85.0}, "exit"),
        ({"side": "short", "stop_loss": 86.0}, "hold"),
    ],
)
async def test_a_package_that_breaks_off_leaves_a_plain_comparison_of_price_and_stop(
    valkey: Redis,
    valkey_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    action: str,
) -> None:
    await valkey.mset(live("AAPL", price=85.0, **changes))
    await raise_tick(valkey, "t", "AAPL")
    with monkeypatch.context() as patch:
        patch.setattr(PACKAGE, failing(ALWAYS, lambda: None))
        async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
            await running.until_settled("t")
    (published,) = [json.loads(entry.fields[b"decision"]) for entry in await read_stream(valkey, keys.decisions(0))]
    assert (published["kind"], published["action"]) == ("dead_letter", action)
    assert published["entry_time"] == "2026-03-02T14:30:00.000Z"
    assert (await verify_log(Log(valkey))).fault is None


async def test_without_a_position_there_is_no_stop_to_judge(
    valkey: Redis, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await raise_tick(valkey, "t", "AAPL")
    monkeypatch.setattr(PACKAGE, failing(ALWAYS, lambda: None))
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        await running.until_settled("t")
    (record,) = [record for record in await leaves(valkey) if "tick" in record]
    verdict: Any = record["verdict"]
    assert verdict["action"] == "none"
    assert verdict["reason"].endswith("there is no position")
    (published,) = await read_stream(valkey, keys.decisions(0))  # whoever waits for the tick is told
    assert json.loads(published.fields[b"decision"])["action"] == "none"


@pytest.mark.usefixtures("breached")
async def test_evidence_that_cannot_be_appended_does_not_cost_the_exit(
    valkey: Redis, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_without_evidence(leaf: bytes, pieces: dict[str, bytes]) -> Layout:
        if pieces:
            raise OverflowError("cannot convert Infinity to integer")
        return lay_out(leaf, pieces)

    monkeypatch.setattr("llmctx.trail.log.log.lay_out", only_without_evidence)
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        await running.until_settled("t")
    record = await check(valkey, "dead_letter")
    assert "snapshot" not in record


async def test_a_record_that_readers_would_refuse_is_a_dead_letter_that_says_so(
    valkey: Redis, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hold(valkey, "AAPL")
    await raise_tick(valkey, "t", "AAPL")
    monkeypatch.setattr("llmctx.trail.log.packing.MAX_RECORD_BYTES", 1000)
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        await running.until_settled("t")
    (record,) = [record for record in await leaves(valkey) if "tick" in record]
    assert (record["kind"], "snapshot" in record) == ("dead_letter", False)
    assert "bytes is larger than the limit of 1000" in str(record["verdict"])
    assert (await verify_log(Log(valkey))).fault is None
