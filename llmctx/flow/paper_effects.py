"""The paper broker's effects: what it did about each decision's order, and every fill that no decision asked for."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from llmctx import clock
from llmctx.flow.paper import Account
from llmctx.flow.symbol import TrackedBar
from llmctx.flow.trades import Fill, Order
from llmctx.schema.values import Effect

_NO_ROOM = "the position has no room for more shares"


def effects_of(tracked: TrackedBar, orders: Sequence[Order], account: Account) -> tuple[Effect, ...]:
    """The effects of a bar; `orders` waited for it. Their ids are unique within the run that feeds the bar."""
    if not orders and not account.fills:
        return ()
    fills = {fill.reason: fill for fill in account.fills}
    found = [
        effect
        for order in orders
        if order.action != "open"
        for effect in _of_order(order, fills.get(order.reason), account, tracked)
    ]
    decided = {order.reason for order in orders if order.action != "open"}
    found += [_filled(fill) for fill in account.fills if fill.reason not in decided]
    bar = f"{tracked.bar.symbol}-{clock.to_ms(tracked.bar.start)}"
    return tuple(effect.model_copy(update={"id": f"{bar}-{number}"}) for number, effect in enumerate(found))


def _of_order(order: Order, fill: Fill | None, account: Account, tracked: TrackedBar) -> Iterator[Effect]:
    bar = tracked.bar
    if fill is not None:
        filled = _filled(fill, order)
        yield filled
        if filled.status == "partially_filled":
            yield _unfilled(bar.symbol, bar.start, "cancelled", order, _NO_ROOM)
    elif order not in account.filled:
        yield _unfilled(bar.symbol, bar.start, "ignored", order, "its position is closed")
    elif order.action == "adjust_stops":
        yield _unfilled(bar.symbol, bar.start, "accepted", order, "stop and target are set")
    else:
        yield _unfilled(bar.symbol, bar.start, "rejected", order, _NO_ROOM)


def _filled(fill: Fill, order: Order | None = None) -> Effect:
    wanted = fill.quantity if order is None or order.quantity is None else order.quantity
    return Effect(
        id="-",
        symbol=fill.symbol,
        status="filled" if fill.quantity >= wanted else "partially_filled",
        at=fill.at,
        address=None if order is None else order.address,
        side="buy" if fill.side == "buy" else "sell",
        quantity=fill.quantity,
        price=fill.price,
        fee=fill.cost,
        reason=fill.reason if order is None else None,
    )


def _unfilled(symbol: str, at: datetime, status: str, order: Order, reason: str) -> Effect:
    said = {"symbol": symbol, "status": status, "at": at, "address": order.address, "quantity": order.quantity}
    return Effect.model_validate(said | {"id": "-", "reason": reason})
