"""Matching: whether an amount is what a claim states: its value to the last digit, its sign, and how it is told."""

from collections.abc import Iterable

from llmctx.decision.numbers.amount import Amount
from llmctx.decision.numbers.claim import Claim, Form, rounds_to
from llmctx.decision.numbers.topics import FOREIGN, SECTORS

_SIGNED = frozenset("macd signal histogram sentiment".split())
"""Topics whose readings run on both sides of zero: without a sign a number is positive."""
_FINE = 0.02
_COARSE = 0.04
_IN_PERCENT = SECTORS | FOREIGN
"""Topics whose percentages are told without a sign of it too."""


def match(claim: Claim, amounts: Iterable[Amount], *, derived: bool = False) -> Amount | None:
    """The first of these amounts that is what a claim states, rounded or cut to its last digit, with its sign."""
    said, step, room = claim.value, claim.step, claim.room
    cut = step <= (_FINE if derived else _COARSE) * said
    sign = claim.sign or (1 if claim.bound in _SIGNED and "negative" not in claim.topics else 0)
    for amount in amounts:
        value = amount[1]
        size = abs(value)
        if not -room <= size - said <= room:
            continue
        if not derived and not _is_told(claim, amount):
            continue
        if (not derived or amount.topics) and sign and value and (value < 0) != (sign < 0):
            continue
        if claim.near or (rounds_to(size, said, step) if cut else abs(size - said) <= step / 2 + 1e-9 * max(1.0, size)):
            return amount
    return None


def _is_told(claim: Claim, amount: Amount) -> bool:
    """Whether a fact may be told in the form of a claim."""
    match amount.form:
        case Form.PERCENT:
            return claim.form is Form.PERCENT or (
                claim.form is Form.PLAIN and bool(amount.topics & claim.topics & _IN_PERCENT)
            )
        case Form.COUNT:
            return claim.form is Form.PLAIN and (claim.step > 1 or claim.value.is_integer())
        case Form.MONEY:
            return claim.form is Form.MONEY or (
                claim.form is Form.PLAIN
                and bool(claim.fine or claim.near or claim.sign or not claim.whole or abs(amount.value) == claim.value)
            )
    return claim.form in (Form.PLAIN, Form.RATIO)
