"""The measures of a comparison: shares and means with an interval, quantiles; a small sample shows in its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

_Z = 1.959963984540054
"""The normal quantile of a two-sided 95% interval."""


@dataclass(frozen=True)
class Share:
    """A share of a whole, with the interval in which the true one lies in 95 of 100 samples."""

    count: int
    """How many."""
    of: int
    """Of how many."""

    @property
    def value(self) -> float | None:
        """The share; None of nothing."""
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The Wilson score interval at 95% (E. B. Wilson, 1927): good for small samples and shares near 0 and 1."""
        if not self.of:
            return None
        n, p, z2 = self.of, self.count / self.of, _Z * _Z
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        reach = _Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        return max(0.0, middle - reach), min(1.0, middle + reach)

    def as_dict(self) -> dict[str, object]:
        """The share as JSON has it."""
        return {"count": self.count, "of": self.of, "share": self.value, "wilson_95": self.interval}

    def __str__(self) -> str:
        if self.value is None or self.interval is None:
            return "none to count"
        low, high = self.interval
        return f"{self.count} of {self.of}, {self.value:.0%} (95%: {low:.0%} to {high:.0%})"


class Mean(NamedTuple):
    """A mean with its 95% interval (normal, from the sample's own spread)."""

    value: float
    """The mean."""
    reach: float | None
    """Half of the interval's width; None for fewer than two values."""
    of: int
    """How many values."""

    def as_dict(self) -> dict[str, object]:
        """The mean as JSON has it."""
        return self._asdict()


def mean(values: Sequence[float]) -> Mean | None:
    """The mean of some values, None of none."""
    n = len(values)
    if n == 0:
        return None
    middle = math.fsum(values) / n
    if n == 1:
        return Mean(middle, None, 1)
    spread = math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (n - 1))
    return Mean(middle, _Z * spread / math.sqrt(n), n)


def quantile(values: Sequence[float], share: float) -> float | None:
    """The value below which a share of them lies, None of none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1 if share else 0)]


def agreement_within(groups: Sequence[Sequence[str]]) -> Share:
    """How often two answers to the same question agree: every pair within every group."""
    pairs = [one == other for group in groups for one, other in combinations(group, 2)]
    return Share(sum(pairs), len(pairs))
