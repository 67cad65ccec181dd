"""positions:monitoring: short-term readings on a position, and how far its stop and target are. Pure."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from llmctx.flow.track import Track
from llmctx.schema.values import Position

_OVERBOUGHT, _OVERSOLD = 70, 30


def monitoring(position: Position, track: Track, at: datetime, *, one_minute: bool) -> dict[str, Any]:
    """positions:monitoring:{symbol} without its timestamp.

    RSI on one-minute bars is null where the bars are not (`one_minute` False); distances are shares of the last price.
    """
    price = track.session["last"]
    rsi = track.now.get("rsi_14") if one_minute else None
    return {
        "technical_signals": {
            "rsi_1m": None if rsi is None else {"value": rsi, "signal": _rsi_says(rsi)},
            "macd_5m": track.macd_5m.reading(),
            "support_resistance": track.levels.nearest(price, track.session["high"], track.session["low"]),
        },
        "profit_target": _distance(position.take_profit, price),
        "stop_loss": _distance(position.stop_loss, price),
        "time_in_trade": _span(int((at - position.entry_time).total_seconds())),
    }


def _rsi_says(rsi: Decimal) -> str:
    return "overbought" if rsi >= _OVERBOUGHT else "oversold" if rsi <= _OVERSOLD else "neutral"


def _distance(level: Decimal | None, price: Decimal) -> dict[str, Any] | None:
    if level is None:
        return None
    return {"value": level, "distance": f"{abs(level - price) / price * 100:.1f}%"}


def _span(seconds: int) -> str:
    """Seconds as hh:mm:ss; hours go on beyond a day."""
    seconds = max(0, seconds)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
