"""Differences and their causes: between two answers to one question, and between a record and its evidence."""

import json
import re
from decimal import Decimal, InvalidOperation
from itertools import zip_longest
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.decision.parse import capped
from llmctx.llm.extract import text_in
from llmctx.replay.answer import Answer
from llmctx.rules import Rules
from llmctx.trail.log.entry import Entry

DATA, TEMPLATE, MODEL, MANDATE, CODE = "data", "template", "model", "mandate", "code"
"""What a difference can come from."""

_FACT = re.compile(r"- \S+( \(not shown\))?: |## |Nobody has written |\"")
_VALUE = re.compile(r'"[^"]*"|[-+]?\d[\d.,:TZ%-]*')
_MAX_VALUE_CHARS = 120
_ABSENT = object()


class Cause(NamedTuple):
    """One difference between the causes of two answers."""

    by: str
    """data, template, model, mandate or code."""
    what: str
    """What changed, from what to what."""

    def __str__(self) -> str:
        return f"{self.by}: {self.what}"


_SAMPLED = Cause(MODEL, "sampling: the same request to the same model got another answer")


def changes(a: Answer, b: Answer) -> list[str]:
    """Return the names of the results that differ: prompt, kind, decision.action, verdict.stop_loss, ..."""
    found = ["prompt"] if a.messages != b.messages else []
    found += ["kind"] if a.kind != b.kind else []
    for part, one, other in (("decision", a.decision or {}, b.decision or {}), ("verdict", a.verdict, b.verdict)):
        found += [f"{part}.{name}" for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]
    return found


def causes(a: Answer, b: Answer) -> list[Cause]:
    """Return everything that differs between what led to two answers, data first.

    If nothing differs but the answers do, the cause is the model: it was sampled twice.
    """
    found = []
    if a.snapshot != b.snapshot:
        found.append(Cause(DATA, f"the snapshot {a.snapshot[:12]} became {b.snapshot[:12]}"))
    if a.template_sha256 != b.template_sha256 and a.template_sha256 and b.template_sha256:
        found.append(Cause(TEMPLATE, _template_change(a, b)))
    elif a.messages != b.messages and a.snapshot == b.snapshot and a.schema_sha256 == b.schema_sha256:
        found.append(Cause(CODE, f"{a.code} and {b.code} render the same data and template differently"))
    found += _model_changes(a, b)
    if a.mandate != b.mandate:
        is_sampled = not found and (a.text, a.outcome) != (b.text, b.outcome)
        found = [_SAMPLED] if is_sampled else found
        found.append(Cause(MANDATE, f"{a.mandate[:12] or 'none'} became {b.mandate[:12] or 'none'}"))
    if found or not changes(a, b):
        return found
    if a.code != b.code and a.text == b.text:
        return [Cause(CODE, f"{a.code} and {b.code} reach different conclusions from the same answer")]
    if a.text == b.text and a.outcome == b.outcome:
        return [Cause(CODE, "the same answer led to another conclusion")]
    return [_SAMPLED]


def _template_change(a: Answer, b: Answer) -> str:
    if a.template != b.template:
        return f"{a.template} became {b.template}"
    return f"{a.template} was edited in place: {a.template_sha256[:12]} became {b.template_sha256[:12]}"


def _model_changes(a: Answer, b: Answer) -> list[Cause]:
    if not a.outcome or not b.outcome:
        return []
    found = []
    if a.schema_sha256 != b.schema_sha256 and a.schema_sha256 and b.schema_sha256:
        found.append(Cause(MODEL, f"asked for: the form {a.schema_sha256[:12]} became {b.schema_sha256[:12]}"))
    if a.requested != b.requested and a.requested and b.requested:
        found.append(Cause(MODEL, f"requested: {a.requested} became {b.requested}"))
    elif a.served != b.served and a.served and b.served:
        found.append(Cause(MODEL, f"served: {a.served} became {b.served}"))
    elif a.fingerprint != b.fingerprint:
        found.append(Cause(MODEL, f"fingerprint: {a.fingerprint or 'none'} became {b.fingerprint or 'none'}"))
    known = a.parameters is not None and b.parameters is not None
    if known and a.parameters != b.parameters and a.template_sha256 == b.template_sha256:
        found.append(Cause(MODEL, f"parameters: {a.parameters} became {b.parameters}"))
    if a.outcome != b.outcome:
        found.append(Cause(MODEL, f"outcome: {a.outcome} became {b.outcome}"))
    return found


def cause_of_prompt(sent: str, rendered: str) -> str:
    """Return DATA if two texts of one prompt differ in their facts only, TEMPLATE if the words around them differ.

    Whole lines of facts, and lines that differ in nothing but values, count as data.
    """
    ours, theirs = sent.split("\n"), rendered.split("\n")
    only_rendered = {_VALUE.sub("", line) for line in theirs if line not in set(ours)}
    only_sent = {_VALUE.sub("", line) for line in ours if line not in set(theirs)}
    wording = [line for line in only_rendered ^ only_sent if not _FACT.match(line)]
    return TEMPLATE if wording else DATA


