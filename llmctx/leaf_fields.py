"""The leaf fields for each value of a tick. A field without a value is absent; decimals are strings."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from llmctx import canonical, clock
from llmctx.context.package import Package
from llmctx.decision.approval import ApprovalRule
from llmctx.decision.approved import Approved
from llmctx.decision.decision import Decision
from llmctx.decision.grounding import Finding, Grounding
from llmctx.decision.mandate.mandate import Mandate
from llmctx.decision.verdict import GuardPolicy, Verdict
from llmctx.limits import MAX_FINDING_CHARS, MAX_FINDINGS, MAX_IMPLAUSIBLE_CHARS, MAX_IMPLAUSIBLE_ITEMS, cut
from llmctx.llm.completion import Completion, Tried
from llmctx.prompt.render import Prompt
from llmctx.schema.values import Position


def prompt_fields(prompt: Prompt, messages: bytes) -> dict[str, Any]:
    """The fields of a prompt: its name, and the digest of the messages as sent."""
    return {
        "template": prompt.template,
        "version": prompt.version,
        "template_sha256": prompt.template_sha256,
        "sha256": canonical.sha256(messages),
    }


def completion_fields(completion: Completion) -> dict[str, Any]:
    """The fields of a completion: the result of the call, without the body."""
    return _present(
        {
            "outcome": str(completion.outcome),
            "detail": completion.detail,
            "answer_from": list(completion.answer_from) or None,
            "model": completion.model,
            "response_id": completion.response_id,
            "request_id": completion.request_id,
            "system_fingerprint": completion.system_fingerprint,
            "service_tier": completion.service_tier,
            "finish_reason": completion.finish_reason,
            "usage": None if completion.usage is None else _present(completion.usage._asdict()),
            "attempts": [_present(attempt._asdict()) for attempt in completion.attempts],
            "sha256": None if completion.body is None else canonical.sha256(completion.body),
            "endpoint": completion.endpoint,
            "tried": [_tried(tried) for tried in completion.tried] or None,
        }
    )


def _tried(tried: Tried) -> dict[str, Any]:
    fields = tried._asdict() | {
        "attempts": [_present(attempt._asdict()) for attempt in tried.attempts] or None,
        "usage": None if tried.usage is None else _present(tried.usage._asdict()),
    }
    return _present(fields)


def calls_of(record: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every call that a record reports, with its model: the last one, that of a first answer, and failed ones to other
    endpoints.
    """
    model = str(record.get("request", {}).get("model", "unknown"))
    for completion in (record.get("completion"), record.get("reasked", {}).get("completion")):
        if completion is not None:
            yield model, completion
            asked = (tried for tried in completion.get("tried", ()) if "attempts" in tried)
            yield from ((tried.get("model", "unknown"), tried) for tried in asked)


def sections_fields(package: Package) -> dict[str, Any]:
    """Every section's key, status, age and implausible findings."""
    return {
        section.name: _present(
            {
                "key": section.key,
                "status": str(section.status),
                "age_ms": section.age_ms,
                "implausible": [
                    cut(str(each), MAX_IMPLAUSIBLE_CHARS) for each in section.implausible[:MAX_IMPLAUSIBLE_ITEMS]
                ]
                or None,
            }
        )
        for section in package.sections.values()
    }


def mapped_position_fields(package: Package) -> dict[str, Any]:
    """The published fields of a position that another system wrote, because the evidence has other field names."""
    position = package.sections["position"].value
    if not isinstance(position, Position):
        return {}
    said = {"entry_time": clock.iso_of(position.entry_time), "side": position.side}
    return {"position": said | {"entry_price": text_of(position.entry_price), "held": text_of(position.quantity)}}


def decision_fields(decision: Decision) -> dict[str, Any]:
    """The fields of a decision."""
    return _present(
        {
            "action": str(decision.action),
            "quantity": text_of(decision.quantity),
            "stop_loss": text_of(decision.stop_loss),
            "take_profit": text_of(decision.take_profit),
            "confidence": text_of(decision.confidence),
            "reasoning": decision.reasoning,
            "evidence": [
                {"path": item.path, "value": item.value, "reading": item.reading} for item in decision.evidence
            ],
            "invalidation": decision.invalidation,
            "valid_for": decision.valid_for,
        }
    )


