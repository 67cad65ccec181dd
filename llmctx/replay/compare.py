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
from llmctx.replay.measure import Mean, Share, mean, quantile
from llmctx.replay.pair import Case, Pair, action_of, confidence_of
from llmctx.replay.results import Place, Result, read_results
from llmctx.replay.tally import Tally, tally

RECORDED = "recorded"
"""How the records' own side is named."""
AMOUNTS = ("quantity", "stop_loss", "take_profit")
"""What may be changed beside the action."""


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

    a: Tally
    """The first side."""
    b: Tally
    """The second side."""
    pairs: list[Pair]
    """Every decision that both sides have."""
    only: tuple[int, int]
    """Decisions that only the first, only the second side has."""
    matrix: dict[tuple[str, str], int]
    """How many decisions went from an action to another one."""
    answerless: int
    """Decisions without a usable answer on a side."""
    agreement: Share
    """Of the others, those after which the same would be done on both sides, guardrails included."""
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

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Each cause in full, with the number of decisions that it changed; the most frequent first."""
        told = (str(cause) for pair in self.pairs if pair.changes for cause in pair.causes)
        return Counter(told).most_common()

    def as_dict(self) -> dict[str, Any]:
        """The comparison as JSON has it."""
        return {
            "a": self.a.as_dict(),
            "b": self.b.as_dict(),
            "decisions": len(self.pairs),
            "only_in": list(self.only),
            "agreement": self.agreement.as_dict(),
            "decided_agreement": self.decided.as_dict(),
            "without_answer": self.answerless,
            "matrix": [{"a": a, "b": b, "count": count} for (a, b), count in sorted(self.matrix.items())],
            "confidence_shift": None if self.shift is None else self.shift.as_dict(),
            "moved": [moved._asdict() for moved in self.moved],
            "causes": self.blame,
            "flip_causes": self.flip_blame,
            "reasons": dict(self.reasons),
            "flips": [_flip(pair) for pair in self.flips],
        }


def recorded_cases(results: Sequence[Result]) -> dict[Place, Case]:
    """The records' own side of some results."""
    return {result.place: Case(result, (result.recorded,)) for result in results}


def replayed_cases(results: Sequence[Result]) -> dict[Place, Case]:
    """The replay's side of some results, repeats together; calls that got no answer are counted and no side."""
    sides: dict[Place, list[Result]] = {}
    for result in sorted(results, key=lambda one: one.repeat):
        sides.setdefault(result.place, []).append(result)
    return {place: _case(of) for place, of in sides.items()}


def _case(results: list[Result]) -> Case:
    answers = tuple(result.replayed for result in results if result.final)
    return Case(results[0], answers, len(results) - len(answers))


def compare_results(first: str, second: str) -> tuple[Comparison, dict[str, dict[str, Any]]]:
    """Two results files compared, either of which may be `recorded`; and what each asked for, by name.

    Raises ReplayError where a file cannot be read or has no results, or the two have no decision in common.
    """
    files = {name: read_results(Path(name)) for name in (first, second) if name != RECORDED}
    for name, file in files.items():
        if not file.results:
            raise ReplayError(f"{name} has no results.", "Give the replay that was to write it once more.")
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
    both = sorted(a.keys() & b.keys())
    places = [place for place in both if a[place].sides and b[place].sides]
    if not places and both:
        raise ReplayError(
            "No call got an answer, so there is nothing to compare.",
            "See that the endpoint answers; the same `llmctx replay` asks again.",
        )
    if not places:
        raise ReplayError("The two have no decision in common.", "Replay the same selection of the same trail.")
    pairs = [Pair(a[place].result, a[place].side, b[place].side) for place in places]
    usable = [pair for pair in pairs if pair.answered]
    decided = [(pair.a.decided, pair.b.decided) for pair in pairs if pair.a.decided and pair.b.decided]
    sure = [(confidence_of(pair.a), confidence_of(pair.b)) for pair in pairs]
    return Comparison(
        a=tally(names[0], [a[place] for place in both]),
        b=tally(names[1], [b[place] for place in both]),
        pairs=pairs,
        only=(len(a) - len(both), len(b) - len(both)),
        matrix=dict(Counter((action_of(pair.a), action_of(pair.b)) for pair in pairs)),
        answerless=sum(not pair.answered for pair in pairs),
        agreement=Share(sum(not pair.flipped for pair in usable), len(usable)),
        decided=Share(sum(before == later for before, later in decided), len(decided)),
        shift=mean([later - before for before, later in sure if before is not None and later is not None]),
        moved=[_moved(name, pairs) for name in AMOUNTS],
        blame=_blame([pair for pair in pairs if pair.changes]),
        flip_blame=_blame([pair for pair in pairs if pair.flipped]),
    )


def _blame(pairs: list[Pair]) -> dict[str, int]:
    return dict(Counter(by for pair in pairs for by in dict.fromkeys(cause.by for cause in pair.causes)).most_common())


def _moved(name: str, pairs: list[Pair]) -> Moved:
    both = [
        (Decimal(pair.a.verdict[name]), Decimal(pair.b.verdict[name]))
        for pair in pairs
        if not pair.flipped and pair.a.verdict.get(name) and pair.b.verdict.get(name)
    ]
    changed = [float((later - before) / before * 100) for before, later in both if later != before]
    return Moved(name, len(both), len(changed), quantile(changed, 0.5))


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
