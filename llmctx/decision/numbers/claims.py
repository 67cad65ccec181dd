"""The claims of a text: its numbers, with their values, and what the words around them say that they are about."""

import re

from llmctx.decision.numbers import bearing
from llmctx.decision.numbers.claim import Claim, Form
from llmctx.decision.numbers.figure import float_of, read
from llmctx.decision.numbers.held import is_aged
from llmctx.decision.numbers.passage import Item, items_of

_SCALES = {
    "k": 1e3,
    "thousand": 1e3,
    "grand": 1e3,
    "m": 1e6,
    "mm": 1e6,
    "mn": 1e6,
    "million": 1e6,
    "b": 1e9,
    "bn": 1e9,
    "billion": 1e9,
}
_CENTS = ("bp", "basis", "cent", "\u00a2", "c", "penn", "tick")
_FORMED = ("cent", "bp", "basis point", "pct", "minutes", "/", "1:", "1 :")
"""Without one of these no bare number is meant otherwise."""
_PCT = ("pct", "percent")
_RATIOS = ("x", "\u00d7", ":1", "r")
_TIMES = ("h", "min")
_JOINED = frozenset({"and", "vs", "against", "to", "versus"})
_FILLED = frozenset({":", "=", "(", "is", "of"})
_HOUR = 60
_EXACT = 6
"""Decimals as far as which a number with a scale is exact: 65.73M is whole."""
_TENS = 10


def claims_of(text: str, vocabulary: frozenset[str] = frozenset()) -> list[Claim]:
    """The numbers that a text states, in order; zeros are none. `vocabulary` holds the topics of the facts at hand."""
    items = items_of(text, vocabulary)
    lowered = text.lower()
    formed = any(mark in lowered for mark in _FORMED)
    return [
        _claim(items, i, formed=formed)
        for i, item in enumerate(items)
        if item.kind == "number" and float_of(item.match["number"])
    ]


def _claim(items: list[Item], i: int, *, formed: bool) -> Claim:
    match = items[i].match
    unit = (match["unit"] or "").strip().lower()
    near = bearing.is_near(items, i)
    aged = match["scale"] == "m" and is_aged(match.string, match.start())
    value, step = _value(match, unit, near=near, aged=aged)
    form = Form.TIME if aged else _form(match, unit)
    if formed and form is Form.PLAIN and _in_points(items, i):
        value, step, form = value / 100, step / 100, Form.PERCENT
    elif formed and form is Form.PLAIN and not bearing.is_term(items, i):
        form = _form_beside(items, i)
        if form is Form.MONEY:
            value, step = value / 100, step / 100
    return Claim(
        items,
        i,
        value=value,
        step=step,
        form=form,
        sign=_sign(match)
        or (-1 if i and items[i - 1].text == "minus" and (i == 1 or items[i - 2].kind != "number") else 0),
        near=near,
    )


def _value(match: re.Match[str], unit: str, *, near: bool, aged: bool) -> tuple[float, float]:
    """The value, and the worth of one unit of its last digit; of a rough number the zeros at its end are not meant."""
    digits = match["number"]
    value, decimals = read(digits)
    step = 10.0**-decimals
    if near and decimals == 0 and value >= _TENS:
        step *= 10 ** (len(digits) - len(digits.rstrip("0")))
    scale = (
        1.0
        if aged
        else _SCALES.get((match["scale"] or "").strip().lower(), 1.0) / (100 if unit.startswith(_CENTS) else 1)
    )
    if unit.startswith("h"):
        scale = _HOUR
    return (value, step) if scale == 1 else (round(value * scale, _EXACT), step * scale)


def _form(match: re.Match[str], unit: str) -> Form:
    if unit in ("%", "pct", "pp") or unit.startswith(("per", "bp", "basis")):
        return Form.PERCENT
    if unit in _RATIOS or unit.startswith(("to", ":")):
        return Form.UNITS if unit == "r" else Form.RATIO
    if unit.startswith(_TIMES):
        return Form.TIME
    return Form.MONEY if match["money"] or unit else Form.PLAIN


def _in_minutes(items: list[Item], i: int) -> bool:
    """Whether it is the value of a name that says so: "minutes_held": 24."""
    if i < 2 or items[i - 1].text not in (":", "="):  # noqa: PLR2004
        return False
    return any("minutes" in item.text.split("_") for item in items[max(0, i - 4) : i - 1])


def _form_beside(items: list[Item], i: int) -> Form:
    """How a bare number is meant by what stands before it: x/y = 1.4, cents to stop: 92, pnl_pct=0.5."""
    if _is_quotient(items, i) or [item.text.strip() for item in items[max(0, i - 2) : i]] == ["1", ":"]:
        return Form.RATIO
    if _in_cents(items, i):
        return Form.MONEY
    if _in_minutes(items, i):
        return Form.TIME
    return Form.PERCENT if _in_percent(items, i) else Form.PLAIN


def _is_quotient(items: list[Item], i: int) -> bool:
    """Whether it is what one thing over another comes to: x/y = 1.47."""
    return (
        i > 1 and items[i - 1].text in ("=", "\u2248") and "/" in items[i - 2].text and "." in items[i].match["number"]
    )


def _in_cents(items: list[Item], i: int) -> bool:
    """Whether its clause has said before that it is in cents: cents to stop: 92."""
    for item in reversed(items[max(0, i - 5) : i]):
        if item.text in ("cents", "cent"):
            return items[i].match["number"].isdecimal()
        if item.kind not in ("word", "mark"):
            return False
    return False


def _in_points(items: list[Item], i: int) -> bool:
    """Whether it is in basis points as its clause says before, or as one that it is joined to: 92 + 719 bps."""
    if not items[i].match["number"].isdecimal():
        return False
    for item in items[i + 1 : i + 3]:
        if item.kind == "number":
            return (item.match["unit"] or "").strip().lower().startswith(("bp", "basis"))
        if item.text not in _JOINED:
            break
    before = [item.text for item in items[max(0, i - 3) : i] if item.text not in _FILLED]
    return before[-1:] in (["bps"], ["bp"]) or before[-2:] in (["basis", "points"], ["basis", "point"])


def _in_percent(items: list[Item], i: int) -> bool:
    """Whether the name before it says so: pnl_pct=0.51."""
    for item in reversed(items[max(0, i - 2) : i]):
        if item.kind == "word":
            return item.text.endswith(_PCT)
        if item.kind != "mark":
            return False
    return False


def _sign(match: re.Match[str]) -> int:
    written = match["sign"] or match["sign2"]
    if written is None:
        return 0
    start = match.start()
    before = match.string[start - 1] if start else " "
    if match["sign"] and (before.isalnum() or before in ")%"):
        return 0  # a hyphen, or a range
    return 1 if written == "+" else -1
