"""Compare two sides of the same decisions: two replays, or a replay with what was recorded.

Every decision counts once: where it was asked several times, by the action that came most often (the first of equals).
How often a side agrees with itself over repeats says how much of the rest is noise.
"""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from llmctx.errors import ReplayError
from llmctx.replay.measure import Mean, Share, agreement_within, mean, quantile
from llmctx.replay.pair import Case, Pair, action_of, confidence_of
from llmctx.replay.results import Place, Result, read_results

RECORDED = "recorded"
"""How the records' own side is named."""
AMOUNTS = ("quantity", "stop_loss", "take_profit")
"""What may be changed beside the action."""


class Measures(NamedTuple):
    """What one side comes to."""

    name: str
    """Which side."""
    decisions: int
    """Decisions."""
    answers: int
    """Answers, repeats counted."""
    failed: Share
    """Answers that could not be used."""
    guarded: Share
    """Answers on which a guardrail fired."""
    guards: dict[str, int]
    """How often each fired."""
    grounded: Share
    """Answers whose numbers all stand in the facts, of those that were looked at."""
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


class Moved(NamedTuple):
    """How an amount differs where both sides take the same action and name it."""

    name: str
    """quantity, stop_loss or take_profit."""
    both: int
    """Decisions in which both name it."""
    changed: int
    """Of those, in which it differs."""
    median_pct: float | None
    """The median of the change from a to b, in percent of a, over those that differ."""


class Comparison(NamedTuple):
    """Two sides compared."""

    a: Measures
    """The first side."""
    b: Measures
    """The second side."""
    pairs: list[Pair]
    """Every decision that both sides have."""
    only: tuple[int, int]
    """Decisions that only the first, only the second side has."""
    matrix: dict[tuple[str, str], int]
    """How many decisions went from an action to another one."""
    agreement: Share
    """Decisions with the same action on both sides, after the guardrails."""
    decided: Share
    """Decisions on which both models decided the same, before any guardrail, where both decided."""
    shift: Mean | None
    """How much surer the second side is, decision by decision, where both answered."""
    moved: list[Moved]
    """Changes of sizes, stops and targets."""
    blame: dict[str, int]
    """Causes of what differs (prompt, answer or verdict), by data, template, model and code: in how many decisions."""
    flip_blame: dict[str, int]
    """The same for flips alone."""

    @property
    def flips(self) -> list[Pair]:
        """Decisions that flipped, worst first: by what is at stake, then by how sure the second side is."""
        flipped = [pair for pair in self.pairs if pair.flipped]
        return sorted(flipped, key=lambda pair: (-pair.at_stake, -(confidence_of(pair.b) or 0), pair.result.place))

    def as_dict(self) -> dict[str, Any]:
        """The comparison as JSON has it."""
        return {
            "a": _measures(self.a),
            "b": _measures(self.b),
            "decisions": len(self.pairs),
            "only_in": list(self.only),
            "agreement": self.agreement.as_dict(),
            "decided_agreement": self.decided.as_dict(),
            "matrix": [{"a": a, "b": b, "count": count} for (a, b), count in sorted(self.matrix.items())],
            "confidence_shift": None if self.shift is None else self.shift.as_dict(),
            "moved": [moved._asdict() for moved in self.moved],
            "causes": self.blame,
            "flip_causes": self.flip_blame,
            "flips": [_flip(pair) for pair in self.flips],
        }


def recorded_cases(results: Sequence[Result]) -> dict[Place, Case]:
    """The records' own side of some results."""
    return {result.place: Case(result, (result.recorded,)) for result in results}


def replayed_cases(results: Sequence[Result]) -> dict[Place, Case]:
    """The replay's side of some results, repeats together."""
    sides: dict[Place, list[Result]] = {}
    for result in sorted(results, key=lambda one: one.repeat):
        sides.setdefault(result.place, []).append(result)
    return {place: Case(of[0], tuple(result.replayed for result in of)) for place, of in sides.items()}


def compare_results(first: str, second: str) -> tuple[Comparison, dict[str, dict[str, Any]]]:
    """Two results files compared, either of which may be `recorded`; and what each asked for, by name.

    Raises ReplayError where a file cannot be read, or the two have no decision in common.
    """
    files = {name: read_results(Path(name)) for name in (first, second) if name != RECORDED}
    labels = _labels([first, second])
    cases = []
    for name, other in ((first, second), (second, first)):
        if name == RECORDED:
            cases.append(recorded_cases(files[other].results))
        else:
            cases.append(replayed_cases(files[name].results))
    asked = {label: files[name].asked for label, name in zip(labels, (first, second), strict=True) if name in files}
    return compare((labels[0], labels[1]), cases[0], cases[1]), asked


