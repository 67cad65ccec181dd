"""Headlines: what they are, how they are read from JSON Lines, and the sentiment of a day's headlines."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from llmctx import canonical, clock
from llmctx.errors import FeedError, SchemaError
from llmctx.flow.bars import BadRow, parse_moment
from llmctx.schema.symbol import check_symbol

WINDOW = timedelta(hours=24)
"""How long a headline counts."""
MAX_SHOWN = 5
"""How many of the newest headlines stocks:sentiment lists."""

MAX_TEXT_CHARS = 1000
_MIN_BULLISH, _MAX_BEARISH = Decimal("0.05"), Decimal("-0.05")
_SCORE_STEP = Decimal("0.0001")
_LABELS = ("bullish", "bearish", "neutral")


class Headline(NamedTuple):
    """One headline about one symbol."""

    at: datetime
    """When it was published, UTC."""
    symbol: str
    """The symbol it is about."""
    headline: str
    """Its text, unchanged."""
    source: str
    """Who published it; empty if unknown."""
    url: str
    """Its address; empty if unknown."""
    score: Decimal
    """Its sentiment from -1 to 1: the provider's score, or else VADER's."""
    label: str | None = None
    """The provider's label, if it gave one."""

    def member(self) -> bytes:
        """The headline as a member of the symbol's sorted set; equal headlines have equal bytes."""
        return canonical.wire(
            [clock.iso_of(self.at), self.headline, self.source, self.url, str(self.score), self.label]
        )

    @classmethod
    def from_member(cls, symbol: str, member: bytes) -> "Headline":
        """Parse what `member` wrote."""
        at, headline, source, url, score, label = canonical.loads(member)
        return cls(
            at=clock.parse_iso(at),
            symbol=symbol,
            headline=headline,
            source=source,
            url=url,
            score=Decimal(score),
            label=label,
        )

    @property
    def normalized(self) -> str:
        """Its words without case and spacing; headlines with the same words are duplicates."""
        return " ".join(self.headline.casefold().split())


def read_news(path: Path) -> Iterator[Headline | BadRow]:
    """Yield the headlines of a JSON Lines file in file order, and a BadRow for each malformed line.

    Raises FeedError if the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FeedError(f"{path} cannot be read: {error}.", "Name a JSON Lines file of headlines.") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield parse_headline(line, number)


def parse_headline(line: str, number: int) -> Headline | BadRow:
    """Parse one line of a news file."""
    try:
        document = canonical.loads(line.encode())
    except ValueError as error:
        return BadRow(number, f"malformed headline: not valid JSON: {error}")
    return headline_of(document, number)


def headline_of(document: Any, number: int) -> Headline | BadRow:
    """Build a headline from the JSON object on a line."""
    if not isinstance(document, dict):
        return BadRow(number, "malformed headline: not a JSON object")
    try:
        return Headline(
            at=_moment(document.get("timestamp")),
            symbol=check_symbol(_text(document, "symbol")),
            headline=_text(document, "headline"),
            source=_text(document, "source", needed=False),
            url=_text(document, "url", needed=False),
            score=_score(document),
            label=_label(document.get("sentiment_label")),
        )
    except SchemaError as error:
        return BadRow(number, f"malformed headline: symbol: {error.what}")
    except ValueError as error:
        return BadRow(number, f"malformed headline: {error}")


def _moment(value: Any) -> datetime:
    try:
        return parse_moment(value if isinstance(value, str) else "")
    except ValueError as error:
        raise ValueError(f"timestamp {value!r}: {error}") from error


def _text(document: Mapping[str, Any], name: str, *, needed: bool = True) -> str:
    value = document.get(name, "")
    if not isinstance(value, str) or (needed and not value.strip()):
        raise ValueError(f"{name} must be a string" + (" that is not empty" if needed else ""))
    if len(value) > MAX_TEXT_CHARS:
        raise ValueError(f"{name} has more than {MAX_TEXT_CHARS} characters")
    return value


def _label(value: Any) -> str | None:
    if value is not None and value not in _LABELS:
        raise ValueError(f"sentiment_label must be one of {', '.join(_LABELS)}")
    return None if value is None else str(value)


def _score(document: Mapping[str, Any]) -> Decimal:
    given = document.get("sentiment_score")
    if given is None:
        compound: float = _vader().polarity_scores(_text(document, "headline"))["compound"]
        return Decimal(str(compound))
    if type(given) not in (int, Decimal) or not -1 <= given <= 1:
        raise ValueError("sentiment_score must be a number from -1 to 1")
    return Decimal(given).quantize(_SCORE_STEP)


@cache
def _vader() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # noqa: PLC0415  slow; only news needs it

    return SentimentIntensityAnalyzer()


class NewsWindow:
    """The headlines of one symbol that still count."""

    def __init__(self) -> None:
        self._kept: dict[str, Headline] = {}
        self._wire: bytes | None = None
        self._expires_at: datetime | None = None

    def add(self, headline: Headline) -> bool:
        """Add a headline; False if it repeats one at least as new. Repeated words count once, at the newest time."""
        known = self._kept.get(headline.normalized)
        if known is not None and known.at >= headline.at:
            return False
        self._kept[headline.normalized] = headline
        self._wire = None
        return True

    def wire(self, at: datetime) -> bytes:
        """`value` as JSON; cached, because every bar reads it and only headlines change it."""
        if self._wire is None or (self._expires_at is not None and at >= self._expires_at):
            self._wire = canonical.wire(self.value(at))
        return self._wire

    def value(self, at: datetime) -> dict[str, Any]:
        """stocks:sentiment without its timestamp as of a time; older headlines are discarded."""
        self._kept = {words: kept for words, kept in self._kept.items() if kept.at > at - WINDOW}
        newest = sorted(self._kept.values(), key=lambda kept: (kept.at, kept.member()), reverse=True)
        self._expires_at = newest[-1].at + WINDOW if newest else None
        self._wire = None
        return _sentiment(newest)


def _label_of(newest: list[Headline], score: Decimal) -> str:
    """The provider's label if all headlines share one, otherwise the label of their mean score."""
    labels = {kept.label for kept in newest}
    label = labels.pop() if len(labels) == 1 else None
    return label or ("bullish" if score >= _MIN_BULLISH else "bearish" if score <= _MAX_BEARISH else "neutral")


def _sentiment(newest: list[Headline]) -> dict[str, Any]:
    if not newest:
        return {"sentiment_score": None, "sentiment_label": None, "news_count": 0, "latest_news": []}
    score = (sum((kept.score for kept in newest), Decimal(0)) / len(newest)).quantize(_SCORE_STEP)
    return {
        "sentiment_score": score,
        "sentiment_label": _label_of(newest, score),
        "news_count": len(newest),
        "latest_news": [
            {"headline": kept.headline, "source": kept.source, "timestamp": clock.iso_of(kept.at), "url": kept.url}
            for kept in newest[:MAX_SHOWN]
        ],
    }
