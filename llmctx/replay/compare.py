"""Compare two sides of the same decisions: two replays, or a replay and the record.

Each decision counts once. If it was asked several times, the most frequent action counts (the first one of a tie). How
often a side agrees with itself over repeats shows how much of a difference is noise.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from llmctx.errors import ReplayError
from llmctx.replay.answer import ACTIONS
from llmctx.replay.corpus import Place
from llmctx.replay.limit_changes import LimitChange, limit_changes
from llmctx.replay.results import read_results
from llmctx.replay.sides import AnsweredDecision, Pair, Tally, recorded_decisions, replayed_decisions, tally
from llmctx.replay.stats import Mean, Share, mean, quantile

RECORDED = "recorded"
"""The name of the record's own side."""


class AmountChange(NamedTuple):
    """How an amount differs where both sides take the same action and state the amount."""

    name: str
    """quantity, stop_loss or take_profit."""
    both: int
    """Decisions in which both sides state it."""
    changed: int
    """Decisions in which it differs."""
    median_pct: float | None
    """The median change from a to b where it differs, in percent of a."""


class Cell(NamedTuple):
    """One cell of a flip matrix."""

    decisions: int
    """Number of decisions."""
    share: float
    """Share of the row, 0 to 1."""
    same_action: bool
    """Whether both sides take the same action."""


class FlipMatrix(NamedTuple):
    """A row for each action of the first side, a column for each action of the second."""

    actions: list[str]
    """The actions that occur, from the smallest resulting position to the largest."""
    rows: list[list[Cell]]
    """The cells."""


