"""The schema of a leaf: the fields that each kind of record has, and their JSON types (audit/record.schema.json).

A fault is the first place where a trail breaks a rule of audit/README.md; those of form are checked here.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from llmctx import canonical

SAID = ("effect", "approval", "override", "annotation")
"""The kinds of statements about a decision: they have their own id, and no tick."""
KINDS = ("decision", "skipped", "failed", "unasked", "dead_letter", "incident", "notice", *SAID)
"""The kinds of record."""
SETTLING = ("decision", "skipped", "failed", "unasked", "dead_letter")
"""The kinds that settle a tick."""
LOST = "lost"
"""The value of `incident.what` that declares the records before it lost."""
REQUIRED = ("recorded_at_ms", "worker", "attempts", "code", "verdict")
"""The fields of every record."""
DECIDED = ("snapshot", "prompt", "request", "completion", "decision")
"""The additional fields of a decision."""
UNASKED = ("snapshot", "standing")
"""The additional fields of a tick that did not deserve a call."""
_ACT = ("id", "about", "person")
FURTHER = {
    "decision": DECIDED,
    "unasked": UNASKED,
    "effect": ("id", "symbol", "effect"),
    **dict.fromkeys(SAID[1:], _ACT),
}
"""The additional fields that a kind requires."""
FORM: dict[str, type] = {
    "recorded_at_ms": int,
    "symbol": str,
    "cause": str,
    "as_of_ms": int,
    "timings_ms": dict,
    "worker": str,
    "attempts": int,
    "code": str,
    "verdict": dict,
    "snapshot": dict,
    "prompt": dict,
    "request": dict,
    "completion": dict,
    "decision": dict,
    "grounding": dict,
    "reasked": dict,
    "standing": dict,
    "confirmation": dict,
    "incident": dict,
    "enrolment": dict,
    "archived": dict,
    "rotation": dict,
    "clock": str,
    "id": str,
    "about": dict,
    "effect": dict,
    "person": dict,
    "approved": dict,
    "position": dict,
    "service": dict,
    "people_sha256": str,
    "mandate": dict,
    "control": dict,
    "maintenance": dict,
    "erased": dict,
    "hold": dict,
    "name_erased": dict,
    "requested": str,
}
"""The JSON type of each field."""
INSIDE: dict[str, dict[str, type]] = {
    "snapshot": {"sha256": str, "sections": dict},
    "prompt": {"template": str, "version": int, "template_sha256": str, "sha256": str},
    "completion": {"outcome": str},
    "decision": {
        "action": str,
        "confidence": str,
        "reasoning": str,
        "evidence": list,
        "invalidation": str,
        "valid_for": int,
    },
    "verdict": {"action": str, "reason": str},
    "standing": {"address": str, "leaf_hash": str, "action": str},
    "confirmation": {"by": str, "why": str, "last": str, "price_at": str, "entry_time": str},
    "incident": {"what": str},
    "enrolment": {"key": str, "from": int, "signature": str},
    "archived": {"first": int, "end": int, "manifest": str, "where": str},
    "mandate": {"sha256": str},
    "control": {"act": str, "by": str, "why": str},
    "erased": {"first": int, "end": int, "pieces": list, "manifest": str},
    "hold": {"id": str, "act": str, "by": str, "why": str},
    "name_erased": {"id": str, "by": str, "why": str},
    "rotation": {"old": str, "new": str, "old_signature": str, "new_signature": str},
    "about": {"index": int},
    "effect": {"status": str},
    "person": {"by": str, "why": str},
    "approved": {"action": str},
    "service": {"event": str},
}
"""The fields that each object must have if it is present."""
_DIGESTS = (
    ("snapshot", "sha256"),
    ("prompt", "sha256"),
    ("completion", "sha256"),
    ("prompt", "template_sha256"),
    ("request", "schema_sha256"),
    ("snapshot", "mapping_sha256"),
    ("incident", "sha256"),
    ("about", "leaf_hash"),
    ("mandate", "sha256"),
    ("standing", "leaf_hash"),
)
_BELONGS_TO = {
    "incident": ("incident",),
    "standing": ("unasked",),
    "enrolment": ("notice", "incident"),
    "rotation": ("notice",),
    "id": SAID,
    "approved": ("approval",),
}
"""The kinds that may have a field."""
_HEX = re.compile("[0-9a-f]{64}")


class Fault(NamedTuple):
    """A broken rule, and where it was first broken."""

    at: int
    """The first bad index."""
    rule: str
    """The rule, by the name it has in audit/README.md."""
    expected: str
    """What the rule requires."""
    found: str
    """What was found instead."""

    def __str__(self) -> str:
        return f"record {self.at} breaks {self.rule}: expected {self.expected}, found {self.found}"


class FaultError(Exception):
    """Ends a check at its first fault; callers turn it back into a value."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(str(fault))


