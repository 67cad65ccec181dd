"""The account as kept by the paper broker: cash, equity, exposure, holdings, the day's results, drawdown. Pure.

A position that cannot be read, or that has no price, is unknown, and unknown is not flat: no sum counts it as zero.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.flow.bars import CENT, PERCENT_STEP, rounded
from llmctx.flow.book import Day
from llmctx.schema.values import Position


class _Holding(NamedTuple):
    """The account's share in one position."""

    position: Position
    worth: Decimal
    """Its value at its last price, negative if it is short."""
    invested: Decimal
    """The equity tied up in it: its value, or for a perpetual only its profit."""
    unrealized: Decimal
    text: bytes
    """Its entry in `holdings`."""


class PortfolioState:
    """The account over time. A holding is computed once for as long as its position stays the same."""

    def __init__(self) -> None:
        self.peak: Decimal | None = None
        """The highest equity so far; None if none is known yet."""
        self._holdings: dict[str, _Holding] = {}

    def wire(self, day: Day, positions: Mapping[str, Position | None]) -> bytes:
        """portfolio:current without its timestamp. `positions` has every symbol held, None if its position cannot be
        read.
        """
        self._holdings = {
            name: self._holding(name, position)
            for name, position in sorted(positions.items())
            if position is not None and position.current_price is not None and position.unrealized_pnl is not None
        }
        unknown = sorted(positions.keys() - self._holdings.keys())
        sums: dict[str, Any] = dict.fromkeys(
            ("cash", "equity", "gross_exposure", "net_exposure", "unrealized_pnl", "drawdown_pct", "peak_equity")
        )
        if not unknown:
            sums |= self._sums(day)
        text = canonical.wire(sums | {"realized_pnl": day.earned, "peak_equity": self.peak})
        holdings = b",".join(held.text for held in self._holdings.values())
        return b'%s,"holdings":[%s],"unknown":%s}' % (text[:-1], holdings, canonical.wire(unknown))

    def _holding(self, name: str, position: Position) -> _Holding:
        held = self._holdings.get(name)
        return held if held is not None and held.position is position else _holding_of(position)

    def _sums(self, day: Day) -> dict[str, Decimal | None]:
        held = self._holdings.values()
        unrealized = sum((each.unrealized for each in held), Decimal(0))
        equity = day.equity + day.earned + unrealized
        self.peak = peak = equity if self.peak is None else max(self.peak, equity)
        return {
            "cash": rounded(equity - sum((each.invested for each in held), Decimal(0)), CENT),
            "equity": rounded(equity, CENT),
            "gross_exposure": rounded(sum((abs(each.worth) for each in held), Decimal(0)), CENT),
            "net_exposure": rounded(sum((each.worth for each in held), Decimal(0)), CENT),
            "unrealized_pnl": rounded(unrealized, CENT),
            "drawdown_pct": rounded((peak - equity) / peak * 100, PERCENT_STEP) if peak > 0 else None,
        }


def peak_in(stored: bytes, day: Day) -> Decimal:
    """The highest equity known to the stored portfolio:current, or else that of the day's start."""
    try:
        return max(Decimal(canonical.loads(stored)["peak_equity"]), day.equity)
    except (ValueError, TypeError, KeyError, ArithmeticError):
        return day.equity


def _holding_of(position: Position) -> _Holding:
    value = position.quantity * (position.current_price or position.entry_price)
    worth = value if position.side == "long" else -value
    unrealized = position.unrealized_pnl or Decimal(0)
    paid = position.quantity * position.entry_price
    entry = {
        "symbol": position.symbol,
        "side": position.side,
        "quantity": position.quantity,
        "value": rounded(value, CENT),
        "unrealized_pnl_pct": rounded(unrealized / paid * 100, PERCENT_STEP),
    }
    invested = worth if position.leverage is None else unrealized
    return _Holding(position, worth, invested, unrealized, canonical.wire(entry))
