from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from llmctx.flow.bars import BadRow, Bar, parse_row
from llmctx.flow.book import CAPITAL, Book, Day
from llmctx.flow.mark_to_market import adjust, mark, position_to_wire
from llmctx.flow.rules import FeedRules
from llmctx.flow.signals import TradeSignal
from llmctx.flow.step import Step, take_step
from llmctx.flow.symbol import Symbol
from llmctx.flow.trades import Order
from llmctx.schema.values import Position
from tests.unit.flow.makers import MINUTE, NEXT_DAY, OPENING, bar, position

ENTRY = "2014-06-06T13:30:00.000Z"
FREE = Decimal(0)
BREAKOUT = TradeSignal("breakout", "long", Decimal("0.8"))
SEVEN = {"AAPL": Decimal(7)}


def symbol(held: Position | None = None, raw: bytes | None = None) -> Symbol:
    made = Symbol("AAPL", MINUTE)
    made.set_position(position_to_wire(held) if raw is None and held is not None else raw or b"")
    return made


def step(one: Bar, held: Position | None = None, *orders: Order, raw: bytes | None = None, **more: Any) -> Step:
    tracked = symbol(held, raw).add(one, None)
    if "found" in more:
        tracked = tracked._replace(signals=more["found"])
    book = more.get("book", Book())
    book = book.with_orders("AAPL", orders) if orders else book
    rules = FeedRules(cost_bps=more.get("cost_bps", FREE), ratios=more.get("ratios", {}))
    return take_step(tracked, book, rules, market_open=more.get("market_open", True))


def order(action: str, **changes: Any) -> Order:
    fields: dict[str, Any] = {"entry_time": ENTRY} | changes
    return Order(action, "decision 7", **fields)


@pytest.mark.parametrize("cost_bps", [None, FREE])
def test_without_a_position_no_decision_is_requested_and_nothing_is_written(cost_bps: Decimal | None) -> None:
    found = step(bar(1), cost_bps=cost_bps)
    assert (found.raw_position, found.position, found.cause, found.fills, found.closed) == (b"", None, None, (), None)
    assert (found.exit_signal, found.opened) == (None, False)


@pytest.mark.parametrize("cost_bps", [None, FREE])
def test_a_position_is_marked_to_the_close_at_the_bars_end(cost_bps: Decimal | None) -> None:
    found = step(bar(1, "105", open="100", low="100"), position(), cost_bps=cost_bps)
    marked = mark(position(), Decimal(105), OPENING + 2 * MINUTE)
    assert (found.position, found.raw_position, found.cause) == (marked, position_to_wire(marked), "position_marked")
    assert marked.unrealized_pnl == 50


def test_without_a_broker_nothing_is_traded() -> None:
    book = Book().with_orders("AAPL", (order("exit"),))
    found = step(bar(1, "50", high="150"), position(), book=book, cost_bps=None, found=[BREAKOUT])
    assert (found.cause, found.fills, found.book) == ("position_marked", (), book)
    assert found.position is not None


def test_an_opened_position_gives_that_cause() -> None:
    found = step(bar(1), None, Order("open", "breakout", side="long"))
    assert (found.cause, found.opened) == ("position_opened", True)
    assert found.position is not None
    assert found.position.last_update == OPENING + 2 * MINUTE
    assert [fill.reason for fill in found.fills] == ["breakout"]


def test_a_position_opened_and_stopped_in_one_bar_requests_no_decision() -> None:
    found = step(bar(1, "98", open="100", high="100"), None, Order("open", "breakout", side="long"))
    assert (found.raw_position, found.cause, found.opened) == (b"", None, False)
    assert found.exit_signal == (TradeSignal("stop_hit", "long", Decimal(1)), Decimal(99))
    assert len(found.fills) == 2


@pytest.mark.parametrize("action", ["add", "reduce"])
def test_a_changed_position_gives_that_cause(action: str) -> None:
    found = step(bar(1), position(), order(action, quantity=Decimal(1)))
    assert (found.cause, found.opened) == ("position_changed", False)
    assert len(found.fills) == 1


def test_a_position_with_moved_stops_is_marked() -> None:
    found = step(bar(1), position(), order("adjust_stops", stop_loss=Decimal(95)))
    assert found.cause == "position_marked"
    assert found.position is not None
    assert found.position.stop_loss == 95


def test_a_closed_position_is_removed_and_requests_no_decision() -> None:
    found = step(bar(1, "101"), position(), order("exit"))
    assert (found.raw_position, found.position, found.cause) == (b"", None, None)
    assert found.closed is not None
    assert found.closed.net == 10
    assert found.exit_signal is None  # a decision is not a signal


@pytest.mark.parametrize(
    ("low", "high", "reason", "price"), [("85", "100", "stop_hit", 90), ("100", "120", "target_reached", 110)]
)
def test_a_stop_or_target_reached_inside_the_bar_is_an_exit_signal_at_its_price(
    low: str, high: str, reason: str, price: int
) -> None:
    found = step(bar(1, low=low, high=high), position())
    assert found.exit_signal == (TradeSignal(reason, "long", Decimal(1)), Decimal(price))


@pytest.mark.parametrize(("way", "side"), [(1, "long"), (-1, "short")])
def test_an_indicator_against_the_position_is_an_exit_signal_at_the_close(way: int, side: str) -> None:
    made = symbol()
    for at in range(30):
        tracked = made.add(bar(at, str(100 + way * at)), None)
    made.set_position(position_to_wire(position(side, stop_loss=None, take_profit=None)))
    found = take_step(tracked._replace(signals=[]), Book(), FeedRules(cost_bps=FREE), market_open=True)
    assert found.exit_signal == (TradeSignal("rsi_extreme", side, Decimal("0.60")), tracked.bar.close)


