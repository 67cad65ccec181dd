"""Every text and every list of a leaf has a limit by name, and nothing that is composed exceeds it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from llmctx import limits
from llmctx.decision.grounding import Finding, Grounding
from llmctx.leaf_fields import grounding_fields
from llmctx.llm.completion import Attempt, Tried
from llmctx.record import RecordMetadata, compose_unread
from llmctx.schema.values import Effect
from llmctx.statement import Act, compose_act, compose_effect
from llmctx.trail.log.entry import Entry
from tests.conftest import ROOT
from tests.unit.makers import NOW_MS, SYMBOL, answer_text, body, completion
from tests.unit.test_record import ALL, draft

SCHEMA = json.loads((ROOT / "audit" / "record.schema.json").read_bytes())
DOCUMENTED = re.findall(r"^\| `(MAX_\w+)` \| (`.+) \|$", (ROOT / "docs" / "limits.md").read_text("utf-8"), re.MULTILINE)
CAPS = {
    place: int(getattr(limits, name))
    for name, places in DOCUMENTED
    for place in re.findall(r"`([a-z_.*\[\]]+)`", places)
}
"""The limit of each text and list of a leaf, by its place, from docs/limits.md."""
OLD = "grounding_0_1"
"""What only 0.1.0 wrote."""
IN_FORM = {
    "enrolment.key", "enrolment.signature", "rotation.old", "rotation.new", "rotation.old_signature",
    "rotation.new_signature", "completion.answer_from", "verdict.guards", "service.people[].roles", "erased.pieces",
    "confirmation.price_at", "confirmation.entry_time", "approved.entry_time", "position.entry_time",
    "snapshot.position.entry_time", "snapshot.position.entry_price", "snapshot.position.held",
}  # fmt: skip
"""Times, decimals, keys and signatures, whose form bounds them; and lists of what the code itself names once each."""
LONG = "long \x01 \u20ac " * 5000


def places(schema: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Each part of the schema with its place in a leaf; what a definition says stands where it is referred to."""
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name in SCHEMA["definitions"]:
        if name != OLD:
            yield from places(SCHEMA["definitions"][name], place)
        return
    yield place, schema
    for key, inner in schema.get("properties", {}).items():
        yield from places(inner, f"{place}.{key}".lstrip("."))
    if isinstance(schema.get("additionalProperties"), dict):
        yield from places(schema["additionalProperties"], f"{place}.*")
    if "items" in schema:
        yield from places(schema["items"], f"{place}[]")
    for inner in (*(schema[part] for part in ("then", "else") if part in schema), *schema.get("allOf", ())):
        yield from places(inner, place)


def cap_of(place: str) -> int | None:
    """The limit of a place; names that may be any stand as a star."""
    place = place.removeprefix("reasked.") if place.startswith("reasked.grounding.") else place
    starred = re.sub(r"(?<=^grounding\.)(miscited|false_prices)(?=\[)", "*", place)
    return CAPS.get(place, CAPS.get(starred))


def is_bounded(part: Any) -> bool:
    """Whether a text can have few values or one length."""
    return "enum" in part or "const" in part or re.search(r"(?<!\\)[*+]", part.get("pattern", "*")) is None


def test_every_text_and_list_of_a_leaf_has_a_named_limit() -> None:
    decimal = SCHEMA["definitions"]["decimal"]
    wanted = {
        place
        for place, part in places(SCHEMA)
        if part.get("type") == "array" or (part.get("type") == "string" and not is_bounded(part) and part != decimal)
    }
    lacking = {place for place in wanted if cap_of(place) is None and place not in IN_FORM}
    assert {place for place in lacking if not place.endswith("[].field")} == set()
    assert {place for place in CAPS if "grounding.*" not in place} <= {place for place, _ in places(SCHEMA)}


def too_long(value: Any, place: str = "") -> Iterator[str]:
    """The places of a leaf at which a text or a list is longer than its limit."""
    if isinstance(value, str | list) and (cap := cap_of(place)) is not None and len(value) > cap:
        yield f"{place}: {len(value)} of {cap}"
    if isinstance(value, dict):
        for name, inner in value.items():
            named = "snapshot.sections.*" if place == "snapshot.sections" else f"{place}.{name}".lstrip(".")
            yield from too_long(inner, named)
    for item in value if isinstance(value, list) else ():
        yield from too_long(item, f"{place}[]")


def leaf_of(made: Any) -> dict[str, Any]:
    leaf: dict[str, Any] = json.loads(made.leaf)
    return leaf


METADATA = RecordMetadata(recorded_at_ms=NOW_MS, worker="host:1")
CITED = " ".join(f"[price.price.last: {number}]" for number in range(200))
ITEM = {"path": LONG, "value": LONG, "reading": CITED + LONG}
ANSWER = answer_text(reasoning=CITED + LONG, invalidation=LONG, evidence=[ITEM] * 60)
TRIED = Tried("e", "error", LONG[: limits.MAX_DETAIL_CHARS], attempts=(Attempt("timeout", 1, None),))


def test_what_a_model_and_an_endpoint_say_is_within_the_limits() -> None:
    answered = completion(body(ANSWER, model=LONG, id=LONG, system_fingerprint=LONG, service_tier=LONG))
    leaf = draft(answered.model_copy(update={"tried": (TRIED,)}))[1]
    assert leaf["kind"] == "decision"
    assert list(too_long(leaf)) == []


def test_the_grounding_of_an_answer_that_is_wrong_throughout_is_within_the_limits() -> None:
    finding = Finding("reasoning", LONG, 0, LONG, "another value", LONG, alarms=True)
    leaf = {"grounding": grounding_fields(Grounding(0, 0, 0, 0, (finding,) * 600, (finding,) * 600))}
    assert list(too_long(leaf)) == []
    assert len(leaf["grounding"]["miscited"]) == limits.MAX_FINDINGS


@pytest.mark.parametrize("name", ALL)
def test_every_outcome_of_a_tick_is_within_the_limits(name: str) -> None:
    assert list(too_long(draft(ALL[name])[1])) == []


@pytest.mark.parametrize("kind", ["approval", "override", "annotation"])
def test_what_people_say_is_within_the_limits(kind: str) -> None:
    act = Act.model_validate(
        {"kind": kind, "index": 0, "by": "x" * limits.MAX_BY_CHARS, "why": "\u20ac" * limits.MAX_WHY_CHARS}
    )
    made = compose_act(
        act, "i" * limits.MAX_EFFECT_ID_CHARS, Entry(draft(ALL["decision"])[0].leaf, {}, index=0), METADATA
    )
    assert list(too_long(leaf_of(made))) == []


def test_an_effect_and_a_notice_are_within_the_limits() -> None:
    said = {
        "id": "i" * limits.MAX_EFFECT_ID_CHARS,
        "symbol": SYMBOL,
        "status": "accepted",
        "at": "2026-03-02T15:00:00Z",
    }
    effect = Effect.model_validate(said | {"order_id": LONG, "reason": LONG})
    assert list(too_long(leaf_of(compose_effect(effect, None, METADATA)))) == []
    assert list(too_long(leaf_of(compose_unread("notice", None, LONG, METADATA)))) == []
