"""Indicators of longer bars: an extension of the schema document, which the feed writes if a setting says so."""

from llmctx.schema.fields import Number, Positive, Timestamp
from llmctx.schema.values.live_value import LiveValue, optional, unit

ABOUT = (
    "Indicators of bars of one, five and fifteen minutes (m1, m5, m15), one and four hours (h1, h4) and a day (d1). "
    "Only complete bars count. at: when the newest one ended. closes, rsi_series, macd_series: the last values, "
    "oldest first."
)
"""What the section tells the model of itself."""


class Timeframe(LiveValue):
    """Bars of one length; an indicator is null until it is warm."""

    at: Timestamp
    """When the newest complete bar ended."""
    close: Positive = unit("price")
    """Its last price."""
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
    closes: list[Number] | None = optional("price")
    """The last closes, oldest first."""
    rsi_series: list[Number] | None = optional("0 to 100")
    """The last values of rsi_14, oldest first."""
    macd_series: list[Number] | None = optional("price difference")
    """The last values of macd, oldest first."""


class Timeframes(LiveValue):
    """`stocks:timeframes:{symbol}`; a length without a complete bar is absent."""

    m1: Timeframe | None = optional()
    """One minute."""
    m5: Timeframe | None = optional()
    """Five minutes."""
    m15: Timeframe | None = optional()
    """A quarter of an hour."""
    h1: Timeframe | None = optional()
    """One hour."""
    h4: Timeframe | None = optional()
    """Four hours, from midnight UTC on."""
    d1: Timeframe | None = optional()
    """A date at the exchange."""
    timestamp: Timestamp
    """When it was written."""
