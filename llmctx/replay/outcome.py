"""The outcome of decisions: how the market moved, and what following them would have earned against doing nothing.

Trades fill at the next bar's open, as with the paper broker. Stops and targets apply inside the bars in both cases.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx import clock
from llmctx.context.content import REQUIRED
from llmctx.context.package import build_package
from llmctx.context.snapshot import NO_BLOBS, RawSection, Snapshot
from llmctx.replay.corpus import Place, Recorded
from llmctx.replay.price_series import Holding, PriceSeries, profit
from llmctx.replay.selection import Selection

MINUTES = (5, 15, 60)
"""The horizons in minutes; the position's own end is the fourth."""
HORIZONS = (*map(str, MINUTES), "end")
"""The horizons by name."""
_MINUTE_MS = 60_000
_BASIS_POINTS = Decimal(10_000)


class PastDecision(NamedTuple):
    """A recorded decision, reduced to what its outcome depends on."""

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
    after: Holding
    """The position after the verdict."""

    def answered(self, verdict: dict[str, Any], decided: str | None, confidence: float | None) -> "PastDecision":
        """The same moment with another answer: its verdict as in a leaf, what the model decided, its confidence."""
        return self._replace(
            action="hold" if verdict["action"] == "none" else verdict["action"],
            decided=decided,
            confidence=None if confidence is None else Decimal(str(confidence)),
            after=_after(self.holding, verdict),
        )


class HorizonResult(NamedTuple):
    """The outcome at one horizon, in account currency unless stated otherwise."""

    move_pct: float
    """The market's move, in percent."""
    unchanged: Decimal
    """Profit of leaving the position unchanged."""
    followed: Decimal
    """Profit of following the verdict."""
    closed: Decimal
    """Profit of closing the position at the next bar's open."""

    @property
    def gain(self) -> Decimal:
        """Profit of following the verdict over leaving the position unchanged."""
        return self.followed - self.unchanged


class DecisionOutcome(NamedTuple):
    """A decision and its outcome."""

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
        advantage = result.unchanged - result.closed if self.decision.action == "hold" else result.gain
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


def past_decision(entry: Recorded, blobs: Mapping[str, bytes] = NO_BLOBS) -> PastDecision | None:
    """Return the decision of a record, None if it holds none about a usable position; `blobs` are those that it names.

    Raises ValueError if the record's snapshot is malformed.
    """
    record = entry.record
    if record["kind"] not in ("decision", "failed"):
        return None
    snapshot = Snapshot.from_evidence(entry.pieces["snapshot"], blobs)
    # Only these are needed, and reading the other sections would take most of the time.
    needed = {name: raw if name in REQUIRED else RawSection(raw.key, None) for name, raw in snapshot.sections.items()}
    package = build_package(snapshot.model_copy(update={"sections": needed, "marks": None}))
    if package.refusal is not None:
        return None
    position, verdict, decision = package.position, record["verdict"], record.get("decision", {})
    confidence = decision.get("confidence")
    sign = 1 if position.side == "long" else -1
    holding = Holding(sign, position.quantity, stop=position.stop_loss, target=position.take_profit)
    return PastDecision(
        place=entry.place,
        symbol=record["symbol"],
        as_of_ms=record["as_of_ms"],
        action=verdict["action"],
        decided=decision.get("action"),
        confidence=None if confidence is None else Decimal(confidence),
        price=package.price.price.last,
        opened_ms=clock.to_ms(position.entry_time),
        holding=holding,
        after=_after(holding, verdict),
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
    holding, price, opening = decision.holding, decision.price, path[0].open
    traded = decision.after.quantity - holding.quantity
    # Trades fill at the opening: closed shares still earn the move until then, added ones only what comes after.
    move = (opening - price) * holding.sign
    fee = abs(traded) * opening * cost
    return HorizonResult(
        move_pct=float((path[-1].close / price - 1) * 100),
        unchanged=profit(holding, price, path, cost),
        followed=profit(decision.after, price, path, cost) - move * traded - fee,
        closed=(move - opening * cost) * holding.quantity,
    )


def _after(holding: Holding, verdict: dict[str, Any]) -> Holding:
    quantity = Decimal(verdict.get("quantity") or 0)
    match verdict["action"]:
        case "exit":
            return holding._replace(quantity=Decimal(0))
        case "reduce":
            return holding._replace(quantity=holding.quantity - min(quantity, holding.quantity))
        case "add":
            return holding._replace(quantity=holding.quantity + quantity)
        case "adjust_stops":
            levels = {"stop": verdict.get("stop_loss"), "target": verdict.get("take_profit")}
            changed = {name: Decimal(level) for name, level in levels.items() if level is not None}
            return Holding(**holding._asdict() | changed)
        case _:
            return holding


class Decisions:
    """The selected decisions of a trail."""

    def __init__(
        self, entries: Sequence[Recorded], selection: Selection, blobs: Mapping[str, bytes] = NO_BLOBS
    ) -> None:
        """`entries` are all records: where a position ended shows only in the records after the selected ones."""
        taken = {entry.place: found for entry in entries if (found := past_decision(entry, blobs)) is not None}
        selected = [taken[entry.place] for entry in entries if selection.includes(entry) and entry.place in taken]
        self._ends = last_seen(taken.values())
        self.selected: list[PastDecision] = selected[: selection.limit]
        """The selected decisions, in order."""

    @property
    def symbols(self) -> list[str]:
        """The symbols of the selected decisions, sorted."""
        return sorted({taken.symbol for taken in self.selected})

    def outcomes(self, series: dict[str, PriceSeries], cost_bps: Decimal) -> list[DecisionOutcome]:
        """Return the outcome of each selected decision; a fill costs `cost_bps` basis points of its value."""
        return [outcome_of(taken, series, self._ends, cost_bps) for taken in self.selected]


def judged(outcomes: Iterable[DecisionOutcome], horizon: str) -> Iterator[tuple[float, bool]]:
    """Yield the confidence of each decision that can be judged at a horizon, and whether it was right.

    Decisions whose action a guardrail changed are left out: the model's confidence was in another action.
    """
    for outcome in outcomes:
        right, confidence = outcome.right(horizon), outcome.decision.confidence
        if right is not None and confidence is not None and outcome.decision.decided == outcome.decision.action:
            yield float(confidence), right


def totals(outcomes: Sequence[DecisionOutcome]) -> list[dict[str, Any]]:
    """Return, by action and horizon, the count, the mean move in percent, and sums in account currency."""
    rows = []
    for action in sorted({outcome.decision.action for outcome in outcomes}):
        of_action = [outcome.results for outcome in outcomes if outcome.decision.action == action]
        for horizon in HORIZONS:
            made = [by_horizon[horizon] for by_horizon in of_action if horizon in by_horizon]
            if not made:
                continue
            rows.append(
                {
                    "action": action,
                    "horizon": horizon,
                    "decisions": len(made),
                    "mean_move_pct": sum(one.move_pct for one in made) / len(made),
                    "unchanged": sum((one.unchanged for one in made), Decimal(0)),
                    "followed": sum((one.followed for one in made), Decimal(0)),
                    "gain": sum((one.gain for one in made), Decimal(0)),
                    "better": sum(one.gain > 0 for one in made),
                    "worse": sum(one.gain < 0 for one in made),
                }
            )
    return rows
