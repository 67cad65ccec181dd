"""Why two answers to one question differ: the data, the template, the model or the code."""

import re
from typing import NamedTuple

from llmctx.replay.answer import Answer

DATA, TEMPLATE, MODEL, CODE = "data", "template", "model", "code"
"""What a difference can come from."""

_FACT = re.compile(r"- \S+( \(not shown\))?: |## |Nobody has written |\"")
_VALUE = re.compile(r'"[^"]*"|[-+]?\d[\d.,:TZ%-]*')


class Cause(NamedTuple):
    """One thing that differs between what led to two answers."""

    by: str
    """data, template, model or code."""
    what: str
    """What changed, from what to what."""

    def __str__(self) -> str:
        return f"{self.by}: {self.what}"


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
    elif a.messages != b.messages and a.snapshot == b.snapshot:
        found.append(Cause(CODE, f"{a.code} and {b.code} render the same data and template differently"))
    found += _model_changes(a, b)
    if found or not changes(a, b):
        return found
    if a.code != b.code and a.text == b.text:
        return [Cause(CODE, f"{a.code} and {b.code} reach different conclusions from the same answer")]
    if a.text == b.text and a.outcome == b.outcome:
        return [Cause(CODE, "the same answer led to another conclusion")]
    return [Cause(MODEL, "sampling: the same request to the same model got another answer")]


def _template_change(a: Answer, b: Answer) -> str:
    if a.template != b.template:
        return f"{a.template} became {b.template}"
    return f"{a.template} was edited in place: {a.template_sha256[:12]} became {b.template_sha256[:12]}"


def _model_changes(a: Answer, b: Answer) -> list[Cause]:
    if not a.outcome or not b.outcome:
        return []
    found = []
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