@pytest.mark.parametrize("raw", [b"x", b"{}", b"not a string", b'{"symbol":"AAPL"}'])
@pytest.mark.parametrize("cost_bps", [None, FREE])
def test_a_malformed_position_is_left_unchanged_and_requests_a_decision(raw: bytes, cost_bps: Decimal | None) -> None:
    book = Book().with_orders("AAPL", (order("exit"),))
    found = step(bar(1), raw=raw, book=book, cost_bps=cost_bps, found=[BREAKOUT])
    assert (found.raw_position, found.position, found.cause) == (raw, None, "position_unusable")
    assert (found.fills, found.book) == ((), book)


def test_a_position_from_the_future_is_unusable() -> None:
    held = position(last_update=OPENING + 2 * MINUTE + timedelta(milliseconds=1))
    found = step(bar(1), held)
    assert (found.raw_position, found.position, found.cause) == (position_to_wire(held), None, "position_unusable")
    assert step(bar(1), position(last_update=OPENING + 2 * MINUTE)).cause == "position_marked"


@pytest.mark.parametrize("cost_bps", [None, FREE])
@pytest.mark.parametrize(("price", "ratios"), [("14", {}), ("14", {"MSFT": Decimal(7)}), ("50", SEVEN), ("700", {})])
def test_an_unexplained_jump_requests_a_decision_and_changes_nothing(
    price: str, ratios: dict[str, Decimal], cost_bps: Decimal | None
) -> None:
    book = Book().with_orders("AAPL", (order("exit"),))
    found = step(bar(NEXT_DAY, price), position(), book=book, cost_bps=cost_bps, ratios=ratios)
    assert (found.raw_position, found.position, found.cause) == (
        position_to_wire(position()),
        position(),
        "corporate_action_suspected",
    )
    assert (found.fills, found.book) == ((), book)


@pytest.mark.parametrize("cost_bps", [None, FREE])
def test_a_jump_explained_by_a_ratio_adjusts_the_position(cost_bps: Decimal | None) -> None:
    found = step(bar(NEXT_DAY, "14.5"), position(), cost_bps=cost_bps, ratios=SEVEN)
    adjusted = adjust(position(), Decimal(7))
    assert (found.cause, found.opened) == ("position_adjusted", False)
    assert found.position == mark(adjusted, Decimal("14.5"), NEXT_DAY + MINUTE)
    assert found.position.quantity == 70


def test_a_split_does_not_change_a_trades_earnings() -> None:
    opened = step(bar(1), None, Order("open", "breakout", side="long"))
    assert opened.position is not None
    split = step(bar(NEXT_DAY, "14.3"), opened.position, book=opened.book, ratios=SEVEN)
    assert split.position is not None
    assert split.book.trades["AAPL"].basis == opened.book.trades["AAPL"].basis
    entry_time = "2014-06-06T13:31:00.000Z"
    closed = step(
        bar(NEXT_DAY + MINUTE, "14.4"), split.position, order("exit", entry_time=entry_time), book=split.book
    ).closed
    assert closed is not None
    assert [closed.quantity, closed.gross] == [700, Decimal("14.4") * 700 - 10_000]


def test_a_ratio_without_a_jump_is_not_applied() -> None:
    found = step(bar(1), position(), ratios=SEVEN)
    assert found.cause == "position_marked"


def test_a_step_can_be_repeated_on_the_current_position() -> None:
    first = step(bar(1), position(), order("exit"))
    other = position(entry_time=OPENING - MINUTE, quantity=Decimal(3))
    again = step(bar(1), other, order("exit"))
    assert first.fills
    assert again.fills == ()
    assert again.position == mark(other, Decimal(100), OPENING + 2 * MINUTE)


def test_a_signal_schedules_an_entry_at_the_next_bar() -> None:
    assert step(bar(1), found=[BREAKOUT]).book.orders == {"AAPL": (Order("open", "breakout", side="long"),)}
    assert step(bar(1), found=[BREAKOUT], market_open=False).book.orders == {}


def test_the_previous_day_is_reported_only_at_the_first_bar_of_a_new_date() -> None:
    first = step(bar(1))
    assert (first.day_before, first.book.day) == (None, Day("2014-06-06"))
    assert step(bar(2), book=first.book).day_before is None
    later = step(bar(NEXT_DAY), book=first.book)
    assert later.day_before == Day("2014-06-06", CAPITAL)
    assert later.book.day == Day("2014-06-09", CAPITAL)


@pytest.mark.parametrize("price", ["1e-15", "1e-8", "1e8", "1e15", "9.999999999999999e15"])
@pytest.mark.parametrize("later", ["1e-15", "1e-8", "1", "1e8", "1e15", "9.999999999999999e15"])
def test_every_valid_bar_makes_a_step(price: str, later: str) -> None:
    bars = []
    for at, text in ((1, price), (2, later)):
        row = [f"2014-06-06T13:3{at}:00Z", "AAPL", *[text] * 4, "100"]
        one = parse_row(row, 1)
        assert not isinstance(one, BadRow)
        bars.append(one)
    made = symbol()
    book = Book().with_orders("AAPL", (Order("open", "breakout", side="long"),))
    for one in bars:
        tracked = made.add(one, None)
        assert tracked.ratio is None
        found = take_step(tracked, book, FeedRules(cost_bps=FREE), market_open=True)
        book = found.book
        made.set_position(found.raw_position, found.position)
    assert made.track.last == bars[-1]
