"""What is approved is judged again by the limits and the data of that moment, reserves its room, and is counted."""

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.connection.streams import read_stream
from llmctx.decision.approval import ApprovalRule
from llmctx.decision.mandate.mandate import Limits, Mandate
from llmctx.decision.verdict import GuardPolicy
from llmctx.llm.completion import Completion
from llmctx.llm.output import OutputSchema
from llmctx.prompt.render import Prompt
from llmctx.replay.verify import verify_log
from llmctx.schema import keys
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Log
from llmctx.worker.home import TrailHome
from llmctx.worker.saying import say
from tests.integration.conftest import NOW, Running, hold, leaves, live, person, raise_tick, serving
from tests.integration.program import until
from tests.integration.test_people import PEOPLE, Adding, act

MANDATE = Mandate(account=Limits(adds_per_day=1, loser_pct=Decimal(0), order_expiry_s=900), gross_max=Decimal(1600))
WAITS = GuardPolicy(grounding="off", mandate=MANDATE, approval=ApprovalRule(add=Decimal(400)))
PASSES = WAITS.model_copy(update={"approval": None})


class Desk:
    """A service on one position of ten shares at 100, and a person who approves what it says."""

    def __init__(self, redis: Redis, url: str, folder: Path) -> None:
        self.redis, self.url, self.folder = redis, url, folder

    def serving(
        self, policy: GuardPolicy = WAITS, completer: Adding | None = None
    ) -> AbstractAsyncContextManager[Running]:
        return serving(self.redis, self.url, self.folder, completer or Adding(), policy=policy, people=PEOPLE)

    async def decide(self, service: Running, tick: str) -> dict[str, Any]:
        """The record of a tick."""
        await raise_tick(self.redis, tick, "AAPL")
        await service.until_settled(tick)
        return next(entry.record for entry in service.entries if entry.record.get("tick") == tick)

    async def approve(self, index: int = 1) -> dict[str, Any]:
        """The record of an approval, which is what its evidence yields, like all records."""
        instance, _ = await bind_instance(self.redis, self.folder)
        where = await say(TrailHome(self.redis, self.url, instance, self.folder, people=PEOPLE), 0, act(index=index))
        entry = await Log(self.redis).entry(int(where))
        assert entry is not None
        assert (await verify_log(Log(self.redis))).fault is None
        return entry.record

    async def published(self) -> dict[str, Any]:
        """The last decision that was published."""
        found: dict[str, Any] = json.loads((await read_stream(self.redis, keys.decisions(0)))[-1].fields[b"decision"])
        return found


@pytest.fixture
async def desk(valkey: Redis, valkey_url: str, tmp_path: Path, short_pauses: None) -> Desk:  # noqa: ARG001
    await hold(valkey, "AAPL")
    return Desk(valkey, valkey_url, tmp_path)


async def test_an_approved_addition_reserves_its_room_and_counts_for_later_ones(desk: Desk) -> None:
    async with desk.serving() as service:
        await desk.decide(service, "first")
        made = await desk.approve()
        assert (made["verdict"]["action"], made["verdict"]["quantity"]) == ("add", "5")
        assert made["mandate"]["sha256"] == MANDATE.sha256
        assert made["approved"]["action"] == "add"
        assert await desk.redis.hlen(keys.RESERVED) == 1
        await desk.redis.mset(live("AAPL", quantity=15))
        second = await desk.decide(service, "second")
        assert (second["verdict"]["action"], second["verdict"]["guards"][-1]["name"]) == ("hold", "adds")
    async with desk.serving(PASSES) as service:  # another owner knows it from the trail
        third = await desk.decide(service, "third")
    assert (third["verdict"]["action"], third["verdict"]["guards"][-1]["name"]) == ("hold", "adds")


@pytest.mark.parametrize(
    ("changes", "guard", "why"),
    [
        ({"controls:halt": "the feed is wrong"}, "halted", "controls:halt is set"),
        (live("AAPL", price=99), "no_add_to_loser", "under water"),
        (live("MSFT"), "exposure", "gross_max is 1600"),
        (live("AAPL", entry_time="2026-01-02T10:00:00.000Z"), "other_position", "it was decided for"),
    ],
)
async def test_what_a_limit_refuses_meanwhile_is_blocked_and_says_why(
    desk: Desk, changes: dict[str, str], guard: str, why: str
) -> None:
    async with desk.serving() as service:
        await desk.decide(service, "first")
        await desk.redis.mset(changes)
        made = await desk.approve()
        verdict, published = made["verdict"], await desk.published()
    meier = await person(desk.redis, "R. Meier")
    assert (verdict["action"], verdict["guards"][-1]["name"]) == ("hold", guard)
    assert verdict["reason"].startswith(f"approved by {meier}: within plan; but ")
    assert why in verdict["reason"]
    assert (published["action"], published["stands_for"], published["reason"]) == ("hold", "1", verdict["reason"])


async def test_room_is_given_back_once_nothing_comes_of_what_was_approved(desk: Desk) -> None:
    async with desk.serving() as service:
        await desk.decide(service, "first")
        await desk.approve()
        said = {"id": "e-1", "symbol": "AAPL", "status": "rejected", "at": NOW}
        said["address"] = (await desk.published())["address"]
        await desk.redis.xadd(keys.effects(0), {"effect": json.dumps(said)})

        async def is_free() -> bool:
            return await desk.redis.hlen(keys.RESERVED) == 0

        await until(is_free)


class Slowly(Adding):
    """Answers once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = asyncio.Event()

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        self.is_asked.set()
        await self.gate.wait()
        return await super().complete(prompt, output)


async def test_an_approval_waits_for_a_tick_of_its_symbol_that_is_being_decided(desk: Desk) -> None:
    completer = Slowly()
    async with desk.serving(completer=completer) as service:
        await desk.decide(service, "first")
        completer.gate.clear()
        completer.is_asked.clear()
        await raise_tick(desk.redis, "second", "AAPL")
        await completer.is_asked.wait()
        approving = asyncio.create_task(desk.approve())
        await asyncio.sleep(0.5)
        assert not approving.done()
        completer.gate.set()
        made = await approving
        assert made["verdict"]["action"] == "add"
    kinds = [(leaf["kind"], leaf.get("tick")) for leaf in await leaves(desk.redis)]
    assert kinds.index(("decision", "second")) < kinds.index(("approval", None))


async def test_a_position_that_is_gone_leaves_nothing_to_approve(desk: Desk) -> None:
    async with desk.serving() as service:
        await desk.decide(service, "first")
        await desk.redis.delete("positions:active:AAPL")
        made = await desk.approve()
    assert made["verdict"]["action"] == "none"
    assert "position" in made["verdict"]["reason"]


async def test_a_person_exit_counts_for_whoever_owns_the_partition_next(desk: Desk) -> None:
    async with desk.serving() as service:
        await desk.decide(service, "first")
        instance, _ = await bind_instance(desk.redis, desk.folder)
        home = TrailHome(desk.redis, desk.url, instance, desk.folder, people=PEOPLE)
        where = await say(home, 0, act("override", action="exit"))
    async with desk.serving(PASSES) as service:
        held = await desk.decide(service, "second")
    assert (held["verdict"]["action"], held["verdict"]["limited"]) == ("hold", "block")
    assert held["verdict"]["reason"].startswith("nothing is seen yet of the exit of")
    assert f"(record {where})" in held["verdict"]["reason"]
