"""How a record differs from what its evidence yields: by part, with the field's name and both values."""

import json
from decimal import Decimal, InvalidOperation
from itertools import zip_longest
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.decision.parse import capped
from llmctx.rules import Rules
from llmctx.trail.log.entry import Entry

_MAX_VALUE_CHARS = 120
_ABSENT = object()


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

    @property
    def first(self) -> Difference | None:
        """The difference to report first: tampering before all others."""
        return self.tampering or next(iter(self.differences), None)


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


def mismatch_of_lines(sent: str, rendered: str) -> str:
    """Describe the first line that differs between the messages sent and those that the evidence yields."""
    pairs = zip_longest(sent.split("\n"), rendered.split("\n"))
    for number, (one, other) in enumerate(pairs, start=1):
        if one != other:
            return f"line {number} was sent as {_shortened(one)}, its evidence yields {_shortened(other)}"
    return "in their form, not in their words"


def contradiction(entry: Entry) -> str | None:
    """Describe the first field in which a record's decision contradicts the model's answer; None if there is none.

    The answer is read as plain JSON, under no version's schema. An answer that is not a JSON object contradicts
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
        answer = canonical.loads(canonical.loads(body)["choices"][0]["message"]["content"].encode())
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
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
