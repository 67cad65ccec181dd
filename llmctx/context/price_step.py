"""The step from one price to the next: which rule it breaks, if it is too large to be believed at once. Pure.

Prices are compared by their factor, the larger divided by the smaller, so that a fall to half and a rise to double are
equally large.
"""

from decimal import Decimal
from math import sqrt

UNIT_OR_SPLIT, BAD_PRINT, JUMP = "unit_or_split", "bad_print", "jump"

USUAL = 1.25
"""A step up to this factor is always believed."""
SESSION_MS = 4 * 3600 * 1000
"""Within this time the usual factor applies; after that the part above 1 grows with the square root of the time."""
SMALLEST_RATIO, LARGEST_RATIO = 2, 100
"""Splits and units are 3:2 and the whole numbers in this range."""
TOLERANCE = 0.03
"""How far a factor may be from such a ratio."""
COMPARABLE_MS = 10 * 24 * 3600 * 1000
"""After a longer time a price may have doubled by itself, so its factor no longer indicates a split."""
BAD_PRINT_FACTOR = 4
"""A larger factor that is no such ratio is a bad print: a fall by more than three quarters, or a rise above 4 times."""
PERSONAL = (UNIT_OR_SPLIT, BAD_PRINT)
"""The rules that more prices in the same wrong unit do not disprove."""

_MAX_FROM_BANDS = 0.6


def factor_of(one: Decimal, other: Decimal) -> float:
    """The larger of two positive prices divided by the smaller."""
    a, b = float(one), float(other)
    return a / b if a >= b else b / a


def ratio_of(factor: float) -> str | None:
    """The split or unit that explains a factor: 3:2 or N:1; None if none does."""
    if abs(factor / 1.5 - 1) <= TOLERANCE:
        return "3:2"
    nearest = round(factor)
    if SMALLEST_RATIO <= nearest <= LARGEST_RATIO and abs(factor / nearest - 1) <= TOLERANCE:
        return f"{nearest}:1"
    return None


def believed_factor(elapsed_ms: int, before: Decimal, band_width: Decimal | None) -> float:
    """The largest factor that is believed after this time; wide Bollinger bands allow more, up to 1.6."""
    by_time = (USUAL - 1) * sqrt(max(1.0, elapsed_ms / SESSION_MS))
    by_bands = 0.0 if band_width is None else min(2 * float(band_width) / float(before), _MAX_FROM_BANDS)
    return 1 + max(by_time, by_bands)


def broken_rule(before: Decimal, now: Decimal, elapsed_ms: int, band_width: Decimal | None) -> str | None:
    """The rule that a step breaks: unit_or_split, bad_print or jump; None if it is believed."""
    factor = factor_of(before, now)
    if factor <= USUAL:
        return None
    if elapsed_ms <= COMPARABLE_MS and ratio_of(factor) is not None:
        return UNIT_OR_SPLIT
    if factor <= believed_factor(elapsed_ms, before, band_width):
        return None
    return BAD_PRINT if factor > BAD_PRINT_FACTOR else JUMP


def explain(rule: str, now: Decimal, before: Decimal, where: str) -> str:
    """Why a step breaks a rule; `where` says what `before` is."""
    text, factor = f"price.price.last {now} is {float(now / before) - 1:+.1%} from {where}", factor_of(before, now)
    match rule:
        case "unit_or_split" if (ratio := ratio_of(factor)) is not None:
            return f"{text}, within 3% of a ratio of {ratio}: a split or another unit"
        case "unit_or_split":
            return f"{text}, a step that began as a split or another unit"
        case "bad_print":
            return f"{text}, a factor above {BAD_PRINT_FACTOR}"
        case _:
            return f"{text}, more than is believed in that time"
