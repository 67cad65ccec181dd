"""A service with a trigger: the model is asked when a tick deserves it, and the guardrails judge every tick."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.assets import asset
from llmctx.context.tick import Tick
from llmctx.decision.trigger import TriggerPolicy
from llmctx.llm.completion import Completer
from llmctx.pipeline import DecisionConfig, Pipeline
from llmctx.prompt.template import load_template
from llmctx.replay.corpus import BlobCache
from llmctx.replay.rerun import rebuild
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.leaf_schema import read_leaf
from llmctx.worker.home import open_home
from llmctx.worker.partition import own_partition
from tests.integration.conftest import ByRules, live
from tests.unit.makers import Scripted, answer_text, body, completion

MOVE = TriggerPolicy.model_validate({"move_pct": 1, "every_minutes": 30})


@asynccontextmanager
async def pipeline(url: str, folder: Path, model: Completer) -> AsyncIterator[Pipeline]:
    template = load_template(asset("prompts"), "position/v1")
    async with (
        open_home(url, folder) as home,
        own_partition(home, 0, DecisionConfig(template, model, trigger=MOVE)) as (_, opened),
    ):
        yield opened


async def decide(
    opened: Pipeline, redis: Redis, number: int, price: float, *, stop: float = 90.0, cause: str = "position_marked"
) -> Entry:
    await redis.mset(live("AAPL", price=price, stop_loss=stop))
    return await opened.decide(Tick(id=f"t{number}", symbol="AAPL", cause=cause))


async def test_an_undeserving_tick_names_the_decision_that_stands_also_after_a_restart(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    model = ByRules()
    async with pipeline(valkey_url, tmp_path, model) as opened:
        first = await decide(opened, valkey, 1, 100.0)
        unasked = [await decide(opened, valkey, 2, 100.4)]
    async with pipeline(valkey_url, tmp_path, model) as opened:
        unasked.append(await decide(opened, valkey, 3, 100.5))
        asked = await decide(opened, valkey, 4, 101.0)
    assert model.asked.total() == 2
    assert [first.record["kind"], asked.record["kind"]] == ["decision", "decision"]
    standing = {
        "address": str(first.index), "leaf_hash": first.leaf_hash, "action": first.record["verdict"]["action"]
    }  # fmt: skip
    for entry, moved in zip(unasked, ("0.40", "0.50"), strict=True):
        assert (entry.record["kind"], entry.record["standing"]) == ("unasked", standing)
        reason = (
            f"no call is due since 2026-03-02T15:00:00.000Z: the price moved {moved}% of 1%; 0 of 30 minutes passed"
        )
        assert entry.record["verdict"]["guards"] == [{"name": "unasked", "detail": reason}]
        assert rebuild(entry, BlobCache({})).differences == ()
        assert isinstance(read_leaf(entry.leaf, entry.index), dict)


@pytest.mark.parametrize(("cause", "kind"), [("position_marked", "unasked"), ("manual", "decision")])
async def test_a_person_is_always_answered(
    valkey: Redis, valkey_url: str, tmp_path: Path, cause: str, kind: str
) -> None:
    async with pipeline(valkey_url, tmp_path, ByRules()) as opened:
        await decide(opened, valkey, 1, 100.0)
        assert (await decide(opened, valkey, 2, 100.0, cause=cause)).record["kind"] == kind


async def test_no_hold_follows_upon_an_exit_while_the_position_stands(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    model = Scripted(*(completion(body(answer_text(action="exit"))) for _ in range(2)))
    async with pipeline(valkey_url, tmp_path, model) as opened:
        records = [(await decide(opened, valkey, number, 100.0)).record for number in range(2)]
    assert [(record["kind"], record["verdict"]["action"]) for record in records] == [("decision", "exit")] * 2


async def test_a_breached_stop_is_obeyed_without_a_call(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    model = ByRules()
    async with pipeline(valkey_url, tmp_path, model) as opened:
        await decide(opened, valkey, 1, 100.0, stop=99.8)
        record = (await decide(opened, valkey, 2, 99.7, stop=99.8)).record
    assert (record["kind"], record["verdict"]["action"], model.asked.total()) == ("unasked", "exit", 1)
