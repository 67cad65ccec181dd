"""Text from anywhere, made fit to be looked at: people have names, and no character acts on a terminal or a page."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

_CONTROL_CATEGORIES = {"Cc", "Cf", "Cs"}
_PERSON_ID = re.compile(r"\bperson-[0-9a-f]{32}\b")
_names: dict[str, str] = {}
_HIDDEN = "***"
_MIN_SECRET_CHARS = 4  # a shorter one would hide every other word


def show_names(names: Mapping[str, str]) -> None:
    """From here on, show these names instead of the ids that records have; name by id."""
    _names.clear()
    _names.update(names)


def visible(text: str) -> str:
    """The text with names for the ids that have one, and with control characters written out; line ends are kept."""
    if _names and "person-" in text:
        text = _PERSON_ID.sub(lambda found: _names.get(found[0], found[0]), text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c if c == "\n" or unicodedata.category(c) not in _CONTROL_CATEGORIES else repr(c)[1:-1] for c in text
    )


def hide(text: str, secrets: Iterable[str]) -> str:
    """A text in which each secret is replaced by asterisks, should one ever come into it."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _MIN_SECRET_CHARS:
            text = text.replace(secret, _HIDDEN)
    return text
