import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx import canonical
from llmctx.context.read_rules import ReadRules
from llmctx.context.tick import Tick
from llmctx.decision.decision import OUTPUT
from llmctx.decision.parse import judge
from llmctx.decision.verdict import GuardPolicy
from llmctx.errors import SnapshotError, TemplateError
from llmctx.llm.completion import Completion, Outcome
from llmctx.pipeline import DecisionConfig, Pipeline
from llmctx.prompt.template import Template
from llmctx.publication import published_text
from llmctx.record import RecordMetadata
from llmctx.replay.corpus import BlobCache
from llmctx.replay.rerun import rebuild
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.log import Draft
from llmctx.trail.proof.verify import Verifier
from tests.conftest import free_port
from tests.unit.makers import (
    NOW_MS,
    SYMBOL,
    Document,
    Scripted,
    answer_text,
    body,
    completion,
    live_keys,
    market,
    template,
    template_of,
)

MEMORY = "llmctx.symbols.memory.SymbolMemory.of"
TICK = Tick(id="run:AAPL:1", symbol=SYMBOL, cause="position_marked")


class Collected:
    """A settle that keeps what it is given."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        self.entry_ids: list[tuple[str, ...]] = []

    async def settle(self, draft: Draft, entry_ids: tuple[str, ...]) -> Entry:
        self.drafts.append(draft)
        self.entry_ids.append(entry_ids)
        return Entry(draft.leaf, draft.pieces, index=len(self.drafts) - 1)


def refusal_body() -> bytes:
    message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    return body(choices=[{"index": 0, "message": message, "finish_reason": "stop"}])


def cut_body(finish: str) -> bytes:
    message = {"role": "assistant", "content": '{"action": "ho', "refusal": None}
    return body(choices=[{"index": 0, "message": message, "finish_reason": finish}])


def unanswered(outcome: Outcome, detail: str) -> Completion:
    return Completion(outcome=outcome, detail=detail, request={"model": "asked-model"})


UNUSABLE = {
    "refused: the model refused: I cannot help with that.": completion(refusal_body()),
    "truncated: the answer was cut": completion(cut_body("length")),
    "filtered: the provider's content filter": completion(cut_body("content_filter")),
    "unreadable: the response is no chat completion": completion(b"<html>"),
    "unreadable: the message has no text": completion(body("")),
    "rejected: http 401": unanswered(Outcome.REJECTED, "http 401"),
    "unreachable: connection": unanswered(Outcome.UNREACHABLE, "connection"),
    "timeout: no answer": unanswered(Outcome.TIMEOUT, "no answer"),
    "misfit: the answer is not one JSON text": completion(body("I would hold.")),
    "misfit: confidence: must lie between 0 and 1": completion(body(answer_text(confidence=7))),
}
CASES = pytest.mark.parametrize("reason", UNUSABLE)


def test_an_answer_that_fits_is_judged_a_decision() -> None:
    decided, failure = judge(completion(body(answer_text(action="exit"))))
    assert decided is not None
    assert (decided.action, failure) == ("exit", "")


@CASES
def test_an_unusable_answer_is_judged_none_with_its_reason(reason: str) -> None:
    decided, failure = judge(UNUSABLE[reason])
    assert decided is None
    assert failure.startswith(reason)


Decide = Callable[..., Any]


@pytest.fixture
async def decide(valkey: Redis) -> Decide:
    """Writes these documents, decides one tick with this completion, and returns the record, checked."""

    async def run(
        answered: Completion | None,
        documents: Mapping[str, Document] | None = None,
        *,
        asking: Template | None = None,
        settings: Mapping[str, Any] | None = None,
        **metadata: Any,
    ) -> Entry:
        await valkey.mset(live_keys(market() if documents is None else documents))
        collected = Collected()
        pipeline = Pipeline(
            valkey,
            DecisionConfig(
                asking or template(),
                Scripted(*([] if answered is None else [answered])),
                reask_misfits=False,
                **(settings or {}),
            ),
            collected.settle,
            worker="host:1",
        )
        entry = await pipeline.decide(TICK, **metadata)
        assert len(collected.drafts) == 1
        assert Verifier().check(entry) is None
        return entry

    return run


async def test_an_answer_becomes_a_decision(decide: Decide) -> None:
    record = (await decide(completion(body(answer_text(action="exit"))))).record
    assert (record["kind"], record["decision"]["action"]) == ("decision", "exit")
    assert record["verdict"] == {
        "action": "exit",
        "quantity": "10",
        "policy": {"confidence_floor": "0.5", "grounding": "flag", "unconfirmed_stop": "hold"},
        "reason": "as the model decided",
    }


async def test_a_decision_says_which_tick_and_when_and_who(decide: Decide) -> None:
    record = (await decide(completion(), conflated=("a", "b"), attempts=3)).record
    assert (record["tick"], record["conflated"], record["cause"]) == (TICK.id, ["a", "b"], "position_marked")
    assert (record["as_of_ms"], record["worker"], record["attempts"]) == (NOW_MS, "host:1", 3)
    assert record["timings_ms"].keys() == {"read", "render", "complete"}


async def test_the_time_of_the_record_is_the_servers(decide: Decide, valkey: Redis) -> None:
    seconds, _ = await valkey.time()
    record = (await decide(completion())).record
    assert record["recorded_at_ms"] >= seconds * 1000


async def test_the_stream_entries_are_handed_on_to_be_settled(valkey: Redis) -> None:
    await valkey.mset(live_keys(market()))
    collected = Collected()
    pipeline = Pipeline(valkey, DecisionConfig(template(), Scripted(completion())), collected.settle)
    await pipeline.decide(TICK, entry_ids=("1-0", "2-0"))
    assert collected.entry_ids == [("1-0", "2-0")]


async def test_the_blobs_are_the_template_and_the_schema(valkey: Redis) -> None:
    await valkey.mset(live_keys(market()))
    collected, shipped = Collected(), template()
    pipeline = Pipeline(valkey, DecisionConfig(shipped, Scripted(completion())), collected.settle)
    entry = await pipeline.decide(TICK)
    assert collected.drafts[0].blobs == (shipped.bundle, OUTPUT.bundle)
    assert entry.record["prompt"]["template_sha256"] == canonical.sha256(shipped.bundle)


async def test_the_model_is_shown_what_redis_holds(valkey: Redis) -> None:
    await valkey.mset(live_keys(market(price="151.75")))
    completer = Scripted(completion())
    pipeline = Pipeline(valkey, DecisionConfig(template(), completer), Collected().settle)
    entry = await pipeline.decide(TICK)
    assert "- price.price.last: 151.75 [price]" in completer.prompts[0].messages[1].content
    assert entry.pieces["messages"] == completer.prompts[0].evidence


@pytest.mark.parametrize("lacking", ["price", "position"])
async def test_a_missing_section_that_is_needed_skips_the_tick_without_a_call(lacking: str, decide: Decide) -> None:
    documents = market()
    del documents[lacking]
    entry = await decide(None, documents)
    record = entry.record
    assert record["kind"] == "skipped"
    assert record["verdict"]["action"] == {"price": "hold", "position": "none"}[lacking]
    assert f"{lacking} is missing: " in record["verdict"]["reason"]
    assert entry.pieces.keys() == {"snapshot"}


async def test_nothing_at_all_in_redis_skips_the_tick_and_names_the_position(valkey: Redis) -> None:
    pipeline = Pipeline(valkey, DecisionConfig(template(), Scripted()), Collected().settle)
    record = (await pipeline.decide(TICK)).record
    assert (record["kind"], record["verdict"]["reason"]) == (
        "skipped",
        "position is missing: positions:active:AAPL: no such key",
    )


def text_for_last(documents: dict[str, Any]) -> None:
    documents["price"]["price"]["last"] = "152.5"


def price_of_tomorrow(documents: dict[str, Any]) -> None:
    documents["price"]["timestamp"] = "2099-01-01T00:00:00Z"


def no_price(documents: dict[str, Any]) -> None:
    del documents["price"]


def text_for_quantity(documents: dict[str, Any]) -> None:
    documents["position"]["quantity"] = "10"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (text_for_last, "price is invalid: stocks:price:AAPL: price.last must be a JSON number, not a string"),
        (price_of_tomorrow, "price is invalid: stocks:price:AAPL: timestamp 2099-01-01T00:00:00.000Z lies after"),
        (no_price, "price is missing: stocks:price:AAPL: no such key"),
        (text_for_quantity, "position is invalid: positions:active:AAPL: quantity must be a JSON number"),
    ],
)
async def test_a_stop_that_nobody_can_judge_is_held_and_says_why(
    change: Callable[[dict[str, Any]], None], why: str, decide: Decide
) -> None:
    documents = market()
    change(documents)
    entry = await decide(None, documents)
    verdict = entry.record["verdict"]
    assert (entry.record["kind"], verdict["action"], verdict["guards"][0]["name"]) == (
        "skipped",
        "hold",
        "stop_unconfirmed",
    )
    assert why in verdict["reason"]
    assert published_text(entry, 1) is not None


async def test_a_position_without_a_stop_and_a_price_is_skipped(decide: Decide) -> None:
    documents = market()
    documents["position"]["stop_loss"] = None
    del documents["price"]
    record = (await decide(None, documents)).record
    assert (record["kind"], record["verdict"]["action"]) == ("skipped", "none")


async def test_a_suspected_split_holds_a_stop_and_says_so(decide: Decide) -> None:
    documents = market(price="75")
    documents["position"] |= {"current_price": 152, "last_update": "2025-05-08T20:00:00Z"}
    record = (await decide(completion(), documents)).record
    assert record["verdict"]["action"] == "hold"
    assert record["verdict"]["guards"][-1]["name"] == "stop_unconfirmed"
    assert "a ratio of 2:1" in record["verdict"]["reason"]


@pytest.mark.parametrize(
    ("session", "rule"),
    [
        ({"high": 152, "low": 148}, "last_outside_session"),
        ({"high": 148, "low": 152}, "high_below_low"),
        ({"volume": -5}, "negative_volume"),
    ],
)
async def test_a_session_that_contradicts_itself_says_so_and_costs_no_stop(
    session: dict[str, int], rule: str, decide: Decide
) -> None:
    documents = market(price="144")
    documents["price"]["price"] |= session
    record = (await decide(completion(), documents)).record
    assert record["verdict"]["action"] == "exit"
    assert record["verdict"]["guards"][-1]["name"] == "stop_loss_breached"
    assert rule in "".join(record["snapshot"]["sections"]["price"]["implausible"])


async def test_a_price_is_held_against_the_one_that_was_recorded_before(valkey: Redis) -> None:
    collected = Collected()
    pipeline = Pipeline(valkey, DecisionConfig(template(), Scripted(*[completion()] * 3)), collected.settle)
    for price in ("152.5", "1.5", "152"):
        await valkey.mset(live_keys(market(price=price)))
        await pipeline.decide(TICK)
    actions = [draft.record["verdict"]["action"] for draft in collected.drafts if draft.record is not None]
    assert actions == ["hold", "hold", "hold"]
    fired = [draft.record["verdict"].get("guards", []) for draft in collected.drafts if draft.record is not None]
    assert [[guard["name"] for guard in guards] for guards in fired] == [
        [],
        ["ungrounded", "stop_unconfirmed"],
        ["ungrounded"],
    ]
    assert pipeline.memory.unconfirmed == {}


@pytest.mark.parametrize("user", ["{{ nothing }}", "{{ field('price.nothing') }}", "{{ 1 / 0 }}"])
async def test_a_template_that_cannot_be_rendered_skips_the_tick_and_is_named(user: str, decide: Decide) -> None:
    entry = await decide(None, asking=template_of(user))
    assert entry.record["kind"] == "skipped"
    assert entry.record["verdict"]["reason"].startswith("probe/v1, user part, line ")
    assert entry.pieces.keys() == {"snapshot"}


async def test_a_template_that_grows_beyond_the_cap_skips_the_tick(decide: Decide) -> None:
    entry = await decide(None, asking=template_of("{% for i in range(99999) %}{{ symbol }}{% endfor %}"))
    assert "renders to more than 200000 characters" in entry.record["verdict"]["reason"]


@CASES
async def test_an_unusable_answer_fails_and_holds(reason: str, decide: Decide) -> None:
    record = (await decide(UNUSABLE[reason])).record
    assert record["kind"] == "failed"
    assert record["completion"]["outcome"] == UNUSABLE[reason].outcome
    assert record["verdict"]["action"] == "hold"
    assert record["verdict"]["reason"].startswith(reason)
    assert [guard["name"] for guard in record["verdict"]["guards"]] == ["no_answer"]


@CASES
async def test_an_unusable_answer_on_a_breached_stop_exits(reason: str, decide: Decide) -> None:
    record = (await decide(UNUSABLE[reason], market(price="145"))).record
    assert (record["kind"], record["verdict"]["action"], record["verdict"]["quantity"]) == ("failed", "exit", "10")
    assert record["verdict"]["guards"][0]["detail"].startswith(reason)


async def test_a_breached_stop_exits_whatever_the_model_says(decide: Decide) -> None:
    record = (await decide(completion(), market(side="short", stop="152.5", target="100"))).record
    assert (record["kind"], record["decision"]["action"], record["verdict"]["action"]) == ("decision", "hold", "exit")


async def test_the_policy_that_was_set_is_the_one_that_guards(decide: Decide) -> None:
    sure = completion(body(answer_text(action="exit", confidence=0.8)))
    record = (await decide(sure, settings={"policy": GuardPolicy(confidence_floor=0.9)})).record
    assert (record["decision"]["action"], record["verdict"]["action"]) == ("exit", "hold")


async def test_the_rules_that_were_set_are_the_ones_that_are_read_by(decide: Decide) -> None:
    rules = ReadRules(signal_types=("breakout",), max_age_s={"price": 1})
    documents = market(price_at="2025-05-09T10:15:28.000Z")
    entry = await decide(completion(), documents, settings={"rules": rules})
    sections = entry.record["snapshot"]["sections"]
    assert sections["price"]["status"] == "stale"
    assert "signals.breakout" in sections
    assert json.loads(entry.pieces["snapshot"])["signal_types"] == ["breakout"]


@pytest.mark.parametrize(
    "step", ["llmctx.context.reader.portfolio_places", "llmctx.context.reader.portfolio_section", MEMORY]
)
async def test_what_a_stop_does_not_need_costs_it_nothing(
    step: str, valkey: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(*_: object, **__: object) -> None:
        raise OverflowError("cannot convert Infinity to integer")

    monkeypatch.setattr(step, break_off)
    await valkey.mset(live_keys(market(price="140", stop="145")))
    config = DecisionConfig(template(), Scripted(), rules=ReadRules(portfolio=(), memory="long"))
    pipeline = Pipeline(valkey, config, Collected().settle)
    letter = await pipeline.give_up(TICK, "tried too often", RecordMetadata(recorded_at_ms=NOW_MS, worker="test"))
    assert letter.draft is not None
    assert json.loads(letter.draft.leaf)["verdict"]["action"] == "exit"


def test_a_template_for_another_output_is_refused(valkey_url: str) -> None:
    source = "---\nname: probe\nversion: 1\ndescription: x\noutput: poem\n---\nsystem:\na\nuser:\nb\n"
    with pytest.raises(TemplateError, match=r"probe/v1 asks for the output 'poem'(.|\n)*output: decision"):
        Pipeline(
            Redis.from_url(valkey_url),
            DecisionConfig(Template("probe/v1", {"probe/v1.md.j2": source}), Scripted()),
            Collected().settle,
        )


async def test_a_server_that_does_not_answer_settles_nothing() -> None:
    collected = Collected()
    redis = Redis.from_url(f"redis://127.0.0.1:{free_port()}/0", retry=None)
    pipeline = Pipeline(redis, DecisionConfig(template(), Scripted()), collected.settle)
    with pytest.raises(SnapshotError, match="AAPL"):
        await pipeline.decide(TICK)
    await redis.aclose()
    assert collected.drafts == []


FALSE = completion(body(answer_text(action="exit", reasoning="The price of 155.20 is beyond the target.")))
TRUE = completion(body(answer_text(action="exit", reasoning="The price of 152.5 is far from the target of 160.")))


async def decided(valkey: Redis, policy: GuardPolicy, *completions: Completion) -> tuple[Entry, Scripted]:
    """The record of one tick under a policy, and who was asked for it; the record comes out of its evidence."""
    await valkey.mset(live_keys(market()))
    collected, scripted = Collected(), Scripted(*completions)
    pipeline = Pipeline(valkey, DecisionConfig(template(), scripted, policy=policy), collected.settle)
    entry = await pipeline.decide(TICK)
    assert Verifier().check(entry) is None
    assert rebuild(entry, BlobCache({template().sha256: template().bundle})).same
    return entry, scripted


async def test_a_false_price_is_flagged_and_changes_nothing(valkey: Redis) -> None:
    record = (await decided(valkey, GuardPolicy(), FALSE))[0].record
    assert record["grounding"]["false_prices"] == [
        {
            "field": "reasoning",
            "text": "155.20",
            "at": 13,
            "citation": "price.price.last",
            "why": "no such price",
            "fact": "152.5",
            "alarms": "yes",
        }
    ]
    assert [guard["name"] for guard in record["verdict"]["guards"]] == ["ungrounded"]
    assert record["verdict"]["action"] == "exit"


async def test_a_false_price_becomes_a_hold_where_that_is_set(valkey: Redis) -> None:
    record = (await decided(valkey, GuardPolicy(grounding="hold"), FALSE))[0].record
    assert (record["decision"]["action"], record["verdict"]["action"]) == ("exit", "hold")
    assert record["verdict"]["policy"]["grounding"] == "hold"


async def test_nothing_is_checked_where_it_is_off(valkey: Redis) -> None:
    record = (await decided(valkey, GuardPolicy(grounding="off"), FALSE))[0].record
    assert "grounding" not in record
    assert "guards" not in record["verdict"]


async def test_a_false_price_is_asked_about_once_and_both_answers_are_kept(valkey: Redis) -> None:
    entry, scripted = await decided(valkey, GuardPolicy(grounding="reask"), FALSE, TRUE)
    first, second = scripted.prompts
    assert [message.role for message in second.messages] == ["system", "user", "assistant", "user"]
    assert second.messages[:2] == first.messages
    assert second.messages[2].content == FALSE.content
    assert '"155.20" in reasoning: no such price; price.price.last is 152.5' in second.messages[3].content
    assert entry.pieces["messages"] == second.evidence
    assert entry.pieces["completion"] == TRUE.body
    assert entry.record["reasked"]["grounding"]["false_prices"][0]["text"] == "155.20"
    assert entry.record["reasked"]["completion"]["usage"]["prompt"] == 1000
    assert "false_prices" not in entry.record["grounding"]
    assert (entry.record["verdict"]["action"], "reask" in entry.record["timings_ms"]) == ("exit", True)


async def test_a_price_that_stays_false_is_a_hold(valkey: Redis) -> None:
    entry, scripted = await decided(valkey, GuardPolicy(grounding="reask"), FALSE, FALSE)
    assert len(scripted.prompts) == 2
    assert entry.record["verdict"]["action"] == "hold"


async def test_a_second_call_that_fails_leaves_the_guardrails_alone(valkey: Redis) -> None:
    entry, _ = await decided(
        valkey, GuardPolicy(grounding="reask"), FALSE, unanswered(Outcome.TIMEOUT, "no answer in time")
    )
    assert (entry.record["kind"], entry.record["verdict"]["action"]) == ("failed", "hold")


async def test_a_true_answer_is_not_asked_about(valkey: Redis) -> None:
    entry, scripted = await decided(valkey, GuardPolicy(grounding="reask"), TRUE)
    assert len(scripted.prompts) == 1
    assert "reasked" not in entry.record


async def test_a_first_answer_that_was_altered_is_found(valkey: Redis) -> None:
    entry, _ = await decided(valkey, GuardPolicy(grounding="reask"), FALSE, TRUE)
    messages = entry.pieces["messages"].replace(b"155.20", b"155.30")
    leaf = entry.record | {"prompt": entry.record["prompt"] | {"sha256": canonical.sha256(messages)}}
    forged = Entry(canonical.dumps(leaf), entry.pieces | {"messages": messages}, index=0)
    assert Verifier().check(forged) is None
    found = rebuild(forged, BlobCache({template().sha256: template().bundle})).tampering
    assert found is not None
    assert (found.part, found.rule) == ("reasked", "record-rebuilt")


async def test_a_second_question_that_cannot_be_put_leaves_the_first_verdict(
    valkey: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OverflowError("cannot convert Infinity to integer")

    monkeypatch.setattr("llmctx.pipeline.ask_again", broken)
    entry, scripted = await decided(valkey, GuardPolicy(grounding="reask"), FALSE, TRUE)
    assert len(scripted.prompts) == 1
    assert (entry.record["verdict"]["action"], "reasked" in entry.record) == ("hold", False)


async def test_a_decision_that_is_cancelled_ends_and_records_nothing(valkey: Redis) -> None:
    class Cancelled:
        async def complete(self, *_: object) -> Completion:
            raise asyncio.CancelledError

    await valkey.mset(live_keys(market()))
    collected = Collected()
    with pytest.raises(asyncio.CancelledError):
        await Pipeline(valkey, DecisionConfig(template(), Cancelled()), collected.settle).decide(TICK)
    assert collected.drafts == []
