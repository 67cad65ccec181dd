"""Counted: which count a number is, from what stands with it: 6 up and 2 down, breadth 6/2, 3 of 5 trades."""

from llmctx.decision.numbers import wording
from llmctx.decision.numbers.passage import Item

_PAIRED = {"breadth": ("advancing", "declining"), "record": ("wins", "losses")}


def set_against(items: list[Item], i: int) -> str | None:
    """Which of two counts it is that stand together: breadth 6/2, advance/decline is 6 to 2, W/L 2:1."""
    if i + 1 < len(items) and _touch(items, i):
        first, place = i, 0
    elif i and _touch(items, i - 1):
        first, place = i - 1, 1
    elif i + 2 < len(items) and items[i + 2].kind == "number" and items[i + 1].text in wording.SET_AGAINST:
        first, place = i, 0
    elif i >= 2 and items[i - 2].kind == "number" and items[i - 1].text in wording.SET_AGAINST:  # noqa: PLR2004
        first, place = i - 2, 1
    else:
        return None
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
    return next((item.topic for item in after if item.topic == "symbols"), None)


def _touch(items: list[Item], i: int) -> bool:
    """Whether the next number stands right behind it: 3-6."""
    return (
        items[i + 1].kind == "number"
        and items[i].kind == "number"
        and items[i].match.end() == items[i + 1].match.start()
    )
