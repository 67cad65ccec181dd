"""Loose numbers: such as may as well be no claim, and are therefore never said to be unsupported.

What somebody sets himself (a threshold, a habit, a rule, an estimate) is told with one or two digits; what is read off
the market, or worked out, has more, or is said directly of something. So most of these rules are for short numbers.
"""

from collections.abc import Iterable, Iterator

from llmctx.decision.numbers import wording
from llmctx.decision.numbers.claim import Claim, Form, Loose, is_round
from llmctx.decision.numbers.passage import Item
from llmctx.decision.numbers.topics import LEVELS

_ROUND = frozenset({10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100})
_SMALL = 12
_PERIOD = 14
_YEARS = range(1950, 2051)
_ALL = 100
_PARTS = _ROUND | {33, 34, 66, 67}
_RETRACED = frozenset({23.6, 38.2, 50, 61.8, 78.6})
_SHARED = frozenset(
    {"way", "band", "range", "breadth", "advancing", "declining", "winrate", "wins", "losses", "confidence",
     "sentiment", "exit", "signal", "symbols", "upper", "lower"}
)  # fmt: skip
"""Topics that have shares of a hundred in the facts, or worked out of them."""
_UNSETTABLE = frozenset({Form.MONEY, Form.TIME})
_CENT = 0.01
_SCORES = frozenset({"5", "10", "100"})
_COUNTING = frozenset({"record", "breadth", "advancing", "declining"})
_PRICED = LEVELS | {"last", "pnl", "daily", "worth", "risk", "reward"}
"""Topics of which a bare number is a price, or money."""
_CONFIDENT = frozenset({"signal", "entry", "exit", "thesis"})
"""What has a confidence that is a fact."""
_STEPS = frozenset({Form.PERCENT, Form.RATIO, Form.UNITS})
_PLANNED = frozenset({"least", "profile", "setup", "planned", "plan"})


def looseness(claim: Claim) -> Loose:
    """Whether a number is a claim at all."""
    items, i = claim.items, claim.i
    before, after = list(_beside(reversed(items[max(0, i - 6) : i]))), list(_beside(items[i + 1 : i + 5]))
    if _is_own(claim, {*before[:4], *after[:2]}):
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


def _is_own(claim: Claim, beside: set[str]) -> bool:
    """Whether it is an estimate, a score, a range or a confidence of its own; the last has a field of its own."""
    if _is_range(claim.items, claim.i, claim) or _is_score(claim.items, claim.i, claim):
        return True
    if claim.form is Form.MONEY:
        if claim.round and "by" in beside and not wording.MOVES.isdisjoint(claim.clause):
            return True
        return claim.value == _CENT or (claim.value < 1 and claim.round and bool(wording.COSTS & claim.words))
    if claim.form is Form.PERCENT and _is_split(claim.items, claim.i, claim):
        return True
    if claim.form is not Form.TIME and not claim.sign and beside & wording.ESTIMATES:
        return True
    if "mine" in beside and "confidence" in claim.around:
        return True
    if "confidence" not in claim.topics or claim.around & _CONFIDENT:
        return False
    return wording.PAST.isdisjoint(beside)


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
        wording.MARKS.intersection(before[:2]) or (after[:1] == ["or"] and wording.MORE.intersection(after[1:2]))
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
        or (claim.whole and not wording.RULING.isdisjoint(before[:4]))
    )


def _is_split(items: list[Item], i: int, claim: Claim) -> bool:
    """Whether it is one of the round percentages of a sentence that make up a hundred: 40% price, 60% momentum."""
    if claim.value not in _ROUND:
        return False
    parts = [claim.value]
    for span in (reversed(items[:i]), items[i + 1 :]):
        for item in span:
            if item.kind == "break":
                break
            if item.kind == "number" and (item.match["unit"] or "").strip() == "%" and _is_round(item.match["number"]):
                parts.append(float(item.match["number"]))
    return len(parts) > (2 if claim.topics & _SHARED else 1) and sum(parts) == _ALL


