"""The outcome of a decision: how the market moved, and what following it would have earned against doing nothing.

Trades fill at the next bar's open, as with the paper broker. Stops and targets apply inside the bars in both cases.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx import clock
from llmctx.context.package import build_package
from llmctx.context.snapshot import Snapshot
from llmctx.replay.corpus import Place, Recorded
from llmctx.replay.price_series import Holding, PriceSeries, profit
from llmctx.schema.values import Position

MINUTES = (5, 15, 60)
"""The horizons in minutes; the position's own end is the fourth."""
HORIZONS = (*map(str, MINUTES), "end")
"""The horizons by name."""
_MINUTE_MS = 60_000
_BASIS_POINTS = Decimal(10_000)


class PastDecision(NamedTuple):
    """A recorded decision, as far as its outcome depends on it."""

    place: Place
    """Which record."""
    symbol: str
    """The position's symbol."""
    as_of_ms: int
    """The time of the package, in milliseconds."""
    action: str
    """The verdict's action."""
    decided: str | None
    """The action the model decided on."""
    confidence: Decimal | None
    """The model's confidence, 0 to 1."""
    price: Decimal
    """The price at the time."""
    opened_ms: int
    """When the position was opened; tells apart the positions of one symbol."""
    holding: Holding
    """The position before the decision."""
    traded: Decimal
    """Shares that the verdict adds, or closes if negative."""
    stop: Decimal | None
    """The stop after the verdict."""
    target: Decimal | None
    """The target after the verdict."""


class HorizonResult(NamedTuple):
    """The outcome at one horizon, in account currency unless stated otherwise."""

    move_pct: float
    """The market's move, in percent."""
    held: Decimal
    """Profit of leaving the position unchanged."""
    followed: Decimal
    """Profit of following the verdict."""
    closed: Decimal
    """Profit of closing the position at the next bar's open."""

    @property
    def gain(self) -> Decimal:
        """Profit of following the verdict over leaving the position unchanged."""
        return self.followed - self.held


class DecisionOutcome(NamedTuple):
    """A decision and what came of it."""

    decision: PastDecision
    """The decision."""
    results: dict[str, HorizonResult]
    """By horizon; horizons that the bars do not reach are absent."""

    def right(self, horizon: str) -> bool | None:
        """Return whether the decision earned more than its opposite: doing nothing, or closing in case of a hold.

        None if the bars do not reach the horizon, or both earned the same.
        """
        result = self.results.get(horizon)
        if result is None:
            return None
        advantage = result.held - result.closed if self.decision.action == "hold" else result.gain
        return None if advantage == 0 else advantage > 0

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as JSON values."""
        return {
            **vars(self.decision.place),
            "symbol": self.decision.symbol,
            "as_of_ms": self.decision.as_of_ms,
            "action": self.decision.action,
            "decided": self.decision.decided,
            "confidence": self.decision.confidence,
            "made": {name: result._asdict() | {"gain": result.gain} for name, result in self.results.items()},
        }


def past_decision(entry: Recorded) -> PastDecision | None:
    """Return the decision of a record, None if it holds none about a usable position.

    Raises ValueError if the record's snapshot is malformed.
    """
    record = entry.record
    if record["kind"] not in ("decision", "failed"):
        return None
    package = build_package(Snapshot.from_evidence(entry.pieces["snapshot"]))
    if package.refusal is not None:
        return None
    position, verdict, decision = package.position, record["verdict"], record.get("decision", {})
    confidence = decision.get("confidence")
    return PastDecision(
        place=entry.place,
        symbol=record["symbol"],
        as_of_ms=record["as_of_ms"],
        action=verdict["action"],
        decided=decision.get("action"),
        confidence=None if confidence is None else Decimal(confidence),
        price=package.price.price.last,
        opened_ms=clock.to_ms(position.entry_time),
        holding=_holding(position),
        traded=_traded(position, verdict),
        stop=_level(verdict, "stop_loss", position.stop_loss),
        target=_level(verdict, "take_profit", position.take_profit),
    )


def last_seen(decisions: Iterable[PastDecision]) -> dict[tuple[str, int], int]:
    """Return when each position was last seen, in milliseconds, by symbol and opening time.

    A position ends with the bar after that.
    """
    found: dict[tuple[str, int], int] = {}
    for decision in decisions:
        key = decision.symbol, decision.opened_ms
        found[key] = max(found.get(key, 0), decision.as_of_ms)
    return found


def outcome_of(
    decision: PastDecision,
    series: Mapping[str, PriceSeries],
    last_seen_ms: Mapping[tuple[str, int], int],
    cost_bps: Decimal = Decimal(2),
) -> DecisionOutcome:
    """Return the outcome of a decision as far as the bars reach; a fill costs `cost_bps` basis points of its value."""
    bars = series.get(decision.symbol)
    if bars is None:
        return DecisionOutcome(decision, {})
    seen_ms = last_seen_ms.get((decision.symbol, decision.opened_ms), decision.as_of_ms)
    moments = {str(minutes): decision.as_of_ms + minutes * _MINUTE_MS for minutes in MINUTES}
    moments["end"] = seen_ms + bars.interval_ms
    results = {name: _result(decision, bars, moment, cost_bps / _BASIS_POINTS) for name, moment in moments.items()}
    return DecisionOutcome(decision, {name: result for name, result in results.items() if result is not None})


def _result(decision: PastDecision, bars: PriceSeries, moment_ms: int, cost: Decimal) -> HorizonResult | None:
    path = bars.between(decision.as_of_ms, moment_ms)
    if not path or not bars.reaches(moment_ms):
        return None
    holding, price, traded = decision.holding, decision.price, decision.traded
    opening = path[0].open
    changed = holding._replace(quantity=holding.quantity + traded, stop=decision.stop, target=decision.target)
    # Trades fill at the opening: closed shares still earn the move until then, added ones only what comes after.
    move = (opening - price) * holding.sign
    fee = abs(traded) * opening * cost
    return HorizonResult(
        move_pct=float((path[-1].close / price - 1) * 100),
        held=profit(holding, price, path, cost),
        followed=profit(changed, price, path, cost) - move * traded - fee,
        closed=(move - opening * cost) * holding.quantity,
    )


def _holding(position: Position) -> Holding:
    sign = 1 if position.side == "long" else -1
    return Holding(sign, position.quantity, stop=position.stop_loss, target=position.take_profit)


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
