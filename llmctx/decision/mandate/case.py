"""What a rule of the mandate looks at: what is to be done, on which position, under which limits."""

from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from functools import cached_property
from typing import Literal, TypeVar

from pydantic import BaseModel

from llmctx.context.ledger import Ledger
from llmctx.context.package import Package
from llmctx.context.staleness import Status
from llmctx.decision.decision import Action
from llmctx.decision.mandate.mandate import Limits, Mandate
from llmctx.schema import values

EXACT = Context(60, traps=[DivisionByZero, InvalidOperation, Overflow])
"""What cannot be computed exactly enough breaks off, and the position is held."""
Effect = Literal["block", "clamp", "unchecked"]
Found = tuple[Effect, str] | None
"""What a rule finds, and in what words; None if nothing."""
Value = TypeVar("Value", bound=BaseModel)
_HUNDRED = Decimal(100)
_CENT = Decimal("0.01")
_SHARE = Decimal("0.00000001")


class Case:
    """One action on one position; a rule may change what is asked for."""

    def __init__(
        self,
        package: Package,
        mandate: Mandate,
        action: Action,
        levels: Mapping[str, Decimal | None],
        contradiction: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`levels` are what the action asks for: quantity, stop_loss and take_profit; `contradiction` says what in the
        answer speaks against it.
        """
        self.package = package
        self.position = package.position
        self.price = package.price.price.last
        self.limits: Limits = mandate.limits_of(package.symbol, self.position.side)
        self.action = action
        self.contradiction = contradiction
        self.quantity = levels["quantity"]
        self.stop_loss = levels["stop_loss"]
        self.take_profit = levels["take_profit"]

    @property
    def sign(self) -> int:
        """1 for a long position, -1 for a short one."""
        return 1 if self.position.side == "long" else -1

    def known(self, section: str, kind: type[Value]) -> Value | None:
        """The value of a section; None unless it is fresh and plausible."""
        return known(self.package, section, kind)

    @property
    def equity(self) -> Decimal | None:
        """The account's equity; None if it is unknown."""
        return _equity(self.package)

    @cached_property
    def ledger(self) -> Ledger:
        """What was decided before, as far as it is about this position, day and hour."""
        return ledger_at(self.package)

    def whole_shares(self, quantity: Decimal) -> Decimal:
        """A quantity rounded down to lots, or to whole shares if nothing else is held or asked for."""
        lot = self.limits.lot_size
        if lot is not None:
            return EXACT.multiply(EXACT.divide_int(quantity, lot), lot)
        asked = self.quantity or quantity
        whole = (
            asked == asked.to_integral_value() and self.position.quantity == self.position.quantity.to_integral_value()
        )
        return quantity.quantize(Decimal(1) if whole else _SHARE, rounding=ROUND_DOWN, context=EXACT)

    def level(self, percent: Decimal, *, above: bool, inward: bool) -> Decimal:
        """The level so many percent above or below the price, rounded towards the price or away from it."""
        exact = EXACT.add(self.price, share_of(percent if above else -percent, self.price))
        return self.on_tick(exact, up=above is not inward)

    def on_tick(self, level: Decimal, *, up: bool) -> Decimal:
        """A level rounded to a whole tick: a cent, or less where the price has more places."""
        tick = min(_CENT, Decimal((0, (1,), int(self.price.as_tuple().exponent))))
        return level.quantize(tick, rounding=ROUND_CEILING if up else ROUND_FLOOR, context=EXACT)

    @property
    def nearest_stop(self) -> Decimal | None:
        """The stop that is as near to the price as it may be; None without a limit."""
        percent = self.limits.stop_min_pct
        return None if percent is None else self.level(percent, above=self.sign < 0, inward=False)


def known(package: Package, section: str, kind: type[Value]) -> Value | None:
    """The value of a package's section; None unless it is fresh and plausible."""
    found = package.sections.get(section)
    if found is None or found.status is not Status.FRESH or found.implausible:
        return None
    return found.value if isinstance(found.value, kind) else None


def percent_of(part: Decimal, whole: Decimal) -> Decimal:
    """A part in percent of a whole."""
    return EXACT.divide(EXACT.multiply(part, _HUNDRED), whole)


def share_of(percent: Decimal, whole: Decimal) -> Decimal:
    """So many percent of a whole."""
    return EXACT.divide(EXACT.multiply(percent, whole), _HUNDRED)


def ledger_at(package: Package) -> Ledger:
    """The ledger of a package's position at its time. The package must have a position."""
    return (package.ledger or Ledger()).at(package.position, package.as_of_ms, _equity(package))


def ledger_after(package: Package, order: str, address: str) -> Ledger | None:
    """The ledger after a verdict on a package, of which the execution side was told an order; None if the package has
    none.
    """
    if package.ledger is None or package.refusal is not None:
        return package.ledger
    return ledger_at(package).after(package.position, order, package.as_of_ms, address)


def _equity(package: Package) -> Decimal | None:
    portfolio = known(package, "portfolio", values.Portfolio)
    return None if portfolio is None else portfolio.equity
