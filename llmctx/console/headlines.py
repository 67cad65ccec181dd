"""The headlines about a symbol: those in its records, and current ones."""

from collections.abc import Iterable
from typing import NamedTuple

from llmctx import canonical, clock
from llmctx.context.content import read_content
from llmctx.context.package import Package
from llmctx.schema.values import News, Sentiment
from llmctx.trail.log.entry import Entry

MAX_HEADLINES = 30
"""How many are shown, the newest first."""


class Headline(NamedTuple):
    """A headline, written by a stranger."""

    at_ms: int
    """When it was published."""
    text: str
    """Its text."""
    source: str | None
    """Who published it."""


def headlines_of(entries: Iterable[Entry], package: Package | None) -> list[Headline]:
    """The newest headlines from some records and from the current section, oldest first, each once."""
    raws = {raw for entry in entries if (raw := _raw(entry)) is not None}
    sections = [read_content("sentiment", raw.encode()).value for raw in raws]
    if package is not None:
        sections.append(package.sections["sentiment"].value)
    news = [one for section in sections if isinstance(section, Sentiment) for one in section.latest_news]
    found = {_headline(one) for one in news}
    return sorted(found, key=lambda one: (one.at_ms, one.text))[-MAX_HEADLINES:]


def _headline(news: News) -> Headline:
    return Headline(clock.to_ms(news.timestamp), news.headline, news.source)


def _raw(entry: Entry) -> str | None:
    """The news in a record's evidence; None without any."""
    try:
        raw = canonical.loads(entry.pieces["snapshot"])["sections"]["sentiment"]
    except (KeyError, ValueError, TypeError):
        return None
    return raw if isinstance(raw, str) else None
