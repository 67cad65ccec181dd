"""Positions as time goes by: marked to market at every bar, adjusted for a split. Pure."""

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal

from llmctx.schema.values import Position

STOP = Decimal("0.01")
"""Distance of a new position's stop, as a share of its entry price."""
TARGET = Decimal("0.02")
"""Distance of a new position's target, as a share of its entry price."""

_WIDE = Context(prec=80, rounding=ROUND_HALF_EVEN)
"""Room for whatever prices a bar may have: the usual 28 digits are not enough for all of them."""
_PLACES = 4
_FIGURES = 6
_MONEY = Decimal("0.01")


def mark(position: Position, price: Decimal, at: datetime) -> Position:
    """The position at a new price."""
    move = (price - position.entry_price) * (1 if position.side == "long" else -1)
    return position.model_copy(
        update={
            "current_price": price,
            "unrealized_pnl": rounded(move * position.quantity, _MONEY),
            "unrealized_pnl_pct": rounded(move / position.entry_price * 100, Decimal("0.0001")),
            "last_update": at,
        }
    )


def adjust(position: Position, ratio: Decimal) -> Position:
    """The position after a split of `ratio` new shares for each old one."""
    stop, target = position.stop_loss, position.take_profit
    return position.model_copy(
        update={
            "entry_price": rounded_price(position.entry_price / ratio),
            "current_price": rounded_price(position.current_price / ratio),
            "quantity": position.quantity * ratio,
            "stop_loss": None if stop is None else rounded_price(stop / ratio),
            "take_profit": None if target is None else rounded_price(target / ratio),
        }
    )


def rounded_price(value: Decimal) -> Decimal:
    """A price in four places, and more for cheap symbols: six figures at least."""
    places = max(_PLACES, _FIGURES - 1 - value.adjusted() if value < 1 else 0)
    return rounded(value, Decimal(1).scaleb(-places))


def rounded(value: Decimal, step: Decimal) -> Decimal:
    """A number in whole steps, half to even."""
    return value.quantize(step, context=_WIDE)
