"""The values of the paper broker: orders, open trades, fills and closed positions."""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from pydantic import ValidationError

from llmctx import canonical, clock
from llmctx.flow.bars import CENT, rounded, rounded_price
from llmctx.schema.values import Position, Thesis

_DECISION = "decision "
_TRADED = ("exit", "reduce", "add", "adjust_stops")


class Order(NamedTuple):
    """What to do at a symbol's next bar."""

    action: str
    """open, exit, reduce, add or adjust_stops."""
    reason: str
    """A signal's reason, or the address of the decision."""
    side: str | None = None
    """long or short, for open."""
    quantity: Decimal | None = None
    """Shares, for reduce and add."""
    stop_loss: Decimal | None = None
    """The stop to set; None leaves it unchanged."""
    take_profit: Decimal | None = None
    """The target to set; None leaves it unchanged."""
    entry_time: str | None = None
    """The entry time of the position it is for; None for open."""

    @property
    def address(self) -> str | None:
        """The decision that it carries out; None for the opening of a position."""
        return None if self.action == "open" else self.reason.removeprefix(_DECISION)


STOP_HIT, TARGET_REACHED, LIQUIDATED = "stop_hit", "target_reached", "liquidated"
"""Why a position is closed without an order."""


class Execution(NamedTuple):
    """When, at what price and why shares change hands."""

    at: datetime
    price: Decimal
    reason: str


class Trade(NamedTuple):
    """One open position, from its first share to its last."""

    entry_time: str
    """Identifies the position, ISO 8601."""
    entry_price: Decimal
    """The position's price per share; if the live position has another, somebody else changed it."""
    quantity: Decimal
    """Shares held now."""
    basis: Decimal
    """What was paid for them, or received if short."""
    gross: Decimal = Decimal(0)
    """What the closed part has earned so far, before costs."""
    cost: Decimal = Decimal(0)
    """Cost of its fills so far, and funding paid."""
    closed: Decimal = Decimal(0)
    """Shares closed so far."""
    bought: Decimal = Decimal(0)
    """The basis of the closed shares."""
    leverage: Decimal | None = None
    """Its leverage; None if it is paid in full."""

    @property
    def margin(self) -> Decimal | None:
        """Its isolated margin; None if it is paid in full."""
        return None if self.leverage is None else rounded(self.basis / self.leverage, CENT)

    @property
    def tied_up(self) -> Decimal:
        """The equity that nothing else can be bought with: the margin, or what was paid."""
        return self.basis if self.margin is None else self.margin


class Fill(NamedTuple):
    """Shares that changed hands."""

    at: datetime
    """The bar's start for a fill at its open, its end for a stop or target reached inside it."""
    symbol: str
    """The symbol traded."""
    side: str
    """buy or sell."""
    quantity: Decimal
    """Shares."""
    price: Decimal
    """Price per share."""
    cost: Decimal
    """Cost of the fill."""
    realized: Decimal
    """What the closed part earned, before costs; 0 if nothing was closed."""
    reason: str
    """A signal's reason, a decision's address, stop_hit, target_reached or liquidated."""
    entry_time: datetime
    """The position it belongs to."""


class FundingPayment(NamedTuple):
    """Funding that a position paid."""

    at: datetime
    """When it was paid."""
    symbol: str
    """The symbol."""
    rate: Decimal
    """The rate, as a fraction of the position's value."""
    quantity: Decimal
    """What was held then."""
    price: Decimal
    """The price at which it was valued."""
    paid: Decimal
    """What was paid; negative if it was received."""
    entry_time: datetime
    """The position that paid it."""


class ClosedPosition(NamedTuple):
    """A position that was closed."""

    symbol: str
    side: str
    entry_time: datetime
    exit_time: datetime
    quantity: Decimal
    """All shares it ever held."""
    entry_price: Decimal
    """Average entry price per share."""
    exit_price: Decimal
    """Average exit price per share."""
    gross: Decimal
    """Profit before costs."""
    cost: Decimal
    """Cost of its fills, and funding paid."""
    net: Decimal
    """gross - cost."""
    reason: str
    """Why it was closed."""


def history_fields(row: Fill | FundingPayment | ClosedPosition) -> dict[str, str]:
    """A row as an entry of its history stream: times as ISO 8601, decimals in full."""
    return {name: history_text(value) for name, value in row._asdict().items()}


def history_text(value: Any) -> str:
    """A value as a field of a history stream; empty for None."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return clock.iso_of(value)
    return canonical.plain(value) if isinstance(value, Decimal) else str(value)


def order_of(raw: bytes) -> tuple[str, Order] | None:
    """The symbol and the order of a published decision; None if it asks for no trade or cannot be understood."""
    try:
        decision = Thesis.model_validate(canonical.loads(raw))
    except (ValueError, ValidationError):
        return None  # not a decision this version understands: never trade on a guess
    numbers = (decision.quantity, decision.stop_loss, decision.take_profit)
    if (
        decision.action not in _TRADED
        or decision.entry_time is None
        or any(number is not None and number <= 0 for number in numbers)
    ):
        return None
    order = Order(
        action=decision.action,
        reason=f"{_DECISION}{decision.address}",
        quantity=_without_point(decision.quantity),
        stop_loss=_without_point(decision.stop_loss),
        take_profit=_without_point(decision.take_profit),
        entry_time=clock.iso_of(decision.entry_time),
    )
    return decision.symbol, order


def _without_point(value: Decimal | None) -> Decimal | None:
    """Write a whole number without a decimal point: JSON writes 91 as 91.0."""
    return value.to_integral_value() if value is not None and value == value.to_integral_value() else value


def _liquidation_price(side: str, trade: Trade, maintenance: Decimal) -> Decimal | None:
    """The price at which a trade is liquidated, because what is left of its margin is the maintenance margin, a share
    of the position's value there; None if it has no leverage, or no price is low enough.
    """
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
            "liquidation_price": _liquidation_price(position.side, trade, maintenance),
            "unrealized_pnl_pct_basis": "price",
        }
    )
