"""The account as the paper broker has it: cash, equity, exposure, holdings, the day's results, drawdown. Pure.

A position that cannot be read, or that has no price, is unknown, and unknown is not flat: no sum counts it as nothing.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from llmctx import canonical
from llmctx.flow.bars import CENT, PERCENT_STEP, rounded
from llmctx.flow.book import Day
from llmctx.schema.values import Position


def portfolio(day: Day, positions: Mapping[str, Position | None], peak: Decimal | None) -> dict[str, Any]:
    """portfolio:current without its timestamp. `positions` has every symbol held, None if its position cannot be read;
    `peak` is the highest equity so far, None if there is none yet.
    """
    marked = {name: each for name, each in sorted(positions.items()) if each is not None and _is_marked(each)}
    known, unknown = list(marked.values()), sorted(positions.keys() - marked.keys())
    found: dict[str, Any] = dict.fromkeys(
        ("cash", "equity", "gross_exposure", "net_exposure", "unrealized_pnl", "drawdown_pct", "peak_equity")
    )
    if not unknown:
        worths = [_worth(position) for position in known]
        unrealized = sum((position.unrealized_pnl or Decimal(0) for position in known), Decimal(0))
        equity = day.equity + day.earned + unrealized
        peak = equity if peak is None else max(peak, equity)
        net = sum(worths, Decimal(0))
        invested = sum((_invested(position) for position in known), Decimal(0))
        found |= {
            "cash": rounded(equity - invested, CENT),
            "equity": rounded(equity, CENT),
            "gross_exposure": rounded(sum(map(abs, worths), Decimal(0)), CENT),
            "net_exposure": rounded(net, CENT),
            "unrealized_pnl": rounded(unrealized, CENT),
            "drawdown_pct": rounded((peak - equity) / peak * 100, PERCENT_STEP) if peak > 0 else None,
        }
    holdings = [_holding(position) for position in known]
    return found | {"realized_pnl": day.earned, "peak_equity": peak, "holdings": holdings, "unknown": unknown}


def peak_in(stored: bytes, day: Day) -> Decimal:
    """The highest equity that the stored portfolio:current knows of; without it that of the day's start."""
    try:
        return max(Decimal(canonical.loads(stored)["peak_equity"]), day.equity)
    except (ValueError, TypeError, KeyError, ArithmeticError):
        return day.equity


def _is_marked(position: Position) -> bool:
    return position.current_price is not None and position.unrealized_pnl is not None


def _worth(position: Position) -> Decimal:
    """What a position is worth at its last price, below zero if it is short."""
    worth = position.quantity * (position.current_price or position.entry_price)
    return worth if position.side == "long" else -worth


def _invested(position: Position) -> Decimal:
    """What equity has in a position instead of cash: its worth, or of a perpetual only its profit."""
    return _worth(position) if position.leverage is None else position.unrealized_pnl or Decimal(0)


def _holding(position: Position) -> dict[str, Any]:
    paid = position.quantity * position.entry_price
    return {
        "symbol": position.symbol,
        "side": position.side,
        "quantity": position.quantity,
        "value": rounded(abs(_worth(position)), CENT),
        "unrealized_pnl_pct": rounded((position.unrealized_pnl or Decimal(0)) / paid * 100, PERCENT_STEP),
    }
