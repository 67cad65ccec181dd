import re
from typing import Any

import pytest

from llmctx import canonical
from llmctx.context.tick import Tick
from llmctx.decision.conclude import conclude, conclude_unasked, refuse
from llmctx.decision.decision import OUTPUT
from llmctx.decision.verdict import GuardPolicy
from llmctx.llm.mode import Mode
from llmctx.llm.profile import profile_of
from llmctx.llm.request import plan_request
from llmctx.prompt.render import render
from llmctx.prompt.template import Template
from llmctx.record import RecordMetadata, compose, compose_dead_letter
from llmctx.replay.corpus import BlobCache, read_corpus
from llmctx.replay.difference import Difference, Rebuild
from llmctx.replay.reproduction import check_evidence
from llmctx.replay.rerun import rebuild
from llmctx.rules import Rules, code
from llmctx.trail.log.entry import Entry, restored
from llmctx.trail.proof.verify import Verifier
from tests.conftest import ROOT, present
from tests.unit.makers import NOW_MS, SYMBOL, completion, market, package_of, snapshot_of, stored, template, template_of

BLOB = template().bundle
DIGEST = template().sha256
BLOBS = {DIGEST: BLOB}


def recorded(
    *, with_prompt: bool = True, using: Template | None = None, policy: GuardPolicy | None = None, **changes: Any
) -> Entry:
    """Return a record as it is read from the log."""
    documents = market(**changes)
    snapshot, package = snapshot_of(documents), package_of(documents)
    if with_prompt:
        prompt = render(using or template(), package)
        conclusion = conclude(snapshot, package, prompt, completion(), policy or GuardPolicy())
    else:
        conclusion = refuse(snapshot, package, "why")
    draft = compose(Tick(id="a", symbol=SYMBOL), conclusion, RecordMetadata(NOW_MS, "host:1"), ())
    return restored(stored(draft.leaf, draft.pieces), 0, 0)


def with_form(mode: Mode) -> tuple[Entry, dict[str, bytes]]:
    """Return a record of a call that was asked in this mode, and its blobs."""
    documents = market()
    snapshot, package = snapshot_of(documents), package_of(documents)
    prompt = render(template(), package)
    plan = plan_request("http://m/", "m", profile_of("http://m/", "m", mode.value), prompt.parameters, OUTPUT)
    answered = completion().model_copy(
        update={"request": plan.kept, "messages": plan.messages(prompt), "asked": plan.blob}
    )
    conclusion = conclude(snapshot, package, prompt, answered, GuardPolicy())
    draft = compose(Tick(id="a", symbol=SYMBOL), conclusion, RecordMetadata(NOW_MS, "host:1"), (BLOB,))
    blobs = {canonical.sha256(blob): blob for blob in draft.blobs}
    return restored(stored(draft.leaf, draft.pieces), 0, 0), blobs


def altered(entry: Entry, *, code: str | None = None, **pieces: bytes) -> Entry:
    """Return the record with other evidence and matching digests, which the rules of the log cannot detect."""
    names = {"snapshot": "snapshot", "messages": "prompt", "completion": "completion"}
    leaf = dict(entry.record)
    for piece, raw in pieces.items():
        leaf[names[piece]] = leaf[names[piece]] | {"sha256": canonical.sha256(raw)}
    if code is not None:
        leaf["code"] = code
    made = Entry(canonical.dumps(leaf), entry.pieces | pieces, index=0)
    assert Verifier().check(made) is None
    return made


def rebuilt(entry: Entry, blobs: dict[str, bytes] | None = None) -> Rebuild:
    return rebuild(entry, BlobCache(BLOBS if blobs is None else blobs))


def tampering(entry: Entry, blobs: dict[str, bytes] | None = None) -> Difference:
    return present(rebuilt(entry, blobs).tampering)


def other_snapshot(entry: Entry) -> bytes:
    raw = entry.pieces["snapshot"]
    changed = raw.replace(b'\\"last\\":152.5', b'\\"last\\":151.5')
    assert changed != raw
    return changed


