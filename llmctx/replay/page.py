"""The page of a comparison: one self-contained HTML file for people to read."""

import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined, Template

from llmctx import canonical, clock
from llmctx.replay.answer import Answer
from llmctx.replay.compare import Comparison, in_order
from llmctx.replay.diff import Row, diff
from llmctx.replay.safe_write import PAGE_MARK
from llmctx.replay.sides import Pair
from llmctx.replay.stats import Calibration
from llmctx.version import VERSION

MAX_FLIPS_SHOWN = 100
"""Flips shown side by side, the worst ones."""
STYLE = Path(__file__).with_name("page.css")
"""The style sheet of the page."""
_DOT_GRID = 0.0125
"""Confidences closer than this are drawn as one dot."""


class Dot(NamedTuple):
    """Decisions at about one place on the chart of confidences."""

    x: float
    """Confidence of the first side, 0 to 1."""
    y: float
    """Confidence of the second side, 0 to 1."""
    decisions: int
    """Number of decisions."""
    flipped: int
    """Number of those that flipped."""
    tooltip: str
    """The text shown on hover."""


class Bar(NamedTuple):
    """How often one action is taken."""

    action: str
    """The action."""
    a: int
    """On the first side."""
    b: int
    """On the second side."""


class Served(NamedTuple):
    """The additional links of a page that a console serves."""

    style_at: str
    """Where its style sheet is served."""
    links: Sequence[tuple[str, str]]
    """Text and address of each link at its head."""


def render_page(
    comparison: Comparison,
    questions: dict[str, Any],
    calibrations: Sequence[Calibration] = (),
    served: Served | None = None,
) -> str:
    """Render the page; `questions` says what each side asked, by its label.

    `calibrations` says how the confidence of both sides held up, if that is known. Without `served` it is one
    self-contained file.
    """
    return _template().render(
        comparison=comparison,
        questions=questions,
        matrix=comparison.flip_matrix,
        bars=_action_bars(comparison.pairs),
        dots=_confidence_dots(comparison.pairs),
        flips=comparison.flips,
        max_flips_shown=MAX_FLIPS_SHOWN,
        prompt_rows=_prompt_rows,
        answer_rows=_answer_rows,
        amount_changes=[pair for pair in comparison.pairs if not pair.flipped and _changes_amount(pair)],
        created=clock.iso(clock.now_ms()),
        version=VERSION,
        mark=PAGE_MARK,
        style=STYLE.read_text(encoding="utf-8"),
        calibrations=calibrations,
        served=served,
    )


def _confidence_dots(pairs: Sequence[Pair]) -> list[Dot]:
    """Place decisions by the confidence of both sides, close ones as one dot."""
    grid: dict[tuple[int, int], list[Pair]] = {}
    for pair in pairs:
        before, after = pair.a.confidence, pair.b.confidence
        if before is not None and after is not None:
            grid.setdefault((round(before / _DOT_GRID), round(after / _DOT_GRID)), []).append(pair)
    return [_dot(column * _DOT_GRID, row * _DOT_GRID, found) for (column, row), found in sorted(grid.items())]


def _dot(x: float, y: float, pairs: Sequence[Pair]) -> Dot:
    flips = len([pair for pair in pairs if pair.flipped])
    plural = "s" if len(pairs) > 1 else ""
    tooltip = f"{len(pairs)} decision{plural}, {flips} flipped: confidence {x:.2f} and {y:.2f}"
    return Dot(x=x, y=y, decisions=len(pairs), flipped=flips, tooltip=tooltip)


def _action_bars(pairs: Sequence[Pair]) -> list[Bar]:
    """Count how often each action is taken on both sides."""
    a, b = Counter(pair.a.label for pair in pairs), Counter(pair.b.label for pair in pairs)
    return [Bar(action, a=a[action], b=b[action]) for action in in_order([*a, *b])]


def _changes_amount(pair: Pair) -> bool:
    """Whether an amount differs although the action is the same."""
    return any(name.startswith("verdict.") and not name.endswith(("reason", "guards")) for name in pair.changes)


def _prompt_rows(pair: Pair) -> list[tuple[str, list[Row]]]:
    a, b = _messages_by_name(pair.a), _messages_by_name(pair.b)
    found = [(role, diff(a.get(role, ""), b.get(role, ""))) for role in dict.fromkeys([*a, *b])]
    return [(role, rows) for role, rows in found if rows]


def _answer_rows(pair: Pair) -> list[Row]:
    return diff(_answer_text(pair.a), _answer_text(pair.b))


def _messages_by_name(answer: Answer) -> dict[str, str]:
    """Return the messages by role; repeated roles are numbered from 2."""
    found: dict[str, str] = {}
    roles: Counter[str] = Counter()
    for role, text in answer.messages:
        roles[role] += 1
        found[role if roles[role] == 1 else f"{role} {roles[role]}"] = text
    return found


def _answer_text(answer: Answer) -> str:
    """Return the answer with one field on each line, so that two answers can be compared."""
    if answer.text is None:
        return answer.detail or "nothing was asked"
    try:
        document = json.loads(answer.text)
    except ValueError:
        return answer.text
    return json.dumps(document, indent=1, ensure_ascii=False)


def _amount(text: str) -> str:
    """Drop the trailing zeros of an amount; return other texts unchanged."""
    try:
        return canonical.plain(Decimal(text))
    except InvalidOperation:
        return text


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["pct"] = lambda share: "none" if share is None else f"{share:.0%}"
    environment.filters["iso"] = clock.iso
    environment.filters["amount"] = _amount
    environment.filters["thousands"] = lambda count: f"{count:,.0f}"
    source = Path(__file__).with_name("page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source)
