"""An amount: a number that supports claims, where it comes from and what it is about."""

import re
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from llmctx.context.facts import Fact
from llmctx.decision.numbers.claim import Form

PERCENT_TEXT = re.compile(r"([+-]?\d+(?:\.\d+)?)%\Z")
"""A text of the facts that is a percentage."""
_PARTS_OF_ONE = frozenset({"0 to 1", "-1 to 1"})
_UNITS: dict[str | None, Form] = {
    "%": Form.PERCENT,
    **dict.fromkeys(("price", "price difference", "account currency"), Form.MONEY),
    **dict.fromkeys(("shares", "positions", "symbols", "headlines", "trades", "minutes"), Form.COUNT),
}
"""How numbers of a unit are told."""


class Amount(NamedTuple):
    """A number that supports claims."""

    source: str
    """The path of a fact, or how it follows from facts."""
    value: float
    """Its value."""
    form: Form | None
    """How claims of it are told; None where it has no unit."""
    topics: frozenset[str]
    """What it is about."""


amount_of = partial(tuple.__new__, Amount)
"""As Amount(...), in a third of the time: one is made of each fact that a claim may mean."""


def amounts_of(fact: Fact, topics: frozenset[str]) -> tuple[Amount, ...]:
    """The amounts of one fact: none, one, or a part of one as a percentage too."""
    path, value, unit = fact
    if type(value) is Decimal or type(value) is int:
        number = float(value)
        amount: Amount = amount_of((path, number, _UNITS.get(unit), topics))
        if unit in _PARTS_OF_ONE or (unit is None and 0 < abs(number) <= 1):
            return amount, amount_of((path, number * 100, Form.PERCENT, topics))
        return (amount,)
    if type(value) is str and value[-1:] == "%" and (percent := PERCENT_TEXT.match(value)):
        return (Amount(path, float(percent[1]), Form.PERCENT, topics),)
    return ()
