"""Whether confidence means what it says: a reliability table and the Brier score.

Of decisions made with a confidence of 0.7, seven in ten should turn out right.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from llmctx.replay.measure import Share

_BINS = 10


class Bin(NamedTuple):
    """Decisions of about one confidence."""

    low: float
    """From this confidence on."""
    high: float
    """Up to this one."""
    confidence: float
    """Their mean confidence."""
    right: Share
    """How many turned out right."""


class Calibration(NamedTuple):
    """How confidence and outcome go together."""

    decisions: int
    """Decisions that turned out right or wrong; what came to the same either way is not counted."""
    base: Share
    """How many turned out right."""
    brier: float | None
    """Mean squared difference of confidence and outcome: 0 is perfect, 0.25 a coin that is sure of nothing."""
    brier_base: float | None
    """The same for someone who always says the share that turned out right: what confidence must beat."""
    bins: list[Bin]
    """The reliability table, empty bins left out."""

    def as_dict(self) -> dict[str, Any]:
        """The calibration as JSON has it."""
        return {
            "decisions": self.decisions,
            "right": self.base.as_dict(),
            "brier": self.brier,
            "brier_of_base_rate": self.brier_base,
            "reliability": [found._asdict() | {"right": found.right.as_dict()} for found in self.bins],
        }


def calibrate(judged: Iterable[tuple[float, bool]]) -> Calibration:
    """The calibration of confidences (0 to 1), each with whether it turned out right."""
    found = list(judged)
    count, right = len(found), sum(good for _, good in found)
    if not count:
        return Calibration(0, Share(0, 0), None, None, [])
    base = right / count
    brier = sum((sure - good) ** 2 for sure, good in found) / count
    return Calibration(count, Share(right, count), brier, base * (1 - base), _bins(found))


def _bins(found: list[tuple[float, bool]]) -> list[Bin]:
    table: dict[int, list[tuple[float, bool]]] = {}
    for sure, good in found:
        table.setdefault(min(_BINS - 1, int(sure * _BINS + 1e-9)), []).append((sure, good))
    return [
        Bin(
            number / _BINS,
            (number + 1) / _BINS,
            sum(sure for sure, _ in of) / len(of),
            Share(sum(good for _, good in of), len(of)),
        )
        for number, of in sorted(table.items())
    ]
