"""Arithmetic that a text writes out: what it comes to, and how much the rounding of its terms leaves open."""

import re
from typing import NamedTuple

from llmctx.decision.numbers.figure import FIGURE, decimals_of, float_of

_LENGTH = 100
_NEAR = 5
_EQUALS = re.compile("[=\u2248]")
_SUM = re.compile(
    r"(?:[-+*/\u00d7\u00f7\u2212\u2013x()|\d.,$\u20ac\u00a3%\s]|shares|points|USD)+[=\u2248]\s*[-+$\u20ac\u00a3]*\Z"
)
_TOKEN = re.compile(rf"(?P<figure>{FIGURE})|(?P<mark>[-+*/()|\u00d7\u00f7\u2212\u2013x])")
_ALIKE = {"\u00d7": "*", "x": "*", "\u00f7": "/", "\u2212": "-", "\u2013": "-"}
_TIGHT = "*/"


class Result(NamedTuple):
    """What a sum comes to."""

    value: float
    slack: float
    """By how much it may be off, for its terms are rounded."""


def result_before(text: str, end: int) -> Result | None:
    """What the sum comes to that ends with = before this place; None where there is none of two terms."""
    if not _EQUALS.search(text, max(0, end - _NEAR), end):
        return None
    found = _SUM.search(text, max(0, end - _LENGTH), end)
    if found is None:
        return None
    tokens = [(match.lastgroup, match[0]) for match in _TOKEN.finditer(found[0])]
    for start in range(len(tokens)):
        if sum(kind == "figure" for kind, _ in tokens[start:]) < 2:  # noqa: PLR2004  a sum has two terms
            return None
        try:
            value, rest = _terms(tokens[start:])
        except (IndexError, ValueError, ZeroDivisionError):
            continue
        if not rest:
            return value
    return None


_Tokens = list[tuple[str | None, str]]


def _terms(tokens: _Tokens) -> tuple[Result, _Tokens]:
    total, tokens = _factors(tokens)
    while tokens and (sign := _ALIKE.get(tokens[0][1], tokens[0][1])) in ("+", "-"):
        other, tokens = _factors(tokens[1:])
        total = Result(
            total.value + other.value if sign == "+" else total.value - other.value, total.slack + other.slack
        )
    return total, tokens


def _factors(tokens: _Tokens) -> tuple[Result, _Tokens]:
    total, tokens = _one(tokens)
    while tokens and (sign := _ALIKE.get(tokens[0][1], tokens[0][1])) in _TIGHT:
        other, tokens = _one(tokens[1:])
        if sign == "*":
            slack = total.slack * abs(other.value) + other.slack * abs(total.value)
            total = Result(total.value * other.value, slack)
        else:
            value = total.value / other.value
            total = Result(value, (total.slack + other.slack * abs(value)) / abs(other.value))
    return total, tokens


def _one(tokens: _Tokens) -> tuple[Result, _Tokens]:
    kind, text = tokens[0]
    if kind == "figure":
        decimals = decimals_of(text)
        return Result(float_of(text), 10.0**-decimals / 2 if decimals else 0.0), tokens[1:]
    if text not in "(|":
        raise ValueError(text)
    inner, tokens = _terms(tokens[1:])
    if tokens[0][1] != (")" if text == "(" else "|"):
        raise ValueError(text)
    return (inner if text == "(" else Result(abs(inner.value), inner.slack)), tokens[1:]
