"""How the book adopts a position that somebody else changed: the position is the truth. Pure."""

from decimal import Decimal

from llmctx import clock
from llmctx.flow.book import Book
from llmctx.flow.trades import Trade
from llmctx.schema.values import Position


def adopted(book: Book, symbol: str, position: Position | None, split: Decimal | None = None) -> Book:
    """The book whose trade in a symbol is its position; `split` is the ratio by which it was just adjusted."""
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
