"""Ratios: reward to risk, distances in units of what was risked, and what else is set against another."""

from collections.abc import Iterator
from itertools import product

from llmctx.decision.numbers.amount import Amount
from llmctx.decision.numbers.ledger import Ledger

_NONE: frozenset[str] = frozenset()
_SIGNED = frozenset({"signed"})
_COMPARED = (
    ("payoff", "performance.avg_win", "performance.avg_loss"),
    ("wins", "performance.avg_win", "performance.avg_loss"),
    ("record", "performance.avg_win", "performance.avg_loss"),
    ("wins", "performance.win_count", "performance.loss_count"),
    ("breadth", "market.market_breadth.advancing", "market.market_breadth.declining"),
    ("advancing", "market.market_breadth.advancing", "market.market_breadth.declining"),
    ("macd", "indicators.macd", "indicators.macd_signal"),
)
_RETRACED = (0.236, 0.382, 0.5, 0.618, 0.786)


def derived(source: str, value: float) -> Amount:
    """A number that follows from facts; its sign says nothing."""
    return Amount(source, value, None, _NONE)


def signed(source: str, value: float) -> Amount:
    """A number that follows from facts, and whose sign does too."""
    return Amount(source, value, None, _SIGNED)


def values_of(ledger: Ledger, topic: str) -> set[float]:
    """The prices that a level has."""
    return {level.value for level in ledger.levels_of(frozenset({topic}))}


def ratios(ledger: Ledger) -> Iterator[Amount]:
    """Reward to risk, from entry and from here."""
    starts = values_of(ledger, "entry") | values_of(ledger, "last")
    for start, stop in product(starts, values_of(ledger, "stop")):
        risk = abs(start - stop)
        if not risk:
            continue
        for target in values_of(ledger, "target") - {start}:
            yield derived("reward to risk", abs(target - start) / risk)


def compared(ledger: Ledger, topics: frozenset[str]) -> Iterator[Amount]:
    """One reading over another."""
    for topic, first, second in _COMPARED:
        if topic not in topics:
            continue
        one, other = ledger.value(first), ledger.value(second)
        if one and other:
            yield derived(f"{first} / {second}", abs(one / other))
            yield derived(f"{second} / {first}", abs(other / one))


def units(ledger: Ledger, topics: frozenset[str]) -> Iterator[Amount]:
    """Distances in units of what was risked at entry: to the target or stop where they are named, else from entry."""
    named = [name for name, words in (("target", {"target", "reward"}), ("stop", {"stop"})) if words & topics]
    for entry, stop in product(values_of(ledger, "entry"), values_of(ledger, "stop")):
        if entry == stop:
            continue
        for name in named or ["entry", "target", "stop"]:
            for level in values_of(ledger, name):
                for start in {ledger.last, entry} - {level}:
                    yield derived(f"{name} in units of risk", abs(level - start) / abs(entry - stop))


def marks(ledger: Ledger, multiples: list[float]) -> Iterator[Amount]:
    """The prices so many units of risk from entry."""
    side = -1 if ledger.short else 1
    for entry, stop in product(values_of(ledger, "entry"), values_of(ledger, "stop")):
        for many in multiples:
            yield derived("entry and units of risk", entry + side * many * abs(entry - stop))
            yield derived("entry less units of risk", entry - side * many * abs(entry - stop))


def retraced(ledger: Ledger) -> Iterator[Amount]:
    """The levels of Fibonacci between low and high."""
    for low, high in product(values_of(ledger, "low"), values_of(ledger, "high")):
        yield from (derived("a share of low to high", low + share * (high - low)) for share in _RETRACED)
