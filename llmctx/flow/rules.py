"""What shapes a feed beside its data."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from llmctx.flow.paper import COST_BPS
from llmctx.flow.step import Broker


class FeedRules(NamedTuple):
    """What shapes a feed beside its data."""

    interval: timedelta = timedelta(minutes=1)
    """How long a bar is."""
    ratios: Mapping[str, Decimal] = {}
    """Splits by symbol, new shares for each old one."""
    sectors: Mapping[str, str] = {}
    """Symbol to sector."""
    exchange: str = "XNYS"
    """Whose hours market_status follows."""
    vix: Decimal | None = None
    """The volatility index, where nobody sends readings of it."""
    broker: Broker | None = Broker(COST_BPS)
    """The paper broker; None only marks positions."""
    live: bool = False
    """Whether the data is of now, to be judged by the server's clock."""
