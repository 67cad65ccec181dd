"""The text of an answer with its findings: each citation leads to its fact, each wrong number is marked."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from llmctx.decision.citations import find
from llmctx.numerals import plain


class Span(NamedTuple):
    """A part of a text."""

    text: str
    """Its characters as written."""
    path: str | None = None
    """The first path of a citation; None if it is not one."""
    wrong: str | None = None
    """What is wrong with it; None if nothing is."""
    fact: str | None = None
    """The true value if it is wrong; None if there is none."""


def spans_of(text: str, field: str, findings: Iterable[Mapping[str, Any]], heads: Collection[str]) -> list[Span]:
    """The parts of one field of an answer, in order; together they are its text.

    `findings` are those of the record's grounding, and `heads` the names with which citations begin.
    """
    same_length = plain(text)
    marks: list[tuple[int, Span]] = []
    for cited in find(same_length, heads):
        path = None if cited.node is None else next(iter(cited.node.paths()), None)
        marks.append((cited.start, Span(text[cited.start : cited.end], path or cited.source)))
    for finding in findings:
        at, said = finding.get("at"), str(finding.get("text", ""))
        if (
            finding.get("field") == field
            and isinstance(at, int)
            and said
            and plain(said) == same_length[at:][: len(said)]
        ):
            marks.append((at, Span(text[at : at + len(said)], None, str(finding.get("why")), finding.get("fact"))))
    return _joined(text, sorted(marks, key=lambda mark: mark[0]))


def _joined(text: str, marks: list[tuple[int, Span]]) -> list[Span]:
    spans: list[Span] = []
    end = 0
    for at, span in marks:
        if at < end:  # two findings about one number; the first is shown
            continue
        if at > end:
            spans.append(Span(text[end:at]))
        spans.append(span)
        end = at + len(span.text)
    if end < len(text):
        spans.append(Span(text[end:]))
    return spans
