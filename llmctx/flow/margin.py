"""Isolated margin of the paper broker's linear perpetuals, and the price at which a position is liquidated. Pure.

The margin is the amount that the position was bought for, divided by its leverage. The exchange liquidates once the
remaining margin is the maintenance margin, a share of the position's value at that price.
"""

from decimal import Decimal

from llmctx.flow.bars import rounded_price
from llmctx.flow.trades import Trade
from llmctx.schema.values import Position


def liquidation_price(side: str, trade: Trade, maintenance: Decimal) -> Decimal | None:
    """The price at which a trade is liquidated; None if it has no leverage, or no price is low enough."""
    if trade.margin is None:
        return None
    sign = 1 if side == "long" else -1
    price = (trade.basis - sign * trade.margin) / (trade.quantity * (1 - sign * maintenance))
    return rounded_price(price) if price > 0 else None


def with_margin(position: Position, trade: Trade, maintenance: Decimal) -> Position:
    """The position with its margin and liquidation price; unchanged without leverage."""
    if trade.margin is None:
        return position
    return position.model_copy(
        update={
            "leverage": trade.leverage,
            "margin": trade.margin,
            "liquidation_price": liquidation_price(position.side, trade, maintenance),
            "unrealized_pnl_pct_basis": "price",
        }
    )
