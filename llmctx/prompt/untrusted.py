"""Text from outside, made harmless before a model reads it.

Headlines, reasons and unknown fields are written by strangers. Shown to a model they must be seen as quoted data:
on one line, without characters that hide or reorder text, and bounded.
"""

import re
import unicodedata
from functools import lru_cache

_LONGEST_TEXT = 300
_LONGEST_PATH = 120
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_NOT_A_PATH = re.compile(r"[^\w.\-/ ()\[\]=+^]")
# Characters that Unicode calls letters or marks and that nobody sees: fillers, joiners, variation selectors.
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


def visible(text: str) -> str:
    """The text on one line, without control, format (bidirectional, zero-width, tag) and unassigned characters."""
    if not (text.isascii() and text.isprintable()):
        text = _UNSEEN.sub("", text)
        text = "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c) not in _HIDDEN)
    return " ".join(text.split())


def quoted(text: str) -> str:
    """The text as a prompt shows it: visible, in double quotes of which it cannot break out, cut at 300 characters."""
    return _quoted_before(text) if len(text) <= _LONGEST_PATH else _quote(text)


def _quote(text: str) -> str:
    text = visible(text)
    if len(text) > _LONGEST_TEXT:
        text = f"{text[:_LONGEST_TEXT]}... ({len(text)} characters)"
    return '"' + text.replace("\\", "\\\\").replace('"', "'") + '"'


_quoted_before = lru_cache(maxsize=10_000)(_quote)  # short texts come again and again


@lru_cache(maxsize=10_000)
def path(text: str) -> str:
    """A path whose parts may be field names from outside, with nothing in it but what a path needs."""
    if text.isascii() and text.replace(".", "").replace("_", "").isalnum():
        return text[:_LONGEST_PATH]
    return _NOT_A_PATH.sub("?", visible(text))[:_LONGEST_PATH]
