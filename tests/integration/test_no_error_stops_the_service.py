"""An error is raised in every step beside the decision itself: in what is asked of several endpoints, reported, asked
for and said by people. The next tick settles all the same, its breached stop is an exit, and the log says what broke.
"""

import asyncio
import json
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.clock import now_ms
from llmctx.context.tick import Tick
from llmctx.llm.breaker import Breaker
from llmctx.llm.completion import Completion
from llmctx.llm.fallback import Endpoint, EndpointChain, Hedge, Latencies
from llmctx.llm.output import OutputSchema
from llmctx.prompt.render import Prompt
from llmctx.replay.verify import verify_log
from llmctx.schema import keys
from llmctx.statement import Act
from llmctx.trail.log.instance import read_state_instance
from llmctx.trail.log.log import Log
from llmctx.trail.proof.checkpoint import origin_of
from llmctx.trail.proof.request import Request
from llmctx.trail.proof.writer import load_or_make_writer
from llmctx.worker.people import REQUEST
from llmctx.worker.requests import NOTICE
from tests.integration.breaking import ALWAYS, exit_of, exits, failing
from tests.integration.conftest import NOW, ByRules, Running, leaves, live, raise_tick, serving
from tests.integration.program import until

pytestmark = pytest.mark.usefixtures("short_pauses")

CONFIRMED = {
    "last": "85", "at_ms": 1772463600000, "entry_ms": 1772461800000, "entry_price": "100", "by": "R. Meier", "why": "y",
}  # fmt: skip


class Broken:
    """A service with a breached stop, some of whose steps break off."""

    def __init__(self, redis: Redis, running: Running) -> None:
        self._redis = redis
        self._running = running
        self.kinds: list[str] = []
        """The kind of each record so far that is an exit."""

    async def case(
        self,
        steps: tuple[str, ...],
        *entry: tuple[str, dict[Any, Any]],
        kind: str = "decision",
        tick: dict[Any, Any] | None = None,
    ) -> dict[str, Any]:
        """The record of a tick, raised behind an `entry` of a stream, while these steps break off."""
        name, heard, made = f"t{len(self.kinds)}", len(self._running.troubles), len(self._running.entries)
        with pytest.MonkeyPatch.context() as patch:
            for step in steps:
                patch.setattr(step, failing(ALWAYS, resolve_name(step)))
            for stream, fields in entry:
                await self._redis.xadd(stream, fields)
            await self._redis.xadd(keys.ticks(0), Tick(id=name, symbol="AAPL").fields() | (tick or {}))
            await self._running.until_settled(name)
        record: dict[str, Any] = next(each.record for each in self._running.entries[made:] if name in each.ticks)
        assert (record["kind"], *exit_of(record)) == (kind, "exit", "10", "stop_loss_breached"), steps
        said = self._running.troubles[heard:] + [str(each.record) for each in self._running.entries[made:]]
        assert any("OverflowError" in each for each in said), steps
        self.kinds.append(kind)
        return record

    async def check(self) -> None:
        """Every exit is published, the trail verifies, and nothing waits."""
        await until(self._is_empty)
        assert await exits(self._redis) == self.kinds
        assert (await verify_log(Log(self._redis))).fault is None

    async def _is_empty(self) -> bool:
        return not await self._redis.xlen(keys.ticks(0)) and not await self._redis.xlen(keys.effects(0))


class Slow(ByRules):
    """Answers as the stand-in does, after a while."""

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        await asyncio.sleep(0.02)
        return await super().complete(prompt, output)

    async def aclose(self) -> None:
        """Close nothing."""


ASKING = (
    "llmctx.llm.fallback._Call._next",
    "llmctx.llm.fallback._Call._race",
    "llmctx.llm.fallback._Call._start",
    "llmctx.llm.fallback._Call._ask",
    "llmctx.llm.fallback._Call._count",
    "llmctx.llm.fallback._Call._winner",
    "llmctx.llm.fallback._Runner",
    "llmctx.llm.fallback.Latencies.percentile",
    "llmctx.llm.breaker.Breaker.refuse",
    "llmctx.llm.breaker.Breaker.succeed",
)


@pytest.mark.parametrize("late_s", [0.001, 10.0])
async def test_a_step_of_asking_several_endpoints(
    valkey: Redis, valkey_url: str, tmp_path: Path, late_s: float
) -> None:
    endpoints = [Endpoint(name, Slow(), Breaker(), Latencies()) for name in ("first", "second")]
    for _ in range(20):
        endpoints[0].latencies.add(late_s)
    chain = EndpointChain(endpoints, timeout_s=20, hedge=Hedge(50, lambda made: made.content is not None))
    await valkey.mset(live("AAPL", price=85.0))
    async with serving(valkey, valkey_url, tmp_path, chain) as running:
        broken = Broken(valkey, running)
        for step in ASKING:
            record = await broken.case((step,), kind="failed")
            assert record["completion"]["outcome"] == "error"
        await broken.check()


