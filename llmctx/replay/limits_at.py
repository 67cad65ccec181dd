"""Whether a recorded decision was within the limits in force at its time, rule by rule."""

from typing import Any, NamedTuple

from llmctx.context.package import build_package
from llmctx.context.snapshot import Snapshot
from llmctx.decision.approval import AWAITS_APPROVAL
from llmctx.decision.guards import UNCHECKED
from llmctx.decision.mandate.mandate import Limits, Mandate
from llmctx.decision.mandate.rules import RULES, Rule
from llmctx.decision.mandate.totals import totals_at
from llmctx.decision.reservation import EXPOSURE
from llmctx.replay.corpus import BlobCache
from llmctx.replay.limit_changes import LIMITS
from llmctx.replay.rerun import rebuild
from llmctx.trail.log.entry import Entry


class RuleAt(NamedTuple):
    """One rule, at one decision."""

    rule: str
    """Its name."""
    limits: str
    """Its limits then, with their values."""
    outcome: str
    """within, clamp, block, unchecked, or not reached because an earlier rule blocked."""
    detail: str = ""
    """What the rule saw, if it acted."""


class LimitsAt(NamedTuple):
    """A decision and the limits in force at its time."""

    mandate: Mandate | None
    """The mandate that its record names; None if there was none."""
    asked: str
    """What the model decided; none without a usable answer."""
    verdict: dict[str, Any]
    """What was allowed, as in the leaf."""
    limited: bool
    """Whether the mandate judges this action: it holds back neither an exit nor a hold."""
    rules: list[RuleAt]
    """Each rule for this action that had a limit."""
    reproduced: bool
    """Whether the evidence yields this verdict again under that mandate, by the rules of this version."""


def limits_at(entry: Entry, blobs: BlobCache) -> LimitsAt:
    """The limits at a record with a verdict on a position.

    Raises ValueError or KeyError if its evidence cannot be used.
    """
    record, verdict = entry.record, entry.record["verdict"]
    mandate, asked = blobs.mandate(record), record.get("decision", {}).get("action", "none")
    guards = {guard["name"]: guard["detail"] for guard in verdict.get("guards", ())}
    unchecked = [guard["detail"] for guard in verdict.get("guards", ()) if guard["name"] == UNCHECKED]
    judged = verdict["action"] not in ("hold", "none") or bool({*LIMITS, UNCHECKED, AWAITS_APPROVAL} & guards.keys())
    limited = mandate is not None and judged and asked in {str(action) for rule in RULES for action in rule.actions}
    found: list[RuleAt] = []
    if mandate is not None and limited:
        package = build_package(Snapshot.from_evidence(entry.pieces["snapshot"], blobs))
        limits = mandate.limits_of(package.symbol, package.position.side)
        blocking = None
        for rule in RULES:
            if asked not in rule.actions or not (said := _said(rule, limits)):
                continue
            outcome, detail = "within", guards.get(rule.name, "")
            told = [one.removeprefix(f"{rule.name}: ") for one in unchecked if one.startswith(f"{rule.name}: ")]
            if blocking is not None:
                outcome, detail = "not reached", ""
            elif detail:
                outcome = "block" if verdict.get("limited") == "block" and _is_last(rule, guards) else "clamp"
            elif told:
                outcome, detail = "unchecked", told[0]
            blocking = rule if outcome == "block" else blocking
            found.append(RuleAt(rule.name, said, outcome, detail))
        for total in totals_at(package, mandate) if asked == "add" and blocking is None else ():
            refused = guards.get(EXPOSURE, "")
            found.append(RuleAt(EXPOSURE, f"{total.name} {total.limit}", "block" if refused else "within", refused))
    return LimitsAt(mandate, asked, verdict, limited, found, reproduced=rebuild(entry, blobs).same)


def _said(rule: Rule, limits: Limits) -> str:
    values = {name: getattr(limits, name) for name in rule.limits}
    return ", ".join(f"{name} {limit_text(value)}" for name, value in values.items() if value is not None)


def limit_text(value: object) -> str:
    """A limit in words."""
    if isinstance(value, dict):
        return "; ".join(f"{action}: {', '.join(sections)}" for action, sections in value.items())
    return str(value)


def _is_last(rule: Rule, guards: dict[str, str]) -> bool:
    """Whether no later rule fired: the one that blocks is the last."""
    names = [one.name for one in RULES]
    return not any(name in guards for name in names[names.index(rule.name) + 1 :])
