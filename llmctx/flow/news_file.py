"""A file of headlines as published: JSON Lines or one JSON document, in our form or in that of a provider."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmctx import canonical
from llmctx.errors import FeedError
from llmctx.flow.bars import BadRow
from llmctx.flow.news import Headline, headline_of
from llmctx.flow.news_layouts import in_our_form

_LISTS = ("news", "results", "articles", "items", "data", "feed")
"""Where a provider's response has its headlines."""


def read_news(path: Path) -> Iterator[Headline | BadRow]:
    """Yield the headlines of a JSON Lines file in file order, and a BadRow for each malformed line.

    Raises FeedError if the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FeedError(f"{path} cannot be read: {error}.", "Name a JSON or JSON Lines file of headlines.") from error
    whole = _list_in(text)
    if whole is not None:
        for number, document in enumerate(whole, start=1):
            yield from headlines_of(document, number)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield from parse_headlines(line, number)


def _list_in(text: str) -> list[Any] | None:
    """The headlines of a file that is one JSON document, such as a provider's response; None if it is not one."""
    try:
        document = canonical.loads(text.encode())
    except ValueError:
        return None
    if isinstance(document, dict):
        document = next((document[name] for name in _LISTS if isinstance(document.get(name), list)), [document])
    return document if isinstance(document, list) else None


def parse_headlines(line: str, number: int) -> Iterator[Headline | BadRow]:
    """Parse one line of a news file: a headline for each symbol that it names."""
    try:
        document = canonical.loads(line.encode())
    except ValueError as error:
        yield BadRow(number, f"malformed headline: not valid JSON: {error}")
        return
    yield from headlines_of(document, number)


def headlines_of(document: Any, number: int) -> Iterator[Headline | BadRow]:
    """The headlines in one JSON object as we or a provider write it, one for each symbol."""
    if not isinstance(document, dict):
        yield BadRow(number, "malformed headline: not a JSON object")
        return
    for each in in_our_form(document):
        yield headline_of(each, number)
