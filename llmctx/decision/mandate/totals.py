"""The limits that a position shares with others at the time of a package: sums, shares of equity, leverage."""

from collections.abc import Iterator

from llmctx.context.package import Package
from llmctx.decision.mandate.case import EXACT, known, share_of
from llmctx.decision.mandate.mandate import Mandate, Total
from llmctx.schema import values


def totals_at(package: Package, mandate: Mandate) -> list[Total]:
    """Every shared limit in which an add to a package's position needs room.

    A limit that depends on equity or sectors is left out if the portfolio does not have them: `account_size` then says
    so.
    """
    return [*mandate.totals_of(package.symbol), *_of_account(package, mandate)]


def _of_account(package: Package, mandate: Mandate) -> Iterator[Total]:
    limits = mandate.limits_of(package.symbol, package.position.side)
    if limits.max_leverage is None and limits.sector_share_pct is None:
        return
    portfolio = known(package, "portfolio", values.Portfolio)
    if portfolio is None or portfolio.equity is None:
        return
    if limits.max_leverage is not None:
        most = EXACT.multiply(limits.max_leverage, portfolio.equity)
        yield Total("what max_leverage allows", "gross", ("*",), most)
    symbols = symbols_of_sector(package.symbol, portfolio)
    if limits.sector_share_pct is not None and symbols:
        most = share_of(limits.sector_share_pct, portfolio.equity)
        yield Total("what sector_share_pct allows", "gross", symbols, most)


def symbols_of_sector(symbol: str, portfolio: values.Portfolio) -> tuple[str, ...]:
    """The symbols held in a symbol's sector; none if the portfolio does not name its sector."""
    sector = next((each.sector for each in portfolio.holdings if each.symbol == symbol), None)
    return () if sector is None else tuple(each.symbol for each in portfolio.holdings if each.sector == sector)
