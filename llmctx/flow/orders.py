"""Orders from decisions: what a partition's stream of decisions asks the paper broker to do. Pure."""

from collections.abc import Iterable
from decimal import Decimal

from pydantic import ValidationError

from llmctx import canonical, clock
from llmctx.connection import StreamEntry
from llmctx.flow.book import Book, Order
from llmctx.schema.values import Thesis

_TRADED = ("exit", "reduce", "add", "adjust_stops")


def read_decisions(book: Book, partition: int, entries: Iterable[StreamEntry]) -> Book:
    """The book with every decision read and what they ask for put down, in order."""
    last, seen = None, _place(book.seen.get(str(partition), ""))
    for entry in entries:
        if _place(entry.id) <= seen:
            continue  # several writes that went out together bring the same ones
        last = entry.id
        order, symbol = _order_of(entry.fields.get(b"decision", b""))
        if order is not None:
            book = book.with_orders(symbol, (*book.orders.get(symbol, ()), order))
    return book if last is None else book.with_seen(partition, last)


def _place(entry_id: str) -> tuple[int, int]:
    number, _, sequence = entry_id.partition("-")
    return int(number or -1), int(sequence or 0)


def _order_of(raw: bytes) -> tuple[Order | None, str]:
    try:
        decided = Thesis.model_validate(canonical.loads(raw))
    except (ValueError, ValidationError):
        return None, ""  # no decision of this version's: nothing is done on a guess
    asked = (decided.quantity, decided.stop_loss, decided.take_profit)
    if decided.action not in _TRADED or any(number is not None and number <= 0 for number in asked):
        return None, ""
    order = Order(
        decided.action,
        f"decision {decided.address}",
        quantity=_whole(decided.quantity),
        stop_loss=_whole(decided.stop_loss),
        take_profit=_whole(decided.take_profit),
        entry_time=clock.iso_of(decided.entry_time),
    )
    return order, decided.symbol


def _whole(value: Decimal | None) -> Decimal | None:
    """The number without a point where it is whole: JSON writes 91 as 91.0."""
    return value.to_integral_value() if value is not None and value == value.to_integral_value() else value
