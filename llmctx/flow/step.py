"""One step: what a bar makes of a symbol's position and of the book. Pure, so that it can be taken again.

Somebody else may change the position between our looking and our writing; then the same bar is worked through once
more, on what stands there now.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from llmctx.context.corporate_action import overnight_move
from llmctx.flow.bars import Bar
from llmctx.flow.book import Book, Day
from llmctx.flow.fills import Closed, Fill
from llmctx.flow.marks import adjust, mark
from llmctx.flow.paper import Account
from llmctx.flow.signals import Signal, exits
from llmctx.flow.symbol import Symbol, wire_position
from llmctx.schema.values import Position


class Step(NamedTuple):
    """What a bar makes of a position."""

    raw: bytes
    """The position to write; empty deletes it."""
    held: Position | None
    """The position; None where there is none, or none that can be used."""
    cause: str | None
    """Why a decision is asked for; None where none is."""
    book: Book
    """The book afterwards."""
    fills: tuple[Fill, ...] = ()
    """What changed hands."""
    closed: Closed | None = None
    """The position that ended."""
    exit_signal: tuple[Signal, Decimal] | None = None
    """What speaks for an exit, and the price at which it was seen."""
    opened: bool = False
    """Whether a position was opened and is still there."""
    day_before: Day | None = None
    """The day whose books were closed at this bar."""


class Broker(NamedTuple):
    """How the paper broker works; without one, positions are only marked."""

    cost_bps: Decimal
    """What a fill costs, in basis points of its worth."""


def take_step(
    symbol: Symbol,
    bar: Bar,
    end: datetime,
    book: Book,
    found: Sequence[Signal],
    *,
    broker: Broker | None,
    ratios: Mapping[str, Decimal],
    market_open: bool,
) -> Step:
    """What a bar, which ended at `end` and gave these entry signals, makes of a symbol's position."""
    position = symbol.held
    if symbol.raw and (position is None or position.last_update > end):
        return Step(symbol.raw, None, "position_unusable", book)  # its record will say why
    adjusted = None if position is None else in_shares_of(end, position, bar.close, ratios)
    if position is not None and adjusted is None:
        return Step(symbol.raw, position, "corporate_action_suspected", book)
    if broker is None:
        held = None if adjusted is None else mark(adjusted, bar.close, end)
        cause = None if held is None else _cause(position, adjusted, held, filled=False)
        return Step(b"" if held is None else wire_position(held), held, cause, book)
    split = None if adjusted is position else ratios[symbol.name]
    account = Account(book, adjusted, bar, end, broker.cost_bps, split=split)
    account.at_open()
    account.inside()
    account.plan(found, market_open=market_open)
    held = None if account.position is None else mark(account.position, bar.close, end)
    return Step(
        b"" if held is None else wire_position(held),
        held,
        None if held is None else _cause(position, adjusted, held, filled=bool(account.fills)),
        account.book,
        tuple(account.fills),
        account.closed,
        _exit_signal(symbol, held, account),
        opened=held is not None and (position is None or held.entry_time != position.entry_time),
        day_before=book.day if book.day.date not in ("", account.book.day.date) else None,
    )


def in_shares_of(at: datetime, position: Position, price: Decimal, ratios: Mapping[str, Decimal]) -> Position | None:
    """The position in shares of a later time; None where its price jumps and no ratio explains it."""
    if overnight_move(position.current_price, position.last_update, price, at) is None:
        return position
    ratio = ratios.get(position.symbol)
    if ratio is None:
        return None
    adjusted = adjust(position, ratio)
    jumps = overnight_move(adjusted.current_price, adjusted.last_update, price, at) is not None
    return None if jumps else adjusted


def _cause(before: Position | None, adjusted: Position | None, held: Position, *, filled: bool) -> str:
    if before is None or held.entry_time != before.entry_time:
        return "position_opened"
    if adjusted is not before:
        return "position_adjusted"
    return "position_changed" if filled else "position_marked"


def _exit_signal(symbol: Symbol, held: Position | None, account: Account) -> tuple[Signal, Decimal] | None:
    if held is not None:
        seen = exits(symbol.track, held.side)
        return (seen[0], symbol.track.session["last"]) if seen else None
    closed = account.closed
    if closed is None or closed.reason not in ("stop_hit", "target_reached"):
        return None
    return Signal(closed.reason, closed.side, Decimal(1)), account.fills[-1].price
