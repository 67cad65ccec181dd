"""One step: the effect of a bar on a symbol's position and the book.

Pure, so it can be repeated: if somebody else changes the position between the read and the write, the same bar is
applied again to what is stored now.
"""

from decimal import Decimal
from typing import NamedTuple

from llmctx.flow.book import Book, Day
from llmctx.flow.mark_to_market import adjusted_for_jump, mark, position_to_wire
from llmctx.flow.paper import Account
from llmctx.flow.paper_effects import effects_of
from llmctx.flow.rules import FeedRules
from llmctx.flow.signals import TradeSignal, exits
from llmctx.flow.symbol import Symbol, TrackedBar
from llmctx.flow.trades import LIQUIDATED, STOP_HIT, TARGET_REACHED, ClosedPosition, Fill, FundingPayment
from llmctx.schema.values import Effect, Position


class Step(NamedTuple):
    """The effect of a bar on a position."""

    raw_position: bytes
    """The position to write; empty deletes it."""
    position: Position | None
    """The position; None if there is none, or it is malformed."""
    cause: str | None
    """Why a decision is requested; None if it is not."""
    book: Book
    """The book afterwards."""
    fills: tuple[Fill, ...] = ()
    """The fills of the bar."""
    funding: tuple[FundingPayment, ...] = ()
    """The funding paid."""
    effects: tuple[Effect, ...] = ()
    """The effects of orders, and the fills that no decision asked for."""
    closed: ClosedPosition | None = None
    """The position that was closed."""
    exit_signal: tuple[TradeSignal, Decimal] | None = None
    """The strongest exit signal, and the price at which it was seen."""
    opened: bool = False
    """Whether a position was opened and is still open."""
    refused: tuple[str, ...] = ()
    """The purchases that the paper broker refused, and why."""
    day_before: Day | None = None
    """The day that ended before this bar."""


def take_step(tracked: TrackedBar, book: Book, rules: FeedRules, *, market_open: bool) -> Step:
    """Apply one bar to its symbol's position and the book."""
    symbol, close, end = tracked.symbol, tracked.bar.close, tracked.end
    raw, position = symbol.raw_position, symbol.position
    if raw and (position is None or position.last_update > end):
        return Step(raw_position=raw, position=None, cause="position_unusable", book=book)  # its record will say why
    adjusted = None if position is None else adjusted_for_jump(position, close, end, rules.ratios)
    if position is not None and adjusted is None:
        return Step(raw_position=raw, position=position, cause="corporate_action_suspected", book=book)
    if rules.cost_bps is None:
        marked = None if adjusted is None else mark(adjusted, close, end, tracked.funding_rate)
        cause = None if marked is None else _cause(position, adjusted, marked, filled=False)
        return Step(raw_position=_wire(marked), position=marked, cause=cause, book=book)
    split = None if adjusted is position else rules.ratios[symbol.name]
    terms = rules.terms(symbol.name, in_fractions=symbol.track.in_fractions)
    account = Account(book.on(symbol.track.day.isoformat()), adjusted, tracked.bar, end, terms, split=split)
    before = [rate for rate in tracked.funding if rate.at <= tracked.bar.start]
    account.pay_funding(before, tracked.bar.open if tracked.bar_before is None else tracked.bar_before.close)
    account.fill_orders()
    account.enforce_levels()
    account.pay_funding(tracked.funding[len(before) :], close)
    account.plan_entry(tracked.signals, market_open=market_open)
    marked = None if account.position is None else mark(account.position, close, end, tracked.funding_rate)
    return Step(
        raw_position=_wire(marked),
        position=marked,
        cause=None if marked is None else _cause(position, adjusted, marked, filled=bool(account.fills)),
        book=account.book,
        fills=tuple(account.fills),
        funding=tuple(account.funding),
        effects=effects_of(tracked, book.orders.get(symbol.name, ()), account),
        closed=account.closed,
        exit_signal=_exit_signal(symbol, marked, account),
        opened=marked is not None and (position is None or marked.entry_time != position.entry_time),
        refused=tuple(account.refused),
        day_before=book.day if book.day.date not in ("", account.book.day.date) else None,
    )


def _wire(position: Position | None) -> bytes:
    return b"" if position is None else position_to_wire(position)


def _cause(before: Position | None, adjusted: Position | None, after: Position, *, filled: bool) -> str:
    if before is None or after.entry_time != before.entry_time:
        return "position_opened"
    if adjusted is not before:
        return "position_adjusted"
    return "position_changed" if filled else "position_marked"


def _exit_signal(symbol: Symbol, position: Position | None, account: Account) -> tuple[TradeSignal, Decimal] | None:
    if position is not None:
        found = exits(symbol.track, position.side)
        return (found[0], symbol.track.session["last"]) if found else None
    closed = account.closed
    if closed is None or closed.reason not in (STOP_HIT, TARGET_REACHED, LIQUIDATED):
        return None
    return TradeSignal(closed.reason, closed.side, Decimal(1)), account.fills[-1].price
