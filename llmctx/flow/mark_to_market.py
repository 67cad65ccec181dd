"""Positions over time: marked to market at every bar, monitored, and adjusted for a split. Pure."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from llmctx import canonical, clock
from llmctx.flow.bars import CENT, PERCENT_STEP, rounded, rounded_price
from llmctx.flow.track import NO_SPLIT, Track, split_ratio
from llmctx.schema.values import Position

_OVERBOUGHT, _OVERSOLD = 70, 30


def mark(position: Position, price: Decimal, at: datetime, funding_rate: Decimal | None = None) -> Position:
    """The position at a new price, and, if it has leverage, with the newest funding rate."""
    move = (price - position.entry_price) * (1 if position.side == "long" else -1)
    share = move / position.entry_price
    if position.unrealized_pnl_pct_basis == "margin" and position.leverage is not None:
        share *= position.leverage
    marked = {
        "current_price": price,
        "unrealized_pnl": rounded(move * position.quantity, CENT),
        "unrealized_pnl_pct": rounded(share * 100, PERCENT_STEP),
        "last_update": at,
    }
    if position.leverage is not None and funding_rate is not None:
        marked["funding_rate"] = funding_rate
    return position.model_copy(update=marked)


def adjust(position: Position, ratio: Decimal) -> Position:
    """The position after a split of `ratio` new shares for each old one."""
    names = ("entry_price", "current_price", "stop_loss", "take_profit", "liquidation_price", "mark_price")
    prices = {name: getattr(position, name) for name in names}
    adjusted = {name: rounded_price(price / ratio) for name, price in prices.items() if price is not None}
    return position.model_copy(update=adjusted | {"quantity": position.quantity * ratio})


def adjusted_for_jump(
    position: Position, price: Decimal, at: datetime, ratios: Mapping[str, Decimal]
) -> Position | None:
    """The position in shares of a later time; None if a split is suspected overnight and no ratio explains it."""
    if position.current_price is None:
        return position
    ratio = split_ratio(position.current_price, position.last_update, price, at, ratios.get(position.symbol))
    if ratio is None:
        return None
    return position if ratio == NO_SPLIT else adjust(position, ratio)


def position_to_wire(position: Position) -> bytes:
    """positions:active:{symbol} as stored."""
    times = {name: clock.iso_of(getattr(position, name)) for name in ("entry_time", "last_update")}
    return canonical.wire(position.model_dump(exclude_unset=True) | times)


def position_from_wire(raw: bytes) -> Position | None:
    """The stored position; None if there is none, or it is malformed."""
    try:
        return Position.model_validate(canonical.loads(raw))
    except (ValueError, ValidationError):
        return None


def monitoring(position: Position, track: Track, at: datetime, *, one_minute: bool) -> dict[str, Any]:
    """positions:monitoring:{symbol} without its timestamp.

    The one-minute RSI is null unless the bars are one-minute bars (`one_minute`); distances are shares of the last
    price.
    """
    price = track.session["last"]
    rsi = track.now.get("rsi_14") if one_minute else None
    return {
        "technical_signals": {
            "rsi_1m": None if rsi is None else {"value": rsi, "signal": _rsi_signal(rsi)},
            "macd_5m": track.macd_5m.reading(),
            "support_resistance": track.levels.nearest(price, track.session["high"], track.session["low"]),
        },
        "profit_target": _distance(position.take_profit, price),
        "stop_loss": _distance(position.stop_loss, price),
        "time_in_trade": _duration(int((at - position.entry_time).total_seconds())),
    }


def _rsi_signal(rsi: Decimal) -> str:
    return "overbought" if rsi >= _OVERBOUGHT else "oversold" if rsi <= _OVERSOLD else "neutral"


def _distance(level: Decimal | None, price: Decimal) -> dict[str, Any] | None:
    if level is None:
        return None
    return {"value": level, "distance": f"{abs(level - price) / price * 100:.1f}%"}


def _duration(seconds: int) -> str:
    """Seconds as hh:mm:ss; hours may exceed 23."""
    seconds = max(0, seconds)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
