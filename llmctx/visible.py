"""Text from anywhere, made fit to be looked at: no character of it can act on a terminal or a page."""

import unicodedata

_CONTROL_CATEGORIES = {"Cc", "Cf", "Cs"}


def visible(text: str) -> str:
    """The text with control characters written out; line ends are kept."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c if c == "\n" or unicodedata.category(c) not in _CONTROL_CATEGORIES else repr(c)[1:-1] for c in text
    )