def with_fields(entry: Entry, **fields: Any) -> Entry:
    """Return the record with other fields in its leaf and the same evidence."""
    leaf = entry.record | fields
    made = Entry(canonical.dumps(leaf), entry.pieces, index=0)
    assert Verifier().check(made) is None
    return made


@pytest.mark.parametrize(
    "changes",
    [{}, {"side": "short"}, {"price": "0.0001", "stop": None}, {"price_at": "2025-05-09T10:00:00Z"}],
)
def test_a_record_is_reproduced_from_its_evidence(changes: dict[str, Any]) -> None:
    assert rebuilt(recorded(**changes)).same


def test_a_record_without_a_prompt_needs_no_template() -> None:
    assert rebuilt(recorded(with_prompt=False), {}).same


def test_the_template_comes_from_the_blob_not_from_a_file() -> None:
    own = template_of("{{ symbol }} as of {{ as_of }}, {{ field('price.price.last') }}")
    entry = recorded(using=own)
    assert rebuilt(entry, {own.sha256: own.bundle}).same
    assert tampering(entry, BLOBS).what == f"the blob {own.sha256} is missing"


def test_an_altered_snapshot_is_tampering() -> None:
    entry = recorded()
    found = tampering(altered(entry, snapshot=other_snapshot(entry)))
    assert found.rule == "prompt-rebuilt"
    assert found.what.startswith("the messages differ from those sent: line ")


def test_altered_messages_are_tampering() -> None:
    entry = recorded()
    found = tampering(altered(entry, messages=entry.pieces["messages"].replace(b"hold", b"sell")))
    assert re.match(r"the messages differ from those sent: line \d+ was sent as .*sell", found.what)


def test_an_altered_answer_is_tampering() -> None:
    entry = recorded()
    raw = entry.pieces["completion"]
    assert raw.count(b"hold")
    assert tampering(altered(entry, completion=raw.replace(b"hold", b"exit", 1))).rule == "record-rebuilt"


@pytest.mark.parametrize("name", ["action", "reason", "quantity"])
def test_an_altered_verdict_is_tampering(name: str) -> None:
    entry = recorded()
    found = tampering(with_fields(entry, verdict=entry.record["verdict"] | {name: "99"}))
    assert found.what.startswith(f"verdict.{name}: the record has 99, its evidence yields ")


@pytest.mark.parametrize("name", ["action", "confidence", "reasoning", "invalidation"])
def test_an_altered_decision_is_tampering(name: str) -> None:
    entry = recorded()
    found = tampering(with_fields(entry, decision=entry.record["decision"] | {name: "0.9"}))
    assert found.what.startswith(f"decision.{name}: the record has 0.9, its evidence yields ")


@pytest.mark.parametrize("fields", [{"symbol": "OTHER"}, {"as_of_ms": 5}, {"kind": "failed"}])
def test_an_altered_symbol_time_or_kind_is_tampering(fields: dict[str, Any]) -> None:
    assert tampering(with_fields(recorded(), **fields)).rule == "record-rebuilt"


def test_an_altered_section_status_is_tampering() -> None:
    entry = recorded()
    sections = entry.record["snapshot"]["sections"] | {"price": {"key": "stocks:price:AAPL", "status": "missing"}}
    found = tampering(with_fields(entry, snapshot=entry.record["snapshot"] | {"sections": sections}))
    assert found.what.startswith("snapshot.sections.price.age_ms: the record has nothing, its evidence yields ")


@pytest.mark.parametrize("snapshot", [b"", b"no JSON", b"[]", b"{}", b'{"symbol":"AAPL"}', b"\xff"])
def test_a_malformed_snapshot_is_tampering_not_an_exception(snapshot: bytes) -> None:
    assert tampering(altered(recorded(), snapshot=snapshot)).what.startswith("it cannot be rebuilt: ")


@pytest.mark.parametrize("as_of_ms", [10**15, -(10**15)])
def test_a_snapshot_with_an_impossible_time_is_tampering_not_an_exception(as_of_ms: int) -> None:
    entry = recorded()
    document = canonical.loads(entry.pieces["snapshot"]) | {"as_of_ms": as_of_ms}
    tampering(altered(entry, snapshot=canonical.dumps(document)))


