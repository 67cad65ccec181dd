"""The portfolio section: from `portfolio:current`, or joined from the positions of symbols that a setting lists.

Unreadable positions are unknown, which is not flat: while one position is unknown, sums over positions are null.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from llmctx import canonical, clock
from llmctx.context.read_rules import ReadRules
from llmctx.context.snapshot import RawSection
from llmctx.schema import values
from llmctx.schema.keys import BY_SECTION, PORTFOLIO
from llmctx.schema.mapping.sections import Place, Sections

_POSITION = BY_SECTION["position"]
_MAX_HOLDINGS = 200


def portfolio_places(symbol: str, named: Sequence[str], rules: ReadRules) -> dict[str, Place]:
    """The places of the extra keys that the section needs, by symbol; none if this symbol's position is enough.

    `named` lists the symbols whose positions form it, none for `portfolio:current`, which has the empty symbol.
    """
    sections = rules.sections
    if not named:
        return {"": Place(PORTFOLIO)}
    others = [other for other in dict.fromkeys(named) if other != symbol]
    if sections is None:
        return {other: Place(_POSITION.key(other)) for other in others}
    return {other: sections.places(other, rules.signal_types, 0)["position"] for other in others}


def portfolio_section(found: Mapping[str, RawSection], *, joined: bool) -> RawSection:
    """The section, from the values read by symbol under `portfolio_places`, and the symbol's own position."""
    if not joined:
        return found[""]
    positions: dict[str, Any] = {}
    for symbol, raw in found.items():
        try:
            positions[symbol] = {"unread": raw.unread} if raw.unread else raw.raw and raw.raw.decode()
        except UnicodeDecodeError:
            positions[symbol] = {"unread": "is not UTF-8"}
    return RawSection(PORTFOLIO, canonical.dumps({"positions": positions}))


def read_portfolio(document: Any, sections: Sections | None = None) -> Any:
    """The document of a portfolio; a joined one is built from its positions, read by the rules of `sections`."""
    if not isinstance(document, dict) or not isinstance(document.get("positions"), dict):
        return document
    holdings, unknown, signed, marked = [], [], [], []
    for symbol, text in document["positions"].items():
        if text is None:
            continue  # no key, no position: it is deleted when the position is closed
        try:
            document = _position_in(text, symbol, sections)
            if document == {} and sections is not None:
                continue  # flat
            position = values.Position.model_validate(document)
        except (ValueError, AttributeError):
            unknown.append(symbol)
            continue
        if position.current_price is None:
            unknown.append(symbol)  # nobody has written its value
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


def _position_in(text: str, symbol: str, sections: Sections | None) -> Any:
    if sections is None or sections.rule_of("position") is None:
        return canonical.loads(text.encode())
    return sections.document("position", text.encode(), symbol)


def _sum(numbers: list[Decimal | None]) -> Decimal | None:
    """The sum; None if one number is unknown."""
    known = [number for number in numbers if number is not None]
    return sum(known, Decimal(0)) if len(known) == len(numbers) else None


def with_uncounted(portfolio: values.Portfolio, system: values.System) -> values.Portfolio:
    """A joined portfolio, with the positions that system:state counts and that no listed symbol has."""
    counted = len(portfolio.holdings) + len(portfolio.unknown)
    missing = (system.active_positions_count or 0) - counted
    if not portfolio.joined or missing <= 0:
        return portfolio
    uncounted = f"{missing} more by system.active_positions_count"
    sums = dict.fromkeys(("gross_exposure", "net_exposure", "unrealized_pnl"))
    return portfolio.model_copy(update={**sums, "unknown": [*portfolio.unknown, uncounted]})
