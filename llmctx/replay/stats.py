"""The statistics of replays: shares and means with intervals, calibration of confidence, the equity curve of a book.

Small samples show in wide intervals.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import Any, NamedTuple

_Z = 1.959963984540054
"""The normal quantile of a two-sided 95% interval."""
_CONFIDENCE_BINS = 10
_ZERO = Decimal(0)


@dataclass(frozen=True)
class Share:
    """A share of a sample, with its 95% interval."""

    count: int
    """How many."""
    of: int
    """The size of the sample."""

    @classmethod
    def where(cls, flags: Iterable[bool]) -> "Share":
        """Return the share of flags that are true."""
        found = list(flags)
        return cls(found.count(True), len(found))

    @property
    def value(self) -> float | None:
        """The share, 0 to 1; None for an empty sample."""
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The Wilson score interval at 95% (E. B. Wilson, 1927): sound for small samples and shares near 0 and 1."""
        if not self.of:
            return None
        n, p, z2 = self.of, self.count / self.of, _Z * _Z
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        reach = _Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        return max(0.0, middle - reach), min(1.0, middle + reach)

    def as_dict(self) -> dict[str, object]:
        """Return the share as JSON values."""
        return {"count": self.count, "of": self.of, "share": self.value, "wilson_95": self.interval}

    def __str__(self) -> str:
        if self.value is None or self.interval is None:
            return "none to count"
        low, high = self.interval
        return f"{self.count} of {self.of}, {self.value:.0%} (95%: {low:.0%} to {high:.0%})"


class Mean(NamedTuple):
    """A mean with its normal 95% interval, estimated from the sample's spread."""

    value: float
    """The mean."""
    reach: float | None
    """Half the width of the interval; None for fewer than two values."""
    of: int
    """The size of the sample."""


def mean(values: Sequence[float]) -> Mean | None:
    """Return the mean, None for an empty sample."""
    n = len(values)
    if n == 0:
        return None
    middle = math.fsum(values) / n
    if n == 1:
        return Mean(middle, None, 1)
    spread = math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (n - 1))
    return Mean(middle, _Z * spread / math.sqrt(n), n)


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that a given share of the values does not exceed, None for an empty sample."""
    if not values:
        return None
    rank = max(1, math.ceil(share * len(values)))
    return sorted(values)[rank - 1]


def agreement_within(groups: Iterable[Sequence[str]]) -> Share:
    """Return how often two answers to one question agree, over every pair within every group."""
    return Share.where(one == other for group in groups for one, other in combinations(group, 2))


class ConfidenceBin(NamedTuple):
    """Decisions of about the same confidence."""

    low: float
    """The lower bound, included."""
    high: float
    """The upper bound."""
    confidence: float
    """Their mean confidence."""
    right: Share
    """How many were right."""


class Calibration(NamedTuple):
    """How well confidence predicts being right: of decisions at 0.7, seven in ten should be."""

    decisions: int
    """Decisions that were right or wrong; ties are left out."""
    base: Share
    """How many were right."""
    brier: float | None
    """The Brier score, the mean squared error of confidence: 0 is perfect, 0.25 is always saying 0.5."""
    brier_base: float | None
    """The Brier score of always saying the base rate: what confidence has to beat."""
    bins: list[ConfidenceBin]
    """The reliability table, without empty bins."""

    def as_dict(self) -> dict[str, Any]:
        """Return the calibration as JSON values."""
        return {
            "decisions": self.decisions,
            "right": self.base.as_dict(),
            "brier": self.brier,
            "brier_of_base_rate": self.brier_base,
            "reliability": [found._asdict() | {"right": found.right.as_dict()} for found in self.bins],
        }


def calibrate(judged: Iterable[tuple[float, bool]]) -> Calibration:
    """Return the calibration of confidences (0 to 1), each with whether the decision was right."""
    found = list(judged)
    base = Share.where(right for _, right in found)
    if base.value is None:
        return Calibration(decisions=0, base=base, brier=None, brier_base=None, bins=[])
    brier = math.fsum((confidence - (1 if right else 0)) ** 2 for confidence, right in found) / len(found)
    return Calibration(
        decisions=len(found), base=base, brier=brier, brier_base=base.value * (1 - base.value), bins=_bins(found)
    )


def _bins(judged: list[tuple[float, bool]]) -> list[ConfidenceBin]:
    table: dict[int, list[tuple[float, bool]]] = {}
    for confidence, right in judged:
        number = min(_CONFIDENCE_BINS - 1, int(confidence * _CONFIDENCE_BINS + 1e-9))
        table.setdefault(number, []).append((confidence, right))
    return [
        ConfidenceBin(
            low=number / _CONFIDENCE_BINS,
            high=(number + 1) / _CONFIDENCE_BINS,
            confidence=sum(confidence for confidence, _ in members) / len(members),
            right=Share.where(right for _, right in members),
        )
        for number, members in sorted(table.items())
    ]


class EquityPoint(NamedTuple):
    """A book at one time."""

    at_ms: int
    """When, in milliseconds."""
    equity: Decimal
    """Capital, realized profit and unrealized profit."""
    exposure: Decimal
    """The market value of open positions."""


class EquityCurve:
    """The equity and exposure of a book over time."""

    def __init__(self) -> None:
        self.points: list[EquityPoint] = []
        """One point for each time, in order."""

    def mark(self, at_ms: int, equity: Decimal, exposure: Decimal) -> None:
        """Add a point; a second one at the same time replaces the first. Times must not go back."""
        if self.points and self.points[-1].at_ms == at_ms:
            self.points.pop()
        self.points.append(EquityPoint(at_ms, equity, exposure))

    @property
    def drawdown(self) -> tuple[Decimal, Decimal]:
        """The maximum drawdown: in account currency, and as a share of the peak before it."""
        peak, deepest, share = _ZERO, _ZERO, _ZERO
        for point in self.points:
            peak = max(peak, point.equity)
            if (fall := peak - point.equity) > deepest:
                deepest, share = fall, fall / peak
        return deepest, share

    @property
    def exposure(self) -> tuple[Decimal, Decimal]:
        """Exposure as a share of equity: the mean over all points, and the maximum."""
        shares = [point.exposure / point.equity for point in self.points if point.equity > 0]
        if not shares:
            return _ZERO, _ZERO
        return sum(shares, _ZERO) / len(shares), max(shares)
