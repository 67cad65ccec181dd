import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import rfc8785

from llmctx import __version__, canonical
from llmctx.context.tick import Tick
from llmctx.decision.conclude import Conclusion
from llmctx.decision.decision import OUTPUT
from llmctx.decision.guards import guard
from llmctx.decision.parse import judge
from llmctx.decision.verdict import GuardPolicy, refused
from llmctx.llm.completion import Attempt, Completion, Outcome, read_completion
from llmctx.prompt.render import render
from llmctx.publication import publication
from llmctx.record import RecordMetadata, compose, compose_unread
from llmctx.rules import code
from llmctx.schema.keys import section_keys
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.log import Draft
from llmctx.trail.proof.verify import Verifier
from tests.conftest import present
from tests.unit.makers import (
    NOW_MS,
    SYMBOL,
    answer_text,
    body,
    completion,
    is_canonical,
    market,
    package_of,
    snapshot_of,
    template,
)

TICK = Tick(id="run:AAPL:1", symbol=SYMBOL, cause="position_marked")
CIRCUMSTANCES = RecordMetadata(
    recorded_at_ms=NOW_MS + 900, worker="host:1", attempts=2, timings_ms={"read": 0.123, "render": 12.06}
)
HEAD = {"v", "kind", "recorded_at_ms", "worker", "attempts", "code", "timings_ms"}
OF_A_TICK = HEAD | {"tick", "symbol", "cause", "as_of_ms", "snapshot", "verdict"}
BLOBS = (b"template",)


def conclude(answered: Completion | None, **changes: Any) -> Conclusion:
    """What a tick comes to with this completion; without one the call was refused."""
    documents = market(**changes)
    snapshot, package = snapshot_of(documents), package_of(documents)
    if answered is None:
        return Conclusion(snapshot, package, refused("position is missing: no such key"))
    decided, failure = judge(answered)
    verdict = guard(package, decided, GuardPolicy(), failure)
    return Conclusion(snapshot, package, verdict, render(template(), package), answered, decided)


def draft(
    answered: Completion | None, metadata: RecordMetadata = CIRCUMSTANCES, **changes: Any
) -> tuple[Draft, dict[str, Any]]:
    """The draft of such a conclusion, and its leaf as read."""
    made = compose(TICK, conclude(answered, **changes), metadata, BLOBS)
    return made, canonical.loads(made.leaf)


ANSWERED = completion()
REDUCED = completion(body(answer_text(action="reduce", quantity=Decimal("2.50"), confidence=Decimal("0.75"))))
UNUSABLE = completion(body("I would hold."))
UNREACHABLE = Completion(
    outcome=Outcome.UNREACHABLE,
    detail="connection: dead",
    request={"model": "asked-model"},
    attempts=(Attempt("connection", 3, None),),
)
ALL = {"decision": ANSWERED, "reduced": REDUCED, "failed": UNUSABLE, "unreachable": UNREACHABLE, "skipped": None}


def test_a_decision_has_every_name_of_its_kind() -> None:
    _, leaf = draft(ANSWERED)
    assert leaf.keys() == OF_A_TICK | {"prompt", "request", "completion", "decision", "grounding"}
    assert leaf["kind"] == "decision"


@pytest.mark.parametrize("answered", [UNUSABLE, UNREACHABLE])
def test_a_failed_call_has_no_decision(answered: Completion) -> None:
    _, leaf = draft(answered)
    assert leaf.keys() == OF_A_TICK | {"prompt", "request", "completion"}
    assert leaf["kind"] == "failed"


def test_a_skipped_tick_has_neither_prompt_nor_completion() -> None:
    made, leaf = draft(None)
    assert leaf.keys() == OF_A_TICK
    assert leaf["kind"] == "skipped"
    assert made.pieces.keys() == {"snapshot"}
    assert leaf["verdict"] == {"action": "none", "reason": "position is missing: no such key"}


