"""An auditor of limits, written apart from them: it reads records alone and says which limit a verdict broke."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx.trail.log.entry import Entry

ACTS = ("exit", "reduce", "add", "adjust_stops")
_HOUR_MS, _EXPIRY_MS, _ACK_MS = 3_600_000, 900_000, 30_000
_HALF_CENT = Decimal("0.005")
FLOOR_PCT = 1
"""So far below its peak the account is at its floor."""


class Position(NamedTuple):
    """What a record's snapshot says."""

    opened_at: str
    sign: int
    quantity: Decimal
    entry: Decimal
    price: Decimal
    stop: Decimal | None
    target: Decimal | None


class Auditor:
    """Takes the records of a trail in their order."""

    def __init__(self, equity_share_pct: int, gross_max: int) -> None:
        self.equity_share_pct, self.gross_max = equity_share_pct, gross_max
        self.broken: list[str] = []
        self.actions: Counter[str] = Counter()
        self.repeats = 0
        """Exits that were published again."""
        self._opened: dict[tuple[str, str], Decimal] = {}
        self._adds: Counter[tuple[str, str]] = Counter()
        self._adds_on: Counter[tuple[str, str]] = Counter()
        self._acted: dict[str, list[int]] = defaultdict(list)
        self._open: dict[tuple[str, str, str], tuple[int, int, Position]] = {}
        """The last decision by symbol, position and action: index, time, position then."""
        self._ended: set[int] = set()

    def take(self, entries: Iterable[Entry]) -> "Auditor":
        for entry in entries:
            record = entry.record
            if record["kind"] == "effect" and "about" in record:
                self._ended.add(record["about"]["index"])
            if "tick" in record and record["verdict"]["action"] in ACTS:
                sections = {
                    name: json.loads(text)
                    for name, text in json.loads(entry.pieces["snapshot"])["sections"].items()
                    if text is not None and text.startswith("{")
                }
                self.actions[record["verdict"]["action"]] += 1
                self.broken += [f"record {entry.index}: {what}" for what in self._judge(entry, record, sections)]
            elif "tick" in record and "snapshot" in entry.pieces:
                self._note_opening(entry)
        return self

    def _note_opening(self, entry: Entry) -> None:
        text = json.loads(entry.pieces["snapshot"])["sections"].get("position")
        if text is not None:
            found = json.loads(text)
            key = entry.record["symbol"], found["entry_time"]
            self._opened.setdefault(key, Decimal(str(found["quantity"])))

    def _judge(self, entry: Entry, record: dict[str, Any], sections: dict[str, Any]) -> Iterator[str]:
        verdict, symbol, at_ms = record["verdict"], record["symbol"], record["as_of_ms"]
        position = _position(sections)
        key = symbol, position.opened_at
        opened = self._opened.setdefault(key, position.quantity)
        yield from self._repeats(entry, verdict, key, position, at_ms)
        action, quantity = verdict["action"], Decimal(verdict.get("quantity") or 0)
        hour = [one for one in self._acted[symbol] if 0 <= at_ms - one < _HOUR_MS]
        if action != "exit" and len(hour) >= 12:
            yield f"{len(hour)} actions within the hour before"
        if "again_ms" not in verdict:
            self._acted[symbol].append(at_ms)
        if action == "add":
            yield from self._judge_add(record, sections, position, quantity, opened)
            self._adds[key] += 1
            self._adds_on[symbol, _day(at_ms)] += 1
            if self._adds[key] > 3 or self._adds_on[symbol, _day(at_ms)] > 3:
                yield "more than three adds"
        if action == "reduce" and not position.quantity / 100 <= quantity <= position.quantity:
            yield f"reduce of {quantity} where {position.quantity} are held"
        if action == "adjust_stops":
            yield from _judge_levels(verdict, position)

    def _judge_add(
        self, record: dict[str, Any], sections: dict[str, Any], position: Position, quantity: Decimal, opened: Decimal
    ) -> Iterator[str]:
        held, portfolio = position.quantity + quantity, sections["portfolio"]
        if held > 2 * opened:
            yield f"{held} held, of {opened} opened"
        equity, gross = (Decimal(str(portfolio[name])) for name in ("equity", "gross_exposure"))
        if held * position.price > equity * self.equity_share_pct / 100 + _HALF_CENT:
            yield f"worth {held * position.price} of an equity of {equity}"
        if gross + quantity * position.price > self.gross_max + 1:
            yield f"gross {gross + quantity * position.price}"
        if (position.price - position.entry) * position.sign < 0:
            yield "an add to a loser"
        if position.stop is None:
            yield "an add without a stop"
        statuses = record["snapshot"]["sections"]
        if any(statuses[name]["status"] != "fresh" for name in ("price", "position", "system")):
            yield "an add on stale data"
        if Decimal(str(sections["performance"]["daily_pnl_pct"])) <= -3:
            yield "an add below the floor of the day"
        if Decimal(str(portfolio["drawdown_pct"])) >= FLOOR_PCT:
            yield "an add below the floor of the account"

    def _repeats(
        self, entry: Entry, verdict: dict[str, Any], key: tuple[str, str], position: Position, at_ms: int
    ) -> Iterator[str]:
        last = self._open.get((*key, verdict["action"]))
        if verdict["action"] == "exit" and last is not None:
            index, told_ms, _ = last
            if verdict.get("repeat_of") is None:
                yield f"an exit like that of record {index}, which it does not name"
            if "again_ms" not in verdict:
                if at_ms - told_ms < _ACK_MS and index not in self._ended:
                    yield f"the exit of record {index} again, before anybody had time to carry it out"
                self._open[(*key, "exit")] = index, at_ms, position
                self.repeats += 1
            return
        if last is not None:
            index, before_ms, then = last
            levels = verdict["action"] == "adjust_stops"
            is_seen = (
                (then.stop, then.target) != (position.stop, position.target)
                if levels
                else (then.quantity != position.quantity)
            )
            if not is_seen and index not in self._ended and at_ms - before_ms < _EXPIRY_MS:
                yield f"the {verdict['action']} of record {index} again, before anything was seen of it"
        self._open[(*key, verdict["action"])] = entry.index, at_ms, position


def _judge_levels(verdict: dict[str, Any], position: Position) -> Iterator[str]:
    sign, price = position.sign, position.price
    if "stop_loss" in verdict:
        stop = Decimal(verdict["stop_loss"])
        if position.stop is not None and (stop - position.stop) * sign < 0:
            yield f"the stop {position.stop} was loosened to {stop}"
        away = (price - stop) * sign / price * 100
        if not Decimal("0.19") <= away <= Decimal("15.01"):
            yield f"a stop at {stop}, {away:.3f}% from {price}"
    if "take_profit" in verdict:
        away = (Decimal(verdict["take_profit"]) - price) * sign / price * 100
        if not 0 < away <= Decimal("50.01"):
            yield f"a target at {verdict['take_profit']}, {away:.3f}% from {price}"


def _position(sections: dict[str, Any]) -> Position:
    found, price = sections["position"], sections["price"]["price"]["last"]
    stop, target = found.get("stop_loss"), found.get("take_profit")
    return Position(
        found["entry_time"],
        1 if found["side"] == "long" else -1,
        Decimal(str(found["quantity"])),
        Decimal(str(found["entry_price"])),
        Decimal(str(price)),
        None if stop is None else Decimal(str(stop)),
        None if target is None else Decimal(str(target)),
    )


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()[:10]
