"""The book of the paper broker: what it owns, what it has earned, and what it will do next. A value.

Money is exact: closing part of a position takes its share of the basis away, so a trade earns the difference of its
cash flows to the last digit, however often the position was enlarged or reduced.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple, Self

from llmctx import canonical, clock
from llmctx.connection.streams import StreamEntry
from llmctx.flow.bars import CENT, PERCENT_STEP, rounded
from llmctx.flow.trades import Order, Trade, order_of
from llmctx.schema.values import Position

CAPITAL = Decimal(100_000)
"""The equity of a new book, in account currency."""


class Day(NamedTuple):
    """The results of one day."""

    date: str = ""
    """The UTC date; empty before the first bar."""
    equity: Decimal = CAPITAL
    """Equity at the start of the day."""
    earned: Decimal = Decimal(0)
    """Gross earnings of the day's fills less their costs."""
    wins: int = 0
    """Trades closed with a profit after costs."""
    losses: int = 0
    """Trades closed with a loss after costs."""
    even: int = 0
    """Trades closed with neither."""
    won: Decimal = Decimal(0)
    """Sum of the wins."""
    lost: Decimal = Decimal(0)
    """Sum of the losses, negative."""
    best: Decimal | None = None
    """The largest win."""
    worst: Decimal | None = None
    """The largest loss, negative."""

    def with_trade(self, net: Decimal) -> Self:
        """The day after one more trade was closed."""
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
            "daily_pnl_pct": rounded(self.earned / self.equity * 100, PERCENT_STEP) if self.equity > 0 else None,
            "win_count": self.wins,
            "loss_count": self.losses,
            "win_rate": rounded(Decimal(self.wins) / closed, PERCENT_STEP) if closed else None,
            "avg_win": rounded(self.won / self.wins, CENT) if self.wins else None,
            "avg_loss": rounded(self.lost / self.losses, CENT) if self.losses else None,
            "largest_win": self.best,
            "largest_loss": self.worst,
        }


_NO_DAY = Day()


@dataclass(frozen=True)
class Book:
    """Everything the paper broker must remember from one bar to the next."""

    day: Day = _NO_DAY
    """Today."""
    trades: Mapping[str, Trade] = field(default_factory=dict)
    """Open trades by symbol."""
    orders: Mapping[str, tuple[Order, ...]] = field(default_factory=dict)
    """Orders waiting for a symbol's next bar, oldest first."""
    resting: Mapping[str, str] = field(default_factory=dict)
    """Symbols that may not be reopened before a time (ISO 8601)."""
    seen: Mapping[str, str] = field(default_factory=dict)
    """Partition to the id of the last decision read."""

    @property
    def exposure(self) -> Decimal:
        """The equity that open trades tie up."""
        return sum((trade.tied_up for trade in self.trades.values()), Decimal(0))

    def on(self, date: str) -> "Book":
        """The book on a date; a new day starts with the equity that the previous one ended with."""
        if date == self.day.date:
            return self
        return replace(self, day=Day(date=date, equity=self.day.equity + self.day.earned))

    def with_trade(self, symbol: str, trade: Trade | None) -> "Book":
        """The book with a symbol's trade set, or removed."""
        if self.trades.get(symbol) is trade:  # most bars change nothing, and a book is written out once
            return self
        return replace(self, trades=_with(self.trades, symbol, trade))

    def with_orders(self, symbol: str, orders: tuple[Order, ...]) -> "Book":
        """The book with these orders waiting for a symbol's next bar."""
        return replace(self, orders=_with(self.orders, symbol, orders or None))

    def with_rest(self, symbol: str, until: str | None) -> "Book":
        """The book in which a symbol may not be reopened before `until`."""
        return replace(self, resting=_with(self.resting, symbol, until))

    def with_seen(self, partition: int, decision_id: str) -> "Book":
        """The book that has read a partition's decisions up to an id."""
        return replace(self, seen=_with(self.seen, str(partition), decision_id))

    def with_decisions(self, partition: int, entries: Iterable[StreamEntry]) -> "Book":
        """The book that has read these decisions of a partition; their orders wait behind those that wait already."""
        book, last, seen = self, None, _stream_position(self.seen.get(str(partition), ""))
        for entry in entries:
            if _stream_position(entry.id) <= seen:
                continue  # writes sent in one round trip return the same decisions
            last = entry.id
            found = order_of(entry.fields.get(b"decision", b""))
            if found is not None:
                symbol, order = found
                book = book.with_orders(symbol, (*book.orders.get(symbol, ()), order))
        return book if last is None else book.with_seen(partition, last)

    @cached_property
    def wire(self) -> bytes:
        """The book as stored in Redis: JSON, decimals as strings."""
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
    def from_wire(cls, raw: bytes) -> "Book":
        """Parse what `wire` wrote; empty bytes give a new book.

        Raises ValueError if the bytes are malformed.
        """
        if not raw:
            return cls()
        found = canonical.loads(raw)
        try:
            return cls(
                day=Day(**_decimals(found["day"], {"date", "wins", "losses", "even"})),
                trades={symbol: Trade(**_decimals(trade, {"entry_time"})) for symbol, trade in found["trades"].items()},
                orders={symbol: tuple(_order(order) for order in orders) for symbol, orders in found["orders"].items()},
                resting=_text_map(found["resting"]),
                seen=_text_map(found["seen"]),
            )
        except (KeyError, TypeError, AttributeError, ArithmeticError) as error:
            raise ValueError(f"malformed paper book: {error}") from error


def _stream_position(entry_id: str) -> tuple[int, int]:
    number, _, sequence = entry_id.partition("-")
    return int(number or -1), int(sequence or 0)


def _order(fields: Mapping[str, Any]) -> Order:
    return Order(**_decimals(fields, {"action", "reason", "side", "entry_time"}))


def _text_map(found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise TypeError(f"{str(found)[:60]} does not map names to strings")
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


def adopted(book: Book, symbol: str, position: Position | None, split: Decimal | None = None) -> Book:
    """The book whose trade in a symbol is its position, which is the truth even if somebody else changed it; `split` is
    the ratio by which it was just adjusted.
    """
    trade = book.trades.get(symbol)
    if position is None:
        return book.with_trade(symbol, None)
    if trade is not None and split is not None:
        quantity, closed = trade.quantity * split, trade.closed * split
        trade = trade._replace(entry_price=position.entry_price, quantity=quantity, closed=closed)
    return book.with_trade(symbol, _trade_of(position, trade))


def _trade_of(position: Position, trade: Trade | None) -> Trade:
    entry_time, entry_price, quantity = clock.iso_of(position.entry_time), position.entry_price, position.quantity
    paid = entry_price * quantity
    if trade is None or trade.entry_time != entry_time:
        trade = Trade(entry_time=entry_time, entry_price=entry_price, quantity=quantity, basis=paid)
    elif float(trade.entry_price) != float(entry_price) or float(trade.quantity) != float(quantity):
        trade = trade._replace(entry_price=entry_price, quantity=quantity, basis=paid)
    return trade if trade.leverage == position.leverage else trade._replace(leverage=position.leverage)
