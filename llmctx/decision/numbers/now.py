"""Now: whether a number is the price as it is, and not one that may come or that was."""

from llmctx.decision.numbers import wording
from llmctx.decision.numbers.passage import Item


def says_now(items: list[Item], i: int) -> bool:
    """Whether "price" before a number speaks of the price as it is, and not of one that may come."""
    if i and items[i - 1].text in wording.QUOTES:
        return True
    for item in reversed(items[:i]):
        if item.kind == "break":
            break
        if item.text in wording.SUPPOSED:
            return False
    return any(
        item.text in wording.PRICE or (item.kind == "word" and "." in item.text) for item in items[max(0, i - 4) : i]
    )


def is_worth(items: list[Item], i: int) -> bool:
    """Whether it is the price at which something is worth so much: worth 7.0k at 155.32."""
    if i < 4 or items[i - 1].text not in ("at", "@") or items[i - 2].kind != "number":  # noqa: PLR2004  worth so much at
        return False
    before = [item.text for item in items[max(0, i - 8) : i]]
    return "worth" in before[-5:-2] and wording.SUPPOSING.isdisjoint(before) and wording.CONDITIONS.isdisjoint(before)
