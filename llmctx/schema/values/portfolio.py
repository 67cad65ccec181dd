"""The account as a whole: an extension of the schema document, in which unknown is null and never 0."""

from pydantic import Field

from llmctx.schema.fields import Number, Positive, Timestamp
from llmctx.schema.values.live_value import LiveValue, unit, unshown


class Holding(LiveValue):
    """One open position."""

    symbol: str
    """Its symbol."""
    side: str
    """long or short."""
    quantity: Positive = unit("shares")
    """Shares held, positive on either side."""
    value: Number | None = unit("account currency", None)
    """What they are worth at the last price, positive on either side."""
    unrealized_pnl_pct: Number | None = unit("%", None)
    """Profit if closed at the last price, as a percentage of what was paid."""
    sector: str | None = unshown(None)
    """Its sector; only the limit of a sector reads it."""


class Portfolio(LiveValue):
    """`portfolio:current`; null is unknown."""

    cash: Number | None = unit("account currency", None)
    """Cash."""
    equity: Number | None = unit("account currency", None)
    """Cash and positions together."""
    gross_exposure: Number | None = unit("account currency", None)
    """The value of all positions, shorts counted positive."""
    net_exposure: Number | None = unit("account currency", None)
    """The value of all positions, shorts counted negative."""
    realized_pnl: Number | None = unit("account currency", None)
    """Profit of the day on what was closed."""
    unrealized_pnl: Number | None = unit("account currency", None)
    """Profit on what is open."""
    drawdown_pct: Number | None = unit("%", None)
    """How far equity lies below its highest, as a percentage of that."""
    peak_equity: Number | None = unshown(None)
    """The highest equity so far."""
    holdings: list[Holding] = Field(default_factory=list)
    """Every open position that is known."""
    unknown: list[str] = Field(default_factory=list)
    """Positions of which nothing is known; while there is one, sums over positions are unknown."""
    joined: bool = unshown(False)
    """Whether it was joined from positions."""
    timestamp: Timestamp
    """When it was written, or when its oldest position was marked to market."""
