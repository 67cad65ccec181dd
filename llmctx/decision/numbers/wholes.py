"""Wholes and parts: shares of a whole, and sums that follow from the facts of a package."""

from collections.abc import Iterator
from itertools import combinations, permutations, product

from llmctx.decision.numbers.amount import Amount
from llmctx.decision.numbers.claim import Claim, Form
from llmctx.decision.numbers.ledger import Ledger
from llmctx.decision.numbers.ratios import derived, signed, values_of
from llmctx.decision.numbers.shape import ANOTHER

_RSI_LINES = (70, 30, 50, 80, 20, 75, 25)
_SPANS = (
    ("low", "high", "range"), ("lower", "upper", "band"), ("entry", "target", "way"), ("entry", "stop", "way"),
    ("stop", "target", "way"),
)  # fmt: skip
_BREADTH = frozenset({"advancing", "declining", "unchanged", "breadth"})
_HELD = frozenset({"quantity", "worth", "stop", "pnl", "half"})
_SCORE = ("score",)
_RANKING = "candidates["
_HUNDRED = 100
_FEW = 6
_NET = frozenset({"apart", "symbols"})


def shares(ledger: Ledger, topics: frozenset[str]) -> Iterator[Amount]:
    """Percentages of a whole: the way done, the place in a range, breadth, a part of the position."""
    part = ledger.decision.quantity
    if part is not None:
        share = float(part) / ledger.quantity * _HUNDRED
        yield derived("its own quantity / position.quantity", share)
        yield derived("what its own quantity leaves", _HUNDRED - share)
    yield from _ways(ledger, topics)
    if topics & {"width", "band"}:
        yield from _widths(ledger)
    if topics & _BREADTH or "symbols" in topics:
        parts = _breadth(ledger)
        for one, every in product(parts, (sum(parts), sum(parts[:2]))):
            if every:
                yield derived("a share of market.market_breadth", one / every * _HUNDRED)


def _ways(ledger: Ledger, topics: frozenset[str]) -> Iterator[Amount]:
    """How much of the way between two levels the price has done, and how much of that to an exit is left."""
    named = any(low in topics and high in topics for low, high, _ in _SPANS[:-1])
    for low, high, way in _SPANS:
        if not (way in topics or {low, high} <= topics or (not named and topics & ({low, high} - {"entry"}))):
            continue
        for start, end in product(values_of(ledger, low), values_of(ledger, high)):
            if start != end:
                done = (ledger.last - start) / (end - start) * _HUNDRED
                yield derived(f"the way from {low} to {high}", done)
                if way == "way":
                    yield derived(f"what is left from {low} to {high}", _HUNDRED - done)


def _widths(ledger: Ledger) -> Iterator[Amount]:
    width = ledger.value("indicators.bollinger_width")
    upper, lower = ledger.value("indicators.bollinger_upper"), ledger.value("indicators.bollinger_lower")
    if width is not None and upper is not None and lower is not None:
        yield derived("indicators.bollinger_width / price.price.last", width / ledger.last * _HUNDRED)
        yield derived("indicators.bollinger_width / the middle", width / (upper + lower) * 2 * _HUNDRED)


def sizes(ledger: Ledger, *, halved: bool) -> list[tuple[str, float]]:
    """The numbers of shares that are spoken of: all, what the decision trades, and a half where one is named."""
    found: list[tuple[str, float]] = [("position.quantity", ledger.quantity)]
    own = ledger.decision.quantity
    if own is not None:
        found += [("its own quantity", float(own)), ("what its own quantity leaves", ledger.quantity - float(own))]
    if halved:
        low = ledger.quantity // 2
        found += [("half of position.quantity", half) for half in {low, ledger.quantity - low, ledger.quantity / 2}]
    return found


def counts(ledger: Ledger, bound: str) -> Iterator[Amount]:
    """Sums of counts, and parts of the position, that a number of something counted may be."""
    if bound == "quantity":
        yield from (derived(name, size) for name, size in sizes(ledger, halved=True))
    wins, losses = ledger.value("performance.win_count"), ledger.value("performance.loss_count")
    if wins is not None and losses is not None and bound == "trades":
        yield from (derived("a sum of trades", value) for value in (wins, losses, wins + losses))
    if bound in ("symbols", "advancing"):
        breadth = _breadth(ledger)
        yield from (derived("a sum of market.market_breadth", value) for value in (sum(breadth), sum(breadth[:2])))
        yield from (derived("a count of market.market_breadth", value) for value in breadth)


