"""Reconciling decisions with their effects: each thing that does not agree is a finding, and nothing else is."""

import json
from decimal import Decimal
from typing import Any

import pytest

from llmctx import canonical
from llmctx.replay.reconcile import Trade, reconcile
from llmctx.trail.log.entry import Entry

COMMON = {"v": 1, "recorded_at_ms": 1000, "worker": "w", "attempts": 1, "code": "c"}
FILL = {"status": "filled", "side": "sell", "quantity": "10", "price": "99", "fee": "0.2"}


def decided(index: int, action: str = "exit", **verdict: str) -> Entry:
    """A decision on ten shares of a long position, whose price is 100."""
    position = {"side": "long", "quantity": 10}
    sections = {"position": json.dumps(position), "price": json.dumps({"price": {"last": 100.0}})}
    leaf = COMMON | {
        "kind": "decision", "tick": f"t{index}", "symbol": "AAPL", "as_of_ms": 500 + index,
        "verdict": {"action": action, "reason": "stop reached"} | verdict,
    }  # fmt: skip
    return made(index, leaf, {"snapshot": json.dumps({"sections": sections}).encode()})


def said(index: int, effect: dict[str, str], about: int | None = None, **changes: Any) -> Entry:
    """An effect."""
    leaf = COMMON | {"kind": "effect", "id": f"e{index}", "symbol": "AAPL", "effect": effect, "as_of_ms": 600 + index}
    leaf |= {"verdict": {"action": "none", "reason": "said"}} | ({} if about is None else {"about": {"index": about}})
    return made(index, leaf | changes)


def made(index: int, leaf: dict[str, Any], pieces: dict[str, bytes] | None = None) -> Entry:
    entry = Entry(canonical.dumps(leaf), pieces or {}, index=index)
    entry.accept(leaf)
    return entry


LATER = made(9, COMMON | {"kind": "notice", "recorded_at_ms": 400_000, "verdict": {"action": "none", "reason": "r"}})


def trade_of(*entries: Entry) -> Trade:
    (trade,) = reconcile(entries, 1)
    return trade


def test_a_decision_that_was_filled_as_decided_has_price_slippage_and_fee_and_no_finding() -> None:
    half = FILL | {"quantity": "5"}
    trade = trade_of(
        decided(0), said(1, half | {"status": "partially_filled", "price": "100"}, 0), said(2, half, 0), LATER
    )
    assert (trade.findings, trade.filled, trade.wanted) == ([], Decimal(10), Decimal(10))
    assert (trade.fill_price, trade.slippage_bps, trade.fee) == (Decimal("99.5"), Decimal("50.0"), Decimal("0.4"))
    assert trade.effects == ["1", "2"]
    json.dumps(trade.as_dict())


@pytest.mark.parametrize(
    ("entries", "finding"),
    [
        ([decided(0), LATER], "no effect"),
        ([decided(0), said(1, {"status": "accepted"}, 0), LATER], "no end"),
        ([decided(0), said(1, FILL | {"quantity": "9"}, 0)], "9 shares where 10 were asked for"),
        ([decided(0), said(1, FILL | {"quantity": "11"}, 0)], "11 shares where 10 were asked for"),
        ([decided(0, "reduce", quantity="4"), said(1, FILL, 0)], "10 shares where 4 were asked for"),
        ([decided(0), said(1, FILL | {"side": "buy"}, 0)], "exit was carried out as a buy"),
        ([decided(0), said(1, FILL | {"price": "90"}, 0)], "price: 1000.0 bps"),
        ([said(1, FILL)], "no decision and no reason"),
        ([said(1, FILL, 0)], "decision 0 asks for nothing"),
    ],
)
def test_what_does_not_agree_is_a_finding(entries: list[Entry], finding: str) -> None:
    trade = trade_of(*entries)
    assert len(trade.findings) == 1
    assert finding in trade.findings[0]


@pytest.mark.parametrize(
    "entries",
    [
        [decided(0)],
        [decided(0), said(1, {"status": "rejected", "reason": "halted"}, 0), LATER],
        [decided(0), said(1, FILL | {"status": "partially_filled", "quantity": "3"}, 0), said(2, {"status": "cancelled"}, 0)],
        [decided(0, "adjust_stops", stop_loss="95"), said(1, {"status": "accepted"}, 0), LATER],
        [said(1, FILL | {"reason": "stop_hit"})],
    ],
)  # fmt: skip
def test_what_is_explained_or_not_due_yet_is_no_finding(entries: list[Entry]) -> None:
    assert trade_of(*entries).findings == []


def test_an_exit_that_is_decided_again_is_one_trade() -> None:
    again = decided(1, repeat_of="0")
    trade = trade_of(decided(0), again, said(2, FILL, 0), said(3, {"status": "ignored", "reason": "closed"}, 1), LATER)
    assert (trade.address, trade.statuses, trade.findings) == ("0", ["filled", "ignored"], [])


def test_what_people_said_stands_with_the_decision() -> None:
    person = {"kind": "approval", "verdict": {"action": "none", "reason": "approved by R. Meier: seen"}}
    trade = trade_of(decided(0), said(1, FILL, 0, **person), said(2, FILL, 0))
    assert (trade.people, trade.findings) == (["approved by R. Meier: seen"], [])
