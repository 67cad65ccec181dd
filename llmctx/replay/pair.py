"""One decision on two sides: what each would do, and how much is at stake where they differ."""

from collections import Counter
from decimal import Decimal
from typing import NamedTuple

from llmctx.replay.cause import Cause, causes, changes
from llmctx.replay.results import Result
from llmctx.replay.side import Side

NO_ANSWER = "no answer"
ACTIONS = ("exit", "reduce", "hold", "adjust_stops", "add", NO_ANSWER, "not asked")
"""The rows and columns of a flip matrix, from the least of a position to the most."""
_STOPS_MOVED = Decimal("0.05")


class Case(NamedTuple):
    """One decision with its answers on one side."""

    result: Result
    """What it is about."""
    sides: tuple[Side, ...]
    """The answers, one a repeat."""
    unanswered: int = 0
    """Calls beside them that got no answer; asked again they may."""

    @property
    def side(self) -> Side:
        """The answer that stands for the others: the first one with the action that came most often."""
        counted = Counter(action_of(side) for side in self.sides)
        most = counted.most_common(1)[0][1]
        return next(side for side in self.sides if counted[action_of(side)] == most)


class Pair(NamedTuple):
    """One decision on both sides."""

    result: Result
    """What it is about."""
    a: Side
    """The first side."""
    b: Side
    """The second side."""

    @property
    def flipped(self) -> bool:
        """Whether something else would be done."""
        return flips(self.a, self.b)

    @property
    def answered(self) -> bool:
        """Whether both sides have a usable answer, or were not asked."""
        return NO_ANSWER not in (action_of(self.a), action_of(self.b))

    @property
    def changes(self) -> list[str]:
        """What came out differently."""
        return changes(self.a, self.b)

    @property
    def causes(self) -> list[Cause]:
        """Why."""
        return causes(self.a, self.b)

    @property
    def at_stake(self) -> Decimal:
        """How much of the position's worth the two sides treat otherwise, in account currency."""
        held, price = Decimal(self.result.held), Decimal(self.result.price)
        return abs(_exposure(self.a, held) - _exposure(self.b, held)) * held * price


def action_of(side: Side) -> str:
    """A side's row or column of the matrix: its verdict's action, or that it has no answer or was not asked."""
    return {"failed": NO_ANSWER, "skipped": "not asked"}.get(side.kind, side.action)


def done_of(side: Side) -> str:
    """What would be done after a side: its verdict's action.

    Without an answer that is a hold, or an exit where the stop is breached. Where nobody was asked nothing is done,
    which leaves the position as a hold does.
    """
    return "hold" if side.action == "none" else side.action


def flips(a: Side, b: Side) -> bool:
    """Whether something else would be done after one side than after the other."""
    return done_of(a) != done_of(b)


def confidence_of(side: Side) -> float | None:
    """How sure the model was."""
    return None if side.decision is None else float(side.decision["confidence"])


def _exposure(side: Side, held: Decimal) -> Decimal:
    """What becomes of the position: -1 all of it is closed, 0 it stays, 1 it is doubled."""
    quantity = Decimal(side.verdict.get("quantity") or 0)
    share = min(Decimal(1), quantity / held) if held else Decimal(0)
    match done_of(side):
        case "exit":
            return Decimal(-1)
        case "reduce":
            return -share
        case "add":
            return share
        case "adjust_stops":
            return _STOPS_MOVED
        case _:
            return Decimal(0)
