"""Quote text from outside so that a model reads it as data: harmless, on one line, in quotes, and bounded."""

import re

from llmctx.harmless import harmless

MAX_TEXT_CHARS = 300
"""Prompts show this much of a text; only numbers within it can be cited."""

_MAX_PATH_CHARS = 120
_NOT_A_PATH = re.compile(r"[^\w.\-/ ()\[\]=+^]")


def quoted(text: str) -> str:
    """Return the text as prompts show it: harmless, in double quotes that it cannot end, cut at 300 characters."""
    text = harmless(text)
    if len(text) > MAX_TEXT_CHARS:
        text = f"{text[:MAX_TEXT_CHARS]}... ({len(text)} characters)"
    return '"' + text.replace("\\", "\\\\").replace('"', "'") + '"'


def path(text: str) -> str:
    """Return what an answer cites as a path, with all characters replaced that no path has."""
    return _NOT_A_PATH.sub("?", harmless(text))[:_MAX_PATH_CHARS]
