"""How providers of news write a headline, and the same in our form, once for each symbol that it names.

A headline that names no symbol is about the one in the request, which only the requester knows: whoever stores it adds
`symbol`.
"""

from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

_POLYGON_LABELS = {"positive": "bullish", "negative": "bearish", "neutral": "neutral"}


class NewsLayout(NamedTuple):
    """The fields of one provider; a point leads into an object."""

    time: str
    headline: str
    source: str
    url: str
    symbols: str
    """A list, or a text with commas; `symbol` beside it is taken if it is absent."""


LAYOUTS = (
    NewsLayout("published_utc", "title", "publisher.name", "article_url", "tickers"),  # Polygon
    NewsLayout("created_at", "headline", "source", "url", "symbols"),  # Alpaca
    NewsLayout("datetime", "headline", "source", "url", "related"),  # Finnhub
    NewsLayout("content.pubDate", "content.title", "content.provider.displayName", "content.canonicalUrl.url", "-"),
    NewsLayout("providerPublishTime", "title", "publisher", "link", "relatedTickers"),  # yfinance before 0.2.50
    NewsLayout("published", "title", "source.title", "link", "-"),  # RSS, as feedparser reads it
)
"""Polygon, Alpaca, Finnhub, yfinance (two), RSS. docs/data-flow.md names them."""


def in_our_form(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A provider's headline in our form, once for each symbol; any other document as it is."""
    layout = next((one for one in LAYOUTS if _at(document, one.time) and _at(document, one.headline)), None)
    if layout is None or "timestamp" in document:
        yield document
        return
    common = {
        "timestamp": _time(_at(document, layout.time)),
        "headline": _at(document, layout.headline),
        "source": _at(document, layout.source) or "",
        "url": _at(document, layout.url) or "",
    }
    labels = _labels(document)
    for symbol in _symbols(document, layout):
        label = {"sentiment_label": labels[symbol]} if symbol in labels else {}
        yield common | {"symbol": symbol} | label


def _at(document: Any, path: str) -> Any:
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _time(value: Any) -> str:
    """A time as ISO 8601 or an epoch; RSS has that of e-mail."""
    text = str(value)
    try:
        return parsedate_to_datetime(text).isoformat() if "," in text else text
    except ValueError:
        return text


def _symbols(document: Mapping[str, Any], layout: NewsLayout) -> list[Any]:
    """The symbols that a document names; an empty one if it names none, so that the row is reported."""
    found = document.get(layout.symbols)
    if isinstance(found, str):
        found = [symbol.strip() for symbol in found.split(",") if symbol.strip()]
    return found if isinstance(found, list) and found else [document.get("symbol", "")]


def _labels(document: Mapping[str, Any]) -> dict[Any, str | None]:
    """The labels that Polygon gives, by symbol; None for a word that is not a known label."""
    insights = document.get("insights")
    return {
        insight.get("ticker"): _POLYGON_LABELS.get(str(insight.get("sentiment")))
        for insight in (insights if isinstance(insights, list) else [])
        if isinstance(insight, dict) and isinstance(insight.get("ticker"), str)
    }
