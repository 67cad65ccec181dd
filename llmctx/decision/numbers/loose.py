"""Loose numbers: such as may as well be no claim, and are therefore never said to be unsupported.

What somebody sets himself (a threshold, a habit, a rule, an estimate) is told with one or two digits; what is read off
the market, or worked out, has more, or is said directly of something. So most of these rules are for short numbers.
"""

from collections.abc import Iterable, Iterator

from llmctx.decision.numbers import wording
from llmctx.decision.numbers.claim import Claim, Form, Loose
from llmctx.decision.numbers.own import ALL, ROUND, SHARED, SMALL, is_own
from llmctx.decision.numbers.passage import Item
from llmctx.decision.numbers.topics import LEVELS

_PERIOD = 14
_YEARS = range(1950, 2051)
_PARTS = ROUND | {33, 34, 66, 67}
_RETRACED = frozenset({23.6, 38.2, 50, 61.8, 78.6})
_UNSETTABLE = frozenset({Form.MONEY, Form.TIME})
_COUNTING = frozenset({"record", "breadth", "advancing", "declining"})
_PRICED = LEVELS | {"last", "pnl", "daily", "worth", "risk", "reward"}
"""Topics of which a bare number is a price, or money."""
_STEPS = frozenset({Form.PERCENT, Form.RATIO, Form.UNITS})
_PLANNED = frozenset({"least", "profile", "setup", "planned", "plan"})


def looseness(claim: Claim) -> Loose:
    """Whether a number is a claim at all."""
    items, i = claim.items, claim.i
    before, after = list(_beside(reversed(items[max(0, i - 6) : i]))), list(_beside(items[i + 1 : i + 5]))
    if is_own(claim, {*before[:4], *after[:2]}):
        return Loose.NO_CLAIM
    if claim.form not in _UNSETTABLE and _is_set(claim, before, after):
        told = claim.form is not Form.PLAIN or claim.value <= 1 or not claim.topics & _PRICED
        told = told or bool({"rsi", "vix"} & claim.around)
        return Loose.NO_CLAIM if told else Loose.UNLESS_PRICE
    match claim.form:
        case Form.PERCENT:
            return _percent(claim, before, after)
        case Form.RATIO | Form.UNITS:
            planned = claim.round and not _PLANNED.isdisjoint((*before, *after))
            return Loose.NO_CLAIM if claim.whole or planned or wording.LIMITS.intersection(before) else Loose.CLAIM
        case Form.PLAIN if claim.whole:
            return _whole(items, i, claim, {*before[:5], *after[:3]}, before)
    return Loose.CLAIM


def _beside(items: Iterable[Item]) -> Iterator[str]:
    """Words and marks next to it in its clause, the nearest first, as far as another number."""
    for item in items:
        if item.kind not in ("word", "mark"):
            return
        yield item.text


def _is_set(claim: Claim, before: list[str], after: list[str]) -> bool:
    """Whether it is a mark that somebody sets: a threshold, a rule, a habit, an estimate, a cost that is assumed."""
    if claim.round and claim.match.string[claim.end : claim.end + 1] == "+":
        return True
    if claim.short and (
        wording.MARKS.intersection(before[:2])
        or (after[:1] in (["or"], ["and"]) and wording.MORE.intersection(after[1:2]))
        or (claim.bound is None and claim.whole and claim.round and len(after) > 1 and after[0] in wording.MARKS)
    ):
        return True
    if claim.bound in wording.COUNTED and claim.form is not Form.PERCENT:
        return not wording.RULES.isdisjoint(before[:4]) or not wording.SUPPOSING.isdisjoint(before[:3])
    if not claim.round:
        return False
    if _is_step(claim, before, after):
        return True
    if claim.bound is not None:
        return _is_threshold(claim)
    return _is_ruled(claim, before, after) or (
        claim.form in (Form.PLAIN, Form.PERCENT)
        and bool(wording.ASSUMED & claim.words or wording.CONDITIONS & claim.clause)
    )


