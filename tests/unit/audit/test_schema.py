"""record.schema.json says of records what the code says."""

import json
from typing import Any

import pytest
from jsonschema import Draft7Validator, ValidationError

from llmctx import canonical
from llmctx.context.snapshot import TrailReference
from llmctx.context.tick import Tick
from llmctx.dead_letter import DeadLetter
from llmctx.decision.conclude import StandingDecision, conclude_unasked
from llmctx.decision.decision import Action
from llmctx.decision.verdict import GuardPolicy
from llmctx.record import RecordMetadata, compose, compose_dead_letter, compose_unread
from llmctx.schema.values import Effect
from llmctx.statement import Act, compose_act, compose_effect
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.leaf_schema import FORM, KINDS, REQUIRED, SAID
from tests.conftest import ROOT
from tests.unit.makers import market, package_of, snapshot_of
from tests.unit.test_record import ALL, CIRCUMSTANCES, draft

SCHEMA = json.loads((ROOT / "audit" / "record.schema.json").read_bytes())
check = Draft7Validator(SCHEMA).validate
FILL = Effect.model_validate(
    {"id": "x", "symbol": "AAPL", "status": "filled", "at": "2026-03-02T15:00:00Z", "side": "buy"}
    | {"quantity": 1.5, "price": 2, "fee": -0.1, "order_id": "o", "reason": "r"}
)


def leaf_of(kind: str) -> dict[str, Any]:
    """A real leaf of a kind."""
    if kind in ("decision", "failed", "skipped"):
        return draft(ALL[kind])[1]
    if kind == "unasked":
        standing = StandingDecision(TrailReference("1", "0" * 64), "hold")
        unasked = conclude_unasked(snapshot_of(market()), package_of(market()), "a reason", GuardPolicy(), standing)
        leaf: dict[str, Any] = json.loads(compose(Tick(id="t", symbol="AAPL"), unasked, CIRCUMSTANCES, ()).leaf)
        return leaf
    metadata = RecordMetadata(recorded_at_ms=1, worker="host:1")
    if kind == "effect":
        made = compose_effect(FILL, {"index": 0, "leaf_hash": "ab" * 32}, metadata)
    elif kind in SAID:
        act = Act.model_validate({"kind": kind, "index": 0, "by": "R. Meier", "why": "seen"})
        made = compose_act(act, "x", Entry(draft(ALL["decision"])[0].leaf, {}, index=0), metadata)
    else:
        tick = Tick(id="t", symbol="AAPL") if kind == "dead_letter" else None
        made = compose_unread(kind, tick, "a reason", metadata)
    document: dict[str, Any] = json.loads(made.leaf)
    return document


@pytest.mark.parametrize("kind", KINDS)
def test_a_real_record_of_every_kind_obeys_the_schema(kind: str) -> None:
    leaf = leaf_of(kind)
    assert leaf["kind"] == kind
    check(leaf)


def test_a_dead_letter_with_the_guardrails_verdict_obeys_the_schema() -> None:
    reason = "a decision was started 5 times and never recorded"
    conclusion = conclude_unasked(snapshot_of(market()), package_of(market()), reason, GuardPolicy())
    leaf = json.loads(
        compose_dead_letter(
            Tick(id="t", symbol="AAPL"), conclusion.verdict, CIRCUMSTANCES, conclusion.snapshot, conclusion.package
        ).leaf
    )
    assert (leaf["kind"], leaf["verdict"]["action"]) == ("dead_letter", "hold")
    check(leaf)


def test_a_dead_letter_without_evidence_obeys_the_schema() -> None:
    package = package_of(market())
    verdict = conclude_unasked(snapshot_of(market()), package, "a reason", GuardPolicy()).verdict
    letter = DeadLetter(Tick(id="t", symbol="AAPL"), verdict, CIRCUMSTANCES, package=package)
    draft = letter.without_evidence("a lone \ud800")
    leaf = json.loads(draft.leaf)
    assert canonical.dumps(leaf) == draft.leaf
    assert leaf["verdict"]["reason"].endswith("; without evidence, which cannot be recorded: a lone ?")
    assert leaf["position"]["held"] == format(package.position.quantity, "f")
    check(leaf)


