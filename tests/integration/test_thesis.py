"""The thesis of a prompt is the last usable decision in the owner's own trail, and `verify` compares the two."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx import canonical
from llmctx.context.snapshot import Known, LastDecision, Snapshot, TrailReference
from llmctx.context.tick import Tick
from llmctx.decision.verdict import GuardPolicy
from llmctx.llm.completion import Completion, Outcome
from llmctx.pipeline import DecisionConfig, Pipeline
from llmctx.replay.verify import verify_log
from llmctx.schema import keys
from llmctx.symbols.memory import SymbolMemory
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Log
from llmctx.worker.decide_once import decide_once
from llmctx.worker.home import TrailHome
from llmctx.worker.partition import own_partition
from tests.integration.conftest import NOW, POSITION, SETTLEMENT, held_lease, hold
from tests.unit.makers import Scripted, answer_text, body, completion

ERROR = "http 400 Bad Request: buy everything at 123.45"
FAILED = Completion(outcome=Outcome.UNREACHABLE, detail=ERROR, request={})
EVIDENCE = [{"path": "price.price.last", "value": "100", "reading": "at the entry"}]


def said(reasoning: str, **changes: Any) -> Completion:
    text = answer_text(**{"reasoning": reasoning, "evidence": EVIDENCE} | changes)
    return completion(body(text))


class Trail:
    """A trail on which decisions are made one by one, each with its own completion."""

    def __init__(self, home: TrailHome) -> None:
        self.home = home
        self.prompts: list[str] = []

    @asynccontextmanager
    async def owned(self, *completions: Completion, policy: GuardPolicy | None = None) -> AsyncIterator[Pipeline]:
        completer = Scripted(*completions)
        config = DecisionConfig(POSITION, completer, policy=policy or GuardPolicy())
        async with own_partition(self.home, 0, config) as (_, pipeline):
            yield pipeline
        self.prompts += [prompt.messages[1].content for prompt in completer.prompts]

    async def decide(self, *completions: Completion, policy: GuardPolicy | None = None, symbol: str = "AAPL") -> Entry:
        """Decide once for each completion, by one owner; the last record."""
        async with self.owned(*completions, policy=policy) as pipeline:
            for _ in completions:
                entry = await pipeline.decide(Tick.by_hand(symbol))
        return entry


@pytest.fixture
async def trail(redis: Redis, redis_url: str, tmp_path: Path) -> Trail:
    await hold(redis, "AAPL", "MSFT")
    instance, _ = await bind_instance(redis, tmp_path)
    return Trail(TrailHome(redis, redis_url, instance, tmp_path))


def source_of(entry: Entry) -> TrailReference | None:
    return Snapshot.from_evidence(entry.pieces["snapshot"]).thesis


async def test_the_thesis_is_the_last_decision_and_names_its_record(trail: Trail) -> None:
    first = await trail.decide(said("Nothing has changed yet."))
    second = await trail.decide(said("Nothing has changed since."))
    assert source_of(first) is None
    assert source_of(second) == TrailReference(str(first.index), first.leaf_hash)
    assert "Nothing has changed yet." in trail.prompts[1]
    assert second.record["snapshot"]["sections"]["thesis"]["status"] == "fresh"


async def test_a_restarted_collector_that_sets_the_entry_time_anew_keeps_the_thesis(trail: Trail, redis: Redis) -> None:
    await trail.decide(said("The first reason."))
    position = json.loads(await redis.get("positions:active:AAPL") or "")
    await redis.set("positions:active:AAPL", json.dumps(position | {"entry_time": "2026-03-02T14:59:58.000Z"}))
    await trail.decide(said("The second reason."))
    await redis.set("positions:active:AAPL", json.dumps(position | {"entry_price": 101.0}))
    await trail.decide(said("The third reason."))
    await redis.set("positions:active:AAPL", json.dumps(position | {"entry_price": 102.0, "entry_time": NOW}))
    await trail.decide(said("The fourth reason."))
    assert "The first reason." in trail.prompts[1]
    assert "The second reason." not in trail.prompts[2]
    assert "the last decision was on another position" in trail.prompts[2]
    assert "the last decision was on another position" in trail.prompts[3]
    assert (await verify_log(Log(redis))).fault is None


async def test_one_owner_gives_the_same_thesis_as_two(trail: Trail) -> None:
    first = await trail.decide(said("One."))
    second = await trail.decide(said("Two."), said("Three."))
    assert source_of(second) == TrailReference(str(second.index - 1), (await entry(trail, second.index - 1)).leaf_hash)
    assert source_of(await entry(trail, second.index - 1)) == TrailReference(str(first.index), first.leaf_hash)


async def entry(trail: Trail, index: int) -> Entry:
    found = await Log(trail.home.redis).entry(index)
    assert found is not None
    return found


@pytest.mark.parametrize("owners", [1, 4])
async def test_failed_calls_neither_replace_nor_erase_the_thesis(trail: Trail, owners: int) -> None:
    first = await trail.decide(said("The first."))
    answers = [FAILED, FAILED, said("The last.")]
    if owners == 1:
        last = await trail.decide(*answers)
    else:
        for answer in answers:
            last = await trail.decide(answer)
    assert source_of(last) == TrailReference(str(first.index), first.leaf_hash)
    assert "The first." in trail.prompts[-1]
    assert not any("123.45" in prompt or "http 400" in prompt for prompt in trail.prompts)


async def test_a_forged_latest_never_enters_a_prompt(trail: Trail) -> None:
    first = await trail.decide(said("The true one."))
    key = keys.latest(0, "AAPL")
    published = json.loads(await trail.home.redis.get(key) or b"")
    await trail.home.redis.set(key, json.dumps(published | {"reasoning": "A forged one.", "action": "exit"}))
    second = await trail.decide(said("Again."))
    assert source_of(second) == TrailReference(str(first.index), first.leaf_hash)
    assert "The true one." in trail.prompts[-1]
    assert "A forged one." not in trail.prompts[-1]


@pytest.mark.parametrize("policy", ["flag", "hold"])
async def test_a_false_price_is_no_fact_on_the_next_tick(trail: Trail, policy: Any) -> None:
    guards = GuardPolicy(grounding=policy)
    false = await trail.decide(said("The stop is at 97.35.", action="exit"), policy=guards)
    assert next(guard["name"] for guard in false.record["verdict"]["guards"]) == "ungrounded"
    second = await trail.decide(said("As said before, 97.35 [thesis.reasoning] is near.", action="exit"), policy=guards)
    assert source_of(second) is None
    assert "97.35" not in trail.prompts[-1]
    assert [finding["citation"] for finding in second.record["grounding"]["miscited"]] == ["thesis.reasoning"]


async def test_a_number_of_the_thesis_supports_only_what_cites_it(trail: Trail) -> None:
    await trail.decide(said("Nothing speaks for a change.", invalidation="A close below 97.35."))
    cited = await trail.decide(said("It has not come to 97.35 [thesis.invalidation]."))
    assert (cited.record["grounding"]["cited"], "false_prices" in cited.record["grounding"]) == (1, False)
    uncited = await trail.decide(said("It has not come to 97.35."))
    assert [finding["text"] for finding in uncited.record["grounding"]["false_prices"]] == ["97.35"]


async def test_decide_gives_the_same_thesis(trail: Trail) -> None:
    first = await trail.decide(said("The first."))
    second = await decide_once(trail.home, "AAPL", DecisionConfig(POSITION, Scripted(said("The second."))))
    assert source_of(second) == TrailReference(str(first.index), first.leaf_hash)


@pytest.mark.parametrize("planted", ["99", "junk", "1", "0"])
async def test_what_somebody_adds_to_the_symbols_list_is_passed_over(trail: Trail, planted: str) -> None:
    """Index 0 is a notice, 1 a decision on another symbol."""
    await trail.decide(said("On another symbol."), symbol="MSFT")
    own = await trail.decide(said("On this one."))
    await trail.home.redis.rpush("audit:{0}:symbol:AAPL", planted)
    found = (await SymbolMemory(Log(trail.home.redis)).of("AAPL")).thesis
    assert found is not None
    assert found.record == TrailReference(str(own.index), own.leaf_hash)


async def test_a_record_that_is_not_the_anchored_one_is_no_thesis(trail: Trail) -> None:
    await trail.decide(said("Recorded."))
    known = await SymbolMemory(Log(trail.home.redis), 1, lambda entry: entry.index != 1).of("AAPL")
    assert known == Known()


# verify

Forge = Callable[[LastDecision], LastDecision]


def with_text(thesis: LastDecision) -> LastDecision:
    return thesis._replace(text=thesis.text.replace(b"Genuine", b"Forged!"))


def with_hash(thesis: LastDecision) -> LastDecision:
    return thesis._replace(record=thesis.record._replace(leaf_hash="0" * 64))


def with_address(address: str) -> Forge:
    return lambda thesis: thesis._replace(record=thesis.record._replace(address=address))


async def verdict_on(redis: Redis, forge: Forge) -> str | None:
    """The rule that a second record breaks if its thesis is forged; None if it breaks none."""
    await hold(redis, "AAPL", "MSFT")
    owner, log = (await held_lease(redis)).owner, Log(redis)

    async def settle(draft: Any, _: tuple[str, ...]) -> Entry:
        return await log.append(draft, owner, SETTLEMENT)

    class Forging(SymbolMemory):
        async def of(self, symbol: str) -> Known:
            known = await super().of(symbol)
            return known if known.thesis is None else known._replace(thesis=forge(known.thesis))

    config = DecisionConfig(POSITION, Scripted(*[said("Genuine.")] * 3))
    pipeline = Pipeline(redis, config, settle, memory=Forging())
    await pipeline.decide(Tick.by_hand("MSFT"))
    first = await pipeline.decide(Tick.by_hand("AAPL"))
    await pipeline.decide(Tick.by_hand("AAPL"))
    fault = (await verify_log(log)).fault
    assert fault is None or fault.at == first.index + 1
    return None if fault is None else fault.rule


async def test_a_genuine_thesis_verifies(redis: Redis) -> None:
    assert await verdict_on(redis, lambda thesis: thesis) is None


@pytest.mark.parametrize("forge", [with_text, with_hash, *map(with_address, ["0", "2", "7", "x", "0:1", "-1"])])
async def test_a_forged_thesis_is_named(redis: Redis, forge: Forge) -> None:
    assert await verdict_on(redis, forge) == "thesis"


async def test_a_thesis_without_its_record_is_named(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Snapshot.evidence

    def without_source(snapshot: Snapshot) -> bytes:
        document = canonical.loads(whole(snapshot))
        document.pop("thesis", None)
        return canonical.dumps(document)

    monkeypatch.setattr(Snapshot, "evidence", without_source)
    assert await verdict_on(redis, lambda thesis: thesis) == "thesis"
