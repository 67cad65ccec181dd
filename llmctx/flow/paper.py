"""The paper broker: how it applies a bar and waiting orders to a position. Pure: the feed does the I/O.

Within one bar of a symbol, in this order:

1. Waiting orders are filled at the bar's open: decisions (exit, reduce, add; adjust_stops only moves stop and target),
   or the opening of a position on an entry signal.
2. Stop, target and liquidation price are enforced (triggers.py): at the bar's open if it is beyond one of them already,
   otherwise at their own price if the bar's low and high enclose it. If they enclose several, the losing side is first.
3. At the end, a flat symbol with an entry signal is scheduled to be opened at the next bar's open, within the limits.

Funding that fell due before the bar is paid before 1, funding that falls due up to its end after 2.

Each fill costs a share of its worth (two basis points by default). Positions stay open overnight; the books are closed
at the first bar of a new UTC date.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from llmctx import clock
from llmctx.flow import rules
from llmctx.flow.bars import CENT, Bar, rounded, rounded_price
from llmctx.flow.book import Book, adopted
from llmctx.flow.funding import FundingRate
from llmctx.flow.signals import TradeSignal
from llmctx.flow.sizing import MAX_POSITION_WORTH, STAKE, Terms
from llmctx.flow.trades import (
    LIQUIDATED,
    TARGET_REACHED,
    ClosedPosition,
    Execution,
    Fill,
    FundingPayment,
    Order,
    Trade,
    with_margin,
)
from llmctx.flow.triggers import reached
from llmctx.schema.values import Position

_BASIS_STEP = Decimal("0.0001")


class Account:
    """One symbol's position and the book while a bar is applied to them."""

    def __init__(
        self,
        book: Book,
        position: Position | None,
        bar: Bar,
        end: datetime,
        terms: Terms,
        *,
        split: Decimal | None = None,
    ) -> None:
        """`book` is that of the bar's session; `split` is the ratio by which the position was just adjusted."""
        self.position = position
        self.fills: list[Fill] = []
        self.filled: list[Order] = []
        self.closed: ClosedPosition | None = None
        self.funding: list[FundingPayment] = []
        self.refused: list[str] = []
        """The refused purchases, and why."""
        self._bar = bar
        self._end = end
        self._terms = terms
        self.book = adopted(book, bar.symbol, position, split)

    def _set_trade(self, trade: Trade | None) -> None:
        self.book = self.book.with_trade(self._bar.symbol, trade)

    def fill_orders(self) -> None:
        """Fill the orders that waited for this bar."""
        orders = self.book.orders.get(self._bar.symbol, ())
        if not orders:
            return
        self.book = self.book.with_orders(self._bar.symbol, ())
        for order in orders:
            execution = Execution(self._bar.start, self._bar.open, order.reason)
            if order.action == "open":
                self._open(order.side, execution)
            elif self.position is not None and order.entry_time == clock.iso_of(self.position.entry_time):
                self._apply(order, self.position, execution)
                self.filled.append(order)

    def _apply(self, order: Order, position: Position, execution: Execution) -> None:
        if order.action == "exit":
            self._close(position.quantity, execution)
        elif order.action == "reduce" and order.quantity is not None:
            self._close(min(order.quantity, position.quantity), execution)
        elif order.action == "add" and order.quantity is not None:
            self._enlarge(order.quantity, execution)
        elif order.action == "adjust_stops":
            levels = {"stop_loss": order.stop_loss, "take_profit": order.take_profit}
            changes = {name: level for name, level in levels.items() if level is not None}
            self.position = position.model_copy(update=changes)

    def enforce_levels(self) -> str | None:
        """Close the position if the bar reached its stop or target, and return the reason; otherwise None."""
        execution = None if self.position is None else reached(self.position, self._bar, self._end)
        if self.position is None or execution is None:
            return None
        self._close(self.position.quantity, execution)
        return execution.reason

    def pay_funding(self, rates: Sequence[FundingRate], price: Decimal) -> None:
        """Pay or receive funding on a leveraged position, valued at the mark price of each rate, or else at `price`."""
        for due in rates:
            position, trade = self.position, self.book.trades.get(self._bar.symbol)
            if position is None or trade is None or trade.leverage is None:
                return
            valued, sign = due.price or price, 1 if position.side == "long" else -1
            paid = rounded(due.rate * position.quantity * valued * sign, CENT)
            payment = FundingPayment(
                at=due.at,
                symbol=due.symbol,
                rate=due.rate,
                quantity=position.quantity,
                price=valued,
                paid=paid,
                entry_time=position.entry_time,
            )
            self.funding.append(payment)
            self._set_trade(trade._replace(cost=trade.cost + paid))
            self._earn(-paid)

    def plan_entry(self, signals: Sequence[TradeSignal], *, market_open: bool) -> None:
        """Schedule the opening of a flat symbol on its strongest entry signal, within the limits."""
        symbol = self._bar.symbol
        if self.position is not None or not signals or not market_open:
            return
        rests_until = self.book.resting.get(symbol)
        if rests_until is not None and clock.iso_of(self._end) < rests_until:
            return
        signal = signals[0]
        if signal.confidence >= rules.MIN_CONFIDENCE and self._has_room():
            self.book = self.book.with_orders(symbol, (Order("open", signal.reason, side=signal.side),))

    def _has_room(self) -> bool:
        return len(self.book.trades) < rules.MAX_POSITIONS and self._unused * (self._terms.leverage or 1) >= STAKE

    @property
    def _unused(self) -> Decimal:
        """The equity not tied up in positions."""
        return self.book.day.equity + self.book.day.earned - self.book.exposure

    def _open(self, side: str | None, execution: Execution) -> None:
        if self.position is not None or not self._has_room() or side not in ("long", "short"):
            return
        sign, price, start = 1 if side == "long" else -1, execution.price, execution.at
        quantity = self._terms.affordable(STAKE, price)
        if not quantity:
            self.refused.append(self._terms.refusal("the opening", self._bar.symbol, STAKE, price))
            return
        self.position = Position(
            symbol=self._bar.symbol,
            entry_price=price,
            current_price=price,
            quantity=quantity,
            side=side,
            entry_time=start,
            unrealized_pnl=Decimal(0),
            unrealized_pnl_pct=Decimal(0),
            stop_loss=rounded_price(price * (1 - sign * rules.STOP_DISTANCE)),
            take_profit=rounded_price(price * (1 + sign * rules.TARGET_DISTANCE)),
            last_update=start,
        )
        trade = Trade(
            entry_time=clock.iso_of(start),
            entry_price=price,
            quantity=Decimal(0),
            basis=Decimal(0),
            leverage=self._terms.leverage,
        )
        trade = self._buy_into(trade, self.position, self.position.quantity, execution)
        self.position = with_margin(self.position, trade, self._terms.maintenance)
        self.book = self.book.with_rest(self._bar.symbol, None)

    def _enlarge(self, quantity: Decimal, execution: Execution) -> None:
        position, trade = self.position, self.book.trades[self._bar.symbol]
        assert position is not None
        room = min(MAX_POSITION_WORTH - trade.basis, self._unused * (trade.leverage or 1))
        wanted, quantity = quantity, self._terms.affordable(room, execution.price, quantity)
        if not quantity:
            room = min(room, wanted * execution.price)
            self.refused.append(self._terms.refusal("an addition", self._bar.symbol, room, execution.price))
            return
        trade = self._buy_into(trade, position, quantity, execution)
        average = rounded_price(trade.basis / trade.quantity)
        self._set_trade(trade._replace(entry_price=average))
        position = position.model_copy(update={"quantity": trade.quantity, "entry_price": average})
        self.position = with_margin(position, trade, self._terms.maintenance)

    def _buy_into(self, trade: Trade, position: Position, quantity: Decimal, execution: Execution) -> Trade:
        """Add shares to a trade."""
        cost = self._terms.cost_of(quantity, execution.price, maker=False)
        basis = trade.basis + quantity * execution.price
        trade = trade._replace(quantity=trade.quantity + quantity, basis=basis, cost=trade.cost + cost)
        side = "buy" if position.side == "long" else "sell"
        self._add_fill(side, quantity, cost, Decimal(0), execution)
        self._set_trade(trade)
        return trade

    def _close(self, quantity: Decimal, execution: Execution) -> None:
        position, trade = self.position, self.book.trades[self._bar.symbol]
        assert position is not None
        left = trade.quantity - quantity
        paid = trade.basis if left == 0 else rounded(trade.basis * quantity / trade.quantity, _BASIS_STEP)
        realized = (quantity * execution.price - paid) * (1 if position.side == "long" else -1)
        cost = self._terms.cost_of(quantity, execution.price, maker=execution.reason == TARGET_REACHED)
        if execution.reason == LIQUIDATED and trade.margin is not None:
            cost = max(trade.margin + realized, Decimal(0))  # the exchange keeps the remaining margin
        trade = trade._replace(
            quantity=left,
            basis=trade.basis - paid,
            gross=trade.gross + realized,
            cost=trade.cost + cost,
            closed=trade.closed + quantity,
            bought=trade.bought + paid,
        )
        side = "sell" if position.side == "long" else "buy"
        self._add_fill(side, quantity, cost, realized, execution)
        if left == 0:
            self._end_trade(position, trade, execution)
        else:
            position = position.model_copy(update={"quantity": left})
            self.position = with_margin(position, trade, self._terms.maintenance)
            self._set_trade(trade)

    def _end_trade(self, position: Position, trade: Trade, execution: Execution) -> None:
        symbol, sign = self._bar.symbol, 1 if position.side == "long" else -1
        net = trade.gross - trade.cost
        self.closed = ClosedPosition(
            symbol=symbol,
            side=position.side,
            entry_time=position.entry_time,
            exit_time=execution.at,
            quantity=trade.closed,
            entry_price=rounded_price(trade.bought / trade.closed),
            exit_price=rounded_price((trade.bought + sign * trade.gross) / trade.closed),
            gross=trade.gross,
            cost=trade.cost,
            net=net,
            reason=execution.reason,
        )
        self.position = None
        book = self.book.with_trade(symbol, None).with_rest(symbol, clock.iso_of(self._end + rules.COOL_DOWN))
        self.book = replace(book, day=book.day.with_trade(net))

    def _add_fill(self, side: str, quantity: Decimal, cost: Decimal, realized: Decimal, execution: Execution) -> None:
        assert self.position is not None
        fill = Fill(
            at=execution.at,
            symbol=self._bar.symbol,
            side=side,
            quantity=quantity,
            price=execution.price,
            cost=cost,
            realized=realized,
            reason=execution.reason,
            entry_time=self.position.entry_time,
        )
        self.fills.append(fill)
        self._earn(realized - cost)

    def _earn(self, amount: Decimal) -> None:
        day = self.book.day
        self.book = replace(self.book, day=day._replace(earned=day.earned + amount))
