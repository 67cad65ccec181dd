"""The limits that several positions share, over a sequence of records: the same sums as those inside the server.

A position is taken from the last record of its symbol, or for symbols without a record yet from a portfolio section. A
reservation counts until the position's quantity changes or it expires, by the time of the records.
"""

from decimal import Decimal
from fnmatch import fnmatchcase
from typing import NamedTuple

from llmctx.context.package import Package
from llmctx.context.staleness import Status
from llmctx.decision.mandate.mandate import Mandate, Total
from llmctx.decision.mandate.totals import totals_at
from llmctx.decision.reservation import EXPIRY_S, exceeded
from llmctx.decision.verdict import Verdict
from llmctx.schema import keys, values


class _Reserved(NamedTuple):
    symbol: str
    value: Decimal
    quantity: Decimal
    ends_ms: int


class TotalsCheck:
    """Finds room for adds in the totals of a mandate. Packages must come in the order of their times."""

    def __init__(self, mandate: Mandate | None) -> None:
        self._mandate = mandate
        self._worth: dict[str, Decimal | None] = {}
        """The signed value of each position; None if it cannot be read."""
        self._quantities: dict[str, Decimal] = {}
        self._reserved: list[_Reserved] = []

    def see(self, package: Package) -> None:
        """Note what a package says about its position, and about positions that no package has covered yet."""
        symbol, section = package.symbol, package.sections["position"]
        position = section.value
        self._quantities.pop(symbol, None)
        if isinstance(position, values.Position):
            self._quantities[symbol] = position.quantity
            self._worth[symbol] = _signed(position.side, position.quantity, position.current_price)
        else:
            self._worth[symbol] = Decimal(0) if section.status is Status.MISSING else None
        portfolio = package.sections.get("portfolio")
        if portfolio is not None and isinstance(portfolio.value, values.Portfolio):
            for held in portfolio.value.holdings:
                self._worth.setdefault(held.symbol, _signed(held.side, Decimal(1), held.value))

    def reserve(self, package: Package, verdict: Verdict) -> str | None:
        """Reserve room for an add; returns why there is none, in the words of a live refusal."""
        mandate, symbol = self._mandate, package.symbol
        totals = [] if mandate is None else totals_at(package, mandate)
        if mandate is None or not totals or verdict.quantity is None:
            return None
        side, price = package.position.side, package.price.price.last
        self._reserved = [one for one in self._reserved if self._counts(one, package.as_of_ms)]
        unknown = next((name for name, worth in self._worth.items() if worth is None), None)
        if unknown is not None:
            return f"{keys.BY_SECTION['position'].key(unknown)} cannot be read, so the total is unknown"
        added = _signed(side, verdict.quantity, price) or Decimal(0)
        worth = {name: value or Decimal(0) for name, value in self._worth.items()}
        for name, value in [*((one.symbol, one.value) for one in self._reserved), (symbol, added)]:
            worth[name] = worth.get(name, Decimal(0)) + value
        for total in totals:
            found = _sum(total, worth)
            if total.limit is not None and found > total.limit:
                return exceeded(total, f"{found:.2f}")
        expiry_s = mandate.limits_of(symbol, side).order_expiry_s or EXPIRY_S
        ends_ms = package.as_of_ms + expiry_s * 1000
        self._reserved.append(_Reserved(symbol, added, package.position.quantity, ends_ms))
        return None

    def _counts(self, one: _Reserved, now_ms: int) -> bool:
        """Whether a reservation has not expired, and its position does not show its effect yet."""
        return one.ends_ms > now_ms and one.quantity == self._quantities.get(one.symbol)


def _signed(side: str, quantity: Decimal, price: Decimal | None) -> Decimal | None:
    return None if price is None else quantity * price * (1 if side == "long" else -1)


def _sum(total: Total, worth: dict[str, Decimal]) -> Decimal:
    found = [value for name, value in worth.items() if any(fnmatchcase(name, pattern) for pattern in total.symbols)]
    return abs(sum(found, Decimal(0))) if total.kind == "net" else sum(map(abs, found), Decimal(0))
