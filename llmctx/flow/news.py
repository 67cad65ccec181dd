"""Headlines: what they are, and the sentiment of a day's headlines."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx import canonical, clock
from llmctx.errors import SchemaError
from llmctx.flow.bars import BadRow
from llmctx.flow.sentiment import score_of
from llmctx.flow.times import parse_time
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
    score: Decimal | None
    """Its sentiment from -1 to 1: the provider's score, or else that of its words; None if they say nothing."""
    label: str | None = None
    """The provider's label, if it gave one."""

    def member(self) -> bytes:
        """The headline as a member of the symbol's sorted set; equal headlines have equal bytes."""
        return canonical.wire(
            [
                clock.iso_of(self.at),
                self.headline,
                self.source,
                self.url,
                None if self.score is None else str(self.score),
                self.label,
            ]
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
            score=None if score is None else Decimal(score),
            label=label,
        )

    @property
    def normalized(self) -> str:
        """Its words without case and spacing; headlines with the same words are duplicates."""
        return " ".join(self.headline.casefold().split())


def headline_of(document: Mapping[str, Any], number: int) -> Headline | BadRow:
    """Build a headline from a JSON object in our form."""
    try:
        return Headline(
            at=_moment(document.get("timestamp")),
            symbol=check_symbol(_symbol(document)),
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
        return parse_time(value if isinstance(value, str) else "")
    except ValueError as error:
        raise ValueError(f"timestamp {value!r}: {error}") from error


def _text(document: Mapping[str, Any], name: str, *, needed: bool = True) -> str:
    value = document.get(name, "")
    if not isinstance(value, str) or (needed and not value.strip()):
        raise ValueError(f"{name} must be a string" + (" that is not empty" if needed else ""))
    if len(value) > MAX_TEXT_CHARS:
        raise ValueError(f"{name} has more than {MAX_TEXT_CHARS} characters")
    return value


def _symbol(document: Mapping[str, Any]) -> str:
    try:
        return _text(document, "symbol")
    except ValueError as error:
        raise ValueError(f"{error}; if its provider names none, add `symbol`") from error


def _label(value: Any) -> str | None:
    if value is not None and value not in _LABELS:
        raise ValueError(f"sentiment_label must be one of {', '.join(_LABELS)}")
    return None if value is None else str(value)


def _score(document: Mapping[str, Any]) -> Decimal | None:
    given = document.get("sentiment_score")
    if given is None:  # the provider's own score is not contradicted
        return None if document.get("sentiment_label") else score_of(_text(document, "headline"))
    if type(given) not in (int, Decimal) or not -1 <= given <= 1:
        raise ValueError("sentiment_score must be a number from -1 to 1")
    return Decimal(given).quantize(_SCORE_STEP)


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


def _label_of(newest: list[Headline], score: Decimal | None) -> str | None:
    """The provider's label if all headlines share one, otherwise that of their mean score, None without a score."""
    labels = {kept.label for kept in newest}
    label = labels.pop() if len(labels) == 1 else None
    if label or score is None:
        return label
    return "bullish" if score >= _MIN_BULLISH else "bearish" if score <= _MAX_BEARISH else "neutral"


def _sentiment(newest: list[Headline]) -> dict[str, Any]:
    if not newest:
        return {"sentiment_score": None, "sentiment_label": None, "news_count": 0, "latest_news": []}
    scores = [kept.score for kept in newest if kept.score is not None]
    score = (sum(scores, Decimal(0)) / len(scores)).quantize(_SCORE_STEP) if scores else None
    return {
        "sentiment_score": score,
        "sentiment_label": _label_of(newest, score),
        "news_count": len(newest),
        "latest_news": [
            {"headline": kept.headline, "source": kept.source, "timestamp": clock.iso_of(kept.at), "url": kept.url}
            for kept in newest[:MAX_SHOWN]
        ],
    }
