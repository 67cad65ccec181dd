"""Headlines: what they are, how they are read from JSON Lines, and what those of a day add up to."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from llmctx import canonical, clock
from llmctx.errors import FeedError, SchemaError
from llmctx.flow.bars import BadRow, parse_moment
from llmctx.schema.keys import check_symbol

WINDOW = timedelta(hours=24)
"""How long a headline counts."""
SHOWN = 5
"""How many of the newest are written out."""

_LONGEST_TEXT = 1000
_BULLISH, _BEARISH = Decimal("0.05"), Decimal("-0.05")
_PLACES = Decimal("0.0001")
_LABELS = ("bullish", "bearish", "neutral")


class Headline(NamedTuple):
    """One headline about one symbol."""

    at: datetime
    """When it was published, UTC."""
    symbol: str
    """What it is about."""
    headline: str
    """Its text, as it came."""
    source: str
    """Who published it; empty where that is not known."""
    url: str
    """Where it stands; empty where that is not known."""
    score: Decimal
    """How it reads, from -1 to 1: the provider's word, otherwise VADER's."""
    label: str | None = None
    """The provider's own label, where it has one."""

    def member(self) -> bytes:
        """The headline as the sorted set of a symbol's news keeps it; equal headlines have equal bytes."""
        return canonical.wire(
            [clock.iso_of(self.at), self.headline, self.source, self.url, str(self.score), self.label]
        )

    @classmethod
    def of_member(cls, symbol: str, member: bytes) -> "Headline":
        """The headline that `member` wrote."""
        at, headline, source, url, score, label = canonical.loads(member)
        return cls(clock.parse_iso(at), symbol, headline, source, url, Decimal(score), label)

    @property
    def gist(self) -> str:
        """What makes it the same as another one: its words, whatever their case and spacing."""
        return " ".join(self.headline.casefold().split())


def read_news(path: Path) -> Iterator[Headline | BadRow]:
    """The headlines of a JSON Lines file in its order, and each line that is none.

    Raises FeedError where the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FeedError(f"{path} cannot be read: {error}.", "Name a JSON Lines file of headlines.") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield parse_headline(line, number)


def parse_headline(line: str, number: int) -> Headline | BadRow:
    """The headline that a line says, or why it is none."""
    try:
        document = canonical.loads(line.encode())
    except ValueError as error:
        return BadRow(number, f"no headline: no JSON: {error}")
    return headline_of(document, number)


def headline_of(document: Any, number: int) -> Headline | BadRow:
    """The headline that a JSON object says, or why it says none."""
    if not isinstance(document, dict):
        return BadRow(number, "no headline: is no JSON object")
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
        return BadRow(number, f"no headline: symbol: {error.what}")
    except ValueError as error:
        return BadRow(number, f"no headline: {error}")


def _moment(value: Any) -> datetime:
    try:
        return parse_moment(value if isinstance(value, str) else "")
    except ValueError as error:
        raise ValueError(f"timestamp {value!r}: {error}") from error


def _text(document: Mapping[str, Any], name: str, *, needed: bool = True) -> str:
    value = document.get(name, "")
    if not isinstance(value, str) or (needed and not value.strip()):
        raise ValueError(f"{name} must be a text" + (" that is not empty" if needed else ""))
    if len(value) > _LONGEST_TEXT:
        raise ValueError(f"{name} has more than {_LONGEST_TEXT} characters")
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
    return Decimal(given).quantize(_PLACES)


@cache
def _vader() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # noqa: PLC0415  only who has news needs it

    return SentimentIntensityAnalyzer()


class News:
    """The headlines of one symbol that count."""

    def __init__(self) -> None:
        self._kept: dict[str, Headline] = {}
        self._value: dict[str, Any] | None = None
        self._wire: bytes | None = None
        self._next_end: datetime | None = None

    def add(self, headline: Headline) -> bool:
        """Take a headline; False where the same words were said as late: a repeat counts once, at its newest."""
        known = self._kept.get(headline.gist)
        if known is not None and known.at >= headline.at:
            return False
        self._kept[headline.gist] = headline
        self._value = self._wire = None
        return True

    def wire(self, at: datetime) -> bytes:
        """`value` as JSON; it is asked for at every bar and changes with every headline."""
        value = self.value(at)
        if self._wire is None:
            self._wire = canonical.wire(value)
        return self._wire

    def value(self, at: datetime) -> dict[str, Any]:
        """stocks:sentiment without its timestamp, as of a time: what is older than the window is forgotten."""
        if self._value is None or (self._next_end is not None and at >= self._next_end):
            self._kept = {gist: kept for gist, kept in self._kept.items() if kept.at > at - WINDOW}
            newest = sorted(self._kept.values(), key=lambda kept: (kept.at, kept.member()), reverse=True)
            self._next_end = newest[-1].at + WINDOW if newest else None
            self._value, self._wire = _summary(newest), None
        return self._value


def _label_of(newest: list[Headline], score: Decimal) -> str:
    """The provider's label where all headlines have the same one, otherwise what their mean score says."""
    labels = {kept.label for kept in newest}
    label = labels.pop() if len(labels) == 1 else None
    return label or ("bullish" if score >= _BULLISH else "bearish" if score <= _BEARISH else "neutral")


def _summary(newest: list[Headline]) -> dict[str, Any]:
    if not newest:
        return {"sentiment_score": None, "sentiment_label": None, "news_count": 0, "latest_news": []}
    score = (sum((kept.score for kept in newest), Decimal(0)) / len(newest)).quantize(_PLACES)
    return {
        "sentiment_score": score,
        "sentiment_label": _label_of(newest, score),
        "news_count": len(newest),
        "latest_news": [
            {
                "headline": kept.headline,
                "source": kept.source,
                "timestamp": clock.iso_of(kept.at),
                "url": kept.url,
            }
            for kept in newest[:SHOWN]
        ],
    }