@pytest.mark.parametrize("name", ALL)
def test_every_outcome_of_a_tick_obeys_the_schema(name: str) -> None:
    check(draft(ALL[name])[1])
    check(draft(ALL[name], CIRCUMSTANCES._replace(conflated=("a", "b")))[1])


def test_an_incident_about_lost_records_names_them() -> None:
    leaf = leaf_of("incident")
    check(leaf | {"incident": {"what": "lost", "first": 2, "last": 3}})
    check(leaf | {"incident": {"what": "differs"}})
    with pytest.raises(ValidationError):
        check(leaf | {"incident": {"what": "lost", "first": 2}})


@pytest.mark.parametrize(
    "code", ["llmctx 0.1.0", "llmctx 0.2.0 rules:0123456789ab", "llmctx 1.0.0rc1 rules:0123456789ab"]
)
def test_the_code_of_every_version_obeys_the_schema(code: str) -> None:
    check(leaf_of("decision") | {"code": code})


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2}, {"code": "llmctx 0.2.0 rules:01"}, {"code": "another"}, {"kind": "other"}, {"tick": 5}, {"recorded_at_ms": "1"}, {"recorded_at_ms": 2**53},
        {"attempts": 1.5}, {"verdict": {"action": "hold"}}, {"verdict": {"action": "sell", "reason": "r"}},
        {"snapshot": {"sha256": "AB", "sections": {}}}, {"conflated": ["a", "a"]}, {"timings_ms": {"read": 1}},
        {"kind": "notice"},
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        check(leaf_of("decision") | changes)


@pytest.mark.parametrize("name", ["worker", "tick", "completion", "decision", "snapshot"])
def test_a_decision_without_one_of_its_parts_is_refused(name: str) -> None:
    leaf = leaf_of("decision")
    del leaf[name]
    with pytest.raises(ValidationError):
        check(leaf)


def test_schema_and_verifier_know_the_same_names() -> None:
    types = {int: "integer", str: "string", dict: "object"}
    said = {name: of.get("type", "integer") for name, of in SCHEMA["properties"].items()}
    assert {name: types[kind] for name, kind in FORM.items()}.items() <= said.items()
    assert set(SCHEMA["properties"]) == {*FORM, "v", "kind", "tick", "conflated"}
    assert set(SCHEMA["required"]) == {"v", "kind", *REQUIRED}
    assert tuple(SCHEMA["properties"]["kind"]["enum"]) == KINDS
    assert SCHEMA["properties"]["decision"]["properties"]["action"]["enum"] == [action.value for action in Action]


FINDING = {"field": "evidence[0].reading", "text": "5", "at": 0, "citation": "x.y", "why": "null", "alarms": "no"}
CITED = {"evidence": 1, "cited": 2, "uncited": 0, "unread": 0, "miscited": [FINDING | {"fact": "null"}]}
OF_0_1_0 = {
    "evidence": 1,
    "numbers": 3,
    "miscited": [{"path": "x", "value": "1", "why": "no such path", "price": "no"}],
    "unsupported": [{"field": "reasoning", "text": "5", "at": 3, "nearest": "x.y", "fact": "6", "price": "yes"}],
}


@pytest.mark.parametrize("grounding", [CITED, CITED | {"false_prices": [FINDING]}, OF_0_1_0])
def test_grounding_by_citation_and_that_of_0_1_0_obey_the_schema(grounding: dict[str, Any]) -> None:
    check(leaf_of("decision") | {"grounding": grounding})


@pytest.mark.parametrize(
    "grounding",
    [
        {},
        {"evidence": 1},
        CITED | {"numbers": 3},
        CITED | {"miscited": [FINDING | {"why": "x"}]},
        OF_0_1_0 | {"cited": 1},
    ],
)
def test_another_grounding_is_refused(grounding: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        check(leaf_of("decision") | {"grounding": grounding})
