"""The charts of a comparison, as places on a plane: the page draws them as SVG."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from llmctx.replay.pair import ACTIONS, Pair, action_of, confidence_of

_NEAR = 0.0125


class Dot(NamedTuple):
    """One decision on the chart of confidence; shares of the chart's width and height, from the lower left."""

    x: float
    """How sure the first side was."""
    y: float
    """How sure the second side was."""
    decisions: int
    """Decisions in this place."""
    flipped: int
    """Of those, flipped."""
    says: str
    """What a reader is told who points at it."""


class Bar(NamedTuple):
    """How often one action is taken."""

    action: str
    """Which."""
    a: int
    """On the first side."""
    b: int
    """On the second side."""


class Cell(NamedTuple):
    """One cell of the flip matrix."""

    decisions: int
    """How many."""
    share: float
    """Share of the row's."""
    stays: bool
    """Whether the action is the same on both sides."""


class Matrix(NamedTuple):
    """The flip matrix: a row an action of the first side, a column an action of the second one."""

    actions: list[str]
    """Those that occur, from the least of a position to the most."""
    rows: list[list[Cell]]
    """The cells."""


def confidence_dots(pairs: Sequence[Pair]) -> list[Dot]:
    """Decisions by how sure both sides were, near ones as one dot."""
    found: dict[tuple[int, int], list[Pair]] = {}
    for pair in pairs:
        before, later = confidence_of(pair.a), confidence_of(pair.b)
        if before is not None and later is not None:
            found.setdefault((round(before / _NEAR), round(later / _NEAR)), []).append(pair)
    return [
        Dot(x * _NEAR, y * _NEAR, len(at), sum(pair.flipped for pair in at), _says(x * _NEAR, y * _NEAR, at))
        for (x, y), at in sorted(found.items())
    ]


def _says(x: float, y: float, at: list[Pair]) -> str:
    flips = sum(pair.flipped for pair in at)
    return f"{len(at)} decision{'s' if len(at) > 1 else ''}, {flips} flipped: confidence {x:.2f} and {y:.2f}"


def action_bars(pairs: Sequence[Pair]) -> list[Bar]:
    """How often each action is taken on both sides."""
    a, b = Counter(action_of(pair.a) for pair in pairs), Counter(action_of(pair.b) for pair in pairs)
    return [Bar(action, a[action], b[action]) for action in _ordered({*a, *b})]


def matrix(counts: dict[tuple[str, str], int]) -> Matrix:
    """The flip matrix."""
    actions = _ordered({action for both in counts for action in both})
    rows = []
    for before in actions:
        total = sum(counts.get((before, later), 0) for later in actions) or 1
        cells = [counts.get((before, later), 0) for later in actions]
        rows.append([Cell(count, count / total, before == later) for count, later in zip(cells, actions, strict=True)])
    return Matrix(actions, rows)


def _ordered(actions: set[str]) -> list[str]:
    known = [action for action in ACTIONS if action in actions]
    return known + sorted(actions - set(known))
