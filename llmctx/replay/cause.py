"""Why two sides differ: the data, the template, the model (requested, served, fingerprint) or the code."""

import re
from typing import NamedTuple

from llmctx.replay.side import Side

DATA, TEMPLATE, MODEL, CODE = "data", "template", "model", "code"
"""What a difference can come from."""

_FACT = re.compile(r"- \S+( \(not shown\))?: |## |Nobody has written |\"")
_VALUE = re.compile(r'"[^"]*"|[-+]?\d[\d.,:TZ%-]*')


class Cause(NamedTuple):
    """One thing that is not the same on both sides."""

    by: str
    """data, template, model or code."""
    what: str
    """Which part of it, from what to what."""

    def __str__(self) -> str:
        return f"{self.by}: {self.what}"


def changes(a: Side, b: Side) -> list[str]:
    """What came out differently, by name: prompt, kind, decision.action, verdict.stop_loss, ..."""
    found = ["prompt"] if a.messages != b.messages else []
    found += ["kind"] if a.kind != b.kind else []
    for part, one, other in (("decision", a.decision or {}, b.decision or {}), ("verdict", a.verdict, b.verdict)):
        found += [f"{part}.{name}" for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]
    return found


def causes(a: Side, b: Side) -> list[Cause]:
    """Everything that differs in what led to two sides, nearest to the data first.

    Where nothing does and the answers differ all the same, the model is the cause: it was sampled twice.
    """
    found = []
    if a.snapshot != b.snapshot:
        found.append(Cause(DATA, f"the snapshot {a.snapshot[:12]} became {b.snapshot[:12]}"))
    if a.template_sha256 != b.template_sha256 and a.template_sha256 and b.template_sha256:
        found.append(Cause(TEMPLATE, _template(a, b)))
    elif a.messages != b.messages and a.snapshot == b.snapshot:
        found.append(Cause(CODE, f"{a.code} and {b.code} make other prompts of the same data and template"))
    found += _model(a, b)
    if found or not changes(a, b):
        return found
    if a.code != b.code and a.answer == b.answer:
        return [Cause(CODE, f"{a.code} and {b.code} conclude otherwise from the same answer")]
    if a.answer == b.answer and a.outcome == b.outcome:
        return [Cause(CODE, "the same answer is concluded otherwise")]
    return [Cause(MODEL, "sampling: the same request to the same model, answered otherwise")]


def _template(a: Side, b: Side) -> str:
    if a.template != b.template:
        return f"{a.template} became {b.template}"
    return f"{a.template} was edited in place: {a.template_sha256[:12]} became {b.template_sha256[:12]}"


def _model(a: Side, b: Side) -> list[Cause]:
    if not a.outcome or not b.outcome:
        return []
    found = []
    if a.asked != b.asked and a.asked and b.asked:
        found.append(Cause(MODEL, f"requested: {a.asked} became {b.asked}"))
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
    """Whether two texts of one prompt differ in its facts (data) or in the words around them (template).

    Lines that differ in nothing but values, and whole lines of facts, are data.
    """
    ours, theirs = sent.split("\n"), rendered.split("\n")
    worded = {_VALUE.sub("", line) for line in theirs if line not in set(ours)}
    there = {_VALUE.sub("", line) for line in ours if line not in set(theirs)}
    odd = [line for line in worded ^ there if not _FACT.match(line)]
    return TEMPLATE if odd else DATA
