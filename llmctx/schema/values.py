"""The values of the live keys: one model per key family, in exactly the shapes of the schema document.

Other programs write these keys, so every model keeps unknown fields. Every field of the document is required; a writer
without a value writes null.
"""

from decimal import Decimal
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from llmctx.schema.fields import Count, Number, Positive, Timestamp
from llmctx.schema.market_status import MarketStatus


def _unit(unit: str) -> Any:
    """Mark a field with the unit shown in prompts."""
    return Field(json_schema_extra={"unit": unit})


def _unshown() -> Any:
    """Mark a field that prompts leave out: it informs no reader, and would make equal prompts differ."""
    return Field(json_schema_extra={"shown": False})


class LiveValue(BaseModel):
    """A value that other programs may write; unknown fields are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @model_serializer(mode="wrap", when_used="json")
    def _numbers_as_numbers(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write Decimals of unknown and free-form fields as JSON numbers too."""
        fields: dict[str, Any] = serialize(self)
        own = type(self).model_fields
        for name, value in (*self.__dict__.items(), *(self.__pydantic_extra__ or {}).items()):
            if name not in own or own[name].annotation == dict[str, Any]:
                fields[name] = _plain(value)
        return fields


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


class OHLCV(LiveValue):
    """The session so far, as one bar with its last price."""

    last: Positive = _unit("price")
    """The newest traded price."""
    open: Positive = _unit("price")
    """The session's first price."""
    high: Positive = _unit("price")
    """The session's highest price."""
    low: Positive = _unit("price")
    """The session's lowest price."""
    volume: Number = _unit("shares")
    """Shares traded in the session."""


class Price(LiveValue):
    """`stocks:price:{symbol}`."""

    price: OHLCV
    """The prices."""
    timestamp: Timestamp
    """When they became known."""


class Indicators(LiveValue):
    """`stocks:indicators:{symbol}`; an indicator is null until it is warm."""

    rsi_14: Number | None = _unit("0 to 100")
    """Relative strength index over 14 bars (Wilder)."""
    macd: Number | None = _unit("price difference")
    """EMA(12) - EMA(26)."""
    macd_signal: Number | None = _unit("price difference")
    """EMA(9) of macd."""
    bollinger_upper: Number | None = _unit("price")
    """SMA(20) + 2 standard deviations."""
    bollinger_lower: Number | None = _unit("price")
    """SMA(20) - 2 standard deviations."""
    bollinger_width: Number | None = _unit("price difference")
    """Upper band - lower band."""
    timestamp: Timestamp
    """When they became known."""


class News(LiveValue):
    """One headline."""

    headline: str
    """Its text, unchanged."""
    source: str
    """Who published it."""
    timestamp: Timestamp
    """When it was published."""
    url: str
    """Its address."""


class Sentiment(LiveValue):
    """`stocks:sentiment:{symbol}`."""

    sentiment_score: Number | None = _unit("-1 to 1")
    """Sentiment of the news; null without news."""
    sentiment_label: str | None
    """bullish, bearish or neutral; null without news."""
    news_count: Count = _unit("headlines")
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
    score: Number = _unit("0 to 1")
    """Its score; higher is better."""
    price: Positive = _unit("price")
    """Its price at ranking time."""
    signals: list[str]
    """Its recent entry signals."""
    timestamp: Timestamp
    """When it was ranked."""


class Candidates(RootModel[list[Candidate]]):
    """`candidates:ranked`: best first."""

    model_config = ConfigDict(frozen=True)


class Position(LiveValue):
    """`positions:active:{symbol}`."""

    symbol: str
    """The symbol held."""
    entry_price: Positive = _unit("price")
    """Price paid per share."""
    current_price: Positive = _unit("price")
    """The price when it was last marked to market."""
    quantity: Positive = _unit("shares")
    """Shares held, positive on either side."""
    side: Literal["long", "short"]
    """Direction of the position."""
    entry_time: Timestamp
    """When it was opened; identifies the position."""
    unrealized_pnl: Number = _unit("account currency")
    """Profit if closed at current_price."""
    unrealized_pnl_pct: Number = _unit("%")
    """The same, as a percentage of what was paid."""
    stop_loss: Positive | None = _unit("price")
    """The stop; null if none is set."""
    take_profit: Positive | None = _unit("price")
    """The target; null if none is set."""
    last_update: Timestamp
    """When it was last marked to market."""


class Reading(LiveValue):
    """One indicator and its signal."""

    value: Number | None
    """The indicator."""
    signal: str | None
    """Its signal, in a word."""


class Level(LiveValue):
    """The nearest support or resistance."""

    next_level: Positive | None = _unit("price")
    """The level."""
    type: str | None
    """support or resistance."""


class TechnicalSignals(LiveValue):
    """Short-term readings on a position."""

    rsi_1m: Reading | None
    """RSI on one-minute bars."""
    macd_5m: Reading | None
    """MACD on five-minute bars."""
    support_resistance: Level | None
    """The nearest level."""


