"""A second book-keeper: the paper broker's documented rules once more, in one plain loop that uses none of its code."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any, NamedTuple

MINUTE = timedelta(minutes=1)
CENT, FOUR = Decimal("0.01"), Decimal("0.0001")
ZERO = Decimal(0)


class Rules(NamedTuple):
    """How one symbol is traded."""

    lot: Decimal
    taker: Decimal
    maker: Decimal
    leverage: Decimal | None = None
    maintenance: Decimal = Decimal("0.005")


def half_even(value: Decimal, step: Decimal) -> Decimal:
    return value.quantize(step, ROUND_HALF_EVEN)


class Recount:
    """The fills, funding and equity that bars, rates, openings and decisions come to."""

    def __init__(self, rules: Mapping[str, Rules], openings: Mapping[tuple[str, datetime], tuple[str, str]]) -> None:
        """`openings`: symbol and time to the side that is opened there and why."""
        self.rules, self.openings = rules, openings
        self.equity = Decimal(100_000)
        self.held: dict[str, dict[str, Any]] = {}
        self.fills: list[tuple[Any, ...]] = []
        self.funding: list[tuple[Any, ...]] = []
        self.waiting: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
        self.before: dict[str, tuple[datetime, Decimal]] = {}

    def bar(self, bar: Any, rates: Iterable[Any]) -> None:
        """Work through a bar; `rates` are those of its symbol that are paid since the bar before it."""
        symbol, start, end = bar.symbol, bar.start, bar.start + MINUTE
        due = sorted(rates, key=lambda rate: rate.at)
        for rate in due:
            if rate.at <= start:
                self._pay(rate, self.before[symbol][1] if symbol in self.before else bar.open)
        opening = self.openings.get((symbol, start))
        if opening is not None and symbol not in self.held:
            self._open(symbol, bar.open, start, *opening)
        for address, decision in self.waiting.pop(symbol, []):
            self._decide(symbol, bar, address, decision)
        if symbol in self.held:
            self._levels(symbol, bar, end)
        for rate in due:
            if rate.at > start:
                self._pay(rate, bar.close)
        self.before[symbol] = end, bar.close

    def _open(self, symbol: str, price: Decimal, at: datetime, side: str, reason: str) -> None:
        lot = self.rules[symbol].lot
        quantity = (Decimal(10_000) / price / lot).to_integral_value(ROUND_FLOOR) * lot
        sign = 1 if side == "long" else -1
        self.held[symbol] = {
            "sign": sign, "quantity": ZERO, "basis": ZERO, "entry": at,
            "stop": half_even(price * (1 - sign * Decimal("0.01")), FOUR),
            "target": half_even(price * (1 + sign * Decimal("0.02")), FOUR),
        }  # fmt: skip
        self._buy(symbol, quantity, price, at, reason)

    def _buy(self, symbol: str, quantity: Decimal, price: Decimal, at: datetime, reason: str) -> None:
        held = self.held[symbol]
        fee = half_even(quantity * price * self.rules[symbol].taker, CENT)
        held["quantity"] += quantity
        held["basis"] += quantity * price
        self.equity -= fee
        self.fills.append((symbol, at, "buy" if held["sign"] > 0 else "sell", quantity, price, fee, reason))

    def _sell(self, symbol: str, quantity: Decimal, price: Decimal, at: datetime, reason: str) -> None:
        held, rules = self.held[symbol], self.rules[symbol]
        whole = quantity == held["quantity"]
        paid = held["basis"] if whole else half_even(held["basis"] * quantity / held["quantity"], FOUR)
        earned = (quantity * price - paid) * held["sign"]
        fee = half_even(quantity * price * (rules.maker if reason == "target_reached" else rules.taker), CENT)
        if reason == "liquidated":
            fee = self._margin(symbol) + earned
        held["quantity"] -= quantity
        held["basis"] -= paid
        self.equity += earned - fee
        self.fills.append((symbol, at, "sell" if held["sign"] > 0 else "buy", quantity, price, fee, reason))
        if whole:
            del self.held[symbol]

    def _margin(self, symbol: str) -> Decimal:
        leverage = self.rules[symbol].leverage
        return (
            self.held[symbol]["basis"] if leverage is None else half_even(self.held[symbol]["basis"] / leverage, CENT)
        )

    def _decide(self, symbol: str, bar: Any, address: str, decision: Mapping[str, Any]) -> None:
        held = self.held.get(symbol)
        if held is None or held["entry"] != decision["entry_time"]:
            return
        action, quantity, reason = decision["action"], decision["quantity"], f"decision {address}"
        if action == "exit":
            self._sell(symbol, held["quantity"], bar.open, bar.start, reason)
        elif action == "reduce":
            self._sell(symbol, min(quantity, held["quantity"]), bar.open, bar.start, reason)
        elif action == "add":
            free = self.equity - sum(map(self._margin, self.held), ZERO)
            room = min(Decimal(20_000) - held["basis"], free * (self.rules[symbol].leverage or 1))
            lot = self.rules[symbol].lot
            bought = (min(quantity, room / bar.open) / lot).to_integral_value(ROUND_FLOOR) * lot
            if bought > 0:
                self._buy(symbol, bought, bar.open, bar.start, reason)
        elif action == "adjust_stops":
            held["stop"] = decision["stop_loss"] or held["stop"]
            held["target"] = decision["take_profit"] or held["target"]

    def _levels(self, symbol: str, bar: Any, end: datetime) -> None:
        held = self.held[symbol]
        sign, stop, target = held["sign"], held["stop"], held["target"]
        death = self._liquidation(symbol)
        worst, best = (bar.low, bar.high) if sign > 0 else (bar.high, bar.low)

        def lost(price: Decimal, level: Decimal | None) -> bool:
            return level is not None and (price <= level if sign > 0 else price >= level)

        won_at_open = bar.open >= target if sign > 0 else bar.open <= target
        won = best >= target if sign > 0 else best <= target
        stop_first = death is None or (stop > death if sign > 0 else stop < death)
        everything = held["quantity"]
        if lost(bar.open, death) and death is not None:
            self._sell(symbol, everything, death, bar.start, "liquidated")
        elif lost(bar.open, stop):
            self._sell(symbol, everything, bar.open, bar.start, "stop_hit")
        elif won_at_open:
            self._sell(symbol, everything, bar.open, bar.start, "target_reached")
        elif lost(worst, stop) and (stop_first or not lost(worst, death)):
            self._sell(symbol, everything, stop, end, "stop_hit")
        elif lost(worst, death) and death is not None:
            self._sell(symbol, everything, death, end, "liquidated")
        elif won:
            self._sell(symbol, everything, target, end, "target_reached")

    def _liquidation(self, symbol: str) -> Decimal | None:
        held, rules = self.held[symbol], self.rules[symbol]
        if rules.leverage is None:
            return None
        left = held["basis"] - held["sign"] * self._margin(symbol)
        return half_even(left / (held["quantity"] * (1 - held["sign"] * rules.maintenance)), FOUR)

    def _pay(self, rate: Any, price: Decimal) -> None:
        held = self.held.get(rate.symbol)
        if held is None or self.rules[rate.symbol].leverage is None:
            return
        valued = rate.price or price
        paid = half_even(rate.rate * held["quantity"] * valued * held["sign"], CENT)
        self.equity -= paid
        self.funding.append((rate.symbol, rate.at, rate.rate, held["quantity"], valued, paid))

    def open_profit(self) -> Decimal:
        """The profit of what is still held, at the last closes."""
        return sum(
            (
                (held["quantity"] * self.before[symbol][1] - held["basis"]) * held["sign"]
                for symbol, held in self.held.items()
            ),
            ZERO,
        )
