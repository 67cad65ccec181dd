"""What is longer than its limit is cut and says so; what is at its limit is packed and read back."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmctx import canonical, limits
from llmctx.context.package import build_package
from llmctx.context.read_rules import ReadRules
from llmctx.context.snapshot import RawSection, Snapshot
from llmctx.context.tick import Tick
from llmctx.decision.conclude import conclude
from llmctx.decision.decision import Decision
from llmctx.decision.parse import parse
from llmctx.decision.verdict import GuardPolicy
from llmctx.errors import RecordSizeError
from llmctx.limits import CUT, cut
from llmctx.llm.completion import Outcome, read_completion
from llmctx.prompt.render import render
from llmctx.record import RecordMetadata, compose, compose_dead_letter, compose_loss, compose_unread
from llmctx.trail.log.entry import restored
from llmctx.trail.log.packing import lay_out, pack, unpack
from tests.unit.makers import NOW_MS, SYMBOL, answer_text, body, market, package_of, snapshot_of, stored, template

SPREAD = ("a", " ", '"', "\\", "\x01", "\u20ac", "\U0001f600")
"""Characters that take one byte to seven when they are written as JSON."""


@given(st.text(max_size=400), st.integers(20, 300))
def test_a_text_is_whole_or_says_that_it_was_cut(text: str, limit: int) -> None:
    kept = cut(text, limit)
    assert len(kept) <= limit
    assert kept == text or (kept.endswith(CUT) and text.startswith(kept.removesuffix(CUT)))
    assert cut(kept, limit) == kept


def test_a_number_is_not_cut_in_two() -> None:
    assert cut("the price is 152.50 and more", 24) == "the price is" + CUT


def decided(**changes: Any) -> Decision:
    decision = parse(answer_text(**changes))
    assert isinstance(decision, Decision)
    return decision


def test_a_long_reasoning_is_cut() -> None:
    reasoning = decided(reasoning="word " * 1000).reasoning
    assert len(reasoning) <= limits.MAX_REASONING_CHARS
    assert reasoning.endswith("word" + CUT)


def test_more_than_fifty_items_of_evidence_are_left_out_and_that_is_said() -> None:
    item = {"path": "price.price.last", "value": "152.5", "reading": "near"}
    evidence = decided(evidence=[item] * 10_000).evidence
    assert len(evidence) == 50
    assert evidence[-1].reading == "near (further items were cut)"
    assert evidence[-2].reading == "near"


def test_what_an_endpoint_names_is_cut() -> None:
    long = "x" * 500_000
    choice = {"index": 0, "message": {"role": "assistant", "content": None, "refusal": long}, "finish_reason": long}
    document = {"id": long, "model": long, "system_fingerprint": long, "service_tier": long, "choices": [choice]}
    completion = read_completion(json.dumps(document).encode(), {}, ())
    assert completion.outcome is Outcome.REFUSED
    named = (
        completion.response_id, completion.model, completion.system_fingerprint, completion.service_tier,
        completion.finish_reason,
    )  # fmt: skip
    assert {len(name or "") for name in named} == {limits.MAX_NAME_CHARS}
    assert len(completion.detail or "") == limits.MAX_DETAIL_CHARS


def full_snapshot(character: str) -> Snapshot:
    """A snapshot whose every section but price and position is as large as it may be."""
    snapshot = snapshot_of(market())
    raw = (character * limits.MAX_VALUE_BYTES).encode()[: limits.MAX_VALUE_BYTES]
    sections = {
        name: section if name in ("price", "position") else RawSection(section.key, raw)
        for name, section in snapshot.sections.items()
    }
    return snapshot.model_copy(update={"sections": sections})


@settings(max_examples=2)
@given(st.sampled_from(SPREAD), st.sampled_from(SPREAD))
def test_a_record_at_its_limits_is_packed_and_read_back(value: str, said: str) -> None:
    def full(limit: int) -> str:
        return "x" + said * (limit - 1)

    item = {name: full(limits.MAX_EVIDENCE_CHARS) for name in ("path", "value", "reading")}
    answer = answer_text(
        reasoning=full(limits.MAX_REASONING_CHARS),
        invalidation=full(limits.MAX_INVALIDATION_CHARS),
        evidence=[item] * limits.MAX_EVIDENCE_ITEMS,
    )
    answered = body(answer, model=full(limits.MAX_NAME_CHARS))
    answered += b" " * (limits.MAX_BODY_BYTES - len(answered))
    snapshot = full_snapshot(value)
    package = build_package(snapshot)
    completion = read_completion(answered, {}, ())
    conclusion = conclude(snapshot, package, render(template(), package), completion, GuardPolicy())
    tick = Tick(id=full(limits.MAX_TICK_ID_CHARS), symbol=SYMBOL, cause=full(limits.MAX_CAUSE_CHARS))
    conflated = tuple(f"{number:03}{full(limits.MAX_TICK_ID_CHARS - 3)}" for number in range(limits.MAX_CONFLATED))
    metadata = RecordMetadata(NOW_MS, "host:1", conflated)
    for draft in (
        compose(tick, conclusion, metadata, ()),
        compose_dead_letter(tick, conclusion.verdict, metadata, conclusion.snapshot, conclusion.package),
    ):
        entry = restored(stored(draft.leaf, draft.pieces), 0, 0)
        assert entry.unreadable is None
        assert (entry.leaf, entry.pieces) == (draft.leaf, draft.pieces)
    assert conclusion.kind == "decision"


COMPOSED = {
    "skipped": Tick(id="t", symbol=SYMBOL, cause="c"),
    "dead_letter": Tick(id="t", symbol=SYMBOL, cause="c"),
    "notice": None,
    "incident": None,
}


@given(st.sampled_from(sorted(COMPOSED)), st.text(max_size=5000).map(lambda text: text.encode("utf-8", "replace")))
def test_what_is_composed_without_a_snapshot_can_be_read(kind: str, reason: bytes) -> None:
    draft = compose_unread(kind, COMPOSED[kind], reason.decode(), RecordMetadata(NOW_MS, "host:1"))
    entry = restored(stored(draft.leaf, draft.pieces), 0, 0)
    assert entry.unreadable is None
    assert entry.record == canonical.loads(draft.leaf)
    assert restored(stored(compose_loss(1, 2, RecordMetadata(NOW_MS, "host:1")).leaf, {}), 0, 0).unreadable is None


@given(st.dictionaries(st.sampled_from(["snapshot", "messages", "completion"]), st.binary(max_size=200)))
def test_whatever_is_packed_is_unpacked_again_byte_for_byte(pieces: dict[str, bytes]) -> None:
    draft = compose_unread("notice", None, "made", RecordMetadata(NOW_MS, "host:1"))
    entry = restored(stored(draft.leaf, pieces), 0, 0)
    assert entry.unreadable is None
    assert (entry.leaf, entry.pieces) == (draft.leaf, pieces)


@pytest.mark.parametrize("room", [0, 1])
def test_exactly_what_a_reader_would_refuse_is_not_packed(room: int) -> None:
    leaf = canonical.dumps({"v": 1})
    around = len(lay_out(leaf, {"completion": b""}).text)
    piece = b"x" * (limits.MAX_RECORD_BYTES - around + room)
    if room == 0:
        assert unpack(pack(leaf, {"completion": piece}))[1]() == {"completion": piece}
    else:
        with pytest.raises(RecordSizeError, match=f"A record of {limits.MAX_RECORD_BYTES + 1} bytes"):
            pack(leaf, {"completion": piece})


def test_the_limit_of_a_value_is_that_of_the_reader() -> None:
    assert ReadRules().max_value_bytes == limits.MAX_VALUE_BYTES
    assert package_of(market()).refusal is None
