"""The rules by which the stand-in answers, using only the facts that a prompt shows.

They read the lines `- path: value [unit]` and the first one that applies decides:

1. the price is beyond the stop: exit
2. the price is beyond the target: exit
3. RSI against the position at an extreme (long >= 75, short <= 25) with a profit: reduce by half
4. half of the way to the target is done and the stop still allows a loss: adjust_stops, the stop to the entry
5. two thirds of the way to the stop are gone and MACD runs against the position: reduce by half, not very sure
6. the newest bar gave an entry signal that does not point against the position, and MACD runs with it: add a tenth
7. otherwise: hold
"""

import re
from decimal import ROUND_FLOOR, Decimal, InvalidOperation
from typing import Any

_FACT = re.compile(r"^- (\S+): (.*?)(?: \[[^\]\n]*\])?$", re.MULTILINE)
_LONG_REASONS = ("breakout", "volume_surge", "support_bounce", "macd_cross")
_SHORT_REASONS = ("breakdown", "volume_surge_down", "resistance_rejection", "macd_cross_down")
_HALF = Decimal("0.5")
_TWO_THIRDS = Decimal(2) / 3


class Facts:
    """The facts that a prompt shows, by path."""

    def __init__(self, text: str) -> None:
        self.texts = {path: value.strip('"') for path, value in _FACT.findall(text)}

    def number(self, path: str) -> Decimal | None:
        """The number at a path; None if there is none."""
        try:
            return Decimal(self.texts[path])
        except (KeyError, InvalidOperation):
            return None

    def cited(self, path: str) -> str:
        """The value at a path with its citation; "none" if there is none."""
        return "none" if self.number(path) is None else f"{self.texts[path]} [{path}]"


def decide(facts: Facts) -> dict[str, Any]:
    """Apply the rules to these facts and return the answer."""
    price = facts.number("price.price.last")
    entry = facts.number("position.entry_price")
    quantity = facts.number("position.quantity")
    if price is None or entry is None or quantity is None:
        return _answer(facts, "hold", "0.1", "The prompt shows no position with a price, so nothing is changed.", [])
    sign = -1 if facts.texts.get("position.side") == "short" else 1
    stop, target = facts.number("position.stop_loss"), facts.number("position.take_profit")
    macd, signal = facts.number("indicators.macd"), facts.number("indicators.macd_signal")
    rsi = facts.number("indicators.rsi_14")
    gain = (price - entry) * sign
    momentum = None if macd is None or signal is None else (macd - signal) * sign
    at, macd_at = facts.cited("price.price.last"), facts.cited("indicators.macd")
    stop_at, target_at = facts.cited("position.stop_loss"), facts.cited("position.take_profit")
    half = str((quantity / 2).to_integral_value(ROUND_FLOOR))

    if stop is not None and (price - stop) * sign <= 0:
        text = f"The price {at} has reached the stop {stop_at}, so the position is closed."
        return _answer(facts, "exit", "0.95", text, ["price.price.last", "position.stop_loss"])
    if target is not None and (price - target) * sign >= 0:
        text = f"The price {at} has reached the target {target_at}, so the profit is taken."
        return _answer(facts, "exit", "0.9", text, ["price.price.last", "position.take_profit"])
    extreme = rsi is not None and (rsi >= 75 if sign > 0 else rsi <= 25)  # noqa: PLR2004  rule 3
    if extreme and gain > 0 and half != "0":
        text = (
            f"RSI stands at {facts.cited('indicators.rsi_14')}, an extreme in the position's favour; half of the "
            f"{facts.cited('position.quantity')} shares are closed."
        )
        return _answer(facts, "reduce", "0.7", text, ["indicators.rsi_14", "position.quantity"], quantity=half)
    if target is not None and stop is not None and (stop - entry) * sign < 0:
        way = (target - entry) * sign
        if way > 0 and gain >= way * _HALF:
            text = (
                f"At {at} more than half of the way from {facts.cited('position.entry_price')} to {target_at} is done; "
                f"the stop moves to {entry} [answer.stop_loss]."
            )
            paths = ["price.price.last", "position.entry_price", "position.take_profit"]
            return _answer(facts, "adjust_stops", "0.75", text, paths, stop_loss=str(entry))
    if stop is not None and momentum is not None and momentum < 0 and half != "0":
        room = (entry - stop) * sign
        if room > 0 and -gain >= room * _TWO_THIRDS:
            text = f"The price {at} is close to the stop {stop_at} and MACD {macd_at} runs against the position."
            return _answer(
                facts, "reduce", "0.45", text, ["price.price.last", "position.stop_loss", "indicators.macd"],
                quantity=half,
            )  # fmt: skip
    tenth = str((quantity / 10).to_integral_value(ROUND_FLOOR))
    reason = facts.texts.get("signals.entry.reason", "")
    is_new = facts.texts.get("signals.entry.timestamp") == facts.texts.get("position.last_update", "")
    against = reason in _LONG_REASONS if sign < 0 else reason in _SHORT_REASONS
    if is_new and not against and momentum is not None and momentum > 0 and tenth != "0":
        where = "above" if sign > 0 else "below"
        text = f"An entry signal ({reason}) agrees with MACD {macd_at} {where} {facts.cited('indicators.macd_signal')}."
        return _answer(facts, "add", "0.6", text, ["signals.entry.reason", "indicators.macd"], quantity=tenth)
    text = f"At {at}, between the stop {stop_at} and the target {target_at}, no rule asks for a change."
    return _answer(facts, "hold", "0.6", text, ["price.price.last"])


def _answer(
    facts: Facts,
    action: str,
    confidence: str,
    reasoning: str,
    paths: list[str],
    *,
    quantity: str | None = None,
    stop_loss: str | None = None,
) -> dict[str, Any]:
    return {
        "action": action,
        "quantity": None if quantity is None else float(quantity),
        "stop_loss": None if stop_loss is None else float(stop_loss),
        "take_profit": None,
        "confidence": float(confidence),
        "reasoning": reasoning,
        "evidence": [
            {"path": path, "value": facts.texts.get(path, "null"), "reading": "what the rule looked at"}
            for path in paths
        ]
        or [{"path": "position", "value": "missing", "reading": "nothing to decide on"}],
        "invalidation": "Another rule of the stand-in applies to newer facts.",
        "valid_for": 1,
    }
