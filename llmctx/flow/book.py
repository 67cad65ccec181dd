"""The book of the paper broker: what is owned, what was earned, what is to be done next. A value.

Money is exact: the price paid for a position (its basis) goes down by the part that is closed, so what a trade earns is
the difference of its cash flows to the last digit, however often it was enlarged or reduced.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple, Self

from llmctx import canonical
from llmctx.flow.marks import rounded

CAPITAL = Decimal(100_000)
"""What a new book begins with, in account currency."""
CENT = Decimal("0.01")
_RATE = Decimal("0.0001")


class Order(NamedTuple):
    """What is to be done at a symbol's next bar."""

    action: str
    """open, exit, reduce, add or adjust_stops."""
    reason: str
    """Why: a signal's reason, or the address of the decision."""
    side: str | None = None
    """long or short, for open."""
    quantity: Decimal | None = None
    """Shares, for reduce and add."""
    stop_loss: Decimal | None = None
    """The stop to set; None leaves it."""
    take_profit: Decimal | None = None
    """The target to set; None leaves it."""
    entry_time: str | None = None
    """The position that is meant; None for open."""


class Trade(NamedTuple):
    """One position from its first share to its last."""

    entry_time: str
    """The position it is, ISO 8601."""
    entry_price: Decimal
    """What its position says was paid a share; another one there is somebody else's doing."""
    quantity: Decimal
    """Shares held now."""
    basis: Decimal
    """What was paid (or taken, when short) for them."""
    gross: Decimal = Decimal(0)
    """What closing parts of it has earned so far, costs aside."""
    cost: Decimal = Decimal(0)
    """What its fills have cost so far."""
    closed: Decimal = Decimal(0)
    """Shares closed so far."""
    bought: Decimal = Decimal(0)
    """What the closed shares had been paid."""


class Day(NamedTuple):
    """What one day brought."""

    date: str = ""
    """The UTC date; empty before the first bar."""
    equity: Decimal = CAPITAL
    """Capital and everything earned before the day."""
    earned: Decimal = Decimal(0)
    """Gross earnings of the day's fills less their costs."""
    wins: int = 0
    """Trades closed with a profit, costs counted."""
    losses: int = 0
    """Trades closed with a loss, costs counted."""
    even: int = 0
    """Trades closed at neither."""
    won: Decimal = Decimal(0)
    """Sum of the wins."""
    lost: Decimal = Decimal(0)
    """Sum of the losses, negative."""
    best: Decimal | None = None
    """The largest win."""
    worst: Decimal | None = None
    """The largest loss, negative."""

    def with_trade(self, net: Decimal) -> Self:
        """The day after a trade was closed."""
        if net > 0:
            return self._replace(wins=self.wins + 1, won=self.won + net, best=max(net, self.best or net))
        if net < 0:
            return self._replace(losses=self.losses + 1, lost=self.lost + net, worst=min(net, self.worst or net))
        return self._replace(even=self.even + 1)

    def performance(self) -> dict[str, Any]:
        """metrics:performance without its timestamp."""
        closed = self.wins + self.losses + self.even
        return {
            "daily_pnl": self.earned,
            "daily_pnl_pct": rounded(self.earned / self.equity * 100, _RATE) if self.equity > 0 else None,
            "win_count": self.wins,
            "loss_count": self.losses,
            "win_rate": rounded(Decimal(self.wins) / closed, _RATE) if closed else None,
            "avg_win": rounded(self.won / self.wins, CENT) if self.wins else None,
            "avg_loss": rounded(self.lost / self.losses, CENT) if self.losses else None,
            "largest_win": self.best,
            "largest_loss": self.worst,
        }


_NO_DAY = Day()


@dataclass(frozen=True)
class Book:
    """Everything that the paper broker must remember from one bar to the next."""

    day: Day = _NO_DAY
    """Today."""
    trades: Mapping[str, Trade] = field(default_factory=dict)
    """Open trades by symbol."""
    orders: Mapping[str, tuple[Order, ...]] = field(default_factory=dict)
    """What waits for a symbol's next bar, in order."""
    resting: Mapping[str, str] = field(default_factory=dict)
    """Symbols that are not opened again before a time (ISO 8601)."""
    seen: Mapping[str, str] = field(default_factory=dict)
    """Partition to the id of the last decision that was read."""

    @property
    def exposure(self) -> Decimal:
        """What all open trades were paid."""
        return sum((trade.basis for trade in self.trades.values()), Decimal(0))

    def on(self, date: str) -> "Book":
        """The book on a date: a new day begins with what the one before left."""
        if date == self.day.date:
            return self
        return replace(self, day=Day(date=date, equity=self.day.equity + self.day.earned))

    def with_trade(self, symbol: str, trade: Trade | None) -> "Book":
        """The book with a symbol's trade put in place, or taken out."""
        return replace(self, trades=_with(self.trades, symbol, trade))

    def with_orders(self, symbol: str, orders: tuple[Order, ...]) -> "Book":
        """The book with what waits for a symbol's next bar."""
        return replace(self, orders=_with(self.orders, symbol, orders or None))

    def with_rest(self, symbol: str, until: str | None) -> "Book":
        """The book in which a symbol rests."""
        return replace(self, resting=_with(self.resting, symbol, until))

    def with_seen(self, partition: int, decision_id: str) -> "Book":
        """The book that has read a partition's decisions up to an id."""
        return replace(self, seen=_with(self.seen, str(partition), decision_id))

    @cached_property
    def wire(self) -> bytes:
        """The book as Redis keeps it: JSON, decimals as strings."""
        return canonical.dumps(
            {
                "day": _texts(self.day),
                "trades": {symbol: _texts(trade) for symbol, trade in self.trades.items()},
                "orders": {symbol: [_texts(order) for order in orders] for symbol, orders in self.orders.items()},
                "resting": dict(self.resting),
                "seen": dict(self.seen),
            }
        )

    @classmethod
    def of_wire(cls, raw: bytes) -> "Book":
        """The book that `wire` wrote; a new one where nothing was.

        Raises ValueError where the bytes are no book.
        """
        if not raw:
            return cls()
        found = canonical.loads(raw)
        try:
            return cls(
                Day(**_decimals(found["day"], {"date", "wins", "losses", "even"})),
                {symbol: Trade(**_decimals(trade, {"entry_time"})) for symbol, trade in found["trades"].items()},
                {symbol: tuple(_order(order) for order in orders) for symbol, orders in found["orders"].items()},
                _texts_by_text(found["resting"]),
                _texts_by_text(found["seen"]),
            )
        except (KeyError, TypeError, AttributeError, ArithmeticError) as error:
            raise ValueError(f"no paper book: {error}") from error


def _order(fields: Mapping[str, Any]) -> Order:
    return Order(**_decimals(fields, {"action", "reason", "side", "entry_time"}))


def _texts_by_text(found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise TypeError(f"{str(found)[:60]} is no map of texts")
    return found


def _with(mapping: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    changed = {**mapping, name: value}
    if value is None:
        del changed[name]
    return changed


def _texts(value: Any) -> dict[str, Any]:
    return {
        name: canonical.plain(item) if isinstance(item, Decimal) else item
        for name, item in value._asdict().items()
        if item is not None
    }


def _decimals(fields: Mapping[str, Any], plain: set[str]) -> dict[str, Any]:
    return {name: item if name in plain else Decimal(item) for name, item in fields.items()}
