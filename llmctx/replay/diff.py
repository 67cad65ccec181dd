"""Two texts side by side: lines that differ with a little of what stands around them, changed words marked."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import NamedTuple

_AROUND = 2
_WORD = re.compile(r"\w+|\s+|[^\w\s]")
_ALIKE = 0.6


class Span(NamedTuple):
    """A part of a line."""

    text: str
    """What it says."""
    marked: bool = False
    """Whether the other side says something else."""


Line = tuple[Span, ...]


class Row(NamedTuple):
    """One line of both sides; a side that has none is None."""

    kind: str
    """same, changed, or gap: lines left out here."""
    left: Line | None
    """The line of the first text."""
    right: Line | None
    """The line of the second one."""
    hidden: int = 0
    """How many equal lines a gap hides."""


def diff(left: str, right: str) -> list[Row]:
    """The rows in which two texts differ; none where they are the same."""
    a, b = left.split("\n"), right.split("\n")
    if a == b:
        return []
    codes = SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    rows: list[Row] = []
    for number, (kind, i, j, k, m) in enumerate(codes):
        if kind == "equal":
            rows += _around(a[i:j], first=number == 0, last=number == len(codes) - 1)
        else:
            rows += _changed(a[i:j], b[k:m])
    return rows


def _around(lines: list[str], *, first: bool, last: bool) -> Iterator[Row]:
    """Equal lines: a few next to what differs, a gap for the others."""
    before = [] if first else lines[:_AROUND]
    rest = lines[len(before) :]
    after = [] if last else rest[-_AROUND:]
    hidden = len(rest) - len(after)
    yield from (Row("same", (Span(line),), (Span(line),)) for line in before)
    if hidden:
        yield Row("gap", None, None, hidden)
    yield from (Row("same", (Span(line),), (Span(line),)) for line in after)


def _changed(left: list[str], right: list[str]) -> Iterator[Row]:
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
    """The words of two lines, marked where they differ; whole lines where they have little in common."""
    a, b = _WORD.findall(left), _WORD.findall(right)
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    if matcher.ratio() < _ALIKE:
        return (Span(left, marked=True),), (Span(right, marked=True),)
    ours, theirs = [], []
    for kind, i, j, k, m in matcher.get_opcodes():
        if i < j:
            ours.append(Span("".join(a[i:j]), kind != "equal"))
        if k < m:
            theirs.append(Span("".join(b[k:m]), kind != "equal"))
    return tuple(ours), tuple(theirs)