class Comparison(NamedTuple):
    """Two sides compared."""

    a: Tally
    """The first side."""
    b: Tally
    """The second side."""
    pairs: list[Pair]
    """Every decision that both sides answered."""
    only: tuple[int, int]
    """Decisions that only the first side has, and only the second."""
    matrix: dict[tuple[str, str], int]
    """Number of decisions by action of the first and of the second side."""
    answerless: int
    """Decisions without a usable answer on one side or both."""
    agreement: Share
    """Of the others, those on which both sides act the same, guardrails included."""
    decided: Share
    """Decisions on which both models decided the same, before guardrails, of those that both decided."""
    shift: Mean | None
    """Change of confidence from a to b, paired by decision."""
    moved: list[AmountChange]
    """Changes of quantities, stops and targets."""
    blame: dict[str, int]
    """Decisions in which prompt, answer or verdict differs, by cause: data, template, model, mandate, code."""
    flip_blame: dict[str, int]
    """The same for flips only."""
    limits: list[LimitChange]
    """What the limits of the mandates changed, rule by rule."""

    @property
    def flips(self) -> list[Pair]:
        """The decisions that flipped, by value at stake and then by confidence of the second side, highest first."""
        flipped = [pair for pair in self.pairs if pair.flipped]
        return sorted(flipped, key=lambda pair: (-pair.at_stake, -(pair.b.confidence or 0), pair.result.place))

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Each cause in full with its number of decisions, the most frequent first."""
        return Counter(str(cause) for pair in self.pairs if pair.changes for cause in pair.causes).most_common()

    @property
    def flip_matrix(self) -> FlipMatrix:
        """The matrix with all its cells."""
        actions = in_order(action for both in self.matrix for action in both)
        rows = []
        for before in actions:
            counts = [self.matrix.get((before, after), 0) for after in actions]
            total = sum(counts) or 1
            rows.append(
                [
                    Cell(count, share=count / total, same_action=before == after)
                    for after, count in zip(actions, counts, strict=True)
                ]
            )
        return FlipMatrix(actions, rows)

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {
            "a": self.a.as_dict(),
            "b": self.b.as_dict(),
            "decisions": len(self.pairs),
            "only_in": list(self.only),
            "agreement": self.agreement.as_dict(),
            "decided_agreement": self.decided.as_dict(),
            "without_answer": self.answerless,
            "matrix": [{"a": a, "b": b, "count": count} for (a, b), count in sorted(self.matrix.items())],
            "confidence_shift": None if self.shift is None else self.shift._asdict(),
            "moved": [moved._asdict() for moved in self.moved],
            "causes": self.blame,
            "flip_causes": self.flip_blame,
            "reasons": dict(self.reasons),
            "limits": [limit._asdict() for limit in self.limits],
            "flips": [_flip_fields(pair) for pair in self.flips],
        }


def in_order(actions: Iterable[str]) -> list[str]:
    """Return the distinct actions, from the smallest resulting position to the largest, unknown ones last."""
    found = set(actions)
    return [action for action in ACTIONS if action in found] + sorted(found - set(ACTIONS))


def compare_results(first: str, second: str) -> tuple[Comparison, dict[str, dict[str, Any]]]:
    """Compare two results files, one of which may be `recorded`; also return the question of each file by its label.

    Raises ReplayError if a file cannot be read or has no results, or the two have no decision in common.
    """
    files = {name: read_results(Path(name)) for name in (first, second) if name != RECORDED}
    for name, file in files.items():
        if not file.results:
            raise ReplayError(f"{name} has no results.", "Run the replay that writes it again.")

    def side(name: str, other: str) -> dict[Place, AnsweredDecision]:
        if name == RECORDED:
            return recorded_decisions(files[other].results)
        return replayed_decisions(files[name].results)

    short = Path(first).name, Path(second).name  # without folders if that tells them apart
    labels = short if short[0] != short[1] else (first, second)
    questions = {
        label: files[name].question for label, name in zip(labels, (first, second), strict=True) if name in files
    }
    return compare(labels, side(first, second), side(second, first)), questions


def compare(names: tuple[str, str], a: dict[Place, AnsweredDecision], b: dict[Place, AnsweredDecision]) -> Comparison:
    """Compare the decisions that both sides have.

    Raises ReplayError if there are none.
    """
    both = sorted(a.keys() & b.keys())
    pairs = [
        Pair(a[place].result, a[place].majority, b[place].majority)
        for place in both
        if a[place].answers and b[place].answers
    ]
    if not pairs and both:
        raise ReplayError(
            "No call got an answer, so there is nothing to compare.",
            "Check the endpoint, then run the same `llmctx replay` again.",
        )
    if not pairs:
        raise ReplayError("The two have no decision in common.", "Replay the same selection of the same trail.")
    confidences = [(pair.a.confidence, pair.b.confidence) for pair in pairs]
    return Comparison(
        a=tally(names[0], [a[place] for place in both]),
        b=tally(names[1], [b[place] for place in both]),
        pairs=pairs,
        only=(len(a) - len(both), len(b) - len(both)),
        matrix=dict(Counter((pair.a.label, pair.b.label) for pair in pairs)),
        answerless=len([pair for pair in pairs if not pair.answered]),
        agreement=Share.where(not pair.flipped for pair in pairs if pair.answered),
        decided=Share.where(pair.a.decided == pair.b.decided for pair in pairs if pair.a.decided and pair.b.decided),
        shift=mean([after - before for before, after in confidences if before is not None and after is not None]),
        moved=[_amount_change(name, pairs) for name in ("quantity", "stop_loss", "take_profit")],
        blame=_blame(pair for pair in pairs if pair.changes),
        flip_blame=_blame(pair for pair in pairs if pair.flipped),
        limits=limit_changes((pair.a.verdict, pair.b.verdict) for pair in pairs),
    )


def _blame(pairs: Iterable[Pair]) -> dict[str, int]:
    return dict(Counter(by for pair in pairs for by in {cause.by: None for cause in pair.causes}).most_common())


def _amount_change(name: str, pairs: Sequence[Pair]) -> AmountChange:
    both = [
        (Decimal(pair.a.verdict[name]), Decimal(pair.b.verdict[name]))
        for pair in pairs
        if not pair.flipped and pair.a.verdict.get(name) and pair.b.verdict.get(name)
    ]
    changed = [float((after - before) / before * 100) for before, after in both if after != before]
    return AmountChange(name, both=len(both), changed=len(changed), median_pct=quantile(changed, 0.5))


def _flip_fields(pair: Pair) -> dict[str, Any]:
    result = pair.result
    sides = {
        name: {"action": answer.label, "confidence": answer.confidence, "verdict": answer.verdict}
        for name, answer in (("a", pair.a), ("b", pair.b))
    }
    return {
        **vars(result.place),
        "symbol": result.symbol,
        "as_of_ms": result.as_of_ms,
        "at_stake": pair.at_stake,
        **sides,
        "causes": [str(cause) for cause in pair.causes],
    }
