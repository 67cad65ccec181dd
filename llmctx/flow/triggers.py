"""Which of a position's levels a bar reaches: liquidation price, stop and target. Pure.

At the bar's open every level counts that lies between it and the position's side; inside the bar low and high count,
the losing side before the winning one, and on the losing side the level that is nearer to the price.
"""

from datetime import datetime

from llmctx.flow.bars import Bar
from llmctx.flow.trades import LIQUIDATED, STOP_HIT, TARGET_REACHED, Execution
from llmctx.schema.values import Position


def reached(position: Position, bar: Bar, end: datetime) -> Execution | None:
    """When, at what price and why the position is closed within a bar that ends at `end`; None if no level is reached.

    A stop or target is filled at its own price, or at an open beyond it; a liquidation at the liquidation price.
    """
    sign = 1 if position.side == "long" else -1
    worst, best = (bar.low, bar.high) if sign > 0 else (bar.high, bar.low)
    stop, liquidation = position.stop_loss, position.liquidation_price
    losing = [(LIQUIDATED, liquidation, -sign, worst), (STOP_HIT, stop, -sign, worst)]
    target = (TARGET_REACHED, position.take_profit, sign, best)
    for inside in (False, True):
        if inside and stop is not None and liquidation is not None and (stop - liquidation) * sign > 0:
            losing.reverse()
        for reason, level, beyond, extreme in (*losing, target):
            price = extreme if inside else bar.open
            if level is not None and (price - level) * beyond >= 0:
                at, paid = (end, level) if inside else (bar.start, bar.open)
                return Execution(at, level if reason == LIQUIDATED else paid, reason)
    return None
