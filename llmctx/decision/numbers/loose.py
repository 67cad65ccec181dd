"""Loose numbers: such as may as well be no claim, and are therefore never said to be unsupported."""

from collections.abc import Iterable, Iterator

from llmctx.decision.numbers import wording
from llmctx.decision.numbers.claim import Claim, Form, Loose
from llmctx.decision.numbers.passage import Item

_ROUND = frozenset({10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100})
_SMALL = 12
_YEARS = range(1950, 2051)
_ALL = 100
_PARTS = _ROUND | {33, 34, 66, 67}
_RETRACED = frozenset({23.6, 38.2, 50, 61.8, 78.6})
_SCORED = frozenset({"5", "10", "100"})
_PLANNED = frozenset({"least", "profile", "setup", "planned", "plan"})


def looseness(claim: Claim) -> Loose:
    """Whether a number is a claim at all."""
    items, i = claim.items, claim.i
    before, after = list(_beside(reversed(items[max(0, i - 6) : i]))), list(_beside(items[i + 1 : i + 5]))
    if _is_convention(items, i, claim) or _is_score(items, i, claim):
        return Loose.NO_CLAIM
    if not wording.CHANCES.isdisjoint((*before[:4], *after[:2])) and claim.form is not Form.MONEY:
        return Loose.NO_CLAIM
    if claim.form is not Form.MONEY and _is_rule(claim, before, after):
        oscillator = claim.value in _ROUND and {"rsi", "vix"} & claim.around
        return Loose.NO_CLAIM if oscillator else Loose.UNLESS_PRICE
    if "confidence" in claim.topics and not claim.around & {"signal", "entry", "exit", "thesis"}:
        return Loose.NO_CLAIM  # its own: the field of that name says it
    beyond = bool(wording.BEYOND.intersection(before[:3]))
    match claim.form:
        case Form.PERCENT:
            return _percent(claim, before, after)
        case Form.RATIO | Form.UNITS:
            limited = beyond or wording.LIMITS.intersection(before) or not _PLANNED.isdisjoint((*before, *after))
            return Loose.NO_CLAIM if claim.value == 1 or limited else Loose.CLAIM
        case Form.PLAIN if claim.whole:
            return _whole(items, i, claim, {*before[:5], *after[:3]}, beyond=beyond)
    return Loose.CLAIM


def _is_rule(claim: Claim, before: list[str], after: list[str]) -> bool:
    """Whether it is what a rule says; a verb (requires) makes one of a round number only."""
    if not wording.RULES.isdisjoint((*before[:4], *after[:2])):
        return True
    return claim.value in _ROUND and bool(wording.RULING.intersection(before[:4]))


def _beside(items: Iterable[Item]) -> Iterator[str]:
    """Words and marks next to it in its clause, the nearest first, as far as another number."""
    for item in items:
        if item.kind not in ("word", "mark"):
            return
        yield item.text


def _is_convention(items: list[Item], i: int, claim: Claim) -> bool:
    """Whether it is an end of a zone of an oscillator: two round numbers that make up a hundred, 30-70, 20 and 80."""
    if claim.form is not Form.PLAIN or claim.value not in _ROUND:
        return False
    other = str(_ALL - int(claim.value))
    for span in (reversed(items[max(0, i - 3) : i]), items[i + 1 : i + 4]):
        for item in span:
            if item.kind == "number":
                if item.match["number"] == other:
                    return True
                break
            if item.text not in wording.JOINS:
                break
    return False


def _is_score(items: list[Item], i: int, claim: Claim) -> bool:
    """Whether it is a score of its own: 7.5/10."""
    if claim.topics & {"breadth", "advancing", "declining", "wins", "losses"} or i + 2 >= len(items):
        return False
    mark, other = items[i + 1 : i + 3]
    return mark.text == "/" and other.kind == "number" and other.match[0] in _SCORED


def _percent(claim: Claim, before: list[str], after: list[str]) -> Loose:
    words = {*before[:5], *after[:3]}
    if claim.value in _RETRACED and words & wording.RETRACEMENTS:
        return Loose.NO_CLAIM
    part = claim.value in _PARTS and words & wording.PARTIAL
    habit = claim.value in _PARTS and wording.HABITS.intersection(before)
    limit = wording.LIMITS.intersection(before)
    return Loose.NO_CLAIM if claim.whole and (part or habit or limit or claim.value == _ALL) else Loose.CLAIM


def _whole(items: list[Item], i: int, claim: Claim, words: set[str], *, beyond: bool) -> Loose:
    if claim.value in _ROUND:
        if claim.bound in ("rsi", "vix") or {"rsi", "vix"} & claim.around:
            return Loose.NO_CLAIM if beyond or words & wording.ZONES else Loose.CLAIM
        if words & wording.EXTREMES:
            return Loose.NO_CLAIM
        if beyond:
            return Loose.UNLESS_PRICE
    if claim.bound == "quantity" and words & wording.TRADES and "half" not in claim.topics:
        return Loose.NO_CLAIM
    if claim.value <= _SMALL and not claim.sign and "half" not in claim.around:
        return Loose.CLAIM if claim.bound is not None or _counts(items[i + 1 : i + 3]) else Loose.NO_CLAIM
    year = claim.value in _YEARS and claim.bound is None and "," not in claim.text
    return Loose.UNLESS_PRICE if year else Loose.CLAIM


def _counts(after: list[Item]) -> bool:
    """Whether what follows is something that is counted."""
    if after and after[0].text in wording.ADJECTIVES:
        after = after[1:]
    return bool(after) and after[0].topic in wording.COUNTED