def _is_range(items: list[Item], i: int, claim: Claim) -> bool:
    """Whether it is an end of a range that somebody sets: 30-70, 20 and 80, -1 to +1, -1.5%/+3%."""
    if not claim.round or claim.value > _ALL or claim.form not in (Form.PLAIN, Form.PERCENT):
        return False
    if claim.value in _ROUND and any(
        item.kind == "number" and item.match["number"] == str(_ALL - int(claim.value))
        for item in (*items[max(0, i - 3) : i], *items[i + 1 : i + 4])
    ):
        return True
    for step in (1, -1):
        place = i + step
        joined = False
        while 0 <= place < len(items) and abs(place - i) <= 2 and items[place].text in wording.JOINS:  # noqa: PLR2004
            place, joined = place + step, True
        if 0 <= place < len(items) and items[place].kind == "number" and (joined or _touch(items, i, place)):
            other = items[place].match
            percent = claim.form is Form.PERCENT or (other["unit"] or "").strip() == "%"
            if percent or (_is_round(other["number"]) and claim.value in (*_ROUND, 0, 1)):
                return is_round(other["number"], percent=percent)
    return False


def _touch(items: list[Item], i: int, place: int) -> bool:
    first, second = items[min(i, place)].match, items[max(i, place)].match
    return first.string[first.end() : second.start()] in ("", "..")


def _is_round(number: str) -> bool:
    return number in ("0", "1") or (number.isdecimal() and int(number) in _ROUND)


def _is_score(items: list[Item], i: int, claim: Claim) -> bool:
    """Whether it is a score of its own: 7.5/10, 4 out of 6."""
    if claim.bound is not None or claim.topics & {
        "breadth",
        "advancing",
        "declining",
        "wins",
        "losses",
        "quantity",
        "signal",
        "rsi",
        "sentiment",
    }:
        return False
    if [item.text for item in items[i + 1 : i + 3]] == ["out", "of"] or [
        item.text for item in items[max(0, i - 2) : i]
    ] == ["out", "of"]:
        return claim.value <= _SMALL
    if i > 1 and items[i - 1].text == "/" and items[i - 2].kind == "number" and claim.match[0] in _SCORES:
        return True
    if i + 2 >= len(items):
        return False
    mark, other = items[i + 1 : i + 3]
    return mark.text == "/" and other.kind == "number" and other.match[0] in _SCORES


def _percent(claim: Claim, before: list[str], after: list[str]) -> Loose:
    words = {*before[:5], *after[:3]}
    if claim.value in _RETRACED and wording.RETRACEMENTS & claim.words:
        return Loose.NO_CLAIM
    if not claim.whole:
        return Loose.CLAIM
    part = (
        claim.value in _PARTS
        and (claim.bound is None or claim.bound in LEVELS)
        and (words & wording.PARTIAL or not claim.around & _SHARED or wording.SUPPOSING & claim.clause)
    )
    return Loose.NO_CLAIM if part or wording.LIMITS.intersection(before) or claim.value == _ALL else Loose.CLAIM


def _whole(items: list[Item], i: int, claim: Claim, words: set[str], before: list[str]) -> Loose:
    beyond = bool(wording.BEYOND.intersection(before[:3]))
    if claim.value == _ALL and items[i + 1 : i + 2] and items[i + 1].text == "=":
        return Loose.NO_CLAIM
    if claim.value == _PERIOD and "rsi" in claim.topics and claim.bound is None:
        return Loose.NO_CLAIM
    if claim.value in _ROUND:
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
    if claim.value <= _SMALL and not claim.sign and "half" not in claim.around:
        counted = claim.bound is not None or claim.topics & _COUNTING
        return Loose.CLAIM if counted or _counts(items[i + 1 : i + 3]) else Loose.NO_CLAIM
    year = claim.value in _YEARS and claim.bound is None and "," not in claim.text
    return Loose.UNLESS_PRICE if year else Loose.CLAIM


def _counts(after: list[Item]) -> bool:
    """Whether what follows is something that is counted."""
    if after and after[0].text in wording.ADJECTIVES:
        after = after[1:]
    return bool(after) and after[0].topic in wording.COUNTED
