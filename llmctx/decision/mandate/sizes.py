"""The rules of the mandate about how large positions may become, alone and together."""

from collections.abc import Iterator
from decimal import Decimal

from llmctx.decision.mandate.case import EXACT, Case, Found, share_of
from llmctx.schema import values

_ZERO = Decimal(0)
_Cap = tuple[Decimal, str]
"""The quantity that may be held after an add, in shares, and the limit that says so."""


def check_size(case: Case, _: object) -> Found:
    """Cap the quantity held after an add by the smallest limit."""
    limits, unchecked, caps = case.limits, None, []
    if limits.max_quantity is not None:
        caps.append((limits.max_quantity, "max_quantity"))
    if limits.max_notional is not None:
        caps.append((EXACT.divide(limits.max_notional, case.price), "max_notional"))
    if limits.max_times_opened is not None:
        opened = case.ledger.opened or case.position.quantity
        caps.append((EXACT.multiply(limits.max_times_opened, opened), "max_times_opened"))
    if limits.equity_share_pct is not None:
        equity = case.equity
        if equity is None:
            unchecked = "equity_share_pct: the account's equity is unknown"
        else:
            caps.append((EXACT.divide(share_of(limits.equity_share_pct, equity), case.price), "equity_share_pct"))
    return _capped(case, caps) or (None if unchecked is None else ("unchecked", unchecked))


def check_account(case: Case, _: object) -> Found:
    """Cap an add by the limits on the value of all positions together and of those in its sector."""
    caps: list[_Cap] = []
    unchecked: list[str] = []
    for found in _room(case):
        (unchecked if isinstance(found, str) else caps).append(found)  # type: ignore[arg-type]
    return _capped(case, caps) or (("unchecked", "; ".join(unchecked)) if unchecked else None)


def _room(case: Case) -> Iterator[_Cap | str]:
    """What each limit of the account allows to be held, or why that is unknown."""
    limits, portfolio = case.limits, case.known("portfolio", values.Portfolio)
    held = case.position.quantity
    equity = None if portfolio is None else portfolio.equity
    for name, most in (("max_leverage", limits.max_leverage), ("sector_share_pct", limits.sector_share_pct)):
        if most is None:
            continue
        if portfolio is None or equity is None:
            yield f"{name}: the account's equity is unknown"
            continue
        by_sector = name == "sector_share_pct"
        worth = _sector_worth(case.package.symbol, portfolio) if by_sector else portfolio.gross_exposure
        if worth is None or isinstance(worth, str):
            yield f"{name}: {worth or 'the value of all positions is unknown'}"
            continue
        allowed = share_of(most, equity) if by_sector else EXACT.multiply(most, equity)
        yield EXACT.add(held, EXACT.divide(EXACT.subtract(allowed, worth), case.price)), name


def _sector_worth(symbol: str, portfolio: values.Portfolio) -> Decimal | str:
    """The value of the positions in a symbol's sector, or why it is unknown."""
    sector = next((each.sector for each in portfolio.holdings if each.symbol == symbol), None)
    if sector is None:
        return f"the sector of {symbol} is unknown"
    if portfolio.unknown:
        return f"of {portfolio.unknown[0]} nothing is known"
    worth = _ZERO
    for each in portfolio.holdings:
        if each.sector is None or (each.sector == sector and each.value is None):
            return f"the sector or the value of {each.symbol} is unknown"
        worth = EXACT.add(worth, each.value or _ZERO) if each.sector == sector else worth
    return worth


def _capped(case: Case, caps: list[_Cap]) -> Found:
    """Cap an add by the smallest of some limits; None if it is within all of them."""
    cap, name = min(caps, default=(None, ""))
    held, asked = case.position.quantity, case.quantity
    if cap is None or asked is None or EXACT.add(held, asked) <= cap:
        return None
    left = case.whole_shares(max(EXACT.subtract(cap, held), _ZERO))
    if left <= 0:
        return "block", f"{held} are held, and {name} allows {_short(cap)}"
    case.quantity = left
    return "clamp", f"add of {asked} is capped at {left}: {name} allows {_short(cap)} in all"


def _short(value: Decimal) -> str:
    return format(value.quantize(Decimal("0.01")).normalize() if value >= 1 else value, "f")[:20]