@pytest.mark.parametrize("kind", ["dead_letter", "skipped"])
def test_a_tick_that_was_not_read_has_its_names_and_no_evidence(kind: str) -> None:
    made = compose_unread(kind, TICK, "gave up after 3 attempts", CIRCUMSTANCES)
    leaf = canonical.loads(made.leaf)
    assert leaf.keys() == HEAD | {"tick", "symbol", "cause", "verdict"}
    assert leaf["verdict"] == {"action": "none", "reason": "gave up after 3 attempts"}
    assert (made.pieces, made.blobs, made.tick, made.symbol) == ({}, (), TICK.id, SYMBOL)


@pytest.mark.parametrize("kind", ["notice", "incident"])
def test_a_record_without_a_tick_names_none(kind: str) -> None:
    made = compose_unread(kind, None, "instance made", RecordMetadata(NOW_MS, "host:1"))
    leaf = canonical.loads(made.leaf)
    assert leaf.keys() == HEAD - {"timings_ms"} | {"verdict"}
    assert (made.tick, made.symbol) == ("", "")


@pytest.mark.parametrize("name", ALL)
def test_every_leaf_is_in_rfc_8785_form(name: str) -> None:
    made, _ = draft(ALL[name])
    assert is_canonical(made.leaf)
    assert rfc8785.dumps(json.loads(made.leaf)) == made.leaf


def scalars(value: Any) -> Iterator[Any]:
    """Every scalar of a JSON document, with the scalars' names."""
    if isinstance(value, dict):
        for name, item in value.items():
            assert name.isascii()
            yield from scalars(item)
    elif isinstance(value, list):
        for item in value:
            yield from scalars(item)
    else:
        yield value


@pytest.mark.parametrize("name", ALL)
def test_no_leaf_holds_a_float_or_a_null(name: str) -> None:
    _, leaf = draft(ALL[name])
    assert {type(value) for value in scalars(leaf)} <= {str, int}


@pytest.mark.parametrize("name", ALL)
def test_every_record_passes_the_rules_of_the_log(name: str) -> None:
    made, _ = draft(ALL[name])
    assert Verifier().check(Entry(made.leaf, made.pieces, index=0)) is None


def test_the_head_says_who_made_it_and_when() -> None:
    _, leaf = draft(ANSWERED)
    head = {name: leaf[name] for name in HEAD}
    assert head == {
        "v": 1,
        "kind": "decision",
        "recorded_at_ms": NOW_MS + 900,
        "worker": "host:1",
        "attempts": 2,
        "code": code(),
        "timings_ms": {"read": "0.1", "render": "12.1"},
    }


def test_the_code_is_named_with_its_version_and_rules() -> None:
    _, leaf = draft(ANSWERED)
    assert re.fullmatch(rf"llmctx {re.escape(__version__)} rules:[0-9a-f]{{12}}", leaf["code"])


def test_the_tick_is_told_as_it_was_raised() -> None:
    _, leaf = draft(ANSWERED)
    assert (leaf["tick"], leaf["symbol"], leaf["cause"]) == ("run:AAPL:1", "AAPL", "position_marked")
    assert leaf["as_of_ms"] == NOW_MS


def test_conflated_ticks_are_listed_where_there_are_any() -> None:
    made, leaf = draft(ANSWERED, CIRCUMSTANCES._replace(conflated=("b", "a")))
    assert leaf["conflated"] == ["b", "a"]
    assert made.conflated == ("b", "a")


def test_a_record_without_timings_has_no_timings() -> None:
    _, leaf = draft(ANSWERED, RecordMetadata(NOW_MS, "host:1"))
    assert "timings_ms" not in leaf


def test_every_section_has_key_and_status_and_its_age_where_it_has_one() -> None:
    _, leaf = draft(ANSWERED, price_at="2025-05-09T10:13:30.123Z")
    keys = section_keys(SYMBOL, ("entry", "exit"), 0)
    sections = leaf["snapshot"]["sections"]
    assert {name: section["key"] for name, section in sections.items()} == keys
    assert sections["price"] == {"key": keys["price"], "status": "stale", "age_ms": 120_000}
    assert sections["market"] == {"key": keys["market"], "status": "missing"}


