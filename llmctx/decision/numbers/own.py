"""Own numbers: estimates, scores, ranges, splits of a hundred and confidences that a text sets or guesses itself."""

from llmctx.decision.numbers import wording
from llmctx.decision.numbers.claim import Claim, Form, is_round
from llmctx.decision.numbers.passage import Item

ROUND = frozenset({10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100})
"""The marks that people set on a scale of a hundred."""
ALL = 100
SMALL = 12
"""Counts up to this are small."""
SHARED = frozenset(
    {"way", "band", "range", "breadth", "advancing", "declining", "winrate", "wins", "losses", "confidence",
     "sentiment", "exit", "signal", "symbols", "upper", "lower"}
)  # fmt: skip
"""Topics that have shares of a hundred in the facts, or worked out of them."""
_CENT = 0.01
_SCORES = frozenset({"5", "10", "100"})
_EVERY = frozenset({"every", "each", "another"})
_CONFIDENT = frozenset({"signal", "entry", "exit", "thesis"})
"""What has a confidence that is a fact."""


def is_own(claim: Claim, beside: set[str]) -> bool:
    """Whether it is an estimate, a score, a range or a confidence of its own; the last has a field of its own."""
    if _is_range(claim.items, claim.i, claim) or _is_score(claim.items, claim.i, claim):
        return True
    if claim.form is Form.MONEY:
        return claim.value == _CENT or (claim.round and _is_some_money(claim, beside))
    if claim.form is Form.PERCENT and _is_split(claim.items, claim.i, claim):
        return True
    if claim.form is not Form.TIME and not claim.sign and beside & wording.ESTIMATES:
        return True
    if "mine" in beside and "confidence" in claim.around:
        return True
    if "confidence" not in claim.topics or claim.around & _CONFIDENT:
        return False
    return wording.PAST.isdisjoint(beside)


def _is_some_money(claim: Claim, beside: set[str]) -> bool:
    """Whether a round amount is a step or a cost that is assumed: every 10 cents, up by 20 cents, 2 cents of fees."""
    if claim.i and claim.items[claim.i - 1].text in _EVERY:
        return True
    if "by" in beside and not wording.MOVES.isdisjoint(claim.clause):
        return True
    return claim.value < 1 and bool(wording.COSTS & claim.words)


def _is_split(items: list[Item], i: int, claim: Claim) -> bool:
    """Whether it is one of the round percentages of a sentence that make up a hundred: 40% price, 60% momentum."""
    if claim.value not in ROUND:
        return False
    parts = [claim.value]
    for span in (reversed(items[:i]), items[i + 1 :]):
        for item in span:
            if item.kind == "break":
                break
            if item.kind == "number" and (item.match["unit"] or "").strip() == "%" and _is_round(item.match["number"]):
                parts.append(float(item.match["number"]))
    return len(parts) > (2 if claim.topics & SHARED else 1) and sum(parts) == ALL


def _is_range(items: list[Item], i: int, claim: Claim) -> bool:
    """Whether it is an end of a range that somebody sets: 30-70, 20 and 80, -1 to +1, -1.5%/+3%."""
    if not claim.round or claim.value > ALL or claim.form not in (Form.PLAIN, Form.PERCENT):
        return False
    if claim.value in ROUND and any(
        item.kind == "number" and item.match["number"] == str(ALL - int(claim.value))
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
            if percent or (_is_round(other["number"]) and claim.value in (*ROUND, 0, 1)):
                return is_round(other["number"], percent=percent)
    return False


def _touch(items: list[Item], i: int, place: int) -> bool:
    first, second = items[min(i, place)].match, items[max(i, place)].match
    return first.string[first.end() : second.start()] in ("", "..")


def _is_round(number: str) -> bool:
    return number in ("0", "1") or (number.isdecimal() and int(number) in ROUND)


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
        return claim.value <= SMALL
    if i > 1 and items[i - 1].text == "/" and items[i - 2].kind == "number" and claim.match[0] in _SCORES:
        return True
    if i + 2 >= len(items):
        return False
    mark, other = items[i + 1 : i + 3]
    return mark.text == "/" and other.kind == "number" and other.match[0] in _SCORES
