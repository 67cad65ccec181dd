"""The market's values: prices, indicators, news, signals, the watchlist and the market as a whole."""

from typing import Any

from pydantic import ConfigDict, RootModel

from llmctx.schema.fields import Count, Number, Positive, Timestamp
from llmctx.schema.values.live_value import LiveValue, unit


class OHLCV(LiveValue):
    """The session so far, as one bar with its last price."""

    last: Positive = unit("price")
    """The newest traded price."""
    open: Positive | None = unit("price")
    """The session's first price."""
    high: Positive | None = unit("price")
    """The session's highest price."""
    low: Positive | None = unit("price")
    """The session's lowest price."""
    volume: Number | None = unit("shares")
    """Shares traded in the session."""


class Price(LiveValue):
    """`stocks:price:{symbol}`."""

    price: OHLCV
    """The prices."""
    timestamp: Timestamp
    """When they became known."""


class Indicators(LiveValue):
    """`stocks:indicators:{symbol}`; an indicator is null until it is warm."""

    rsi_14: Number | None = unit("0 to 100")
    """Relative strength index over 14 bars (Wilder)."""
    macd: Number | None = unit("price difference")
    """EMA(12) - EMA(26)."""
    macd_signal: Number | None = unit("price difference")
    """EMA(9) of macd."""
    bollinger_upper: Number | None = unit("price")
    """SMA(20) + 2 standard deviations."""
    bollinger_lower: Number | None = unit("price")
    """SMA(20) - 2 standard deviations."""
    bollinger_width: Number | None = unit("price difference")
    """Upper band - lower band."""
    timestamp: Timestamp
    """When they became known."""


class News(LiveValue):
    """One headline."""

    headline: str
    """Its text, unchanged."""
    source: str | None
    """Who published it; null if unknown."""
    timestamp: Timestamp
    """When it was published."""
    url: str | None
    """Its address; null if unknown."""


class Sentiment(LiveValue):
    """`stocks:sentiment:{symbol}`."""

    sentiment_score: Number | None = unit("-1 to 1")
    """Sentiment of the news; null without news, or if none of it could be read."""
    sentiment_label: str | None
    """bullish, bearish or neutral; null without a score."""
    news_count: Count = unit("headlines")
    """Number of headlines behind the score."""
    latest_news: list[News]
    """The newest headlines, newest first."""
    timestamp: Timestamp
    """When it was written."""


class Watchlist(RootModel[list[str]]):
    """`watchlist:current`: the symbols under watch."""

    model_config = ConfigDict(frozen=True)


class Candidate(LiveValue):
    """One symbol of the ranking."""

    symbol: str
    """The symbol."""
    score: Number = unit("0 to 1")
    """Its score; higher is better."""
    price: Positive = unit("price")
    """Its price at ranking time."""
    signals: list[str]
    """Its recent entry signals."""
    timestamp: Timestamp
    """When it was ranked."""


class Candidates(RootModel[list[Candidate]]):
    """`candidates:ranked`: best first."""

    model_config = ConfigDict(frozen=True)


class Signal(LiveValue):
    """`signals:{signal_type}:{symbol}`."""

    reason: str
    """The kind of signal: breakout, target_reached, ..."""
    price: Positive = unit("price")
    """The price when it was seen."""
    timestamp: Timestamp
    """When it was seen."""
    indicators: dict[str, Any]
    """The indicators it is based on."""
    confidence: Number = unit("0 to 1")
    """Confidence of its writer."""


class Breadth(LiveValue):
    """How many symbols rose and fell."""

    advancing: Count = unit("symbols")
    """Above their previous close."""
    declining: Count = unit("symbols")
    """Below it."""
    unchanged: Count = unit("symbols")
    """At it."""


class Market(LiveValue):
    """`context:market`."""

    sector_performance: dict[str, Number] = unit("%")
    """Change of the day by sector."""
    market_breadth: Breadth
    """Breadth of the market."""
    vix: Number | None = unit("index points")
    """The volatility index; null if unknown."""
    market_regime: str | None
    """The market regime."""
    timestamp: Timestamp
    """When it was written."""
