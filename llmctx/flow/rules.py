"""What shapes a feed apart from its data: its settings, and the limits of the paper broker."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

STAKE = Decimal(10_000)
"""About what a position is worth when it is opened, in account currency."""
MAX_POSITION_WORTH = 2 * STAKE
"""A position is never enlarged beyond this: an addition is reduced to the whole shares that fit."""
MAX_POSITIONS = 8
"""How many positions may be open at once."""
MIN_CONFIDENCE = Decimal("0.55")
"""An entry signal with less confidence opens nothing."""
COOL_DOWN = timedelta(minutes=10)
"""How long a symbol is not reopened after its position was closed."""
COST_BPS = Decimal(2)
"""Cost of a fill, in basis points of its worth."""
STOP_DISTANCE = Decimal("0.01")
"""Distance of a new position's stop, as a share of its entry price."""
TARGET_DISTANCE = Decimal("0.02")
"""Distance of a new position's target, as a share of its entry price."""


class Broker(NamedTuple):
    """The settings of the paper broker."""

    cost_bps: Decimal = COST_BPS
    """Cost of a fill, in basis points of its worth."""


class FeedRules(NamedTuple):
    """The settings of a feed."""

    interval: timedelta = timedelta(minutes=1)
    """Length of a bar."""
    ratios: Mapping[str, Decimal] = {}
    """Splits by symbol, in new shares for each old one."""
    sectors: Mapping[str, str] = {}
    """Symbol to sector."""
    exchange: str = "XNYS"
    """The exchange whose hours market_status follows."""
    vix: Decimal | None = None
    """The volatility index, where the data has no readings of it."""
    broker: Broker | None = Broker()
    """The paper broker; with None, positions are only marked to market."""
    live: bool = False
    """Whether the data is live, and is judged by the server's clock."""