def test_the_digests_are_those_of_the_pieces() -> None:
    made, leaf = draft(ANSWERED)
    assert leaf["snapshot"]["sha256"] == canonical.sha256(made.pieces["snapshot"])
    assert leaf["prompt"]["sha256"] == canonical.sha256(made.pieces["messages"])
    assert leaf["completion"]["sha256"] == canonical.sha256(made.pieces["completion"])


def test_the_completion_piece_is_the_body_as_it_came() -> None:
    raw = b" " + body() + b"\n"
    made, _ = draft(completion(raw))
    assert made.pieces["completion"] == raw


def test_the_prompt_names_template_version_and_digest() -> None:
    _, leaf = draft(ANSWERED)
    prompt = leaf["prompt"]
    assert prompt.keys() == {"template", "version", "template_sha256", "sha256"}
    assert (prompt["template"], prompt["version"], prompt["template_sha256"]) == ("position", 1, template().sha256)


def test_the_completion_says_who_served_it_and_what_it_used() -> None:
    attempts = (Attempt("http 500", 3, None), Attempt("ok", 5, "req-2"))
    _, leaf = draft(read_completion(body(), {"model": "asked-model"}, attempts))
    assert leaf["request"] == {"model": "asked-model"}
    assert leaf["completion"] == {
        "outcome": "answered",
        "model": "served-model",
        "response_id": "chatcmpl-1",
        "request_id": "req-2",
        "system_fingerprint": "fp_1",
        "service_tier": "default",
        "finish_reason": "stop",
        "usage": {"prompt": 1000, "completion": 200, "cached": 768, "reasoning": 64},
        "attempts": [
            {"result": "http 500", "duration_ms": 3},
            {"result": "ok", "duration_ms": 5, "request_id": "req-2"},
        ],
        "sha256": canonical.sha256(body()),
    }


def test_a_call_without_a_response_has_no_completion_piece_and_no_digest() -> None:
    made, leaf = draft(UNREACHABLE)
    assert made.pieces.keys() == {"snapshot", "messages"}
    assert leaf["completion"] == {
        "outcome": "unreachable",
        "detail": "connection: dead",
        "attempts": [{"result": "connection", "duration_ms": 3}],
    }


def test_a_decision_is_told_in_full_with_decimals_as_texts() -> None:
    _, leaf = draft(REDUCED)
    assert leaf["decision"] == {
        "action": "reduce",
        "quantity": "2.5",
        "confidence": "0.75",
        "reasoning": "Nothing speaks for a change.",
        "evidence": [{"path": "price.price.last", "value": "152.5", "reading": "between stop and target"}],
        "invalidation": "A close below the stop.",
        "valid_for": 5,
    }
    assert leaf["verdict"] == {
        "action": "reduce",
        "quantity": "2.5",
        "policy": {"confidence_floor": "0.5", "grounding": "flag", "unconfirmed_stop": "hold"},
        "reason": "as the model decided",
    }


def test_a_decimal_is_written_without_an_exponent() -> None:
    raw = answer_text(action="reduce", quantity=1).replace('"quantity":1,', '"quantity":2E+0,')
    _, leaf = draft(completion(body(raw)))
    assert leaf["decision"]["quantity"] == "2"


def test_the_guards_that_fired_are_told_in_order() -> None:
    _, leaf = draft(UNUSABLE, price="145")
    assert [found["name"] for found in leaf["verdict"]["guards"]] == ["no_answer", "stop_loss_breached"]
    assert leaf["verdict"]["guards"][0]["detail"].startswith("misfit: ")
    assert (leaf["verdict"]["action"], leaf["verdict"]["quantity"]) == ("exit", "10")


@pytest.mark.parametrize("name", ["decision", "failed", "unreachable"])
def test_a_record_with_a_prompt_keeps_the_blobs(name: str) -> None:
    made, _ = draft(ALL[name])
    assert made.blobs == (*BLOBS, OUTPUT.bundle)


def test_a_skipped_record_needs_no_blobs() -> None:
    made, _ = draft(None)
    assert made.blobs == ()


