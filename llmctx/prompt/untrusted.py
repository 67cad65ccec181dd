"""Make text from outside harmless before a model reads it.

Headlines, reasons and unknown fields are written by strangers. Shown to a model they must be seen as quoted data:
on one line, without characters that hide or reorder text, and bounded.
"""

import re
import unicodedata
from functools import lru_cache

_MAX_TEXT_CHARS = 300
_MAX_PATH_CHARS = 120
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_NOT_A_PATH = re.compile(r"[^\w.\-/ ()\[\]=+^]")
# Invisible characters that Unicode classifies as letters or marks: fillers, joiners, variation selectors.
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


def visible(text: str) -> str:
    """Return the text on one line, without control, format (bidirectional, zero-width, tag) or unassigned ones."""
    if not (text.isascii() and text.isprintable()):
        text = _UNSEEN.sub("", text)
        text = "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c) not in _HIDDEN)
    return " ".join(text.split())


def quoted(text: str) -> str:
    """Return the text as prompts show it: visible, in double quotes that it cannot end, cut at 300 characters."""
    return _quoted_before(text) if len(text) <= _MAX_PATH_CHARS else _quote(text)


def _quote(text: str) -> str:
    text = visible(text)
    if len(text) > _MAX_TEXT_CHARS:
        text = f"{text[:_MAX_TEXT_CHARS]}... ({len(text)} characters)"
    return '"' + text.replace("\\", "\\\\").replace('"', "'") + '"'


_quoted_before = lru_cache(maxsize=10_000)(_quote)  # short texts recur


@lru_cache(maxsize=10_000)
def path(text: str) -> str:
    """Return a path, whose parts may be field names from outside, with all other characters replaced."""
    if text.isascii() and text.replace(".", "").replace("_", "").isalnum():
        return text[:_MAX_PATH_CHARS]
    return _NOT_A_PATH.sub("?", visible(text))[:_MAX_PATH_CHARS]
