"""Wholes and parts: ratios, shares of a whole, and sums that follow from the facts of a package."""

from collections.abc import Iterator
from itertools import permutations, product

from llmctx.decision.numbers.ledger import Amount, Ledger

_NONE: frozenset[str] = frozenset()
_RSI_LINES = (70, 30, 50, 80, 20, 75, 25)
_SPANS = (("low", "high"), ("lower", "upper"), ("entry", "target"), ("entry", "stop"), ("stop", "target"))
_BREADTH = frozenset({"advancing", "declining", "unchanged", "breadth"})
_COMPARED = (
    ("performance.avg_win", "performance.avg_loss"),
    ("performance.win_count", "performance.loss_count"),
    ("market.market_breadth.advancing", "market.market_breadth.declining"),
    ("indicators.macd", "indicators.macd_signal"),
)


def derived(source: str, value: float) -> Amount:
    """A number that follows from facts."""
    return Amount(source, value, None, _NONE)


def ratios(ledger: Ledger) -> Iterator[Amount]:
    """Reward to risk, profit in units of risk, and what else is compared."""
    starts = _values(ledger, "entry") | _values(ledger, "last")
    for start, stop in product(starts, _values(ledger, "stop")):
        risk = abs(start - stop)
        if not risk:
            continue
        yield derived("profit in units of risk", (ledger.last - start) / risk)
        for target in _values(ledger, "target") - {start}:
            yield derived("reward to risk", abs(target - start) / risk)
            yield derived("risk to reward", risk / abs(target - start))
    for first, second in _COMPARED:
        one, other = ledger.value(first), ledger.value(second)
        if one and other:
            yield derived(f"{first} / {second}", abs(one / other))
            yield derived(f"{second} / {first}", abs(other / one))


def shares(ledger: Ledger, topics: frozenset[str]) -> Iterator[Amount]:
    """Percentages of a whole: the way done, the place in a range, breadth, a part of the position."""
    part = ledger.decision.quantity
    if part is not None:
        share = float(part) / ledger.quantity * 100
        yield derived("its own quantity / position.quantity", share)
        yield derived("what its own quantity leaves", 100 - share)
    for low, high in _SPANS:
        if topics & ({low, high, "range", "way", "band"} - {"entry"}):
            for start, end in product(_values(ledger, low), _values(ledger, high)):
                if start != end:
                    done = (ledger.last - start) / (end - start) * 100
                    yield derived(f"the way from {low} to {high}", done)
                    yield derived(f"what is left from {low} to {high}", 100 - done)
    width = ledger.value("indicators.bollinger_width")
    if width is not None and topics & {"width", "band"}:
        yield derived("indicators.bollinger_width / price.price.last", width / ledger.last * 100)
    if topics & _BREADTH:
        counts = _breadth(ledger)
        for count, whole in product(counts, (sum(counts), sum(counts[:2]))):
            if whole:
                yield derived("a share of market.market_breadth", count / whole * 100)


def sums(ledger: Ledger, topics: frozenset[str]) -> Iterator[Amount]:
    """Sums and differences of readings and counts, and what the position is worth at a level."""
    yield from _of_readings(ledger, topics)
    own = ledger.decision.quantity
    sizes = {"position.quantity": ledger.quantity} | ({} if own is None else {"its own quantity": float(own)})
    if topics & {"quantity", "worth", "stop", "pnl"}:
        for (name, size), level in product(sizes.items(), ledger.levels):
            yield derived(f"{name} at {level.source}", size * level.value)
    if own is not None:
        yield derived("position.quantity - its own quantity", ledger.quantity - float(own))
        yield derived("position.quantity + its own quantity", ledger.quantity + float(own))
    yield derived("half of position.quantity", ledger.quantity / 2)
    wins, losses = ledger.value("performance.win_count"), ledger.value("performance.loss_count")
    if wins is not None and losses is not None:
        yield derived("performance.win_count + performance.loss_count", wins + losses)
    counts = _breadth(ledger)
    if topics & _BREADTH and counts:
        for value in (sum(counts), sum(counts[:2]), counts[0] - counts[1]):
            yield derived("a sum of market.market_breadth", value)


def _of_readings(ledger: Ledger, topics: frozenset[str]) -> Iterator[Amount]:
    macd, signal = ledger.value("indicators.macd"), ledger.value("indicators.macd_signal")
    if macd is not None and signal is not None and topics & {"macd", "histogram", "signal"}:
        yield derived("indicators.macd - indicators.macd_signal", macd - signal)
    rsi = ledger.value("indicators.rsi_14")
    if rsi is not None and "rsi" in topics:
        yield from (derived(f"indicators.rsi_14 - {line}", rsi - line) for line in _RSI_LINES)
    for topic in topics & {"rsi", "macd"}:
        readings = {amount.value for amount in ledger.about((topic,)) if amount.form is None}
        yield from (derived(f"a difference of {topic}", one - other) for one, other in permutations(readings, 2))


def _values(ledger: Ledger, topic: str) -> set[float]:
    return {level.value for level in ledger.levels if topic in level.topics}


def _breadth(ledger: Ledger) -> list[float]:
    counts = [ledger.value(f"market.market_breadth.{name}") for name in ("advancing", "declining", "unchanged")]
    return [count for count in counts if count is not None]
