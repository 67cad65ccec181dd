"""The line that shows a fact: its path, its value, and its unit or origin."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from llmctx import clock
from llmctx.context import paths
from llmctx.context.facts import Fact
from llmctx.prompt import untrusted

Line = Callable[[Fact], str]
"""Returns the line that shows a fact."""

TEXT, UNLISTED = "text", "unlisted"
"""The marks in place of a unit: others wrote this text; the key's writer named this field."""

_MAX_EXPONENT = 30
_MAX_NUMBER_CHARS = 60


def _dotted(fact: Fact) -> str:
    """Return a fact's line in the form of the first templates."""
    path, value, unit, _ = fact
    mark = f" [{unit}]" if unit and value is not None else ""
    return f"- {paths.dotted(path)}: {text_of(value)}{mark}"


def _quoted(fact: Fact) -> str:
    """The same with a citable path, and with marks on texts and on fields that are not listed."""
    path, value, unit, listed = fact
    if type(value) is str:
        if path[-1] == ")":  # a count of facts that are not shown
            return f"- {path}: {value}"
        unit = unit or (TEXT if listed else f"{UNLISTED} {TEXT}")
    elif not listed:
        unit = unit if unit and value is not None else UNLISTED
    elif value is None:
        return f"- {path}: null"
    return f"- {path}: {text_of(value)} [{unit}]" if unit else f"- {path}: {text_of(value)}"


LINES: dict[str, Line] = {"dotted": _dotted, "quoted": _quoted}
"""The styles by their name in a template's front matter, `paths`."""


def text_of(value: Any) -> str:
    """Return a fact's value as prompts show it: numbers in full, texts quoted, null for None."""
    kind = type(value)
    if kind is Decimal:
        text = str(value)
        return text if len(text) <= _MAX_NUMBER_CHARS and "E" not in text else _number(value)
    if kind is str:
        return untrusted.quoted(value)
    if isinstance(value, datetime):
        return clock.iso_of(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _number(Decimal(value))
    return "null"


def _number(value: Decimal) -> str:
    """Return a number in full if it is short; an unknown field may hold one of any size."""
    text = str(value)
    if "E" in text and abs(value.adjusted()) <= _MAX_EXPONENT:
        text = format(value, "f")
    return text if len(text) <= _MAX_NUMBER_CHARS and "E" not in text else f"{value:.20e}"