RECORDING = (
    ("llmctx.worker.effects.read_effect",),
    ("llmctx.worker.effects.EffectRecorder._settle",),
    ("llmctx.worker.effects.EffectRecorder._named",),
    ("llmctx.worker.effects.compose_effect",),
    ("llmctx.worker.effects.compose_effect", "llmctx.worker.unusable.compose_unread"),
    ("llmctx.worker.effects.compose_effect", "llmctx.worker.unusable.settle_unusable"),
    ("llmctx.worker.effects.settle_unusable", "llmctx.worker.effects.read_effect"),
)


async def test_a_step_of_recording_an_effect(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    await valkey.mset(live("AAPL", price=85.0))
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        broken = Broken(valkey, running)
        for number, steps in enumerate(RECORDING):
            effect = {"id": f"fill-{number}", "symbol": "AAPL", "status": "accepted", "at": NOW}
            await broken.case(steps, (keys.effects(0), {"effect": json.dumps(effect)}))
        await broken.check()
    found = [leaf for leaf in await leaves(valkey) if leaf["kind"] in ("effect", "incident")]
    assert [leaf["kind"] for leaf in found] == ["incident"] * (len(RECORDING) - 1) + ["effect"]


FULFILLING = (
    "llmctx.worker.requests.Request.opened",
    "llmctx.worker.requests.Requests.on_entry",
    "llmctx.worker.requests.Requests.fulfil",
    "llmctx.worker.requests.fulfilled_at",
    "llmctx.worker.owner.compose_unread",
    "llmctx.worker.people.judge",
    "llmctx.worker.people.compose_act",
    "llmctx.worker.people.check_name",
    "llmctx.trail.log.people.NameTable.id_of",
    "llmctx.trail.log.people.NameTable.mend",
    "llmctx.trail.log.people._ids_in",
)


async def test_a_step_of_fulfilling_a_request(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    await valkey.mset(live("AAPL", price=85.0))
    async with serving(valkey, valkey_url, tmp_path, ByRules(), people={"R. Meier": ("approver",)}) as running:
        await running.decide(valkey, "first", "AAPL")
        instance = read_state_instance(tmp_path)
        assert instance is not None
        writer, origin = load_or_make_writer(tmp_path, instance.id), origin_of(instance.id, 0)
        said = Act(kind="annotation", index=1, by="R. Meier", why="seen").model_dump(mode="json")
        bodies = {REQUEST: said, NOTICE: {"reason": "asked", "fields": {"maintenance": {}}}}
        broken = Broken(valkey, running)
        broken.kinds.append("decision")
        for step in FULFILLING:
            what = REQUEST if "people" in step else NOTICE
            asked = Request(what=what, made_ms=now_ms(), body=bodies[what])
            await broken.case((step,), (keys.ticks(0), asked.fields(writer, origin)))
        await broken.check()


CONFIRMING = (
    "llmctx.worker.people.People.named_by_id",
    "llmctx.trail.log.people.NameTable.id_of",
    "llmctx.trail.log.people.NameTable.mend",
    "llmctx.trail.log.people._ids_in",
    "llmctx.pipeline.compose_confirmation",
    "llmctx.pipeline.Pipeline.confirm",
)


async def test_a_step_of_naming_who_confirms_a_price(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    await valkey.mset(live("AAPL", price=85.0))
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        broken = Broken(valkey, running)
        for step in CONFIRMING:
            await broken.case((step,), kind="dead_letter", tick={"confirmation": json.dumps(CONFIRMED)})
        await broken.check()


async def test_an_entry_that_cannot_be_read_is_an_incident(
    valkey: Redis, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await valkey.mset(live("AAPL", price=85.0))
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        with monkeypatch.context() as patch:
            patch.setattr("llmctx.worker.ticks._delivery", failing(1, resolve_name("llmctx.worker.ticks._delivery")))
            await raise_tick(valkey, "unread", "AAPL")
            await running.decide(valkey, "read", "AAPL")
    reasons = [str(leaf["verdict"]) for leaf in await leaves(valkey) if leaf["kind"] == "incident"]
    assert len(reasons) == 1
    assert "cannot be read: OverflowError" in reasons[0]
    assert await exits(valkey) == ["decision"]
