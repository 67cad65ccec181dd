"""Outcomes together: totals by action and horizon, and the decisions whose confidence can be judged."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from llmctx.replay.corpus import Recorded
from llmctx.replay.outcome import HORIZONS, DecisionOutcome, PastDecision, last_seen, outcome_of, past_decision
from llmctx.replay.price_series import Candle, PriceSeries
from llmctx.replay.selection import Selection


def series_of(candles: Iterable[tuple[str, Candle]], interval_ms: int) -> dict[str, PriceSeries]:
    """The price series of each symbol, from symbols and their bars in any order."""
    by_symbol: dict[str, list[Candle]] = {}
    for symbol, candle in candles:
        by_symbol.setdefault(symbol, []).append(candle)
    return {symbol: PriceSeries(found, interval_ms) for symbol, found in by_symbol.items()}


class Decisions:
    """The decisions of a trail, and which of them are selected."""

    def __init__(self, entries: Sequence[Recorded], selection: Selection) -> None:
        """`entries` are all records: where a position ended shows only in the records after the selected ones."""
        taken = {entry.place: found for entry in entries if (found := past_decision(entry)) is not None}
        selected = [taken[entry.place] for entry in entries if selection.includes(entry) and entry.place in taken]
        self._ends = last_seen(taken.values())
        self.selected: list[PastDecision] = selected[: selection.limit]
        """The selected decisions, in order."""

    @property
    def symbols(self) -> list[str]:
        """The symbols of the selected decisions, sorted."""
        return sorted({taken.symbol for taken in self.selected})

    def outcomes(self, series: dict[str, PriceSeries], cost_bps: Decimal) -> list[DecisionOutcome]:
        """What followed each selected decision; a fill costs `cost_bps` basis points of the traded amount."""
        return [outcome_of(taken, series, self._ends, cost_bps) for taken in self.selected]


def judged(outcomes: Iterable[DecisionOutcome], horizon: str) -> Iterator[tuple[float, bool]]:
    """Confidence and success of each decision that can be judged at a horizon.

    If a guardrail changed the action, the model's confidence was in another action: such decisions are left out.
    """
    for outcome in outcomes:
        right, confidence = outcome.right(horizon), outcome.decision.confidence
        if right is not None and confidence is not None and outcome.decision.decided == outcome.decision.action:
            yield float(confidence), right


def totals(outcomes: Sequence[DecisionOutcome]) -> list[dict[str, Any]]:
    """For each action and horizon: the count, the mean move in percent, and sums in account currency."""
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
                    "held": sum((one.held for one in made), Decimal(0)),
                    "followed": sum((one.followed for one in made), Decimal(0)),
                    "gain": sum((one.gain for one in made), Decimal(0)),
                    "better": sum(one.gain > 0 for one in made),
                    "worse": sum(one.gain < 0 for one in made),
                }
            )
    return rows
