"""The ledger: every number that a package gives, by what it is about.

The facts themselves, the numbers inside their texts, and what the decision itself proposes. What follows from facts is
in `derived`.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal

from llmctx import clock
from llmctx.context.facts import Fact
from llmctx.context.package import Package
from llmctx.decision.decision import Decision
from llmctx.decision.numbers.amount import PERCENT_TEXT, Amount, amount_of, amounts_of
from llmctx.decision.numbers.claim import Form, rounds_to
from llmctx.decision.numbers.once import once
from llmctx.decision.numbers.quoted import numbers_in, quotes
from llmctx.decision.numbers.shape import shape_of
from llmctx.decision.numbers.topics import AVERAGES

_MIDDLE = "the middle of indicators.bollinger_upper and _lower"
_OWN_LEVELS = ("its own stop_loss", "its own take_profit", _MIDDLE)
_CLOCK = re.compile(r"(\d{1,5}):(\d\d):(\d\d)")
_HELD = "monitoring.time_in_trade"
_SIGNALS = "signals."
_SIGNAL = frozenset({"signal"})
_RANKED = frozenset({"candidate", "score"})
_RESULTS = {
    "position.unrealized_pnl": "pnl",
    "position.unrealized_pnl_pct": "pnl",
    "performance.daily_pnl": "daily",
    "performance.daily_pnl_pct": "daily",
}
"""The paths of what was made or lost."""
_PRIOR = "thesis.reasoning"
_THESIS = frozenset({"thesis"})


class Ledger:
    """What the numbers of an answer are held against."""

    def __init__(self, package: Package, decision: Decision) -> None:
        self.decision = decision
        self.last = float(package.price.price.last)
        self.quantity = float(package.position.quantity)
        self.short = package.position.side == "short"
        self._package = package
        self._list = [fact for facts in package.facts.values() for fact in facts]
        others = tuple(
            [
                (path.removesuffix("symbol"), str(value).lower())
                for path, value, _ in package.facts.get("candidates", ())
                if path.endswith("].symbol") and value != package.symbol
            ]
        )
        self.symbol = package.symbol.lower()
        self.others = frozenset(name for _, name in others)
        self.ranked = self.others | _RANKED
        self._by_topics: dict[frozenset[str], list[Amount]] = {}
        self._about: dict[frozenset[str], list[Amount]] = {}
        self._made: dict[int, tuple[Amount, ...]] = {}
        self._shape = shape_of(self._list, others)

    @property
    def paths(self) -> Iterable[str]:
        """The path of every fact."""
        return self._shape.places

    def fact(self, path: str) -> Fact | None:
        """The fact at a path; None where there is none."""
        place = self._shape.places.get(path)
        return None if place is None else self._list[place]

    @property
    def vocabulary(self) -> frozenset[str]:
        """Every topic of the facts."""
        return self._shape.vocabulary

    def status(self, section: str) -> str | None:
        """The status of a section; None where there is no such section."""
        found = self._package.sections.get(section)
        return None if found is None else str(found.status)

    @once
    def amounts(self) -> list[Amount]:
        """Every number that the package gives, and those that the decision itself proposes."""
        return [*(amount for i in range(len(self._list)) for amount in self._at(i)), *self._beside]

    def near(self, value: float, room: float) -> list[Amount]:
        """The amounts that may be this far from a value, sign aside; most are not, and are not even made."""
        low, high = value - room, value + room
        sizes = self._sizes
        places: set[int] = set()
        for scale in (1, 100):
            first = bisect_left(sizes, (low / scale, 0))
            while first < len(sizes) and sizes[first][0] <= high / scale:
                places.add(sizes[first][1])
                first += 1
        return [*(amount for place in sorted(places) for amount in self._at(place)), *self._beside]

    @once
    def _sizes(self) -> list[tuple[float, int]]:
        """How large the number of each fact is, and where the fact stands, the smallest first."""
        found = [
            (abs(float(value)), place)
            for place, (_, value, _) in enumerate(self._list)
            if type(value) is Decimal or type(value) is int
        ]
        found += [
            (abs(float(percent[1])), place)
            for place, (_, value, _) in enumerate(self._list)
            if type(value) is str and value[-1:] == "%" and (percent := PERCENT_TEXT.match(value))
        ]
        found.sort()
        return found

    @once
    def _beside(self) -> list[Amount]:
        return [*self._middle(), *self._own()]

    def about(self, topics: Iterable[str]) -> list[Amount]:
        """The amounts about any of these topics; few claims need more, so the others are not even made."""
        wanted, by_topic = frozenset(topics), self._shape.by_topic
        known = self._about.get(wanted)
        if known is None:
            places = sorted({place for topic in wanted for place in by_topic.get(topic, ())})
            found = [amount for place in places for amount in self._at(place)]
            known = found + [amount for amount in self._beside if not wanted.isdisjoint(amount.topics)]
            self._about[wanted] = known
        return known

    def _at(self, place: int) -> tuple[Amount, ...]:
        """The amounts of one fact."""
        made = self._made.get(place)
        if made is None:
            made = self._made[place] = amounts_of(self._list[place], self._shape.topics[place])
        return made

    def value(self, path: str) -> float | None:
        """The number at a path; None where there is none."""
        fact = self.fact(path)
        return float(fact.value) if fact is not None and isinstance(fact.value, Decimal | int) else None

    def _middle(self) -> Iterator[Amount]:
        """The middle of the Bollinger bands is the average that they stand around."""
        upper, lower = self.value("indicators.bollinger_upper"), self.value("indicators.bollinger_lower")
        if upper is not None and lower is not None:
            topics = frozenset({"mid", "band", "sma", "average"})
            yield Amount(_MIDDLE, (upper + lower) / 2, Form.MONEY, topics)

    def _own(self) -> Iterator[Amount]:
        """What the decision itself proposes is no claim about the facts."""
        own = self.decision
        for name, topic in (("stop_loss", "stop"), ("take_profit", "target"), ("quantity", "quantity")):
            value = getattr(own, name)
            if value is not None:
                yield Amount(f"its own {name}", float(value), Form.MONEY, frozenset({topic}))
        sure = float(own.confidence)
        yield Amount("its own confidence", sure, None, frozenset({"confidence"}))
        yield Amount("its own confidence", sure * 100, Form.PERCENT, frozenset({"confidence"}))

    @once
    def levels(self) -> list[Amount]:
        """The prices of this symbol that levels are made of, each value once a topic."""
        priced = [amount for place in self._shape.priced for amount in self._at(place)]
        own = [amount for amount in self._beside if amount.source in _OWN_LEVELS]
        priced = [
            level for level in priced if not level.topics & AVERAGES or self.last / 2 < level.value < self.last * 2
        ]
        levels: dict[tuple[float, frozenset[str]], Amount] = {}
        for level in (*priced, *own):
            if level.source.startswith(_SIGNALS):
                level = amount_of((level.source, level.value, level.form, _SIGNAL))  # noqa: PLW2901  it is no entry
            levels.setdefault((level.value, level.topics), level)
        return list(levels.values())

    def levels_of(self, topics: frozenset[str]) -> list[Amount]:
        """The levels about any of these topics."""
        found = self._by_topics.get(topics)
        if found is None:
            found = [level for level in self.levels if not topics.isdisjoint(level.topics)]
            found = self._by_topics[topics] = found + (self.priors if "thesis" in topics else [])
        return found

    @once
    def _spoken(self) -> list[Amount]:
        return [*self.levels, *self.priors]

    def level_at(self, value: float, step: float) -> Amount | None:
        """The level that a number is, rounded or cut to its last digit."""
        if not self.last / 2 <= value <= self.last * 2:
            return None
        near = [level for level in self._spoken if -step <= level.value - value <= step]
        return next((level for level in near if rounds_to(level.value, value, step)), None)

    @once
    def results(self) -> list[tuple[str, float]]:
        """What the position has made or lost, what the day has, and the move since the open, in money and percent."""
        found = [(topic, self.value(path)) for path, topic in _RESULTS.items()]
        opened = self.value("price.price.open")
        if opened:
            found += [("open", self.last - opened), ("open", (self.last - opened) / opened * 100)]
        return [(topic, result) for topic, result in found if result]

    @once
    def priors(self) -> list[Amount]:
        """The prices that the last decision's reasoning spoke of."""
        fact = self.fact(_PRIOR)
        said = () if fact is None or type(fact.value) is not str else numbers_in(fact.value)
        return [
            Amount(_PRIOR, value, form, _THESIS)
            for value, form, _ in said
            if form is Form.MONEY and self.last / 2 <= value <= self.last * 2
        ]

    @once
    def ages(self) -> list[Amount]:
        """How many minutes ago the moments of the facts were."""
        return [
            Amount(path, (self._package.as_of_ms - clock.to_ms(value)) / 60_000, None, frozenset())
            for path, value, _ in self._list
            if isinstance(value, datetime)
        ]

    @once
    def held(self) -> list[Amount]:
        """For how many minutes the position has been held."""
        fact = self.fact(_HELD)
        found = None if fact is None else _CLOCK.fullmatch(str(fact.value))
        if found is None:
            return []
        hours, minutes, seconds = (int(part) for part in found.groups())
        whole = hours * 60 + minutes
        return [Amount(_HELD, value, None, frozenset()) for value in (whole + seconds / 60, float(whole))]

    @once
    def quoted(self) -> list[Amount]:
        """The numbers inside texts of the package: headlines, reasons, the last reasoning."""
        return [
            Amount(path, *number)
            for path, text, _ in self._list
            if type(text) is str and quotes(path, text)
            for number in numbers_in(text)
        ]
