"""How much the paper broker trades: whole lots, within a position's limit and the account's equity."""

from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

from llmctx import canonical
from llmctx.flow.bars import CENT, rounded

STAKE = Decimal(10_000)
"""The approximate value of a new position, in account currency."""
MAX_POSITION_WORTH = 2 * STAKE
"""The maximum value of a position: an addition is reduced to the lots that fit."""
COST_BPS = Decimal(2)
"""Usual cost of a fill, in basis points of its value."""

MAINTENANCE = Decimal("0.005")
"""Usual maintenance margin, as a share of a position's value."""


class Terms(NamedTuple):
    """The terms on which the paper broker fills orders on a symbol."""

    cost_bps: Decimal = COST_BPS
    """Cost of a fill, in basis points of its value."""
    lot: Decimal = Decimal(1)
    """The smallest quantity; purchases are multiples of it."""
    min_notional: Decimal = Decimal(0)
    """The least value of a purchase."""
    maker_bps: Decimal | None = None
    """Cost of a fill at the target, which rests in the order book; None for that of any other fill."""
    leverage: Decimal | None = None
    """The leverage of new positions; None if they are paid in full."""
    maintenance: Decimal = MAINTENANCE
    """The maintenance margin, as a share of a leveraged position's value."""

    def cost_of(self, quantity: Decimal, price: Decimal, *, maker: bool) -> Decimal:
        """Cost of a fill."""
        bps = self.maker_bps if maker and self.maker_bps is not None else self.cost_bps
        return rounded(quantity * price * bps.scaleb(-4), CENT)

    def lots_of(self, quantity: Decimal) -> Decimal:
        """The quantity, cut to whole lots."""
        return (quantity / self.lot).to_integral_value(ROUND_FLOOR) * self.lot

    def affordable(self, worth: Decimal, price: Decimal, wanted: Decimal | None = None) -> Decimal:
        """The lots affordable for `worth`, no more than are wanted; 0 if they are worth less than the minimum."""
        quantity = self.lots_of(worth / price if wanted is None else min(wanted, worth / price))
        return quantity if quantity > 0 and quantity * price >= self.min_notional else Decimal(0)

    def refusal(self, what: str, symbol: str, worth: Decimal, price: Decimal) -> str:
        """Say why nothing is bought for `worth`."""
        plain = canonical.plain
        least = max(self.lot * price, self.min_notional)
        return (
            f"{symbol}: {what} was refused: {plain(max(worth, Decimal(0)))} may be spent, and the least is "
            f"{plain(least)} (lots of {plain(self.lot)} at {plain(price)}, minimum {plain(self.min_notional)})"
        )
