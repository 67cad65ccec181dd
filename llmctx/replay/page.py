"""The page of a comparison: one HTML file that stands alone, to be read by a person."""

import json
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined, Template

from llmctx import canonical, clock
from llmctx.replay.cause import Cause
from llmctx.replay.chart import action_bars, confidence_dots, matrix
from llmctx.replay.compare import Comparison
from llmctx.replay.diff import Row, diff
from llmctx.replay.pair import Pair, action_of, confidence_of, done_of
from llmctx.replay.place import PAGE_MARK
from llmctx.replay.side import Side
from llmctx.version import VERSION

MOST_SHOWN = 100
"""Flips that are opened side by side; the table names all of them."""


class Shown(NamedTuple):
    """One flip as the page shows it."""

    pair: Pair
    """The decision."""
    actions: tuple[str, str]
    """What each side does."""
    confidences: tuple[float | None, float | None]
    """How sure each model was."""
    at: str
    """The time of the package."""
    causes: list[Cause]
    """Why it flipped."""
    prompt: list[tuple[str, list[Row]]]
    """Each message's name, and where it differs."""
    answer: list[Row]
    """Where the answers differ."""
    answers: tuple[str, str]
    """The answers in full."""


def page_of(comparison: Comparison, asked: dict[str, Any]) -> str:
    """The page; `asked` is what the replays asked for, for the reader to see."""
    flips = comparison.flips
    return _template().render(
        comparison=comparison,
        asked=asked,
        matrix=matrix(comparison.matrix),
        bars=action_bars(comparison.pairs),
        dots=confidence_dots(comparison.pairs),
        flips=[_shown(pair) for pair in flips[:MOST_SHOWN]],
        all_flips=flips,
        action_of=action_of,
        confidence_of=confidence_of,
        done_of=done_of,
        quiet=[pair for pair in comparison.pairs if not pair.flipped and _says_more(pair)],
        made=clock.iso(clock.now_ms()),
        version=VERSION,
        mark=PAGE_MARK,
    )


def _says_more(pair: Pair) -> bool:
    """Whether an amount differs though the action is the same."""
    return any(name.startswith("verdict.") and not name.endswith(("reason", "guards")) for name in pair.changes)


def _shown(pair: Pair) -> Shown:
    return Shown(
        pair=pair,
        actions=(action_of(pair.a), action_of(pair.b)),
        confidences=(confidence_of(pair.a), confidence_of(pair.b)),
        at=clock.iso(pair.result.as_of_ms),
        causes=pair.causes,
        prompt=_prompt(pair),
        answer=diff(_answer(pair.a), _answer(pair.b)),
        answers=(_answer(pair.a), _answer(pair.b)),
    )


def _prompt(pair: Pair) -> list[tuple[str, list[Row]]]:
    a, b = _named(pair.a), _named(pair.b)
    found = [(role, diff(a.get(role, ""), b.get(role, ""))) for role in dict.fromkeys([*a, *b])]
    return [(role, rows) for role, rows in found if rows]


def _named(side: Side) -> dict[str, str]:
    """The messages by role; a role that comes again is numbered."""
    found: dict[str, str] = {}
    for role, text in side.messages:
        again = sum(name.partition(" ")[0] == role for name in found)
        found[f"{role} {again + 1}" if again else role] = text
    return found


def _answer(side: Side) -> str:
    """An answer a line a field, so that it can be read beside another one."""
    if side.answer is None:
        return side.detail or "nothing was asked"
    try:
        document = json.loads(side.answer)
    except ValueError:
        return side.answer
    return json.dumps(document, indent=1, ensure_ascii=False)


def _amount(text: str) -> str:
    """An amount without the zeros that say nothing; other texts as they are."""
    try:
        return canonical.plain(Decimal(text))
    except InvalidOperation:
        return text


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["pct"] = lambda share: "none" if share is None else f"{share:.0%}"
    environment.filters["amount"] = _amount
    environment.filters["thousands"] = lambda count: f"{count:,.0f}"
    source = Path(__file__).with_name("page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source)