class Distance(LiveValue):
    """A price level and the distance to it."""

    value: Positive | None = _unit("price")
    """The price."""
    distance: str | None
    """The distance as a percentage of the last price: "1.9%"."""


class Monitoring(LiveValue):
    """`positions:monitoring:{symbol}`."""

    technical_signals: TechnicalSignals
    """Short-term readings."""
    profit_target: Distance | None
    """The target and the distance to it."""
    stop_loss: Distance | None
    """The stop and the distance to it."""
    time_in_trade: str = _unit("hh:mm:ss")
    """How long the position has been open."""
    timestamp: Timestamp
    """When it was written."""


class Signal(LiveValue):
    """`signals:{signal_type}:{symbol}`."""

    reason: str
    """The kind of signal: breakout, target_reached, ..."""
    price: Positive = _unit("price")
    """The price when it was seen."""
    timestamp: Timestamp
    """When it was seen."""
    indicators: dict[str, Any]
    """The indicators it is based on."""
    confidence: Number = _unit("0 to 1")
    """Confidence of its writer."""


class System(LiveValue):
    """`system:state`; a feed of recorded data adds "clock": "bars"."""

    state: str
    """running, paused, ..."""
    market_status: MarketStatus
    """open, closed, ...; common spellings are understood."""
    active_positions_count: Count = _unit("positions")
    """Positions held."""
    watchlist_count: Count = _unit("symbols")
    """Symbols under watch."""
    last_scan_time: Timestamp | None
    """When candidates were last ranked; null before the first scan."""
    timestamp: Timestamp
    """When it was written; with "clock": "bars", every age is measured against it."""


class Performance(LiveValue):
    """`metrics:performance`; an average of nothing is null."""

    daily_pnl: Number | None = _unit("account currency")
    """Profit of the day."""
    daily_pnl_pct: Number | None = _unit("%")
    """The same, as a percentage of the equity at the start of the day."""
    win_count: Count = _unit("trades")
    """Trades closed with a profit."""
    loss_count: Count = _unit("trades")
    """Trades closed with a loss."""
    win_rate: Number | None = _unit("0 to 1")
    """win_count / all closed trades."""
    avg_win: Number | None = _unit("account currency")
    """Mean profit of the winners."""
    avg_loss: Number | None = _unit("account currency")
    """Mean loss of the losers, negative."""
    largest_win: Number | None = _unit("account currency")
    """The best trade."""
    largest_loss: Number | None = _unit("account currency")
    """The worst trade, negative."""
    timestamp: Timestamp
    """When it was written."""


class Breadth(LiveValue):
    """How many symbols rose and fell."""

    advancing: Count = _unit("symbols")
    """Above their previous close."""
    declining: Count = _unit("symbols")
    """Below it."""
    unchanged: Count = _unit("symbols")
    """At it."""


class Market(LiveValue):
    """`context:market`."""

    sector_performance: dict[str, Number] = _unit("%")
    """Change of the day by sector."""
    market_breadth: Breadth
    """Breadth of the market."""
    vix: Number | None = _unit("index points")
    """The volatility index; null if unknown."""
    market_regime: str | None
    """The market regime."""
    timestamp: Timestamp
    """When it was written."""


class Thesis(LiveValue):
    """`decisions:{p}:latest:{symbol}`: the last published decision, as the execution side reads it."""

    address: str = _unshown()
    """Its record in the trail: INDEX, or P:INDEX with several partitions."""
    kind: str
    """decision, failed, skipped or dead_letter."""
    tick: str = _unshown()
    """The tick it settled."""
    symbol: str = _unshown()
    """Its symbol."""
    as_of: Timestamp
    """The time of the data it is based on."""
    entry_time: Timestamp | None
    """The position it is about; null in a dead letter whose evidence could not be recorded."""
    side: str | None = Field(None, json_schema_extra={"shown": False})
    """The direction of that position."""
    entry_price: Number | None = Field(None, json_schema_extra={"shown": False})
    """The price paid per share of it."""
    held: Number | None = Field(None, json_schema_extra={"shown": False})
    """The shares held of it then."""
    action: str
    """The action allowed after the guardrails."""
    quantity: Number | None = _unit("shares")
    """Shares, if the action needs a quantity."""
    stop_loss: Number | None = _unit("price")
    """The stop to set; null leaves it unchanged."""
    take_profit: Number | None = _unit("price")
    """The target to set; null leaves it unchanged."""
    reason: str
    """The reason for the verdict."""
    decided: str | None
    """The action in the model's own answer; null without a usable answer."""
    confidence: Number | None = _unit("0 to 1")
    """The model's confidence."""
    reasoning: str | None
    """The model's reasoning."""
    invalidation: str | None
    """What would invalidate it, in the model's words."""
    valid_for: Count | None = _unit("minutes")
    """How long the model expects it to hold."""