def grounding_fields(grounding: Grounding) -> dict[str, Any]:
    """The fields of a grounding: the counts, and what the package does not support."""
    return _present(
        {
            "evidence": grounding.evidence,
            "cited": grounding.cited,
            "uncited": grounding.uncited,
            "unread": grounding.unread,
            "miscited": [_finding(item) for item in grounding.miscited[:MAX_FINDINGS]] or None,
            "false_prices": [_finding(item) for item in grounding.false_prices[:MAX_FINDINGS]] or None,
        }
    )


def wrong_fields(wrong: Grounding | str) -> dict[str, Any]:
    """The fields of what was wrong with a first answer: its grounding, or why it does not fit."""
    return {"misfit": wrong} if isinstance(wrong, str) else {"grounding": grounding_fields(wrong)}


def _finding(finding: Finding) -> dict[str, Any]:
    fields = {
        name: value[:MAX_FINDING_CHARS] if isinstance(value, str) else value
        for name, value in finding._asdict().items()
    }
    return _present(fields | {"alarms": "yes" if finding.alarms else "no"})


def policy_fields(policy: GuardPolicy) -> dict[str, Any]:
    """The fields of a policy, without the behaviour of older versions: grounding off, an unconfirmed stop acted on."""
    return _present(
        {
            "confidence_floor": text_of(policy.confidence_floor),
            "grounding": None if policy.grounding == "off" else policy.grounding,
            "unconfirmed_stop": None if policy.unconfirmed_stop == "exit" else policy.unconfirmed_stop,
            "approval": None if policy.approval is None else _as_texts(policy.approval.__dict__),
        }
    )


def policy_of(record: Mapping[str, Any], mandate: Mandate | None = None) -> GuardPolicy:
    """The guard policy under which a record was made; `mandate` is the one it names, if any."""
    policy = record["verdict"]["policy"]
    return GuardPolicy(
        confidence_floor=Decimal(policy["confidence_floor"]),
        grounding=policy.get("grounding", "off"),
        unconfirmed_stop=policy.get("unconfirmed_stop", "exit"),
        mandate=mandate,
        approval=None if "approval" not in policy else ApprovalRule.model_validate(policy["approval"]),
    )


def mandate_fields(verdict: Verdict) -> dict[str, Any]:
    """The field of a verdict's mandate, which stands beside the verdict; empty without one."""
    mandate = None if verdict.policy is None else verdict.policy.mandate
    return {} if mandate is None else {"mandate": {"sha256": mandate.sha256}}


def verdict_fields(verdict: Verdict) -> dict[str, Any]:
    """The fields of a verdict."""
    return _present(
        {
            "action": verdict.action,
            "quantity": text_of(verdict.quantity),
            "stop_loss": text_of(verdict.stop_loss),
            "take_profit": text_of(verdict.take_profit),
            "guards": [guard._asdict() for guard in verdict.guards] or None,
            "limited": verdict.limited,
            "rest": None if verdict.rest is None else _as_texts(verdict.rest._asdict()),
            "repeat_of": verdict.repeat_of,
            "again_ms": verdict.again_ms,
            "awaits": None if verdict.awaits is None else _as_texts(verdict.awaits.__dict__),
            "policy": None if verdict.policy is None else policy_fields(verdict.policy),
            "reason": verdict.reason,
        }
    )


def approved_fields(approved: Approved) -> dict[str, Any]:
    """The fields of what a person approves."""
    return _as_texts(approved._asdict())


def approved_of(record: Mapping[str, Any]) -> Approved:
    """What a recorded approval approved."""
    fields: dict[str, Any] = {
        name: Decimal(each) if name in ("quantity", "stop_loss", "take_profit") else each
        for name, each in record["approved"].items()
    }
    return Approved(**fields)


def _as_texts(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that have a value, with decimals as text."""
    return _present({name: text_of(each) if isinstance(each, Decimal) else each for name, each in fields.items()})


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def text_of(value: Decimal | None) -> str | None:
    """A decimal as leaf text; None stays None."""
    return None if value is None else format(value, "f")