def test_the_draft_says_where_the_record_is_found() -> None:
    made, _ = draft(ANSWERED)
    assert (made.tick, made.symbol) == (TICK.id, SYMBOL)


def test_texts_of_any_script_can_be_recorded() -> None:
    text = 'Öl \u2028 "in quotes" \\ \x00 😀'
    _, leaf = draft(completion(body(answer_text(reasoning=text))))
    assert leaf["decision"]["reasoning"] == text


@pytest.mark.parametrize("count", [2**53, 10**30, -(2**53)])
def test_an_absurd_token_count_does_not_stop_the_record(count: int) -> None:
    draft(completion(body(usage={"prompt_tokens": count})))


def test_a_number_makes_no_leaf_of_a_hundred_kilobytes() -> None:
    made, _ = draft(completion(body(answer_text().replace("0.8", "0e-100000"))))
    assert len(made.leaf) < 10_000


def entry(answered: Completion | None, **changes: Any) -> Entry:
    made, _ = draft(answered, **changes)
    return Entry(made.leaf, made.pieces, index=7, partition=1)


def test_a_decision_is_published_with_what_may_be_acted_on_and_what_was_said() -> None:
    told = present(publication(entry(REDUCED), 2))
    assert told.model_dump(mode="json") == {
        "address": "1:7",
        "kind": "decision",
        "tick": TICK.id,
        "symbol": SYMBOL,
        "as_of": "2025-05-09T10:15:30.123Z",
        "entry_time": "2025-05-09T09:45:32.000Z",
        "side": "long",
        "entry_price": 150.0,
        "held": 10.0,
        "action": "reduce",
        "quantity": 2.5,
        "stop_loss": None,
        "take_profit": None,
        "reason": "as the model decided",
        "rest": None,
        "repeat_of": None,
        "awaits": None,
        "stands_for": None,
        "decided": "reduce",
        "confidence": 0.75,
        "reasoning": "Nothing speaks for a change.",
        "invalidation": "A close below the stop.",
        "valid_for": 5,
    }


def test_a_failed_call_is_published_with_its_verdict_only() -> None:
    told = present(publication(entry(UNUSABLE, price="145"), 1))
    assert (told.address, told.kind, told.action, told.quantity) == ("7", "failed", "exit", Decimal(10))
    assert (told.decided, told.confidence, told.reasoning, told.valid_for) == (None, None, None, None)


def test_moved_stops_are_published() -> None:
    moved = completion(body(answer_text(action="adjust_stops", stop_loss=149, take_profit=Decimal("165.5"))))
    told = present(publication(entry(moved), 1))
    assert told.model_dump(include={"stop_loss", "take_profit"}) == {"stop_loss": 149, "take_profit": Decimal("165.5")}


def test_a_skipped_tick_is_published_with_the_reason_and_nothing_to_do() -> None:
    told = present(publication(entry(None), 1))
    assert (told.kind, told.action, told.reason) == ("skipped", "none", "position is missing: no such key")


def test_a_skipped_tick_of_a_record_that_names_no_rules_is_not_published() -> None:
    made = compose_unread("skipped", TICK, "why", CIRCUMSTANCES)
    older = canonical.dumps(canonical.loads(made.leaf) | {"code": "llmctx 0.1.0"})
    assert publication(Entry(older, {}, index=0), 1) is None


@pytest.mark.parametrize("kind", ["notice", "incident"])
def test_a_record_without_a_tick_is_not_published(kind: str) -> None:
    made = compose_unread(kind, None, "why", CIRCUMSTANCES)
    assert publication(Entry(made.leaf, made.pieces, index=0), 1) is None


def test_words_that_do_not_fit_a_publication_do_not_keep_back_the_verdict() -> None:
    made, leaf = draft(ANSWERED, price="145")
    leaf["decision"]["confidence"] = "high"
    told = present(publication(Entry(canonical.dumps(leaf), made.pieces, index=7), 1))
    assert (told.action, told.quantity, told.reasoning) == ("exit", Decimal(10), None)
