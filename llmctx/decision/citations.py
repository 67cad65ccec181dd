"""Citations, as in `RSI is 61.3 [indicators.rsi_14]`: which number each belongs to, and whether that number is right.

A bracket is a citation if its first identifier is a section's name or `answer`; any other is text. It belongs to the
nearest number before it in the same sentence, unless that has one already; otherwise it is a mention.
"""

import re
from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import NamedTuple

from llmctx.context.amount import OPEN, PERCENT, RATIO, Amount
from llmctx.context.facts import PERCENT_OF_MARGIN
from llmctx.context.formula import MAX_CHARS, Node, NotAFormulaError, Reader
from llmctx.numerals import CONTEXT, Numeral, numerals

_START = re.compile(r"\[(?:[\s()+\-*/.,0-9]|abs\b)*+([A-Za-z_][A-Za-z0-9_]*)")
_PATH = re.compile(r"\[([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+|\[(?:0|[1-9][0-9]{0,5})\])*+)\]")
"""Plain paths: most citations, for which no parser is needed."""
_SENTENCE_END = re.compile(
    r"[.!?][\"')*\u201d]*+\s++(?=[^\sa-z\[])|[\u3002\uff01\uff1f]|\n[^\S\n]*+(?=[-*+\u2022|#>]|\d++[.)]\s)|\n[ \t]*+\n"
)
_FACTORS: dict[str | None, dict[str, tuple[int, ...]]] = {
    PERCENT: {"%": (1,), "bps": (100,), "": (1,)},
    PERCENT_OF_MARGIN: {"%": (1,), "bps": (), "": (1,)},
    "0 to 100": {"%": (1,), "bps": (), "": (1,)},
    RATIO: {"%": (100,), "bps": (10_000,), "": (1, 100)},
    None: {"%": (1, 100), "bps": (100, 10_000), "": (1,)},
    OPEN: {"%": (1, 100), "bps": (100, 10_000), "": (1,)},
}
"""The factors by which a number may exceed the cited value, by the unit of the value and the unit written."""
_OTHER: dict[str, tuple[int, ...]] = {"%": (), "bps": (), "": (1,)}


class Citation(NamedTuple):
    """A citation in a text."""

    start: int
    """The offset of its opening bracket."""
    end: int
    """The offset behind its closing bracket."""
    source: str
    """The text between the brackets."""
    node: Node | None
    """The parsed formula; None if it breaks a rule on literals or operators."""


def find(text: str, heads: Collection[str]) -> Iterator[Citation]:
    """Find the citations of a plain text, in order and in linear time: no character is parsed twice."""
    at = 0
    while (found := _START.search(text, at)) is not None:
        start, at = found.start(), found.end()
        if found[1] not in heads or text.find("]", at, start + MAX_CHARS + 2) < 0:
            continue
        if (simple := _PATH.match(text, start)) is not None:
            at = simple.end()
            yield Citation(start, at, simple[1], Node("path", path=simple[1]))
        else:
            reader = Reader(text, start + 1)
            try:
                node = reader.read()
            except NotAFormulaError:
                at = reader.at
            else:
                at = reader.at
                yield Citation(start, at, text[start + 1 : at - 1], node)


def cited_numbers(text: str, heads: Collection[str]) -> Iterator[tuple[Numeral, Citation | None]]:
    """Find the numbers of a text outside its citations, each with the first citation that belongs to it."""
    at = 0
    number: Numeral | None = None
    for citation in find(text, heads):
        for following in numerals(text, at, citation.start):
            if number is not None:
                yield number, None
            number = following
        if number is not None:
            belongs = not number.name and _belongs(text[number.end : citation.start])
            yield number, citation if belongs else None
            number = None  # a citation further on cannot belong to this number
        at = citation.end
    if number is not None:
        yield number, None
    for number in numerals(text, at):
        yield number, None


def _belongs(between: str) -> bool:
    """Whether a citation belongs to the number before it: they are in one sentence, or no words lie between them."""
    return between in ("", " ") or _SENTENCE_END.search(between) is None or not any(map(str.isalnum, between))


def is_right(number: Numeral, amount: Amount, *, signed: bool = False) -> bool:
    """Whether a number is the amount, rounded or cut to the digits written.

    Only a written sign counts; with `signed` a number without one is positive.
    """
    negative = amount.value < 0
    sign = number.sign or ("+" if signed else "")
    if sign and amount.value and negative != (sign == "-"):
        return False
    factors = _FACTORS.get(amount.unit, _OTHER)[number.unit]
    if amount.unit == OPEN and not number.unit and amount.value.copy_abs() <= 1:
        factors = (1, 100)  # as likely a ratio as not
    size = amount.value.copy_abs()
    return any(
        value.is_of(size if factor == 1 else CONTEXT.multiply(size, Decimal(factor)))
        for factor in factors
        for value in number.values
    )


def occurs_in(number: Numeral, text: str) -> bool:
    """Whether a text contains a number: "1.9%" contains 1.9%, "00:27:15" contains 00:27:15 and 27."""
    if number.moment:
        return re.search(rf"(?<!\d){re.escape(number.text)}(?!\d)", text) is not None
    found = False
    for other in numerals(text):
        if other.moment:
            parts = [Decimal(part) for part in re.findall(r"\d+", other.text)]
            found = found or any(value.value in parts for value in number.values)
        elif other.values and number.unit in ("", other.unit) and number.sign in ("", other.sign or "+"):
            found = found or any(value.is_of(other.values[0].value) for value in number.values)
    return found