def lost_range(record: Mapping[str, Any]) -> tuple[int, int] | None:
    """First and last index that a record declares lost, None if it declares nothing lost."""
    declared = record.get("incident", {})
    return (declared["first"], declared["last"]) if declared.get("what") == LOST else None


def read_leaf(leaf: bytes, index: int) -> dict[str, Any] | Fault:
    """Parse a leaf; the fault if it breaks a rule of form."""
    try:
        record: Any = canonical.shallow(leaf)
    except ValueError as error:
        return Fault(index, "canonical-form", "one JSON text without duplicate names", str(error))
    if not canonical.is_form_of(record, leaf):
        return Fault(index, "canonical-form", "RFC 8785 bytes of its content", "other bytes")
    wrong = malformed(record)
    return record if wrong is None else Fault(index, "record-form", *wrong)


def malformed(record: Any) -> tuple[str, str] | None:
    """What the first malformed part of a parsed leaf must be, and what it is; None if it has the form of a record."""
    known = isinstance(record, dict) and record.get("kind") in KINDS
    if not known or type(record.get("v")) is not int or record["v"] != 1:
        return 'an object with "v": 1 and a known kind', str(record)[:120]
    return next(chain(_wrong_fields(record), _wrong_values(record)), None)


def _wrong_fields(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each missing field, and each of another JSON type: what is expected and what was found."""
    for name in (*REQUIRED, *FURTHER.get(record["kind"], ())):
        if name not in record:
            yield f"{name} in a {record['kind']}", "nothing"
    for name, kind in FORM.items():
        if name in record and type(record[name]) is not kind:
            yield f"{name} as {kind.__name__}", str(record[name])[:120]
    for name, fields in INSIDE.items():
        for field, kind in fields.items() if name in record else ():
            if type(record[name].get(field)) is not kind:
                yield f"{name}.{field} as {kind.__name__}", str(record[name].get(field))[:120]


def _wrong_lists(completion: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for field in ("answer_from", "tried"):
        if type(listed := completion.get(field, [])) is not list:
            yield f"completion.{field} as list", str(listed)[:120]


def _wrong_values(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The same for values, once every field has its type."""
    for name, field in _DIGESTS:
        section = record.get(name, {})
        if field in section and not (isinstance(section[field], str) and _HEX.fullmatch(section[field])):
            yield f"{name}.{field} as 64 hex digits", str(section[field])[:120]
    if record["attempts"] < 1 or min(record["recorded_at_ms"], record.get("as_of_ms", 0)) < 0:
        yield "attempts from 1 on, times from 0 on", str(record)[:120]
    yield from _wrong_lists(record.get("completion", {}))
    if type(record.get("enrolment", {}).get("retires", "")) is not str:
        yield "enrolment.retires as str", str(record["enrolment"]["retires"])[:120]
    for name, kinds in _BELONGS_TO.items():
        if name in record and record["kind"] not in kinds:
            yield f"no {name} in a {record['kind']}", "one"
    declared = record.get("incident", {})
    first, last = declared.get("first"), declared.get("last")
    if declared.get("what") == LOST and not (type(first) is int and type(last) is int and 0 <= first <= last):
        yield "first and last of what is lost", str(declared)[:120]
