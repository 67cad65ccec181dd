"""Loose numbers: such as may as well be no claim, and are therefore never said to be unsupported."""

from collections.abc import Iterable
from itertools import takewhile

from llmctx.decision.numbers import wording
from llmctx.decision.numbers.claim import Claim, Form, Loose
from llmctx.decision.numbers.passage import Item

_ROUND = frozenset({10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100})
_SMALL = 12
_YEARS = range(1950, 2051)
_ALL = 100
_PARTS = _ROUND | {33, 34, 66, 67}
_PLANNED = frozenset({"least", "profile", "setup", "planned", "plan"})
_LIMITS = frozenset({"within", "least", "most", "than"})


def looseness(claim: Claim) -> Loose:
    """Whether a number is a claim at all."""
    items, i = claim.items, claim.i
    before = _beside(reversed(items[max(0, i - 5) : i]))
    words = {*before, *_beside(items[i + 1 : i + 4])}
    beyond = bool(set(before[:3]) & wording.BEYOND)
    if words & wording.RULES and claim.form is not Form.MONEY:
        return Loose.UNLESS_PRICE
    if "confidence" in claim.topics and not claim.around & {"signal", "entry"}:
        return Loose.NO_CLAIM  # its own: the field of that name says it
    match claim.form:
        case Form.PERCENT:
            return _percent(claim, words)
        case Form.RATIO:
            return Loose.NO_CLAIM if claim.value == 1 or beyond or words & _PLANNED else Loose.CLAIM
        case Form.PLAIN if claim.whole:
            return _whole(items, i, claim, words, beyond=beyond)
    return Loose.CLAIM


def _beside(items: Iterable[Item]) -> list[str]:
    """Words and marks next to it in its sentence, the nearest first."""
    inside = takewhile(lambda item: item.kind != "break", items)
    return [item.text for item in inside if item.kind in ("word", "mark")]


def _percent(claim: Claim, words: set[str]) -> Loose:
    part = claim.value in _PARTS and words & wording.PARTIAL
    told = claim.whole and (part or words & _LIMITS or claim.value == _ALL)
    return Loose.NO_CLAIM if told else Loose.CLAIM


def _whole(items: list[Item], i: int, claim: Claim, words: set[str], *, beyond: bool) -> Loose:
    if claim.value in _ROUND:
        if claim.bound in ("rsi", "vix") or {"rsi", "vix"} & claim.around:
            return Loose.NO_CLAIM if beyond or words & wording.ZONES else Loose.CLAIM
        if words & wording.EXTREMES:
            return Loose.NO_CLAIM
        if beyond:
            return Loose.UNLESS_PRICE
    if claim.bound == "quantity" and words & wording.PARTIAL:
        return Loose.NO_CLAIM
    if claim.value <= _SMALL:
        return Loose.CLAIM if claim.bound is not None or _counts(items[i + 1 : i + 3]) else Loose.NO_CLAIM
    year = claim.value in _YEARS and claim.bound is None and "," not in claim.text
    return Loose.UNLESS_PRICE if year else Loose.CLAIM


def _counts(after: list[Item]) -> bool:
    """Whether what follows is something that is counted."""
    if after and after[0].text in wording.ADJECTIVES:
        after = after[1:]
    return bool(after) and after[0].topic in wording.COUNTED
