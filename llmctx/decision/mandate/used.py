"""How much of each exhaustible limit is used, in the unit of the limit."""

from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal

from llmctx.decision.mandate.case import EXACT, Case, percent_of
from llmctx.schema import values

_ZERO, _PLACES = Decimal(0), Decimal("0.0001")


def day_loss(case: Case) -> Decimal | None:
    """The account's loss of the day in percent, negative for a profit; None if unknown.

    It comes from the performance section, otherwise from the day's (UTC) first equity in the symbol's ledger.
    """
    performance = case.known("performance", values.Performance)
    if performance is not None and performance.daily_pnl_pct is not None:
        return -performance.daily_pnl_pct
    return _lost_since(case.ledger.day_equity, case)


def drawdown(case: Case) -> Decimal | None:
    """How far the account is below its peak, in percent; None if unknown.

    It comes from the portfolio section, otherwise from the highest equity in the symbol's ledger.
    """
    portfolio = case.known("portfolio", values.Portfolio)
    if portfolio is not None and portfolio.drawdown_pct is not None:
        return portfolio.drawdown_pct
    return _lost_since(case.ledger.peak_equity, case)


def used_of(name: str, case: Case) -> Decimal | None:
    """How much of a limit a case has used before its action; None if it cannot be used up, or that is unknown."""
    try:
        return _USED[name](case) if name in _USED else None
    except ArithmeticError:  # an absurdly large figure
        return None


def _lost_since(before: Decimal | None, case: Case) -> Decimal | None:
    now = case.equity
    if before is None or now is None or before <= 0:
        return None
    lost = percent_of(EXACT.subtract(before, now), before)
    return lost.quantize(_PLACES, rounding=ROUND_CEILING, context=EXACT)  # a loss is never shown smaller than it is


def _worth(case: Case) -> Decimal:
    return case.position.quantity * case.price


def _share_of_equity(case: Case) -> Decimal | None:
    return None if case.equity is None else percent_of(_worth(case), case.equity)


def _leverage(case: Case) -> Decimal | None:
    portfolio = case.known("portfolio", values.Portfolio)
    if portfolio is None or portfolio.equity is None or portfolio.gross_exposure is None:
        return None
    return portfolio.gross_exposure / portfolio.equity


def _under_water(case: Case) -> Decimal:
    entry = case.position.entry_price
    return max(percent_of((entry - case.price) * case.sign, entry), _ZERO)


def _day_loss(case: Case) -> Decimal | None:
    lost = day_loss(case)
    return None if lost is None else max(lost, _ZERO)


_USED: dict[str, Callable[[Case], Decimal | None]] = {
    "actions_per_hour": lambda case: Decimal(len(case.ledger.actions)),
    "adds_per_position": lambda case: Decimal(case.ledger.adds),
    "adds_per_day": lambda case: Decimal(case.ledger.adds_today),
    "daily_loss_pct": _day_loss,
    "drawdown_pct": drawdown,
    "loser_pct": _under_water,
    "max_quantity": lambda case: case.position.quantity,
    "max_notional": _worth,
    "max_times_opened": lambda case: case.position.quantity / (case.ledger.opened or case.position.quantity),
    "equity_share_pct": _share_of_equity,
    "max_leverage": _leverage,
}
