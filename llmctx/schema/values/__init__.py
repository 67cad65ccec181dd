"""The values of the live keys: one model per key family, in exactly the shapes of the schema document.

Other programs write these keys, so every model keeps unknown fields. Every field of the document is required; a writer
without a value writes null.
"""

from llmctx.schema.values.account import (
    OF_NOTIONAL,
    Distance,
    Level,
    Monitoring,
    Performance,
    Position,
    Reading,
    System,
    TechnicalSignals,
    Thesis,
)
from llmctx.schema.values.effect import Effect
from llmctx.schema.values.live_value import LiveValue
from llmctx.schema.values.market import (
    OHLCV,
    Breadth,
    Candidate,
    Candidates,
    Indicators,
    Market,
    News,
    Price,
    Sentiment,
    Signal,
    Watchlist,
)
from llmctx.schema.values.memory import ClosedPosition, Memory, Opening, PastDecision
from llmctx.schema.values.portfolio import Holding, Portfolio
from llmctx.schema.values.timeframes import Timeframe, Timeframes

__all__ = [
    "OF_NOTIONAL", "OHLCV", "Breadth", "Candidate", "Candidates", "ClosedPosition", "Distance", "Effect", "Holding",
    "Indicators", "Level", "LiveValue", "Market", "Memory", "Monitoring", "News", "Opening", "PastDecision",
    "Performance", "Portfolio", "Position", "Price", "Reading", "Sentiment", "Signal", "System", "TechnicalSignals",
    "Thesis", "Timeframe", "Timeframes", "Watchlist",
]  # fmt: skip
