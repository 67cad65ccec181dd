"""Compose a trail payload from one tick's values, and read values back.

The payload is JSON with ASCII names, strings and integers; decimals are strings, and a field that a kind of record does
not have is absent (audit/README.md lists every field). This is the only place where trading meets the trail.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx import canonical, clock, rules
from llmctx.context.marks import Mark
from llmctx.context.package import Package
from llmctx.context.snapshot import Snapshot
from llmctx.context.tick import Tick
from llmctx.decision.conclude import Conclusion
from llmctx.decision.decision import Decision
from llmctx.decision.grounding import Finding, Grounding
from llmctx.decision.guards import GuardPolicy, Verdict
from llmctx.limits import MAX_FINDING_CHARS, MAX_IMPLAUSIBLE_CHARS, MAX_REASON_CHARS, cut
from llmctx.llm.completion import Completion
from llmctx.prompt.render import Prompt
from llmctx.publication import is_on_position, position_fields
from llmctx.trail.log.log import Draft

FORMAT = 1


class RecordMetadata(NamedTuple):
    """How a record came about."""

    recorded_at_ms: int
    """When it was recorded, in milliseconds of the server's time."""
    worker: str
    """The host and process that made it."""
    conflated: tuple[str, ...] = ()
    """Further ticks that it settles."""
    attempts: int = 1
    """How many times a decision was started for this tick, including this time."""
    timings_ms: Mapping[str, float] = {}
    """How long each step took, in milliseconds."""


def compose(tick: Tick, conclusion: Conclusion, metadata: RecordMetadata, blobs: tuple[bytes, ...]) -> Draft:
    """Compose the record of a tick, ready to be appended. `blobs` are the sources that it names by digest."""
    leaf, pieces = _guarded(
        conclusion.kind, tick, conclusion.verdict, metadata, conclusion.snapshot, conclusion.package
    )
    if conclusion.prompt is not None:
        leaf["prompt"] = _prompt(conclusion.prompt)
        pieces["messages"] = conclusion.prompt.evidence
    if conclusion.completion is not None:
        leaf["request"] = conclusion.completion.request
        leaf["completion"] = _completion(conclusion.completion)
        if conclusion.completion.body is not None:
            pieces["completion"] = conclusion.completion.body
    if conclusion.decision is not None:
        leaf["decision"] = decision_fields(conclusion.decision)
    if conclusion.verdict.grounding is not None:
        leaf["grounding"] = grounding_fields(conclusion.verdict.grounding)
    if conclusion.first_answer is not None:
        first = _completion(conclusion.first_answer.completion)
        first.pop("sha256", None)  # its body is not kept: its answer is part of the messages
        leaf["reasked"] = {"completion": first, "grounding": grounding_fields(conclusion.first_answer.grounding)}
    draft = _draft(leaf, pieces, tick, metadata)
    return draft._replace(
        blobs=blobs if conclusion.completion is not None else (),
        record=leaf,
        carried=position_fields(conclusion.package.position) if is_on_position(leaf) else None,
    )


def compose_dead_letter(
    tick: Tick,
    verdict: Verdict,
    metadata: RecordMetadata,
    snapshot: Snapshot | None = None,
    package: Package | None = None,
) -> Draft:
    """Compose the dead letter of a tick, with a verdict that needs no model, and with as much of its evidence as is
    usable: snapshot and package, or the snapshot alone, or nothing.
    """
    return _draft(*_guarded("dead_letter", tick, verdict, metadata, snapshot, package), tick, metadata)


def without_evidence(draft: Draft, reason: str) -> Draft:
    """The same dead letter without its evidence, which cannot be recorded for the reason given."""
    leaf = canonical.loads(draft.leaf)
    leaf.pop("snapshot", None)
    why = f"{leaf['verdict']['reason']}; without evidence, which cannot be recorded: {reason}"
    leaf["verdict"] |= {"reason": cut(why, MAX_REASON_CHARS)}
    return draft._replace(leaf=canonical.dumps(leaf), pieces={})


def compose_unread(kind: str, tick: Tick | None, reason: str, metadata: RecordMetadata, **more: Any) -> Draft:
    """Compose a record without a snapshot: dead_letter and skipped (with a tick), notice and incident (without).

    `more` are further fields of the leaf.
    """
    leaf = _head(kind, metadata) | {"verdict": {"action": "none", "reason": cut(reason, MAX_REASON_CHARS)}} | more
    if tick is not None:
        leaf |= {"tick": tick.id, "symbol": tick.symbol, "cause": tick.cause}
    return _draft(leaf, {}, tick, metadata)


def compose_confirmation(tick: Tick, confirmed: Mark, metadata: RecordMetadata) -> Draft:
    """Compose the notice that a person confirmed a price of a tick's symbol."""
    at, opened = clock.iso(confirmed.at_ms), clock.iso(confirmed.entry_ms)
    reason = f"{confirmed.by} confirmed the price {confirmed.last} of {at} in {tick.symbol}: {confirmed.why}"
    last = _text(confirmed.last)
    said = {"by": confirmed.by, "why": confirmed.why, "last": last, "price_at": at, "entry_time": opened}
    return compose_unread("notice", None, reason, metadata, symbol=tick.symbol, confirmation=said)


def compose_loss(first: int, last: int, metadata: RecordMetadata, **more: Any) -> Draft:
    """Compose the incident for records that neither Redis nor the spool holds any more."""
    reason = f"records {first} to {last} are lost; the anchor has their leaf hashes"
    lost = {"what": "lost", "first": first, "last": last}
    return compose_unread("incident", None, reason, metadata, incident=lost, **more)


