"""The ledger: every number that a package gives, by what it is about.

The facts themselves, the numbers inside their texts, and what the decision itself proposes. What follows from facts is
in `derived`.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

from llmctx.context.facts import Fact, facts_of
from llmctx.context.package import Package
from llmctx.decision.decision import Decision
from llmctx.decision.numbers.claim import Form
from llmctx.decision.numbers.claims import claims_of
from llmctx.decision.numbers.topics import topics_of

ANOTHER = "another symbol"
"""The topic of numbers about other symbols."""

_PERCENT_TEXT = re.compile(r"([+-]?\d+(?:\.\d+)?)%\Z")
_PARTS_OF_ONE = frozenset({"0 to 1", "-1 to 1"})
_MIDDLE = "the middle of indicators.bollinger_upper and _lower"
_OWN_LEVELS = ("its own stop_loss", "its own take_profit", _MIDDLE)
_CUT = " (not shown)"
_RANKING = "candidates["


class Amount(NamedTuple):
    """A number that supports claims."""

    source: str
    """The path of a fact, or how it follows from facts."""
    value: float
    """Its value."""
    form: Form | None
    """What claims of it look like; None where any."""
    topics: frozenset[str]
    """What it is about."""


class Ledger:
    """What the numbers of an answer are held against."""

    def __init__(self, package: Package, decision: Decision) -> None:
        told = {name: facts_of(section) for name, section in package.sections.items()}
        self.facts: dict[str, Fact] = {fact.path: fact for facts in told.values() for fact in facts}
        self._ranking = told.get("candidates", [])
        self.sections = {name: str(section.status) for name, section in package.sections.items()}
        self.decision = decision
        self._symbol = package.symbol
        self.last = float(package.price.price.last)
        self.quantity = float(package.position.quantity)
        self.sign = -1 if package.position.side == "short" else 1
        others = self._others()
        self.amounts: list[Amount] = [*self._direct(others), *self._middle(), *self._own()]

    def _others(self) -> dict[str, str]:
        """Where other symbols stand in the ranking: their numbers support only what names them, or the ranking."""
        return {
            fact.path.removesuffix("symbol"): str(fact.value).lower()
            for fact in self._ranking
            if fact.path.endswith("].symbol") and fact.value != self._symbol
        }

    def _direct(self, others: dict[str, str]) -> Iterator[Amount]:
        for path, value, unit in self.facts.values():
            kind = type(value)
            if kind is not Decimal and kind is not int and not (kind is str and value[-1:] == "%"):  # type: ignore[index]
                continue
            topics = topics_of(path)
            if others and path.startswith(_RANKING) and (other := others.get(path[: path.index("]") + 2])) is not None:
                topics |= {other, ANOTHER}
            if kind is str:
                if percent := _PERCENT_TEXT.match(str(value)):
                    yield Amount(path, float(percent[1]), Form.PERCENT, topics)
                continue
            number = float(value)  # type: ignore[arg-type]
            yield Amount(path, number, Form.PERCENT if unit == "%" else None, topics)
            if unit in _PARTS_OF_ONE or (unit is None and 0 < abs(number) <= 1):
                yield Amount(path, number * 100, Form.PERCENT, topics)

    def value(self, path: str) -> float | None:
        """The number at a path; None where there is none."""
        fact = self.facts.get(path)
        return float(fact.value) if fact is not None and isinstance(fact.value, Decimal | int) else None

    def _middle(self) -> Iterator[Amount]:
        """The middle of the Bollinger bands is the average that they stand around."""
        upper, lower = self.value("indicators.bollinger_upper"), self.value("indicators.bollinger_lower")
        if upper is not None and lower is not None:
            topics = frozenset({"mid", "band", "sma", "average"})
            yield Amount(_MIDDLE, (upper + lower) / 2, None, topics)

    def _own(self) -> Iterator[Amount]:
        """What the decision itself proposes is no claim about the facts."""
        own = self.decision
        for name, topic in (("stop_loss", "stop"), ("take_profit", "target"), ("quantity", "quantity")):
            value = getattr(own, name)
            if value is not None:
                yield Amount(f"its own {name}", float(value), None, frozenset({topic}))
        sure = float(own.confidence)
        yield Amount("its own confidence", sure, None, frozenset({"confidence"}))
        yield Amount("its own confidence", sure * 100, Form.PERCENT, frozenset({"confidence"}))

    @cached_property
    def by_topic(self) -> dict[str, list[Amount]]:
        """The amounts about each topic."""
        found: dict[str, list[Amount]] = {}
        for amount in self.amounts:
            for topic in amount.topics:
                found.setdefault(topic, []).append(amount)
        return found

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Every topic of the facts."""
        return frozenset(self.by_topic)

    @cached_property
    def of_this_symbol(self) -> list[Amount]:
        """The amounts that are not about other symbols of the ranking."""
        return [amount for amount in self.amounts if ANOTHER not in amount.topics]

    @cached_property
    def levels(self) -> list[Amount]:
        """The prices of this symbol that levels are made of, each value once a topic."""
        found: dict[tuple[float, frozenset[str]], Amount] = {}
        for amount in self.amounts:
            fact = self.facts.get(amount.source)
            is_price = fact.unit == "price" if fact is not None else amount.source in _OWN_LEVELS
            if is_price and not amount.source.startswith(_RANKING):
                found.setdefault((amount.value, amount.topics), amount)
        return list(found.values())

    @cached_property
    def quoted(self) -> list[Amount]:
        """The numbers inside texts of the package: headlines, reasons, the last reasoning."""
        return [
            Amount(
                path,
                claim.value,
                claim.form if claim.form is Form.PERCENT else None,
                claim.topics if claim.bound is None else frozenset({claim.bound}),
            )
            for path, fact in self.facts.items()
            if type(fact.value) is str and not path.endswith(_CUT) and any(c.isdigit() for c in fact.value)
            for claim in claims_of(fact.value)
        ]
