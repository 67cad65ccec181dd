"""The portfolio section: from `portfolio:current`, or joined from the positions of symbols that a setting names.

What cannot be read is unknown, which is not flat: while one position is unknown, no sum over positions is given.
"""

from decimal import Decimal
from typing import Any

from llmctx import canonical, clock
from llmctx.context.snapshot import RawSection
from llmctx.schema import values
from llmctx.schema.keys import BY_SECTION, PORTFOLIO

_POSITION = BY_SECTION["position"]
_MAX_HOLDINGS = 200


def portfolio_keys(symbol: str, named: tuple[str, ...] | None) -> list[str]:
    """The further keys that the section needs: none if it is off, or if it needs this symbol's position alone."""
    if named is None:
        return []
    others = [other for other in dict.fromkeys(named) if other != symbol]
    return [_POSITION.key(other) for other in others] if named else [PORTFOLIO]


def portfolio_section(own: RawSection, found: list[RawSection], *, joined: bool) -> RawSection:
    """The section, from what was read under `portfolio_keys` and the symbol's own position."""
    if not joined:
        return found[0]
    positions: dict[str, Any] = {}
    for raw in (own, *found):
        symbol = raw.key.removeprefix(_POSITION.key(""))
        try:
            positions[symbol] = {"unread": raw.unread} if raw.unread else raw.raw and raw.raw.decode()
        except UnicodeDecodeError:
            positions[symbol] = {"unread": "is not UTF-8"}
    return RawSection(PORTFOLIO, canonical.dumps({"positions": positions}))


def read_portfolio(document: Any) -> Any:
    """The document of a portfolio; one that was joined is made of its positions."""
    if not isinstance(document, dict) or not isinstance(document.get("positions"), dict):
        return document
    holdings, unknown, signed, marked = [], [], [], []
    for symbol, text in document["positions"].items():
        if text is None:
            continue  # no key, no position: it is deleted when the position is closed
        try:
            position = values.Position.model_validate(canonical.loads(text.encode()))
        except (ValueError, AttributeError):
            unknown.append(symbol)
            continue
        if position.current_price is None:
            unknown.append(symbol)  # what it is worth nobody has written
            continue
        worth = position.quantity * position.current_price
        on_margin = position.unrealized_pnl_pct_basis == "margin"  # another percentage than the other holdings have
        holdings.append(
            values.Holding(
                symbol=symbol,
                side=position.side,
                quantity=position.quantity,
                value=worth,
                unrealized_pnl_pct=None if on_margin else position.unrealized_pnl_pct,
            )
        )
        signed.append((worth if position.side == "long" else -worth, position.unrealized_pnl))
        marked.append(position.last_update)
    sums = None if unknown else [sum(map(abs, worths := [each[0] for each in signed])), sum(worths)]
    return {
        "gross_exposure": None if sums is None else Decimal(sums[0]),
        "net_exposure": None if sums is None else Decimal(sums[1]),
        "unrealized_pnl": None if unknown else _sum([each[1] for each in signed]),
        "holdings": holdings[:_MAX_HOLDINGS],
        "unknown": unknown,
        "joined": True,
        "timestamp": min(marked, default=clock.from_ms(0)),
    }


def _sum(numbers: list[Decimal | None]) -> Decimal | None:
    """The sum, None if one number is unknown."""
    known = [number for number in numbers if number is not None]
    return sum(known, Decimal(0)) if len(known) == len(numbers) else None


def with_uncounted(portfolio: values.Portfolio, system: values.System) -> values.Portfolio:
    """A joined portfolio, with the positions that system:state counts and no key of the setting holds."""
    counted = len(portfolio.holdings) + len(portfolio.unknown)
    missing = (system.active_positions_count or 0) - counted
    if not portfolio.joined or missing <= 0:
        return portfolio
    uncounted = f"{missing} more by system.active_positions_count"
    sums = dict.fromkeys(("gross_exposure", "net_exposure", "unrealized_pnl"))
    return portfolio.model_copy(update={**sums, "unknown": [*portfolio.unknown, uncounted]})