def test_a_snapshot_without_its_price_is_tampering() -> None:
    entry = recorded()
    document = canonical.loads(entry.pieces["snapshot"])
    document["sections"]["price"] = None
    tampering(altered(entry, snapshot=canonical.dumps(document)))


@pytest.mark.parametrize("code", [None, "llmctx 0.0.1"])
@pytest.mark.parametrize("blobs", [{}, {DIGEST: BLOB.replace(b"risk-aware", b"reckless")}, {DIGEST: b"other"}])
def test_a_missing_or_altered_blob_is_tampering_under_any_rules(blobs: dict[str, bytes], code: str | None) -> None:
    found = tampering(altered(recorded(), code=code), blobs)
    assert DIGEST in found.what


@pytest.mark.parametrize("blob", [b"", b"no template", b"[]", b"{}", b'{"ref":"a/v1","sources":{}}'])
def test_a_malformed_template_is_tampering_not_an_exception(blob: bytes) -> None:
    entry = recorded()
    digest = canonical.sha256(blob)
    prompt = entry.record["prompt"] | {"template_sha256": digest}
    assert digest in tampering(with_fields(entry, prompt=prompt), {digest: blob}).what


@pytest.mark.parametrize("snapshot", [None, b"{}"])
def test_a_difference_under_other_rules_is_not_tampering(snapshot: bytes | None) -> None:
    entry = recorded()
    changed = other_snapshot(entry) if snapshot is None else snapshot
    found = rebuilt(altered(entry, code="llmctx 0.0.1", snapshot=changed))
    assert not found.same
    assert found.tampering is None


def test_an_equal_record_under_other_rules_is_the_same() -> None:
    assert rebuilt(altered(recorded(), code="llmctx 0.0.1")).same


def test_a_prompt_without_its_template_is_tampering_not_an_exception() -> None:
    entry = recorded()
    pieces = {name: raw for name, raw in entry.pieces.items() if name != "messages"}
    made = Entry(canonical.dumps(entry.record | {"prompt": {}}), pieces, index=0)
    fault = present(Verifier().check(made))
    assert fault.rule == "record-form"
    tampering(made)


def test_a_decision_without_a_snapshot_is_tampering_not_an_exception() -> None:
    entry = recorded()
    leaf = {name: value for name, value in entry.record.items() if name != "snapshot"}
    pieces = {name: raw for name, raw in entry.pieces.items() if name != "snapshot"}
    made = Entry(canonical.dumps(leaf), pieces, index=0)
    fault = present(Verifier().check(made))
    assert fault.rule == "record-form"
    tampering(made)


def test_a_record_with_grounding_off_is_reproduced() -> None:
    entry = recorded(policy=GuardPolicy(grounding="off"))
    assert "grounding" not in entry.record
    assert entry.record["verdict"]["policy"] == {"confidence_floor": "0.5", "unconfirmed_stop": "hold"}
    assert rebuilt(entry).same


@pytest.mark.parametrize("grounding", [{"evidence": 1, "numbers": 1}, {"evidence": 0, "numbers": 0}])
def test_an_altered_grounding_is_tampering(grounding: dict[str, int]) -> None:
    found = tampering(with_fields(recorded(), grounding=grounding))
    assert found.what.startswith("grounding.")


def test_a_removed_grounding_is_tampering() -> None:
    leaf = {name: value for name, value in recorded().record.items() if name != "grounding"}
    found = tampering(Entry(canonical.dumps(leaf), recorded().pieces, index=0))
    assert found.what.startswith("grounding: the record has nothing, its evidence yields {")


@pytest.mark.parametrize("piece", ["snapshot", "messages", "completion"])
def test_changed_or_missing_evidence_is_found_by_its_digest(piece: str) -> None:
    entry = recorded()
    assert check_evidence(entry) is None
    others = {name: raw for name, raw in entry.pieces.items() if name != piece}
    for pieces, found in ((others | {piece: b"[]"}, canonical.sha256(b"[]")), (others, "nothing")):
        ended = present(check_evidence(Entry(entry.leaf, pieces, index=0)))
        difference = present(ended.tampering)
        assert (difference.rule, difference.by, difference.tampered) == (f"evidence-digest of {piece}", "data", True)
        assert difference.what.endswith(f"found {found}")


