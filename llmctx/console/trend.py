"""Measures over time, one line each, all over the same periods, so that simultaneous changes line up."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from llmctx.console.quality_figures import Group, Quality

WIDTH, HEIGHT = 600.0, 36.0
"""The size of one drawing, in its own units."""
_EDGE = 4.0


class Trend(NamedTuple):
    """One measure over time."""

    name: str
    """The measure, with its unit."""
    asks: str
    """The question that it answers."""
    points: Sequence[tuple[float, float]]
    """Place from left and top of each period that has the measure."""
    low: str
    """The least value."""
    high: str
    """The greatest."""
    newest: str
    """The newest."""

    @property
    def line(self) -> str:
        """The points as SVG takes them."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


Measure = Callable[[Group], float | None]


def _share(part: Callable[[Group], int], of: Callable[[Group], int]) -> Measure:
    return lambda group: part(group) / of(group) if of(group) else None


def _per_answer(value: Callable[[Group], float | None]) -> Measure:
    return lambda group: None if (found := value(group)) is None else found / group.asked


_MEASURES: tuple[tuple[str, str, Measure, str], ...] = (
    ("cited", "Do numbers equal the facts they cite?", _share(lambda g: g.cited, lambda g: g.numbers), "{:.0%}"),
    ("wrong, per answer", "How many numbers are false?", _per_answer(lambda g: g.wrong), "{:.2f}"),
    ("no answer", "How often was nothing usable answered?", _share(lambda g: g.failed, lambda g: g.asked), "{:.0%}"),
    ("guarded", "How often did a guardrail step in?", _share(lambda g: g.guarded, lambda g: g.asked), "{:.0%}"),
    ("confidence", "How sure is the model?", lambda g: g.confidence, "{:.3f}"),
    ("right", "How often was it right, 15 minutes later?", _share(lambda g: g.right, lambda g: g.judged), "{:.0%}"),
    (
        "earned", "What did following it earn, against leaving positions alone?",
        lambda g: None if g.gain is None else float(g.gain), "{:+,.2f}",
    ),
    ("tokens, per answer", "How much is read and written?", _per_answer(lambda g: g.tokens), "{:,.0f}"),
    (
        "cost, per answer", "What does an answer cost?",
        _per_answer(lambda g: None if g.cost is None else float(g.cost)), "{:.6f}",
    ),
    ("median, ms", "How long does the model take?", lambda g: g.p50_ms, "{:,.0f}"),
    ("p95, ms", "How long does it take at worst?", lambda g: g.p95_ms, "{:,.0f}"),
)  # fmt: skip


def trends_of(quality: Quality) -> list[Trend]:
    """Every measure that some period has, over the periods."""
    found = []
    for name, asks, measure, form in _MEASURES:
        values = [
            (place, value) for place, group in enumerate(quality.by_period) if (value := measure(group)) is not None
        ]
        if values:
            found.append(_trend(name, asks, values, len(quality.by_period), form))
    return found


def _trend(name: str, asks: str, values: Sequence[tuple[int, float]], periods: int, form: str) -> Trend:
    numbers = [value for _, value in values]
    low, high = min(numbers), max(numbers)
    span = high - low
    points = [
        (
            (place + 0.5) / periods * WIDTH,
            HEIGHT / 2 if not span else HEIGHT - _EDGE - (value - low) / span * (HEIGHT - 2 * _EDGE),
        )
        for place, value in values
    ]
    least, most, newest = (form.format(value).replace("-", "\N{MINUS SIGN}") for value in (low, high, numbers[-1]))
    return Trend(name, asks, points, least, most, newest)
