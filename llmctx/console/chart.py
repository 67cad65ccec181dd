"""The chart of a symbol: its price, what was decided on it, and how well it was known, as places in an SVG.

Bars stand side by side whatever time lies between them, so that a night takes no room.
"""

from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from llmctx import canonical, clock
from llmctx.console.fills import Fill
from llmctx.console.headlines import Headline
from llmctx.console.story import Brief, brief_of
from llmctx.trail.log.entry import Entry

PLOT = (8, 12, 910, 236)
"""Left, top, right and bottom of the plot of prices."""
_MAX_TICKS = 5
_DAY_MS = 86_400_000


class Mark(NamedTuple):
    """A record on the chart."""

    x: float
    """Its place from the left."""
    y: float
    """Its place from the top."""
    brief: Brief
    """The record."""
    age_s: float | None
    """The age of its oldest input with an age, in seconds."""
    wrong: int
    """Numbers that the facts do not support."""


class Traded(NamedTuple):
    """A fill on the chart."""

    x: float
    """Its place from the left."""
    y: float
    """Its place from the top."""
    text: str
    """What was traded."""


class Level(NamedTuple):
    """A stop or a target while it stood."""

    name: str
    """stop or target."""
    x: float
    """Where it begins."""
    to: float
    """Where it ends."""
    y: float
    """Its place from the top."""


class NewsMark(NamedTuple):
    """Headlines at one place on the chart."""

    x: float
    """Its place from the left."""
    numbers: str
    """Their numbers in the list below the chart."""


class Chart(NamedTuple):
    """Everything that is drawn."""

    line: str
    """The points of the price line, as SVG takes them."""
    prices: Sequence[tuple[float, str]]
    """Place from the top and text of each price on the axis."""
    times: Sequence[tuple[float, str]]
    """Place from the left and text of each time on the axis."""
    marks: Sequence[Mark]
    """The records."""
    levels: Sequence[Level]
    """Stops and targets."""
    outside: Sequence[tuple[float, str]]
    """Place from the top and text of each level that stands now, but is too far away to be drawn."""
    fills: Sequence[Traded]
    """What was traded."""
    news: Sequence[NewsMark]
    """The headlines."""
    days: Sequence[float]
    """Place from the left of each beginning of a day, the first one left out."""
    first: str
    """When it begins."""
    last: str
    """When it ends."""


