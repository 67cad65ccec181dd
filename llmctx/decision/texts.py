"""Texts and times that are cited: as prompts show them, and whether an answer repeats them."""

import re
from datetime import datetime

from llmctx import clock
from llmctx.context.facts import Fact
from llmctx.harmless import harmless
from llmctx.prompt.lines import text_of
from llmctx.prompt.untrusted import MAX_TEXT_CHARS

_SHORTEST_TIME, _SHORTEST_CUT = len("2025-05-09T10:15"), 20
_QUOTES = re.compile(r"[\"'`\u201c\u201d\u2018\u2019\\]")


def shown_text(fact: Fact) -> str:
    """A text or time as prompts show it, up to where they cut it."""
    if isinstance(fact.value, datetime):
        return clock.iso_of(fact.value)
    return harmless(fact.value)[:MAX_TEXT_CHARS] if isinstance(fact.value, str) else text_of(fact.value)


def is_text(said: str, fact: Fact) -> bool:
    """Whether a text equals a fact, ignoring case, quotes and spacing; long texts may be cut."""
    shown = clock.iso_of(fact.value) if isinstance(fact.value, datetime) else text_of(fact.value)
    text, full = _bare(said), _bare(shown_text(fact))
    if text == full or text == _bare(shown):
        return True
    if isinstance(fact.value, datetime):
        return full.startswith(text.rstrip("z")) and len(text) >= _SHORTEST_TIME
    if not isinstance(fact.value, str):
        return fact.value is None and text in ("none", "n/a", "not set")
    text = text.rstrip(".\u2026 ")
    parts = [part.strip(" []") for part in text.split(",")]
    return (len(text) >= _SHORTEST_CUT and full.startswith(text)) or all(
        part and part in full.split(", ") for part in parts
    )


def _bare(text: str) -> str:
    return " ".join(_QUOTES.sub("", text).lower().split())
