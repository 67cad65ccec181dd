"""What came of a decision: the market's move after it, and what following it would have made against leaving it be.

Trades are filled at the next bar's open, as the paper broker fills them; both ways the stops hold inside the bars.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx import clock
from llmctx.context.package import build_package
from llmctx.context.snapshot import Snapshot
from llmctx.replay.corpus import Recorded
from llmctx.replay.market import Holding, Series, earnings
from llmctx.schema.values import Position

MINUTES = (5, 15, 60)
"""The horizons in minutes; the position's own end is the fourth."""
HORIZONS = ("5", "15", "60", "end")
"""The horizons by name."""
_MINUTE_MS = 60_000
_BPS = Decimal(10_000)


class Taken(NamedTuple):
    """One decision, as far as its outcome needs it."""

    place: tuple[str, int, int]
    """Which record."""
    symbol: str
    """The position's symbol."""
    as_of_ms: int
    """The time of the package."""
    action: str
    """What its verdict does."""
    decided: str | None
    """What the model decided."""
    confidence: Decimal | None
    """How sure the model was."""
    price: Decimal
    """The price at the time."""
    entry_ms: int
    """When the position was opened: what tells it from the symbol's next one."""
    holding: Holding
    """The position as it was."""
    traded: Decimal
    """Shares that the verdict closes (negative) or adds."""
    stop: Decimal | None
    """The stop after the verdict."""
    target: Decimal | None
    """The target after the verdict."""


class Made(NamedTuple):
    """What came of it at one horizon, in account currency unless it says otherwise."""

    move_pct: float
    """The market's move in percent."""
    held: Decimal
    """What leaving the position as it was made."""
    followed: Decimal
    """What following the verdict made."""
    closed: Decimal
    """What closing it at the next bar's open made."""

    @property
    def gain(self) -> Decimal:
        """What following made against leaving it be."""
        return self.followed - self.held


class Outcome(NamedTuple):
    """One decision with what came of it."""

    taken: Taken
    """The decision."""
    made: dict[str, Made]
    """By horizon; one that the bars do not reach is absent."""

    def right(self, horizon: str) -> bool | None:
        """Whether it was right, against the opposite: an act against leaving it be, a hold against closing.

        None where the bars do not reach, and where both came to the same.
        """
        made = self.made.get(horizon)
        if made is None:
            return None
        better = made.held - made.closed if self.taken.action == "hold" else made.gain
        return None if better == 0 else better > 0

    def as_dict(self) -> dict[str, Any]:
        """The outcome as JSON has it."""
        origin, partition, index = self.taken.place
        return {
            "origin": origin,
            "partition": partition,
            "index": index,
            "symbol": self.taken.symbol,
            "as_of_ms": self.taken.as_of_ms,
            "action": self.taken.action,
            "decided": self.taken.decided,
            "confidence": self.taken.confidence,
            "made": {name: made._asdict() | {"gain": made.gain} for name, made in self.made.items()},
        }


def taken_of(entry: Recorded) -> Taken | None:
    """The decision of a record; None where it has none about a usable position.

    Raises ValueError where the record's snapshot is none.
    """
    record = entry.record
    if record["kind"] not in ("decision", "failed"):
        return None
    package = build_package(Snapshot.from_evidence(entry.pieces["snapshot"]))
    if package.refusal is not None:
        return None
    position, verdict, decision = package.position, record["verdict"], record.get("decision", {})
    confidence = decision.get("confidence")
    return Taken(
        place=entry.place,
        symbol=record["symbol"],
        as_of_ms=record["as_of_ms"],
        action=verdict["action"],
        decided=decision.get("action"),
        confidence=None if confidence is None else Decimal(confidence),
        price=package.price.price.last,
        entry_ms=clock.to_ms(position.entry_time),
        holding=_holding(position),
        traded=_traded(position, verdict),
        stop=_level(verdict, "stop_loss", position.stop_loss),
        target=_level(verdict, "take_profit", position.take_profit),
    )


def ends_of(decisions: Iterable[Taken]) -> dict[tuple[str, int], int]:
    """When each position was last seen, in milliseconds: by symbol and opening. Its end is the bar after that."""
    ends: dict[tuple[str, int], int] = {}
    for taken in decisions:
        key = taken.symbol, taken.entry_ms
        ends[key] = max(ends.get(key, 0), taken.as_of_ms)
    return ends


def outcome_of(
    taken: Taken, series: Mapping[str, Series], ends: Mapping[tuple[str, int], int], cost_bps: Decimal = Decimal(2)
) -> Outcome:
    """What came of a decision, as far as the bars reach; a fill costs `cost_bps` basis points of its worth."""
    bars = series.get(taken.symbol)
    if bars is None:
        return Outcome(taken, {})
    last_ms = ends.get((taken.symbol, taken.entry_ms), taken.as_of_ms) + bars.interval_ms
    moments = {str(minutes): taken.as_of_ms + minutes * _MINUTE_MS for minutes in MINUTES} | {"end": last_ms}
    made = {name: _made(taken, bars, moment_ms, cost_bps / _BPS) for name, moment_ms in moments.items()}
    return Outcome(taken, {name: found for name, found in made.items() if found is not None})


def _made(taken: Taken, bars: Series, moment_ms: int, cost: Decimal) -> Made | None:
    path = bars.until(taken.as_of_ms, moment_ms)
    if not path or not bars.reaches(moment_ms):
        return None
    holding, price = taken.holding, taken.price
    opening = path[0].open
    changed = holding._replace(quantity=holding.quantity + taken.traded, stop=taken.stop, target=taken.target)
    # What is traded is traded at the opening: closed shares make their way until there, added ones begin there.
    way = (opening - price) * holding.sign
    fee = abs(taken.traded) * opening * cost
    followed = earnings(changed, price, path, cost) - way * taken.traded - fee
    return Made(
        move_pct=float((path[-1].close / price - 1) * 100),
        held=earnings(holding, price, path, cost),
        followed=followed,
        closed=(way - opening * cost) * holding.quantity,
    )


def _holding(position: Position) -> Holding:
    sign = 1 if position.side == "long" else -1
    return Holding(sign, position.quantity, position.stop_loss, position.take_profit)


def _traded(position: Position, verdict: dict[str, Any]) -> Decimal:
    quantity = Decimal(verdict.get("quantity") or 0)
    match verdict["action"]:
        case "exit":
            return -position.quantity
        case "reduce":
            return -min(quantity, position.quantity)
        case "add":
            return quantity
        case _:
            return Decimal(0)


def _level(verdict: dict[str, Any], name: str, before: Decimal | None) -> Decimal | None:
    if verdict["action"] != "adjust_stops" or verdict.get(name) is None:
        return before
    return Decimal(verdict[name])
