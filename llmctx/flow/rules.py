"""What shapes a feed apart from its data: its settings, and the limits of the paper broker."""

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.errors import FeedError
from llmctx.flow.sizing import COST_BPS, MAINTENANCE, Terms
from llmctx.flow.timeframes import NO_FRAMES, FrameRules

MAX_POSITIONS = 8
"""How many positions may be open at once."""
MIN_CONFIDENCE = Decimal("0.55")
"""An entry signal with less confidence than this opens nothing."""
COOL_DOWN = timedelta(minutes=10)
"""How long a symbol is not reopened after its position was closed."""
STOP_DISTANCE = Decimal("0.01")
"""Distance of a new position's stop, as a share of its entry price."""
TARGET_DISTANCE = Decimal("0.02")
"""Distance of a new position's target, as a share of its entry price."""

_FRACTION = Decimal("0.0001")
"""The default lot for assets traded in fractions on a market that never closes."""
_PAIR = re.compile(r".+(USD[TC]?|DAI|EUR|GBP|JPY|KRW|TRY|BTC|ETH|PERP|SWAP)(:.*)?", re.IGNORECASE)
"""A coin and its quote currency; coins are traded in fractions."""


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
    """The volatility index, if the data has no readings of it."""
    cost_bps: Decimal | None = COST_BPS
    """Cost of the paper broker's fills, in basis points of their value; None for no broker: positions are only marked.
    """
    live: bool = False
    """Whether the data is live, and is judged by the server's clock."""
    lots: Mapping[str, Decimal] = {}
    """The smallest quantity of a symbol; "" for all others."""
    min_notionals: Mapping[str, Decimal] = {}
    """The least value of a purchase, in the same form."""
    maker_bps: Decimal | None = None
    """Cost of a fill at the target; None for that of other fills."""
    leverages: Mapping[str, Decimal] = {}
    """The leverage of perpetuals, in the same form; symbols not named are paid in full."""
    maintenance: Decimal = MAINTENANCE
    """The maintenance margin of leveraged positions, as a share of their value."""

    frames: FrameRules = NO_FRAMES
    """The time frames whose indicators are written."""

    def terms(self, symbol: str, *, in_fractions: bool = False) -> Terms:
        """The terms for filling orders on a symbol; `in_fractions` says that its bars have fractional volumes."""
        is_divisible = self.exchange == "always" and (in_fractions or _PAIR.fullmatch(symbol) is not None)
        usual = _FRACTION if is_divisible else Decimal(1)
        return Terms(
            COST_BPS if self.cost_bps is None else self.cost_bps,
            lot=self.lots.get(symbol, self.lots.get("", usual)),
            min_notional=self.min_notionals.get(symbol, self.min_notionals.get("", Decimal(0))),
            maker_bps=self.maker_bps,
            leverage=self.leverages.get(symbol, self.leverages.get("")),
            maintenance=self.maintenance,
        )


def read_sectors(path: Path | None) -> dict[str, str]:
    """The sector map of a JSON file, symbol to sector; empty without a file.

    Raises FeedError if the file cannot be read or is malformed.
    """
    if path is None:
        return {}
    form = 'Write it as {"AAPL": "technology", ...}.'
    try:
        found: Any = canonical.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise FeedError(f"{path} cannot be read: {error}.", form) from error
    if not isinstance(found, dict) or not all(isinstance(sector, str) and sector for sector in found.values()):
        raise FeedError(f"{path} is not a sector map.", form)
    return found
