"""Positions of the feed: opened by one simple rule, marked to market at every bar. Pure.

The rule: whenever a symbol is flat and its MACD and signal line are warm, buy (MACD at or above its signal line) or
sell short (below it) about 10,000 worth at the bar's close, with a stop 1% against and a target 2% in favour. A
position whose close has reached stop or target is closed at the next bar, so that one decision sees it first.
"""

from datetime import datetime
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from llmctx.schema.values import Position

STAKE = Decimal(10_000)
"""What a position is worth when it is opened, about, in account currency."""
STOP = Decimal("0.01")
"""Distance of the stop, as a share of the entry price."""
TARGET = Decimal("0.02")
"""Distance of the target, as a share of the entry price."""

_PLACES = 4
_FIGURES = 6
_MONEY = Decimal("0.01")


def open_position(
    symbol: str, price: Decimal, at: datetime, macd: Decimal | None, macd_signal: Decimal | None
) -> Position | None:
    """The position that the rule opens at a price, None while the indicators are not warm."""
    if macd is None or macd_signal is None:
        return None
    long = macd >= macd_signal
    sign = 1 if long else -1
    return Position(
        symbol=symbol,
        entry_price=price,
        current_price=price,
        quantity=max(Decimal(1), (STAKE / price).to_integral_value(ROUND_FLOOR)),
        side="long" if long else "short",
        entry_time=at,
        unrealized_pnl=Decimal(0),
        unrealized_pnl_pct=Decimal(0),
        stop_loss=_price(price * (1 - sign * STOP)),
        take_profit=_price(price * (1 + sign * TARGET)),
        last_update=at,
    )


def mark(position: Position, price: Decimal, at: datetime) -> Position:
    """The position at a new price."""
    move = (price - position.entry_price) * (1 if position.side == "long" else -1)
    return position.model_copy(
        update={
            "current_price": price,
            "unrealized_pnl": _rounded(move * position.quantity, _MONEY),
            "unrealized_pnl_pct": _rounded(move / position.entry_price * 100, Decimal("0.0001")),
            "last_update": at,
        }
    )


def is_over(position: Position) -> bool:
    """Whether the position's last mark has reached its stop or its target."""
    sign = 1 if position.side == "long" else -1
    stop, target, price = position.stop_loss, position.take_profit, position.current_price
    return (stop is not None and (price - stop) * sign <= 0) or (target is not None and (price - target) * sign >= 0)


def adjust(position: Position, ratio: Decimal) -> Position:
    """The position after a split of `ratio` new shares for each old one."""
    stop, target = position.stop_loss, position.take_profit
    return position.model_copy(
        update={
            "entry_price": _price(position.entry_price / ratio),
            "current_price": _price(position.current_price / ratio),
            "quantity": position.quantity * ratio,
            "stop_loss": None if stop is None else _price(stop / ratio),
            "take_profit": None if target is None else _price(target / ratio),
        }
    )


def _price(value: Decimal) -> Decimal:
    """Four places, and more for cheap symbols: six figures at least."""
    places = max(_PLACES, _FIGURES - 1 - value.adjusted() if value < 1 else 0)
    return _rounded(value, Decimal(1).scaleb(-places))


def _rounded(value: Decimal, step: Decimal) -> Decimal:
    return value.quantize(step, ROUND_HALF_EVEN)
