"""The sides of a comparison: each decision with its answers, the totals of a side, and pairs of answers."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx.replay.answer import NO_ANSWER, Answer
from llmctx.replay.corpus import Place
from llmctx.replay.difference import Cause, causes, changes
from llmctx.replay.results import Result
from llmctx.replay.stats import Mean, Share, agreement_within, mean, quantile

_FAULTS = {"miscited", "false_prices"}
"""The fields of a grounding that exist only if the answer has false numbers."""
_EVIDENCE_ITEM = re.compile(r"evidence\[\d+\]")
"""The field of an evidence item; all other fields are text with numbers."""


class AnsweredDecision(NamedTuple):
    """One decision with all its answers on one side of a comparison."""

    result: Result
    """The decision; its answers are those of the first repeat."""
    answers: tuple[Answer, ...]
    """The answers, one for each repeat."""
    unanswered: int = 0
    """Other calls that got no answer."""

    @property
    def majority(self) -> Answer:
        """The first answer with the most frequent action."""
        counts = Counter(answer.label for answer in self.answers)
        most = counts.most_common(1)[0][1]
        return next(answer for answer in self.answers if counts[answer.label] == most)


def recorded_decisions(results: Iterable[Result]) -> dict[Place, AnsweredDecision]:
    """Return the record's own side of some results."""
    return {result.place: AnsweredDecision(result, (result.recorded,)) for result in results}


def replayed_decisions(results: Iterable[Result]) -> dict[Place, AnsweredDecision]:
    """Return the replay's side of some results, repeats grouped by decision."""
    groups: dict[Place, list[Result]] = {}
    for result in sorted(results, key=lambda one: one.repeat):
        groups.setdefault(result.place, []).append(result)
    answers = {place: tuple(one.replayed for one in group if one.final) for place, group in groups.items()}
    return {
        place: AnsweredDecision(group[0], answers[place], unanswered=len(group) - len(answers[place]))
        for place, group in groups.items()
    }


class Pair(NamedTuple):
    """One decision on both sides."""

    result: Result
    """The decision."""
    a: Answer
    """The first side's answer."""
    b: Answer
    """The second side's answer."""

    @property
    def flipped(self) -> bool:
        """Whether the two sides act differently."""
        return self.a.effective_action != self.b.effective_action

    @property
    def answered(self) -> bool:
        """Whether both sides have a usable answer, or were not asked."""
        return NO_ANSWER not in (self.a.label, self.b.label)

    @property
    def changes(self) -> list[str]:
        """The names of the results that differ."""
        return changes(self.a, self.b)

    @property
    def causes(self) -> list[Cause]:
        """Why they differ."""
        return causes(self.a, self.b)

    @property
    def at_stake(self) -> Decimal:
        """The market value that the two sides treat differently, in account currency."""
        held, price = Decimal(self.result.held), Decimal(self.result.price)
        return abs(self.a.exposure_change(held) - self.b.exposure_change(held)) * held * price


class Tally(NamedTuple):
    """The totals of one side."""

    name: str
    """Which side."""
    decisions: int
    """Decisions that were answered."""
    answers: int
    """Answers, repeats included."""
    unanswered: int
    """Calls without an answer: unreachable, timeout, rejected. No other total includes them."""
    failed: Share
    """Answers that could not be used."""
    guarded: Share
    """Answers on which a guardrail fired."""
    guards: dict[str, int]
    """How often each guardrail fired."""
    cited: Share
    """Numbers with a correct citation, of all numbers in the answers."""
    supported: Share
    """Answers without a miscited number or a false price, of those that were checked."""
    regrounded: int
    """Answers recorded with grounding off, which only the comparison checked."""
    confidence: Mean | None
    """Mean confidence."""
    tokens_in: int
    """Prompt tokens."""
    tokens_cached: int
    """Prompt tokens from the provider's cache."""
    tokens_out: int
    """Completion tokens."""
    cost: Decimal | None
    """Total cost; None if no price is known."""
    latency_ms: float | None
    """Median latency of a call."""
    latency_p95_ms: float | None
    """95th percentile of latency."""
    self_consistency: Share
    """Self-consistency: how often two answers to the same question agree on the action."""

    def as_dict(self) -> dict[str, Any]:
        """Return the tally as JSON values."""
        shares = {name: value.as_dict() for name, value in self._asdict().items() if isinstance(value, Share)}
        confidence = None if self.confidence is None else self.confidence._asdict()
        return self._asdict() | shares | {"confidence": confidence}


def tally(name: str, decisions: Sequence[AnsweredDecision]) -> Tally:
    """Add up the decisions of one side."""
    answers = [answer for decision in decisions for answer in decision.answers]
    asked = [answer for answer in answers if answer.outcome]
    guards = [guard["name"] for answer in answers for guard in answer.verdict.get("guards", [])]
    groundings = [answer.grounding or {} for answer in answers if answer.grounded_by_citation]
    usages = [answer.tokens for answer in answers if answer.tokens is not None]
    costs = [Decimal(answer.cost) for answer in answers if answer.cost is not None]
    latencies = [float(answer.latency_ms) for answer in answers if answer.latency_ms is not None]
    return Tally(
        name=name,
        decisions=len([decision for decision in decisions if decision.answers]),
        answers=len(answers),
        unanswered=sum(decision.unanswered for decision in decisions),
        failed=Share.where(answer.kind == "failed" for answer in asked),
        guarded=Share.where(bool(answer.verdict.get("guards")) for answer in asked),
        guards=dict(Counter(guards).most_common()),
        cited=Share(sum(grounding["cited"] for grounding in groundings), sum(map(_numbers, groundings))),
        supported=Share.where(not _FAULTS & grounding.keys() for grounding in groundings),
        regrounded=len([answer for answer in answers if _was_regrounded(answer)]),
        confidence=mean([answer.confidence for answer in answers if answer.confidence is not None]),
        tokens_in=sum(usage.prompt for usage in usages),
        tokens_cached=sum(usage.cached or 0 for usage in usages),
        tokens_out=sum(usage.completion for usage in usages),
        cost=sum(costs, Decimal(0)) if costs else None,
        latency_ms=quantile(latencies, 0.5),
        latency_p95_ms=quantile(latencies, 0.95),
        self_consistency=agreement_within([[answer.label for answer in decision.answers] for decision in decisions]),
    )


def _was_regrounded(answer: Answer) -> bool:
    return answer.grounding is not None and "grounding" not in answer.verdict.get("policy", {})


def _numbers(grounding: dict[str, Any]) -> int:
    miscited = [item for item in grounding.get("miscited", ()) if not _EVIDENCE_ITEM.fullmatch(item["field"])]
    return int(grounding["cited"] + grounding["uncited"] + grounding["unread"]) + len(miscited)
