"""What one side of a comparison comes to: answers, guardrails, grounding, confidence, tokens, cost, latency."""

import re
from collections import Counter
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx.replay.measure import Mean, Share, agreement_within, mean, quantile
from llmctx.replay.pair import Case, action_of, confidence_of
from llmctx.replay.side import Side, is_by_citation

FAULTS = {"miscited", "false_prices"}
"""What a grounding has only where an answer is not supported."""
ITEM = re.compile(r"evidence\[\d+\]")
"""The field of an item of evidence; every other is a text with numbers."""


class Tally(NamedTuple):
    """What one side comes to."""

    name: str
    """Which side."""
    decisions: int
    """Decisions."""
    answers: int
    """Answers, repeats counted."""
    unanswered: int
    """Calls that got no answer: unreachable, timeout, rejected. Nothing else counts them."""
    failed: Share
    """Answers that could not be used."""
    guarded: Share
    """Answers on which a guardrail fired."""
    guards: dict[str, int]
    """How often each fired."""
    cited: Share
    """Numbers that are what they cite, of all numbers in the answers."""
    supported: Share
    """Answers without a miscited number or a false price, of those that were looked at."""
    regrounded: int
    """Of those, judged with grounding off: the replay looked at them by itself."""
    confidence: Mean | None
    """How sure the answers are."""
    tokens_in: int
    """Tokens read."""
    tokens_cached: int
    """Of those, from the provider's cache."""
    tokens_out: int
    """Tokens written."""
    cost: Decimal | None
    """What it cost; None where no price is known."""
    latency_ms: float | None
    """The median of a call."""
    latency_p95_ms: float | None
    """95 of 100 calls took no longer."""
    itself: Share
    """How often two answers to one question agree on the action."""

    def as_dict(self) -> dict[str, Any]:
        """The tally as JSON has it."""
        plain = self._asdict()
        for name in ("failed", "guarded", "cited", "supported", "itself"):
            plain[name] = plain[name].as_dict()
        plain["confidence"] = None if self.confidence is None else self.confidence.as_dict()
        return plain


def tally(name: str, cases: list[Case]) -> Tally:
    """What the cases of one side come to."""
    sides = [side for case in cases for side in case.sides]
    asked = [side for side in sides if side.outcome]
    guards = [guard["name"] for side in sides for guard in side.verdict.get("guards", [])]
    looked_at = [side.grounding for side in sides if side.grounding is not None and is_by_citation(side.grounding)]
    usages = [side.tokens for side in sides if side.tokens is not None]
    costs = [Decimal(side.cost) for side in sides if side.cost is not None]
    latencies = [float(side.latency_ms) for side in sides if side.latency_ms is not None]
    return Tally(
        name=name,
        decisions=sum(bool(case.sides) for case in cases),
        answers=len(sides),
        unanswered=sum(case.unanswered for case in cases),
        failed=Share(sum(side.kind == "failed" for side in asked), len(asked)),
        guarded=Share(sum(bool(side.verdict.get("guards")) for side in asked), len(asked)),
        guards=dict(Counter(guards).most_common()),
        cited=Share(sum(grounding["cited"] for grounding in looked_at), sum(map(_numbers, looked_at))),
        supported=Share(sum(not FAULTS & grounding.keys() for grounding in looked_at), len(looked_at)),
        regrounded=sum(_regrounded(side) for side in sides),
        confidence=mean([sure for side in sides if (sure := confidence_of(side)) is not None]),
        tokens_in=sum(usage.prompt for usage in usages),
        tokens_cached=sum(usage.cached for usage in usages),
        tokens_out=sum(usage.completion for usage in usages),
        cost=sum(costs, Decimal(0)) if costs else None,
        latency_ms=quantile(latencies, 0.5),
        latency_p95_ms=quantile(latencies, 0.95),
        itself=agreement_within([[action_of(side) for side in case.sides] for case in cases]),
    )


def _regrounded(side: Side) -> bool:
    return side.grounding is not None and "grounding" not in side.verdict.get("policy", {})


def _numbers(grounding: dict[str, Any]) -> int:
    miscited = sum(not ITEM.fullmatch(finding["field"]) for finding in grounding.get("miscited", ()))
    return int(grounding["cited"] + grounding["uncited"] + grounding["unread"] + miscited)
