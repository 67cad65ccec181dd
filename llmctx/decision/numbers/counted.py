"""Counted: which count a number is, from what stands with it: 6 up and 2 down, breadth 6/2, 3 of 5 trades."""

from llmctx.decision.numbers import wording
from llmctx.decision.numbers.passage import Item

_THESE = frozenset({"the", "them", "these", "those", "our", "which"})
_PAIRED = {"breadth": ("advancing", "declining"), "record": ("wins", "losses")}


def set_against(items: list[Item], i: int) -> str | None:
    """Which of two counts it is that stand together: breadth 6/2, advance/decline is 6 to 2, W/L 2:1."""
    after = items[i + 1 : i + 3]
    if after and (after[0].text in wording.SET_AGAINST or after[0].kind == "number") and _joined(items, i, after):
        return _which(items, i, 0)
    before = items[max(0, i - 2) : i]
    if before and (before[-1].text in wording.SET_AGAINST or before[-1].kind == "number"):
        first = i - 1 if before[-1].kind == "number" else i - 2
        if (
            first > 1
            and _which(items, first - 2, 0) == "advancing"
            and _joined(items, first - 2, items[first - 1 : first + 1])
        ):
            return "unchanged"
        if first >= 0 and _joined(items, first, items[first + 1 : first + 3]):
            return _which(items, first, 1)
    return None


def _joined(items: list[Item], i: int, after: list[Item]) -> bool:
    """Whether another number stands right behind it (3-6), or behind a mark between them."""
    if items[i].kind != "number":
        return False
    if after[0].kind == "number":
        return items[i].match.end() == after[0].match.start()
    return len(after) > 1 and after[1].kind == "number"


def _which(items: list[Item], first: int, place: int) -> str | None:
    """What the first or second of two counts is, by the words before and after them."""
    told: set[str] = set()
    for item in reversed(items[max(0, first - 8) : first]):
        if item.kind == "break":
            break
        told |= item.topics
    for item in items[first + 3 : first + 4]:
        told |= item.topics
    for topic, pair in _PAIRED.items():
        if topic in told or told.issuperset(pair):
            return pair[place]
    return None


def counted(items: list[Item], i: int, following: Item) -> str | None:
    """The count that the words after it make it: 4 up, 50% rising, 3 of 5 trades, 11 of the tracked names."""
    unit = (items[i].match["unit"] or "").strip()
    if following.text == "of" and unit != "%":
        return _of(items[i + 2 : i + 5])
    if unit == "%":
        return "pnl" if following.text == "open" else wording.PARTS_OF_MARKET.get(following.text)
    if unit or not items[i].match["number"].isdecimal():
        return None
    side = items[i + 2] if following.text in wording.BEING and len(items) > i + 2 else following
    return wording.SIDES.get(side.text)


def _of(after: list[Item]) -> str | None:
    if len(after) > 1 and after[0].kind == "number" and after[1].topic in wording.COUNTED:
        return str(after[1].topic)
    if len(after) > 1 and after[0].text in _THESE and after[1].topic in wording.COUNTED:
        return str(after[1].topic)
    return next((item.topic for item in after if item.topic == "symbols"), None)
