"""The mandate on a trail: what was decided before counts, whoever owns the partition, and every verdict can be rebuilt."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.connection.streams import read_stream
from llmctx.context.package import Package
from llmctx.context.tick import Tick
from llmctx.decision.mandate.mandate import Group, Limits, Mandate
from llmctx.decision.verdict import GuardPolicy, Verdict
from llmctx.llm.completion import Completion
from llmctx.llm.output import OutputSchema
from llmctx.pipeline import DecisionConfig
from llmctx.prompt.render import Prompt
from llmctx.replay.corpus import BlobCache, Recorded
from llmctx.replay.mandate_check import judge_again
from llmctx.replay.rerun import rebuild
from llmctx.schema import keys
from llmctx.symbols.memory import SymbolMemory
from llmctx.trail.log.entry import Entry, named_blobs
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Log
from llmctx.worker.exposure import Reservations
from llmctx.worker.home import TrailHome
from llmctx.worker.partition import own_partition
from tests.integration.conftest import POSITION, hold, live, person
from tests.unit.makers import Scripted, answer_text, body, completion, market, package_of

ADD = {"action": "add", "quantity": 2}
EXIT = {"action": "exit"}
PRUDENT = Mandate()


class Trail:
    """A trail on which answers are judged one by one; each call is a new owner, who knows only what the trail says."""

    def __init__(self, redis: Redis, home: TrailHome) -> None:
        self.redis, self.home, self.log = redis, home, Log(redis)

    async def decide(
        self, *said: dict[str, Any], mandate: Mandate | None = PRUDENT, symbol: str = "AAPL"
    ) -> list[dict[str, Any]]:
        """The verdicts on some answers, by one owner."""
        completer = Scripted(*[completion(body(answer_text(**one))) for one in said])
        config = DecisionConfig(POSITION, completer, policy=GuardPolicy(grounding="off", mandate=mandate))
        async with own_partition(self.home, 0, config) as (_, pipeline):
            return [(await pipeline.decide(Tick.by_hand(symbol))).record["verdict"] for _ in said]

    async def recorded(self) -> tuple[list[Recorded], BlobCache]:
        blobs, entries = BlobCache(), []
        async for entry in self.log.read():
            entries.append(Recorded.of(entry, "here"))
            for digest in named_blobs(entry.record):
                blobs.add(digest, await self.log.blobs.blob(digest) or b"")
        return entries, blobs

    async def check(self) -> None:
        """Every record is reproduced from its evidence."""
        entries, blobs = await self.recorded()
        for entry in entries:
            found = rebuild(entry, blobs)
            assert found.same, found.differences


async def trail_on(redis: Redis, url: str, folder: Path) -> Trail:
    await hold(redis, "AAPL")
    instance, _ = await bind_instance(redis, folder)
    return Trail(redis, TrailHome(redis, url, instance, folder))


async def test_an_add_is_not_repeated_before_it_is_seen_even_by_another_owner(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    trail = await trail_on(valkey, valkey_url, tmp_path)
    first, second = await trail.decide(ADD, ADD)
    assert (first["action"], second["action"]) == ("add", "hold")
    (third,) = await trail.decide(ADD)
    assert (third["action"], third["limited"]) == ("hold", "block")
    assert "nothing is seen yet of the add" in third["reason"]
    await valkey.mset(live("AAPL", quantity=12))
    (fourth,) = await trail.decide(ADD)
    assert (fourth["action"], fourth["quantity"]) == ("add", "2")
    await trail.check()


@pytest.mark.parametrize(("timeout_s", "told"), [(None, ["exit", "exit", "exit"]), (600, ["exit", "hold", "hold"])])
async def test_an_exit_is_published_again_with_the_address_of_the_first_once_it_is_time(
    valkey: Redis, valkey_url: str, tmp_path: Path, timeout_s: int | None, told: list[str]
) -> None:
    trail = await trail_on(valkey, valkey_url, tmp_path)
    mandate = Mandate(account=Limits(ack_timeout_s=timeout_s))
    verdicts = await trail.decide(EXIT, mandate=mandate) + await trail.decide(EXIT, EXIT, mandate=mandate)
    published = [json.loads(each.fields[b"decision"]) for each in await read_stream(valkey, keys.decisions(0))]
    assert [one["action"] for one in verdicts] == ["exit"] * 3
    assert [one["action"] for one in published] == told
    assert [one["quantity"] is None for one in published] == [one == "hold" for one in told]
    assert [one["repeat_of"] for one in published] == [None, published[0]["address"], published[0]["address"]]
    await trail.check()


async def test_what_becomes_of_a_decision_may_be_told(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    trail = await trail_on(valkey, valkey_url, tmp_path)
    answers = [completion(body(answer_text(**ADD))) for _ in range(2)]
    config = DecisionConfig(POSITION, Scripted(*answers), policy=GuardPolicy(grounding="off", mandate=PRUDENT))
    async with own_partition(trail.home, 0, config) as (_, pipeline):
        entry = await pipeline.decide(Tick.by_hand("AAPL"))
        pipeline.memory.cancel("AAPL", str(entry.index))
        assert (await pipeline.decide(Tick.by_hand("AAPL"))).record["verdict"]["action"] == "add"


class ToldMeanwhile(Scripted):
    """A completer during whose calls something becomes known of the first record."""

    memory: SymbolMemory
    first: Entry | None = None

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        if self.first is not None:
            self.memory.cancel("AAPL", str(self.first.index))
        return await super().complete(prompt, output)


async def test_what_is_told_during_a_call_counts_after_it(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    trail = await trail_on(valkey, valkey_url, tmp_path)
    said = [completion(body(answer_text(**one))) for one in (ADD, {"action": "hold"}, ADD)]
    completer, actions = ToldMeanwhile(*said), []
    config = DecisionConfig(POSITION, completer, policy=GuardPolicy(grounding="off", mandate=PRUDENT))
    async with own_partition(trail.home, 0, config) as (_, pipeline):
        completer.memory = pipeline.memory
        for _ in said:
            entry = await pipeline.decide(Tick.by_hand("AAPL"))
            completer.first = completer.first or entry
            actions.append(entry.record["verdict"]["action"])
    assert actions == ["add", "hold", "add"]


async def test_another_mandate_is_noted_once_with_who_set_it(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    trail = await trail_on(valkey, valkey_url, tmp_path)
    strict = Mandate(account=Limits(adds_per_day=0), by="R. Ohm", why="review")
    await trail.decide(ADD)
    for _ in range(2):
        (refused,) = await trail.decide(ADD, mandate=strict)
        assert refused["action"] == "hold"
    entries, blobs = await trail.recorded()
    (notice,) = [entry.record for entry in entries if entry.record["kind"] == "notice" and "mandate" in entry.record]
    ohm = await person(valkey, "R. Ohm")
    strict = strict.set_by(ohm)
    assert notice["mandate"] == {
        "sha256": strict.sha256, "before": PRUDENT.sha256, "by": ohm, "why": "review",
    }  # fmt: skip
    assert Mandate.from_blob(blobs[strict.sha256]) == strict
    await trail.check()


async def test_recorded_decisions_are_judged_by_another_mandate(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    trail = await trail_on(valkey, valkey_url, tmp_path)
    await trail.decide(ADD, mandate=None)
    await valkey.mset(live("AAPL", quantity=12))
    await trail.decide(ADD, mandate=None)
    one = Mandate(account=Limits(adds_per_day=1, max_quantity=Decimal(11)))
    found = list(judge_again(*await trail.recorded(), one))
    assert [each.before.quantity for each in found] == [2, 2]
    assert [(each.after.action, each.after.quantity) for each in found] == [("add", 1), ("hold", None)]
    await trail.check()


def add_to(symbol: str, side: str = "long") -> tuple[Package, Verdict]:
    """An add of 10 at 100 to a position of 10."""
    facts = package_of(market(side=side, price="100", quantity="10", entry="100")).model_copy(update={"symbol": symbol})
    return facts, Verdict(action="add", quantity=Decimal(10), reason="as the model decided")


async def test_adds_at_the_same_time_never_exceed_a_total_together(valkey: Redis) -> None:
    symbols = [f"S{number}" for number in range(32)]
    await hold(valkey, *symbols)  # 32 positions of 1,000
    reservations = Reservations(valkey, Mandate(gross_max=Decimal(36_500)))
    told = await asyncio.gather(*[reservations.reserve(f"t-{name}", *add_to(name)) for name in symbols])
    assert told.count(None) == 4
    assert "gross_max is 36500, and the positions would come to 37000.00" in told
    granted = symbols[told.index(None)]
    assert await reservations.reserve(f"t-{granted}", *add_to(granted)) is None  # the same tick again
    assert await reservations.reserve("t-more", *add_to("S31")) is not None
    await valkey.mset(live(granted, quantity=20))  # filled: it counts as a position now
    assert await reservations.reserve("t-more", *add_to("S31")) is not None
    await valkey.delete(f"positions:active:{granted}")
    assert await reservations.reserve("t-more", *add_to("S31")) is None


async def test_short_positions_count_against_long_ones_in_a_net_total_and_groups_have_their_own(valkey: Redis) -> None:
    await valkey.mset(live("BTC-USD") | live("MSFT", side="short"))
    mandate = Mandate(net_max=Decimal(1500), groups={"crypto": Group(symbols=("BTC*",), gross_max=Decimal(2500))})
    reservations = Reservations(valkey, mandate)
    assert await reservations.reserve("a", *add_to("BTC-USD")) is None
    assert "net_max" in (await reservations.reserve("b", *add_to("BTC-USD")) or "")
    assert await reservations.reserve("c", *add_to("MSFT", "short")) is None
    assert "gross_max of crypto is 2500" in (await reservations.reserve("d", *add_to("BTC-USD")) or "")


@pytest.mark.parametrize(
    "text", ["{}", '{"quantity":1,"current_price":1,"x":"' + "x" * 300_000 + '"}'], ids=["empty", "large"]
)
async def test_a_position_that_cannot_be_read_is_not_taken_for_none(valkey: Redis, text: str) -> None:
    await hold(valkey, "AAPL")
    await valkey.set("positions:active:MSFT", text)
    told = await Reservations(valkey, Mandate(gross_max=Decimal(9999))).reserve("a", *add_to("AAPL"))
    assert told == "positions:active:MSFT cannot be read, so the total is unknown"


@pytest.mark.parametrize("foreign", ["", "no json", "7", "[]", '{"symbol":[],"value":1,"ends":9e15}', '{"ends":"x"}'])
async def test_what_is_no_reservation_is_removed(valkey: Redis, foreign: str) -> None:
    await hold(valkey, "AAPL")
    await valkey.hset("controls:reserved", "x", foreign)
    assert await Reservations(valkey, Mandate(gross_max=Decimal(9999))).reserve("a", *add_to("AAPL")) is None
    assert await valkey.hkeys("controls:reserved") == [b"a"]


async def test_an_add_without_room_is_a_hold_that_can_be_rebuilt(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    trail = await trail_on(valkey, valkey_url, tmp_path)
    (refused,) = await trail.decide(ADD, mandate=Mandate(gross_max=Decimal(1100)))
    assert (refused["action"], refused["guards"][-1]["name"], refused["limited"]) == ("hold", "exposure", "block")
    (granted,) = await trail.decide(ADD, mandate=Mandate(gross_max=Decimal(1200)))
    assert granted["action"] == "add"
    await trail.check()