def _guarded(
    kind: str,
    tick: Tick,
    verdict: Verdict,
    metadata: RecordMetadata,
    snapshot: Snapshot | None,
    package: Package | None,
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The leaf of a record with a verdict, as far as no model is in it, and its pieces."""
    leaf = _head(kind, metadata) | {
        "tick": tick.id,
        "symbol": tick.symbol,
        "cause": tick.cause,
        "verdict": verdict_fields(verdict),
    }
    if snapshot is None:
        return leaf, {}
    piece = snapshot.evidence()
    sections = {} if package is None else sections_fields(package)
    leaf["as_of_ms"] = snapshot.as_of_ms
    leaf["snapshot"] = {"sha256": canonical.sha256(piece), "sections": sections}
    return leaf, {"snapshot": piece}


def _draft(leaf: dict[str, Any], pieces: dict[str, bytes], tick: Tick | None, metadata: RecordMetadata) -> Draft:
    return Draft(
        leaf=canonical.dumps(leaf),
        pieces=pieces,
        blobs=(),
        tick=tick.id if tick else "",
        symbol=tick.symbol if tick else "",
        conflated=metadata.conflated,
    )


def _head(kind: str, metadata: RecordMetadata) -> dict[str, Any]:
    head: dict[str, Any] = {
        "v": FORMAT,
        "kind": kind,
        "recorded_at_ms": metadata.recorded_at_ms,
        "worker": metadata.worker,
        "attempts": metadata.attempts,
        "code": rules.code(),
    }
    if metadata.conflated:
        head["conflated"] = list(metadata.conflated)
    if metadata.timings_ms:
        head["timings_ms"] = {step: f"{ms:.1f}" for step, ms in metadata.timings_ms.items()}
    return head


def _prompt(prompt: Prompt) -> dict[str, Any]:
    return {
        "template": prompt.template,
        "version": prompt.version,
        "template_sha256": prompt.template_sha256,
        "sha256": canonical.sha256(prompt.evidence),
    }


def _completion(completion: Completion) -> dict[str, Any]:
    return _present(
        {
            "outcome": str(completion.outcome),
            "detail": completion.detail,
            "model": completion.model,
            "response_id": completion.response_id,
            "request_id": completion.request_id,
            "system_fingerprint": completion.system_fingerprint,
            "service_tier": completion.service_tier,
            "finish_reason": completion.finish_reason,
            "usage": None if completion.usage is None else completion.usage._asdict(),
            "attempts": [_present(attempt._asdict()) for attempt in completion.attempts],
            "sha256": None if completion.body is None else canonical.sha256(completion.body),
        }
    )


def sections_fields(package: Package) -> dict[str, Any]:
    """Every section's key, status and age, and what is implausible about it, as a leaf has them."""
    return {
        section.name: _present(
            {
                "key": section.key,
                "status": str(section.status),
                "age_ms": section.age_ms,
                "implausible": [cut(str(finding), MAX_IMPLAUSIBLE_CHARS) for finding in section.implausible] or None,
            }
        )
        for section in package.sections.values()
    }


def decision_fields(decision: Decision) -> dict[str, Any]:
    """A decision as a leaf has it."""
    return _present(
        {
            "action": str(decision.action),
            "quantity": _text(decision.quantity),
            "stop_loss": _text(decision.stop_loss),
            "take_profit": _text(decision.take_profit),
            "confidence": _text(decision.confidence),
            "reasoning": decision.reasoning,
            "evidence": [
                {"path": item.path, "value": item.value, "reading": item.reading} for item in decision.evidence
            ],
            "invalidation": decision.invalidation,
            "valid_for": decision.valid_for,
        }
    )


def grounding_fields(grounding: Grounding) -> dict[str, Any]:
    """A grounding as a leaf has it: what was counted, and what the package does not bear out."""
    return _present(
        {
            "evidence": grounding.evidence,
            "cited": grounding.cited,
            "uncited": grounding.uncited,
            "unread": grounding.unread,
            "miscited": [_finding(item) for item in grounding.miscited] or None,
            "false_prices": [_finding(item) for item in grounding.false_prices] or None,
        }
    )


def _finding(finding: Finding) -> dict[str, Any]:
    fields = {
        name: value[:MAX_FINDING_CHARS] if isinstance(value, str) else value
        for name, value in finding._asdict().items()
    }
    return _present(fields | {"alarms": "yes" if finding.alarms else "no"})


def policy_fields(policy: GuardPolicy) -> dict[str, Any]:
    """A policy as a leaf has it; what older versions did is absent: grounding off, an unconfirmed stop obeyed."""
    return _present(
        {
            "confidence_floor": _text(policy.confidence_floor),
            "grounding": None if policy.grounding == "off" else policy.grounding,
            "unconfirmed_stop": None if policy.unconfirmed_stop == "exit" else policy.unconfirmed_stop,
        }
    )


def policy_of(record: Mapping[str, Any]) -> GuardPolicy:
    """The guard policy under which a record was made."""
    policy = record["verdict"]["policy"]
    return GuardPolicy(
        confidence_floor=Decimal(policy["confidence_floor"]),
        grounding=policy.get("grounding", "off"),
        unconfirmed_stop=policy.get("unconfirmed_stop", "exit"),
    )


def verdict_fields(verdict: Verdict) -> dict[str, Any]:
    """A verdict as a leaf has it."""
    return _present(
        {
            "action": verdict.action,
            "quantity": _text(verdict.quantity),
            "stop_loss": _text(verdict.stop_loss),
            "take_profit": _text(verdict.take_profit),
            "guards": [guard._asdict() for guard in verdict.guards] or None,
            "policy": None if verdict.policy is None else policy_fields(verdict.policy),
            "reason": verdict.reason,
        }
    )


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")
