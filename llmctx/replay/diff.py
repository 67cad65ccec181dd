"""Two texts side by side: the lines that differ with some context, changed words marked."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import NamedTuple

_CONTEXT_LINES = 2
_WORD = re.compile(r"\w+|\s+|[^\w\s]")
_MIN_WORD_RATIO = 0.6
"""Below this similarity, lines are marked as a whole instead of word by word."""


class Span(NamedTuple):
    """A part of a line."""

    text: str
    """The text."""
    marked: bool = False
    """Whether it differs from the other side."""


Line = tuple[Span, ...]


class Row(NamedTuple):
    """One line of both sides; None on a side that lacks it."""

    kind: str
    """same, changed, or gap for lines left out."""
    left: Line | None
    """The line of the first text."""
    right: Line | None
    """The line of the second text."""
    hidden: int = 0
    """How many equal lines a gap replaces."""


def diff(left: str, right: str) -> list[Row]:
    """Return the rows in which two texts differ, none if they are equal."""
    a, b = left.split("\n"), right.split("\n")
    if a == b:
        return []
    codes = SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    rows: list[Row] = []
    for number, (kind, i, j, k, m) in enumerate(codes):
        if kind == "equal":
            rows += _equal_rows(a[i:j], first=number == 0, last=number == len(codes) - 1)
        else:
            rows += _changed_rows(a[i:j], b[k:m])
    return rows


def _equal_rows(lines: list[str], *, first: bool, last: bool) -> Iterator[Row]:
    """Show equal lines next to a change, and a gap for the others."""
    before = [] if first else lines[:_CONTEXT_LINES]
    rest = lines[len(before) :]
    after = [] if last else rest[-_CONTEXT_LINES:]
    hidden = len(rest) - len(after)
    yield from (Row("same", (Span(line),), (Span(line),)) for line in before)
    if hidden:
        yield Row("gap", None, None, hidden)
    yield from (Row("same", (Span(line),), (Span(line),)) for line in after)


def _changed_rows(left: list[str], right: list[str]) -> Iterator[Row]:
    for i in range(max(len(left), len(right))):
        one = left[i] if i < len(left) else None
        other = right[i] if i < len(right) else None
        if one is None or other is None:
            yield Row("changed", _whole(one), _whole(other))
        else:
            yield Row("changed", *_words(one, other))


def _whole(line: str | None) -> Line | None:
    return None if line is None else (Span(line, marked=True),)


def _words(left: str, right: str) -> tuple[Line, Line]:
    """Mark the words that differ in two lines; mark whole lines that have little in common."""
    a, b = _WORD.findall(left), _WORD.findall(right)
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    if matcher.ratio() < _MIN_WORD_RATIO:
        return (Span(left, marked=True),), (Span(right, marked=True),)
    ours, theirs = [], []
    for kind, i, j, k, m in matcher.get_opcodes():
        if i < j:
            ours.append(Span("".join(a[i:j]), kind != "equal"))
        if k < m:
            theirs.append(Span("".join(b[k:m]), kind != "equal"))
    return tuple(ours), tuple(theirs)