def draw(
    closes: Sequence[tuple[int, Decimal]],
    fills: Sequence[Fill],
    entries: Sequence[Entry],
    news: Sequence[Headline],
    partitions: int,
) -> Chart | None:
    """Draw closing prices with the records, fills and headlines among them; None if there are not two prices."""
    if len(closes) < 2:  # noqa: PLR2004  a line has two ends
        return None
    starts = [start_ms for start_ms, _ in closes]
    shown = [entry for entry in entries if starts[0] <= _time(entry) and "tick" in entry.record]
    held = [_levels(entry) for entry in shown]
    prices = [close for _, close in closes]
    bounds = [level for levels in held for level in levels if level is not None]
    low, high = min(prices), max(prices)
    reach = (high - low) or high / 100
    near = [level for level in bounds if low - reach <= level <= high + reach]
    scale = _Scale(starts, min([low, *near]), max([high, *near]))
    line = " ".join(f"{scale.x(at):.1f},{scale.y(close):.1f}" for at, close in closes)
    return Chart(
        line=line,
        prices=scale.prices(),
        times=scale.times(),
        marks=[_mark(entry, scale, closes, partitions) for entry in shown],
        levels=_steps(shown, held, scale),
        outside=_outside(held[-1], scale) if held else [],
        fills=[
            _traded(fill, scale) for fill in fills if starts[0] <= fill.at_ms and scale.low <= fill.price <= scale.high
        ],
        news=_news(news, starts[0], scale),
        days=[scale.x(at) for before, at in pairwise(starts) if at // _DAY_MS != before // _DAY_MS],
        first=clock.iso(starts[0]),
        last=clock.iso(starts[-1]),
    )


def _traded(fill: Fill, scale: "_Scale") -> Traded:
    text = f"{fill.side} {canonical.plain(fill.quantity)} at {canonical.plain(fill.price)}, {clock.iso(fill.at_ms)}"
    return Traded(scale.x(fill.at_ms), scale.y(fill.price), text)


def _news(news: Sequence[Headline], first_ms: int, scale: "_Scale") -> list[NewsMark]:
    """The numbers of the headlines at each place."""
    found: dict[float, list[str]] = {}
    for number, one in enumerate(news, start=1):
        if one.at_ms >= first_ms:
            found.setdefault(scale.x(one.at_ms), []).append(str(number))
    return [
        NewsMark(x, numbers[0] if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}") for x, numbers in found.items()
    ]


class _Scale:
    """Where a time and a price stand."""

    def __init__(self, starts: Sequence[int], low: Decimal, high: Decimal) -> None:
        margin = (high - low) / 20 or high / 100
        self._starts = starts
        self.low, self.high = low - margin, high + margin

    def x(self, at_ms: int) -> float:
        left, _, right, _ = PLOT
        place = max(0, bisect_right(self._starts, at_ms) - 1)
        return left + (right - left) * place / (len(self._starts) - 1)

    def y(self, price: Decimal) -> float:
        _, top, _, bottom = PLOT
        return float(bottom - (price - self.low) / (self.high - self.low) * (bottom - top))

    def prices(self) -> list[tuple[float, str]]:
        step = Decimal(10) ** ((self.high - self.low).adjusted())
        for part in (1, 2, 5, 10):
            step_size = step / 10 * part
            if (self.high - self.low) / step_size <= _MAX_TICKS:
                break
        first = int(self.low / step_size) + 1
        levels = [step_size * number for number in range(first, int(self.high / step_size) + 1)]
        return [(self.y(level), canonical.plain(level)) for level in levels]

    def times(self) -> list[tuple[float, str]]:
        count = len(self._starts)
        chosen = sorted({count * number // _MAX_TICKS for number in range(_MAX_TICKS)})
        found: list[tuple[float, str]] = []
        day = ""
        for place in chosen:
            text = clock.iso(self._starts[place])
            found.append(
                (self.x(self._starts[place]), text[11:16] if text[:10] == day else f"{text[5:10]} {text[11:16]}")
            )
            day = text[:10]
        return found


def _time(entry: Entry) -> int:
    return int(entry.record.get("as_of_ms", entry.record.get("recorded_at_ms", 0)))


def _mark(entry: Entry, scale: _Scale, closes: Sequence[tuple[int, Decimal]], partitions: int) -> Mark:
    at_ms = _time(entry)
    place = max(0, bisect_right([start for start, _ in closes], at_ms) - 1)
    sections = entry.record.get("snapshot", {}).get("sections", {}).values()
    ages = [section["age_ms"] for section in sections if "age_ms" in section]
    grounding = entry.record.get("grounding", {})
    wrong = sum(len(grounding.get(name, ())) for name in ("miscited", "false_prices", "unsupported"))
    age_s = max(ages) / 1000 if ages else None
    return Mark(scale.x(at_ms), scale.y(closes[place][1]), brief_of(entry, partitions), age_s, wrong)


def _levels(entry: Entry) -> tuple[Decimal | None, Decimal | None]:
    """Stop and target of the position that a record is about."""
    try:
        position = canonical.loads(canonical.loads(entry.pieces["snapshot"])["sections"]["position"].encode())
        stop, target = position.get("stop_loss"), position.get("take_profit")
        return (None if stop is None else Decimal(str(stop)), None if target is None else Decimal(str(target)))
    except (KeyError, ValueError, TypeError, AttributeError, ArithmeticError):
        return None, None


def _outside(levels: tuple[Decimal | None, Decimal | None], scale: _Scale) -> list[tuple[float, str]]:
    found = []
    for name, level in zip(("stop", "target"), levels, strict=True):
        if level is not None and not scale.low <= level <= scale.high:
            is_below = level < scale.low
            where = (PLOT[3] - 4.0, "below") if is_below else (PLOT[1] + 12.0, "above")
            found.append((where[0], f"{name} {canonical.plain(level)}, {where[1]} what is drawn"))
    return found


def _steps(
    entries: Sequence[Entry], held: Sequence[tuple[Decimal | None, Decimal | None]], scale: _Scale
) -> list[Level]:
    """Each level from the record that shows it to the next record; equal ones are joined."""
    found: list[Level] = []
    for number, (entry, levels) in enumerate(zip(entries, held, strict=True)):
        x = scale.x(_time(entry))
        end = scale.x(_time(entries[number + 1])) if number + 1 < len(entries) else x + 4
        for name, level in zip(("stop", "target"), levels, strict=True):
            if level is None or not scale.low <= level <= scale.high:
                continue
            y = scale.y(level)
            before = next(
                (one for one in reversed(found[-2:]) if one.name == name and one.y == y and one.to == x), None
            )
            if before is not None:
                found[found.index(before)] = before._replace(to=end)
            else:
                found.append(Level(name, x, end, y))
    return found
