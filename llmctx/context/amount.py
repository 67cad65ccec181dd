"""The value of a formula with its unit, as far as the rules for percentages and prices need it."""

from decimal import Decimal
from typing import NamedTuple

RATIO, PERCENT, PRICE, OPEN, LITERAL = "ratio", "%", "price", "open", "literal"

_DIFFERENCE = "price difference"
_HUNDRED_TIMES = "100 * "
"""The prefix of a unit after multiplication by 100; such a value divided by its like is a percentage."""


class Amount(NamedTuple):
    """The value of a formula."""

    value: Decimal
    """Its value, finite."""
    unit: str | None
    """The fact's unit, None if it has none; for a formula ratio, price, %, or open if its unit is not tracked."""


def unit_of(op: str, left: Amount, right: Amount) -> str | None:
    """The unit of a result: open if the rules for percentages and prices do not need it."""
    one, two = left.unit, right.unit
    if LITERAL in (one, two):
        other, hundred = (one, right.value == 100) if two == LITERAL else (two, left.value == 100)  # noqa: PLR2004
        if hundred and (op, other) in (("*", RATIO), ("/", PERCENT)):
            return PERCENT if op == "*" else RATIO
        if hundred and op == "*" and other not in (None, OPEN, PERCENT):
            return f"{_HUNDRED_TIMES}{other}"
        return other if op != "/" or two == LITERAL or other == RATIO else OPEN
    if op in "+-":
        return one if one == two else PRICE if {one, two} == {PRICE, _DIFFERENCE} else OPEN
    if RATIO in (one, two):
        return two if one == RATIO and op == "*" else one if two == RATIO else OPEN
    if op == "/" and one is not None:
        like = one.removeprefix(_HUNDRED_TIMES)
        if like == two or {like, two} == {PRICE, _DIFFERENCE}:
            return RATIO if like == one else PERCENT
    return OPEN


def plain_unit(amount: Amount) -> Amount:
    """The amount of a whole formula, whose unit shows no multiplication."""
    return amount if amount.unit is None else amount._replace(unit=amount.unit.removeprefix(_HUNDRED_TIMES))