def _labels(names: list[str]) -> list[str]:
    """File names without folders, where that tells them apart."""
    short = [Path(name).name for name in names]
    return short if len(set(short)) == len(short) else names


def compare(names: tuple[str, str], a: dict[Place, Case], b: dict[Place, Case]) -> Comparison:
    """Compare the decisions that both sides have.

    Raises ReplayError where there is none.
    """
    places = sorted(a.keys() & b.keys())
    if not places:
        raise ReplayError("The two have no decision in common.", "Replay the same selection of the same trail.")
    pairs = [Pair(a[place].result, a[place].side, b[place].side) for place in places]
    decided = [(pair.a.decided, pair.b.decided) for pair in pairs if pair.a.decided and pair.b.decided]
    sure = [(confidence_of(pair.a), confidence_of(pair.b)) for pair in pairs]
    return Comparison(
        a=_measure(names[0], [a[place] for place in places]),
        b=_measure(names[1], [b[place] for place in places]),
        pairs=pairs,
        only=(len(a) - len(places), len(b) - len(places)),
        matrix=dict(Counter((action_of(pair.a), action_of(pair.b)) for pair in pairs)),
        agreement=Share(sum(not pair.flipped for pair in pairs), len(pairs)),
        decided=Share(sum(before == later for before, later in decided), len(decided)),
        shift=mean([later - before for before, later in sure if before is not None and later is not None]),
        moved=[_moved(name, pairs) for name in AMOUNTS],
        blame=_blame([pair for pair in pairs if pair.changes]),
        flip_blame=_blame([pair for pair in pairs if pair.flipped]),
    )


def _blame(pairs: list[Pair]) -> dict[str, int]:
    return dict(Counter(by for pair in pairs for by in {cause.by for cause in pair.causes}).most_common())


def _measure(name: str, cases: list[Case]) -> Measures:
    sides = [side for case in cases for side in case.sides]
    asked = [side for side in sides if side.outcome]
    guards = [guard["name"] for side in sides for guard in side.verdict.get("guards", [])]
    looked_at = [side.grounding for side in sides if side.grounding is not None]
    usages = [side.tokens for side in sides if side.tokens is not None]
    costs = [Decimal(side.cost) for side in sides if side.cost is not None]
    latencies = [float(side.latency_ms) for side in sides if side.latency_ms is not None]
    return Measures(
        name=name,
        decisions=len(cases),
        answers=len(sides),
        failed=Share(sum(side.kind == "failed" for side in asked), len(asked)),
        guarded=Share(sum(bool(side.verdict.get("guards")) for side in asked), len(asked)),
        guards=dict(Counter(guards).most_common()),
        grounded=Share(sum(_is_grounded(grounding) for grounding in looked_at), len(looked_at)),
        confidence=mean([sure for side in sides if (sure := confidence_of(side)) is not None]),
        tokens_in=sum(usage.prompt for usage in usages),
        tokens_cached=sum(usage.cached for usage in usages),
        tokens_out=sum(usage.completion for usage in usages),
        cost=sum(costs, Decimal(0)) if costs else None,
        latency_ms=quantile(latencies, 0.5),
        latency_p95_ms=quantile(latencies, 0.95),
        itself=agreement_within([[action_of(side) for side in case.sides] for case in cases]),
    )


def _is_grounded(grounding: dict[str, Any]) -> bool:
    return not grounding.get("unsupported") and not grounding.get("miscited")


def _moved(name: str, pairs: list[Pair]) -> Moved:
    both = [
        (Decimal(pair.a.verdict[name]), Decimal(pair.b.verdict[name]))
        for pair in pairs
        if not pair.flipped and pair.a.verdict.get(name) and pair.b.verdict.get(name)
    ]
    changed = [float((later - before) / before * 100) for before, later in both if later != before]
    return Moved(name, len(both), len(changed), quantile(changed, 0.5))


def _measures(side: Measures) -> dict[str, Any]:
    plain = side._asdict()
    for name in ("failed", "guarded", "grounded", "itself"):
        plain[name] = plain[name].as_dict()
    plain["confidence"] = None if side.confidence is None else side.confidence.as_dict()
    return plain


def _flip(pair: Pair) -> dict[str, Any]:
    result = pair.result
    return {
        "origin": result.origin,
        "partition": result.partition,
        "index": result.index,
        "symbol": result.symbol,
        "as_of_ms": result.as_of_ms,
        "at_stake": pair.at_stake,
        "a": {"action": action_of(pair.a), "confidence": confidence_of(pair.a), "verdict": pair.a.verdict},
        "b": {"action": action_of(pair.b), "confidence": confidence_of(pair.b), "verdict": pair.b.verdict},
        "causes": [str(cause) for cause in pair.causes],
    }
