"""The paper broker: what it does with a bar, an order and a position. Pure; the feed reads decisions and writes fills.

In this order, within one bar of a symbol:

1. what waited for the bar is filled at its open: decisions (exit, reduce, add; adjust_stops only moves stop and
   target), or the opening of a position on an entry signal
2. stop and target are enforced: at the bar's open where it lies beyond one of them already, otherwise at their own
   price where the bar's low and high enclose it; where they enclose both, the stop comes first
3. at the end a flat symbol with an entry signal is put down to be opened at the next bar's open, within the limits

Each fill costs a share of its worth (two basis points where nothing else is set). Positions stay open overnight; the
books are closed at the first bar of a new UTC date.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal

from llmctx import clock
from llmctx.flow.bars import Bar
from llmctx.flow.book import CENT, Book, Order, Trade
from llmctx.flow.fills import Closed, Fill
from llmctx.flow.marks import STOP, TARGET, rounded, rounded_price
from llmctx.flow.signals import Signal
from llmctx.schema.values import Position

STAKE = Decimal(10_000)
"""What a position is worth when it is opened, about, in account currency."""
MOST_WORTH = 2 * STAKE
"""A position is not enlarged beyond this: an addition is cut down to the whole shares that fit."""
MOST_POSITIONS = 8
"""How many positions are open at once."""
LEAST_CONFIDENCE = Decimal("0.55")
"""An entry signal less sure than this opens nothing."""
REST = timedelta(minutes=10)
"""How long a symbol is left alone after its position was closed."""
COST_BPS = Decimal(2)
"""What a fill costs, in basis points of its worth."""
_BPS = Decimal("0.0001")
_BASIS = Decimal("0.0001")


class Account:
    """One symbol's position and the book while a bar is worked through."""

    def __init__(
        self,
        book: Book,
        position: Position | None,
        bar: Bar,
        end: datetime,
        cost_bps: Decimal,
        *,
        split: Decimal | None = None,
    ) -> None:
        """`split` is the ratio by which the position has just been adjusted, where it has been."""
        self.book = book.on(bar.start.date().isoformat())
        self.position = position
        self.fills: list[Fill] = []
        self.closed: Closed | None = None
        self._bar = bar
        self._end = end
        self._rate = cost_bps * _BPS
        if split is not None:
            self._split(split)
        self._adopt()

    def _split(self, ratio: Decimal) -> None:
        trade = self.book.trades.get(self._bar.symbol)
        if trade is not None and self.position is not None:
            trade = trade._replace(
                entry_price=self.position.entry_price, quantity=trade.quantity * ratio, closed=trade.closed * ratio
            )
            self.book = self.book.with_trade(self._bar.symbol, trade)

    def _adopt(self) -> None:
        """Take over what somebody else did to the position: it is the truth, the book follows."""
        symbol, position = self._bar.symbol, self.position
        trade = self.book.trades.get(symbol)
        if position is None:
            if trade is not None:
                self.book = self.book.with_trade(symbol, None)
            return
        entry_time, entry_price = clock.iso_of(position.entry_time), position.entry_price
        if trade is None or trade.entry_time != entry_time:
            paid = entry_price * position.quantity
            self.book = self.book.with_trade(symbol, Trade(entry_time, entry_price, position.quantity, paid))
        elif float(trade.entry_price) != float(entry_price) or float(trade.quantity) != float(position.quantity):
            paid = entry_price * position.quantity
            trade = trade._replace(entry_price=entry_price, quantity=position.quantity, basis=paid)
            self.book = self.book.with_trade(symbol, trade)

    def at_open(self) -> None:
        """Fill what waited for this bar."""
        symbol, price = self._bar.symbol, self._bar.open
        orders = self.book.orders.get(symbol, ())
        if not orders:
            return
        self.book = self.book.with_orders(symbol, ())
        for order in orders:
            if order.action == "open":
                self._open(order, price)
            elif self.position is not None and order.entry_time == clock.iso_of(self.position.entry_time):
                self._follow(order, price)

    def _follow(self, order: Order, price: Decimal) -> None:
        position = self.position
        assert position is not None
        if order.action == "exit":
            self._close(position.quantity, price, self._bar.start, order.reason)
        elif order.action == "reduce" and order.quantity is not None:
            self._close(min(order.quantity, position.quantity), price, self._bar.start, order.reason)
        elif order.action == "add" and order.quantity is not None:
            self._enlarge(order.quantity, price, order.reason)
        elif order.action == "adjust_stops":
            moved = {"stop_loss": order.stop_loss, "take_profit": order.take_profit}
            moved = {name: level for name, level in moved.items() if level is not None}
            self.position = position.model_copy(update=moved)

    def inside(self) -> str | None:
        """Enforce stop and target inside the bar; the reason where the position was closed."""
        position, bar = self.position, self._bar
        if position is None:
            return None
        sign = 1 if position.side == "long" else -1
        worst, best = (bar.low, bar.high) if sign > 0 else (bar.high, bar.low)
        stop, target = position.stop_loss, position.take_profit
        if stop is not None and (bar.open - stop) * sign <= 0:
            return self._reached(bar.start, bar.open, "stop_hit")
        if target is not None and (bar.open - target) * sign >= 0:
            return self._reached(bar.start, bar.open, "target_reached")
        if stop is not None and (worst - stop) * sign <= 0:
            return self._reached(self._end, stop, "stop_hit")
        if target is not None and (best - target) * sign >= 0:
            return self._reached(self._end, target, "target_reached")
        return None

    def _reached(self, at: datetime, price: Decimal, reason: str) -> str:
        assert self.position is not None
        self._close(self.position.quantity, price, at, reason)
        return reason

    def plan(self, found: Sequence[Signal], *, market_open: bool) -> None:
        """Put down the opening of a flat symbol on its surest entry signal, within the limits."""
        symbol = self._bar.symbol
        if self.position is not None or not found or not market_open:
            return
        rests_until = self.book.resting.get(symbol)
        if rests_until is not None and clock.iso_of(self._end) < rests_until:
            return
        signal = found[0]
        if signal.confidence >= LEAST_CONFIDENCE and self._has_room():
            self.book = self.book.with_orders(symbol, (Order("open", signal.reason, side=signal.side),))

    def _has_room(self) -> bool:
        book = self.book
        equity = book.day.equity + book.day.earned
        return len(book.trades) < MOST_POSITIONS and book.exposure + STAKE <= equity

    def _open(self, order: Order, price: Decimal) -> None:
        if self.position is not None or not self._has_room() or order.side not in ("long", "short"):
            return
        sign = 1 if order.side == "long" else -1
        self.position = Position(
            symbol=self._bar.symbol,
            entry_price=price,
            current_price=price,
            quantity=max(Decimal(1), (STAKE / price).to_integral_value(ROUND_FLOOR)),
            side=order.side,
            entry_time=self._bar.start,
            unrealized_pnl=Decimal(0),
            unrealized_pnl_pct=Decimal(0),
            stop_loss=rounded_price(price * (1 - sign * STOP)),
            take_profit=rounded_price(price * (1 + sign * TARGET)),
            last_update=self._bar.start,
        )
        trade = Trade(clock.iso_of(self._bar.start), price, Decimal(0), Decimal(0))
        self._trade(trade, self.position.quantity, price, order.reason)
        self.book = self.book.with_rest(self._bar.symbol, None)

    def _enlarge(self, quantity: Decimal, price: Decimal, reason: str) -> None:
        position, trade = self.position, self.book.trades[self._bar.symbol]
        assert position is not None
        fits = ((MOST_WORTH - trade.basis) / price).to_integral_value(ROUND_FLOOR)
        quantity = min(quantity, fits)
        if quantity <= 0:
            return
        trade = self._trade(trade, quantity, price, reason)
        average = rounded_price(trade.basis / trade.quantity)
        self.book = self.book.with_trade(self._bar.symbol, trade._replace(entry_price=average))
        self.position = position.model_copy(update={"quantity": trade.quantity, "entry_price": average})

    def _trade(self, trade: Trade, quantity: Decimal, price: Decimal, reason: str) -> Trade:
        """Take shares into a trade."""
        cost = self._cost(quantity, price)
        trade = trade._replace(
            quantity=trade.quantity + quantity, basis=trade.basis + quantity * price, cost=trade.cost + cost
        )
        self._fill(self._bar.start, 1, quantity, price, cost, Decimal(0), reason)
        self.book = self.book.with_trade(self._bar.symbol, trade)
        return trade

    def _close(self, quantity: Decimal, price: Decimal, at: datetime, reason: str) -> None:
        position, trade = self.position, self.book.trades[self._bar.symbol]
        assert position is not None
        left = trade.quantity - quantity
        paid = trade.basis if left == 0 else rounded(trade.basis * quantity / trade.quantity, _BASIS)
        realized = (quantity * price - paid) * (1 if position.side == "long" else -1)
        cost = self._cost(quantity, price)
        trade = trade._replace(
            quantity=left,
            basis=trade.basis - paid,
            gross=trade.gross + realized,
            cost=trade.cost + cost,
            closed=trade.closed + quantity,
            bought=trade.bought + paid,
        )
        self._fill(at, -1, quantity, price, cost, realized, reason)
        if left == 0:
            self._end_trade(position, trade, at, reason)
        else:
            self.position = position.model_copy(update={"quantity": left})
            self.book = self.book.with_trade(self._bar.symbol, trade)

    def _end_trade(self, position: Position, trade: Trade, at: datetime, reason: str) -> None:
        symbol, sign = self._bar.symbol, 1 if position.side == "long" else -1
        net = trade.gross - trade.cost
        self.closed = Closed(
            symbol=symbol,
            side=position.side,
            entry_time=position.entry_time,
            exit_time=at,
            quantity=trade.closed,
            entry_price=rounded_price(trade.bought / trade.closed),
            exit_price=rounded_price((trade.bought + sign * trade.gross) / trade.closed),
            gross=trade.gross,
            cost=trade.cost,
            net=net,
            reason=reason,
        )
        self.position = None
        rest = clock.iso_of(self._end + REST)
        book = self.book.with_trade(symbol, None).with_rest(symbol, rest)
        self.book = replace(book, day=book.day.with_trade(net))

    def _cost(self, quantity: Decimal, price: Decimal) -> Decimal:
        return rounded(quantity * price * self._rate, CENT)

    def _fill(
        self, at: datetime, way: int, quantity: Decimal, price: Decimal, cost: Decimal, realized: Decimal, reason: str
    ) -> None:
        position = self.position
        assert position is not None
        bought = (way if position.side == "long" else -way) > 0
        side = "buy" if bought else "sell"
        self.fills.append(
            Fill(at, self._bar.symbol, side, quantity, price, cost, realized, reason, position.entry_time)
        )
        day = self.book.day
        self.book = replace(self.book, day=day._replace(earned=day.earned + realized - cost))
