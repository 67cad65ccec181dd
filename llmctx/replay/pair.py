"""The sides of a comparison: each decision with its answers, and pairs of answers to the same decision."""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from llmctx.replay.answer import NO_ANSWER, Answer
from llmctx.replay.cause import Cause, causes, changes
from llmctx.replay.corpus import Place
from llmctx.replay.results import Result


class AnsweredDecision(NamedTuple):
    """One decision with all its answers on one side of a comparison."""

    result: Result
    """The decision; its answers are those of the first repeat."""
    answers: tuple[Answer, ...]
    """The answers, one for each repeat."""
    unanswered: int = 0
    """Further calls that got no answer."""

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
    return {place: _answered(group) for place, group in groups.items()}


def _answered(repeats: Sequence[Result]) -> AnsweredDecision:
    answers = tuple(result.replayed for result in repeats if result.final)
    return AnsweredDecision(repeats[0], answers, unanswered=len(repeats) - len(answers))


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