def test_changed_data_and_a_changed_template_are_told_apart_even_with_new_digests() -> None:
    entry = recorded()
    assert tampering(altered(entry, snapshot=other_snapshot(entry))).by == "data"
    sources = {ref: f"{text}\nBe careful.\n" for ref, text in template().sources.items()}
    other = Template(template().ref, sources)
    leaf = entry.record | {"prompt": entry.record["prompt"] | {"template_sha256": other.sha256}}
    changed = Entry(canonical.dumps(leaf), entry.pieces, index=0)
    assert tampering(changed, {other.sha256: other.bundle}).by == "template"


def test_a_changed_blob_is_blamed_on_the_template() -> None:
    assert tampering(recorded(), {DIGEST: BLOB + b" "}).by == "template"


def test_a_changed_answer_is_blamed_on_the_model() -> None:
    entry = recorded()
    raw = entry.pieces["completion"].replace(b"hold", b"exit", 1)
    assert tampering(altered(entry, completion=raw)).by == "model"


OTHERS = {
    "llmctx 0.1.0": Rules.KNOWN,
    f"{code()[:-4]}0000": Rules.KNOWN,
    "llmctx 0.0.1": Rules.UNKNOWN,
    "llmctx 0.1.0 rules:0123456789ab": Rules.UNKNOWN,
}


@pytest.mark.parametrize(("made_by", "rules"), OTHERS.items())
def test_a_difference_under_other_rules_is_blamed_on_the_code_part_by_part(made_by: str, rules: Rules) -> None:
    entry = recorded()
    changed = entry.record["verdict"] | {"reason": "another reason"}
    found = rebuilt(with_fields(entry, verdict=changed, code=made_by))
    assert (found.rules, found.tampering) == (rules, None)
    assert found.proven == ("snapshot", "sections", "prompt", "decision", "grounding")
    assert [(part.part, part.by) for part in found.differences] == [("verdict", "code")]


@pytest.mark.parametrize("made_by", OTHERS)
def test_every_part_is_tried_after_a_difference(made_by: str) -> None:
    entry = recorded()
    found = rebuilt(altered(entry, snapshot=other_snapshot(entry), code=made_by))
    assert found.differences[0].part == "prompt"
    assert "decision" in found.proven
    parts = {*found.proven, *(part.part for part in found.differences)}
    assert parts == {"snapshot", "sections", "prompt", "decision", "grounding", "verdict"}


@pytest.mark.parametrize("grounding", [{"cited": 3}, {"numbers": {"of": [1]}}])
def test_a_grounding_of_another_form_is_not_reproducible_but_all_else_is_proven(grounding: dict[str, Any]) -> None:
    found = rebuilt(with_fields(recorded(), grounding=grounding, code="llmctx 0.1.0"))
    assert [part.part for part in found.differences] == ["grounding"]
    assert found.tampering is None


@pytest.mark.parametrize("made_by", [code(), *OTHERS])
@pytest.mark.parametrize("name", ["action", "confidence", "reasoning", "invalidation", "valid_for", "evidence"])
def test_a_decision_that_contradicts_the_answer_is_tampering_under_any_rules(name: str, made_by: str) -> None:
    entry = recorded()
    value: Any = {"valid_for": 77, "evidence": [{"path": "a", "value": "b", "reading": "c"}]}.get(name, "0.9")
    found = tampering(with_fields(entry, decision=entry.record["decision"] | {name: value}, code=made_by))
    assert (found.part, found.by) == ("decision", "model")
    assert found.what.startswith(f"decision.{name}")


@pytest.mark.parametrize("made_by", [code(), *OTHERS])
@pytest.mark.parametrize("fields", [{"symbol": "OTHER"}, {"as_of_ms": 5}])
def test_a_snapshot_of_another_symbol_or_time_is_tampering_under_any_rules(
    fields: dict[str, Any], made_by: str
) -> None:
    assert tampering(with_fields(recorded(), code=made_by, **fields)).part == "snapshot"