def _is_threshold(claim: Claim) -> bool:
    """Whether it is what a threshold of its own is: my threshold for acting on a signal is 0.85."""
    before = list(_beside(reversed(claim.items[max(0, claim.i - 10) : claim.i])))
    return before[:1] == ["is"] and not wording.THRESHOLDS.isdisjoint(before)


def _is_step(claim: Claim, before: list[str], after: list[str]) -> bool:
    """Whether it is how far something is to be moved, or may move: trail by 0.5%, a 1% drop, a move of 50 bps."""
    if claim.form not in _STEPS:
        return False
    if not wording.TRAILS.isdisjoint(before):
        return True
    if before[:1] == ["of"]:
        return not wording.SWINGS.isdisjoint(before[1:2]) and not wording.ANY.isdisjoint(before[2:4])
    return not wording.ANY.isdisjoint(before[:1]) and not wording.SWINGS.isdisjoint(after[:2])


def _is_ruled(claim: Claim, before: list[str], after: list[str]) -> bool:
    """Whether the words beside it make it a rule or a threshold."""
    compared = before[: 2 if before[:1] and before[0] in wording.ARTICLES else 1]
    return (
        not wording.COMPARES.isdisjoint(compared)
        or not wording.RULES.isdisjoint((*before[:4], *after[:2]))
        or ((claim.whole or claim.form is not Form.PLAIN) and not wording.RULING.isdisjoint(before[:4]))
    )


def _percent(claim: Claim, before: list[str], after: list[str]) -> Loose:
    words = {*before[:5], *after[:3]}
    if claim.value in _RETRACED and wording.RETRACEMENTS & claim.words:
        return Loose.NO_CLAIM
    if not claim.whole:
        return Loose.CLAIM
    part = (
        claim.value in _PARTS
        and (claim.bound is None or claim.bound in LEVELS)
        and (words & wording.PARTIAL or not claim.around & SHARED or wording.SUPPOSING & claim.clause)
    )
    return Loose.NO_CLAIM if part or wording.LIMITS.intersection(before) or claim.value == ALL else Loose.CLAIM


def _whole(items: list[Item], i: int, claim: Claim, words: set[str], before: list[str]) -> Loose:
    beyond = bool(wording.BEYOND.intersection(before[:3]))
    if claim.value == ALL and items[i + 1 : i + 2] and items[i + 1].text == "=":
        return Loose.NO_CLAIM
    if claim.value == _PERIOD and "rsi" in claim.topics and claim.bound is None:
        return Loose.NO_CLAIM
    if claim.value in ROUND:
        if claim.bound in ("rsi", "vix") or {"rsi", "vix"} & claim.around:
            zone = beyond or words & wording.ZONES or wording.ROOM.intersection(before)
            zone = zone or wording.CONDITIONS.intersection(before)
            return Loose.NO_CLAIM if zone else Loose.CLAIM
        if words & wording.EXTREMES:
            return Loose.NO_CLAIM
        if beyond:
            return Loose.UNLESS_PRICE
    if claim.bound == "quantity" and words & wording.TRADES and "half" not in claim.topics:
        return Loose.NO_CLAIM
    if claim.value <= SMALL and not claim.sign and "half" not in claim.around:
        counted = claim.bound is not None or claim.topics & _COUNTING
        return Loose.CLAIM if counted or _counts(items[i + 1 : i + 3]) else Loose.NO_CLAIM
    year = claim.value in _YEARS and claim.bound is None and "," not in claim.text
    return Loose.UNLESS_PRICE if year else Loose.CLAIM


def _counts(after: list[Item]) -> bool:
    """Whether what follows is something that is counted."""
    if after and after[0].text in wording.ADJECTIVES:
        after = after[1:]
    return bool(after) and after[0].topic in wording.COUNTED