def worth(ledger: Ledger, held: list[tuple[str, float]], levels: list[Amount]) -> Iterator[Amount]:
    """What numbers of shares are worth at levels, and at the price."""
    for (name, size), level in product(held, {level.value: level for level in levels}.values()):
        yield derived(f"{name} at {level.source}", size * level.value)
    yield from (derived(f"{name} at price.price.last", size * ledger.last) for name, size in held)


def sums(ledger: Ledger, claim: Claim, topics: frozenset[str], *, halved: bool) -> Iterator[Amount]:
    """Sums and differences of readings and counts, and what the position is worth at a level."""
    yield from _of_readings(ledger, topics)
    held = sizes(ledger, halved=halved or "quantity" in topics)
    large = 2 * claim.value > ledger.last * min(size for _, size in held)
    if large and (topics & _HELD or claim.telling or claim.value > 2 * ledger.last):
        yield from worth(ledger, held, ledger.levels)
    yield from (derived(name, size) for name, size in held[1:])
    if ledger.decision.quantity is not None:
        yield derived("position.quantity + its own quantity", ledger.quantity + float(ledger.decision.quantity))
    if "each" in topics:
        yield derived("position.quantity, a cent each", ledger.quantity / _HUNDRED)
    wins, losses = ledger.value("performance.win_count"), ledger.value("performance.loss_count")
    if wins is not None and losses is not None and topics & {"trades", "wins", "losses", "winrate"}:
        yield derived("performance.win_count + performance.loss_count", wins + losses)
    parts = _breadth(ledger)
    if parts and (topics & _BREADTH or topics >= _NET):
        yield derived("all of market.market_breadth", sum(parts))
        yield derived("those that moved", sum(parts[:2]))
        yield signed("advancing - declining", parts[0] - parts[1])


def spans(ledger: Ledger) -> Iterator[Amount]:
    """The range of the day as a percentage of the open, and of the price."""
    for high, low in product(values_of(ledger, "high"), values_of(ledger, "low")):
        for whole in {*values_of(ledger, "open"), ledger.last}:
            yield derived("the range of the day", (high - low) / whole * _HUNDRED)


def apart(ledger: Ledger, topics: frozenset[str]) -> Iterator[Amount]:
    """How far the percentages are apart that are spoken of: two sectors, two results."""
    if topics & ledger.ranked:
        yield from _ranked(ledger, topics)
    told = [amount for amount in ledger.about(topics) if amount.form is Form.PERCENT][:_FEW]
    for one, other in combinations(told, 2):
        yield derived(f"{one.source} - {other.source}", one.value - other.value)


def _ranked(ledger: Ledger, topics: frozenset[str]) -> Iterator[Amount]:
    """How far the scores are apart of the symbols that are named, and of the own and the first."""
    scores = [amount for amount in ledger.about(_SCORE) if amount.form is None and amount.source.startswith(_RANKING)]
    named = [
        one
        for place, one in enumerate(scores)
        if not place or ANOTHER not in one.topics or one.topics & topics & ledger.others
    ]
    for one, other in combinations(named, 2):
        yield derived(f"{one.source} - {other.source}", one.value - other.value)


def _of_readings(ledger: Ledger, topics: frozenset[str]) -> Iterator[Amount]:
    macd, signal = ledger.value("indicators.macd"), ledger.value("indicators.macd_signal")
    if macd is not None and signal is not None and topics & {"macd", "histogram", "signal"}:
        yield signed("indicators.macd - indicators.macd_signal", macd - signal)
    rsi = ledger.value("indicators.rsi_14")
    if rsi is not None and "rsi" in topics:
        yield from (derived(f"indicators.rsi_14 - {line}", rsi - line) for line in _RSI_LINES)
    for topic in topics & {"rsi", "macd"}:
        readings = {amount.value for amount in ledger.about((topic,)) if amount.form is None}
        yield from (derived(f"a difference of {topic}", one - other) for one, other in permutations(readings, 2))


def _breadth(ledger: Ledger) -> list[float]:
    counts = [ledger.value(f"market.market_breadth.{name}") for name in ("advancing", "declining", "unchanged")]
    return [count for count in counts if count is not None]
