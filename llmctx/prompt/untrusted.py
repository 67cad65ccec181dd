"""Quote text from outside so that a model reads it as data: harmless, on one line, in quotes, and bounded."""

import re

from llmctx.harmless import harmless

MAX_TEXT_CHARS = 300
"""The maximum length of a text in prompts; only numbers within it can be cited."""

_MAX_PATH_CHARS = 200
_PATHS = re.compile(r"(?:[\w.()\[\]+*/-]|(?<!\w) | (?!\w))++")
"""Plain paths and formulas of them: no space between two words, so no sentence."""


def quoted(text: str) -> str:
    """Return the text as prompts show it: harmless, in double quotes that it cannot end, cut at 300 characters."""
    text = harmless(text)
    if len(text) > MAX_TEXT_CHARS:
        text = f"{text[:MAX_TEXT_CHARS]}... ({len(text)} characters)"
    return '"' + text.replace("\\", "\\\\").replace('"', "'") + '"'


def path(text: str) -> str:
    """Return a path as an answer cites it: unchanged if it consists of plain paths, otherwise in quotes."""
    return text if len(text) <= _MAX_PATH_CHARS and _PATHS.fullmatch(text) and harmless(text) == text else quoted(text)