@pytest.mark.parametrize("content", ["I would hold.", "[]", "```json"])
def test_an_answer_that_is_not_a_json_object_contradicts_nothing_under_other_rules(content: str) -> None:
    entry = recorded()
    body = canonical.loads(entry.pieces["completion"])
    body["choices"][0]["message"]["content"] = content
    made = altered(entry, completion=canonical.wire(body), code="llmctx 0.1.0")
    assert rebuilt(made).tampering is None
    assert "decision" in [part.part for part in rebuilt(made).differences]


def test_the_shipped_corpus_is_reproduced() -> None:
    corpus = read_corpus(ROOT / "audit" / "corpus" / "demo.jsonl")
    assert len(corpus.entries) >= 15
    assert {entry.record["verdict"]["action"] for entry in corpus.entries} >= {"hold", "add", "reduce", "adjust_stops"}
    for entry in corpus.entries:  # an older version may have recorded it, so not every part need be the same
        found = rebuild(entry, BlobCache(corpus.blobs))
        assert found.tampering is None
        assert {"sections", "prompt", "decision"} <= set(found.proven)


def unasked(**changes: Any) -> list[Entry]:
    """A skipped record and a dead letter on a position with a price."""
    documents = market(**changes)
    conclusion = conclude_unasked(snapshot_of(documents), package_of(documents), "why", GuardPolicy())
    tick, metadata = Tick(id="a", symbol=SYMBOL), RecordMetadata(NOW_MS, "host:1")
    drafts = (
        compose(tick, conclusion, metadata, ()),
        compose_dead_letter(tick, conclusion.verdict, metadata, conclusion.snapshot, conclusion.package),
    )
    return [Entry(draft.leaf, draft.pieces, index=0) for draft in drafts]


@pytest.mark.parametrize("number", [0, 1])
def test_a_verdict_by_the_guardrails_alone_is_rebuilt(number: int) -> None:
    entry = unasked(price="145")[number]
    assert entry.record["verdict"]["action"] == "exit"
    assert rebuilt(entry).same
    assert rebuilt(entry).proven == ("snapshot", "sections", "verdict")


@pytest.mark.parametrize("number", [0, 1])
def test_an_invented_exit_by_the_guardrails_alone_is_tampering(number: int) -> None:
    entry = unasked()[number]
    leaf = entry.record | {"verdict": entry.record["verdict"] | {"action": "exit", "quantity": "10"}}
    assert tampering(Entry(canonical.dumps(leaf), entry.pieces, index=0)).part == "verdict"


def test_an_invented_exit_after_judging_that_failed_is_tampering() -> None:
    entry = recorded()
    guards = [{"name": "judging_failed", "detail": "grounding broke off"}]
    held = {"action": "hold", "guards": guards, "policy": entry.record["verdict"]["policy"], "reason": "x"}
    leaf = {name: value for name, value in entry.record.items() if name != "grounding"} | {"verdict": held}
    assert rebuilt(Entry(canonical.dumps(leaf), entry.pieces, index=0)).same
    leaf["verdict"] = held | {"action": "exit", "quantity": "10"}
    assert tampering(Entry(canonical.dumps(leaf), entry.pieces, index=0)).part == "verdict"


@pytest.mark.parametrize("mode", list(Mode))
def test_a_record_rebuilds_with_the_form_that_its_mode_added(mode: Mode) -> None:
    entry, blobs = with_form(mode)
    assert Verifier().check(entry) is None
    assert rebuilt(entry, blobs).same
    assert "JSON" in entry.pieces["messages"].decode()


def test_another_form_than_the_recorded_one_is_found() -> None:
    entry, blobs = with_form(Mode.PROMPTED)
    messages = entry.pieces["messages"].replace(b"no code fence", b"one code fence")
    found = tampering(altered(entry, messages=messages), blobs)
    assert (found.part, found.rule) == ("prompt", "prompt-rebuilt")


def test_a_changed_form_in_the_blob_is_found() -> None:
    entry, blobs = with_form(Mode.PROMPTED)
    digest = entry.record["request"]["schema_sha256"]
    found = tampering(entry, blobs | {digest: blobs[digest].replace(b"no code fence", b"one code fence")})
    assert found.part == "prompt"
    assert "was changed" in found.what