class Difference(NamedTuple):
    """One part of a record that its evidence does not yield."""

    part: str
    """snapshot, sections, prompt, reasked, decision, grounding or verdict; for altered evidence the piece."""
    rule: str
    """The broken rule, as named in audit/README.md."""
    what: str
    """What differs: field, recorded value, rebuilt value."""
    by: str
    """What was changed: data, template, model or code."""
    tampered: bool
    """Whether only an altered record explains it. If not, other rules may have made the record."""


class Rebuild(NamedTuple):
    """The rebuild of one record, part by part."""

    rules: Rules
    """How the rules that made the record relate to those that rebuilt it."""
    proven: tuple[str, ...] = ()
    """The parts that were reproduced."""
    differences: tuple[Difference, ...] = ()
    """The parts that differ, in the order in which a record is made."""

    @property
    def same(self) -> bool:
        """Whether every part was reproduced."""
        return not self.differences

    @property
    def tampering(self) -> Difference | None:
        """The first difference that only an altered record explains."""
        return next((difference for difference in self.differences if difference.tampered), None)


def mismatch(name: str, found: Any, expected: Any) -> str:
    """Describe the first field below `name` that differs between the record (found) and its evidence (expected)."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted(found.keys() | expected.keys()):
            if found.get(key, _ABSENT) != expected.get(key, _ABSENT):
                return mismatch(f"{name}.{key}" if name else key, found.get(key), expected.get(key))
    if isinstance(found, list | tuple) and isinstance(expected, list | tuple):
        for number, (one, other) in enumerate(zip_longest(found, expected)):
            if one != other:
                return mismatch(f"{name}[{number}]", one, other)
    return f"{name}: the record has {_shortened(found)}, its evidence yields {_shortened(expected)}"


class DiffersError(Exception):
    """Ends the check of one part of a record. `always_holds` marks a check that depends on no rules."""

    def __init__(self, rule: str, what: str, by: str, *, always_holds: bool = False) -> None:
        self.rule = rule
        self.by = by
        self.always_holds = always_holds
        super().__init__(what)


def expect(
    where: str, expected: dict[str, Any], found: dict[str, Any], by: str = DATA, *, always_holds: bool = False
) -> None:
    """Raise DiffersError for the first of the `expected` values that differs in `found`."""
    for name, value in expected.items():
        if found.get(name) != value:
            field = f"{where}.{name}" if where else name
            what = mismatch(field, found.get(name), value)
            raise DiffersError("record-rebuilt", what, by, always_holds=always_holds)


def mismatch_of_lines(sent: str, rendered: str) -> str:
    """Describe the first line that differs between the messages sent and those that the evidence yields."""
    pairs = zip_longest(sent.split("\n"), rendered.split("\n"))
    for number, (one, other) in enumerate(pairs, start=1):
        if one != other:
            return f"line {number} was sent as {_shortened(one)}, its evidence yields {_shortened(other)}"
    return "in their form, not in their words"


def contradiction(entry: Entry) -> str | None:
    """Describe the first field in which a record's decision contradicts the model's answer; None if there is none.

    The answer's text is read as plain JSON, under no version's schema. An answer that is not a JSON object contradicts
    nothing, and neither do fields that it lacks.
    """
    decision, answer = entry.record.get("decision"), _json_answer(entry.pieces.get("completion", b""))
    if decision is None or answer is None:
        return None
    for name, value in capped(answer).items():
        if not _agree(decision.get(name), value):
            return mismatch(f"decision.{name}", decision.get(name), value)
    return None


def _json_answer(body: bytes) -> dict[str, Any] | None:
    try:
        answer = canonical.loads((text_in(body) or "").encode())
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _agree(recorded: Any, answered: Any) -> bool:
    """Return whether a leaf's value equals an answer's: a leaf holds numbers as text and omits null."""
    if isinstance(answered, dict):
        return isinstance(recorded, dict) and all(_agree(recorded.get(name), value) for name, value in answered.items())
    if isinstance(answered, list):
        same_length = isinstance(recorded, list) and len(recorded) == len(answered)
        return same_length and all(_agree(one, other) for one, other in zip(recorded, answered, strict=True))
    if isinstance(answered, int | Decimal) and not isinstance(answered, bool):
        try:
            return Decimal(str(recorded)) == answered
        except InvalidOperation:
            return False
    return bool(recorded == answered)


def _shortened(value: Any) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MAX_VALUE_CHARS else f"{text[:_MAX_VALUE_CHARS]}... ({len(text)} characters)"
