"""Grounding: check an answer's statements against the package, without asking a model.

A number followed by a citation must equal the value of the citation. A price without a citation is compared with the
known prices (`prices`); every other number without one is only counted. A pure function of package and decision.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from functools import cached_property
from typing import NamedTuple

from llmctx import clock
from llmctx.context.amount import PRICE, Amount
from llmctx.context.facts import Fact
from llmctx.context.formula import LAUNDERS, MAX_CHARS, Node, evaluate, parse
from llmctx.context.package import Package
from llmctx.decision.citations import cited_numbers, is_right, occurs_in
from llmctx.decision.decision import Decision, Evidence
from llmctx.decision.prices import Prices
from llmctx.decision.steps import Steps
from llmctx.decision.texts import is_text, shown_text
from llmctx.numerals import Numeral, numerals, plain
from llmctx.prompt.lines import text_of

ANOTHER = "another value"

_SHOWN = Context(12, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])
_MAX_GUESSES = 8
_LIKELY = 0.5
_NUMBER_STEPS, _FORMULA_STEPS, _FINDING_STEPS = 100, 50, 2000
"""What each costs in steps. A finding is also kept, so there can be 250 of them."""

Wrong = tuple[str, str | None]
"""What is wrong, and the true value, if there is one."""


class Finding(NamedTuple):
    """A statement of an answer that the facts do not support."""

    field: str
    """reasoning, invalidation, evidence[N] or evidence[N].reading."""
    text: str
    """The number or value as written."""
    at: int
    """Its offset in the field, in characters."""
    citation: str
    """The citation; for a false price the level it names, or else the nearest one."""
    why: str
    """What is wrong with it."""
    fact: str | None
    """The true value; None if there is none."""
    alarms: bool
    """Whether guards act on it, because it is a price, a level or a quantity."""

    def __str__(self) -> str:
        stands = "" if self.fact is None else f", which is {self.fact}"
        return f"{self.text} in {self.field}: {self.why} ({self.citation}{stands})"


class Grounding(NamedTuple):
    """The result of checking an answer."""

    evidence: int
    """The number of evidence items."""
    cited: int
    """Numbers that equal what they cite."""
    uncited: int
    """Numbers without a citation, including false prices."""
    unread: int
    """Numbers that could not be read."""
    miscited: tuple[Finding, ...]
    """Numbers and evidence items that differ from what they cite."""
    false_prices: tuple[Finding, ...]
    """Prices without a citation that match no known price."""

    @property
    def grounded(self) -> bool:
        """Whether every number and every evidence item equals what it cites."""
        return not (self.uncited or self.unread or self.miscited)

    @property
    def alarms(self) -> list[Finding]:
        """The findings that guards act on: miscited prices, levels and quantities, and false prices."""
        return [finding for finding in (*self.miscited, *self.false_prices) if finding.alarms]


def ground(package: Package, decision: Decision, steps: Steps | None = None) -> Grounding:
    """Check an answer against a package, which must have a position and a price.

    Raises JudgingError if it takes more steps than are allowed.
    """
    check = _Check(package, decision, steps or Steps())
    check.text("reasoning", decision.reasoning)
    check.text("invalidation", decision.invalidation, judged=False)
    for number, item in enumerate(decision.evidence):
        check.item(f"evidence[{number}]", item)
    counted = (check.cited, check.uncited, check.unread)
    return Grounding(len(decision.evidence), *counted, tuple(check.miscited), tuple(check.false_prices))


class _Check:
    """The facts that an answer is checked against, and the findings so far."""

    def __init__(self, package: Package, decision: Decision, steps: Steps) -> None:
        self._package = package
        self._steps = steps
        self._facts = {
            fact[0]: _exact(fact) if type(fact[1]) is int else fact
            for facts in package.facts.values()
            for fact in facts
        }
        for name, unit in (("stop_loss", PRICE), ("take_profit", PRICE), ("quantity", "shares")):
            self._facts[f"answer.{name}"] = Fact(f"answer.{name}", getattr(decision, name), unit)
        self._heads = {name.partition(".")[0] for name in package.sections} | {"answer"}
        self.cited = self.uncited = self.unread = 0
        self._meant: dict[str, bool] = {}
        self.miscited: list[Finding] = []
        self.false_prices: list[Finding] = []

    @cached_property
    def _prices(self) -> Prices:
        self._steps.take(len(self._facts))
        return Prices(self._package, self._facts, self._steps)

    @cached_property
    def _shapes(self) -> list[tuple[Fact, set[str]]]:
        return [(fact, _shape(path)) for path, fact in self._facts.items()]

    def text(self, field: str, text: str, *, judged: bool = True, about: Node | None = None) -> None:
        """Check the numbers of a text.

        With `judged`, prices without a citation are judged too. A number without a citation may equal `about`, the
        formula that an evidence item's reading refers to.
        """
        self._steps.take(len(text))
        text = plain(text)
        for number, citation in cited_numbers(text, self._heads):
            self._steps.take(_NUMBER_STEPS)
            node = None if citation is None else citation.node
            wrong = ("uncited", None) if node is None else self._wrong(number, node)
            if not number.values and not number.moment:
                self.unread += 1
            elif wrong is None or (citation is None and about is not None and self._wrong(number, about) is None):
                self.cited += 1
            elif node is not None and citation is not None and wrong[0] != LAUNDERS:
                self._miscite((field, number.text, number.start), citation.source, wrong, node)
            else:
                self.uncited += 1
                if judged and (false := self._prices.check(text, number)) is not None:
                    self._steps.take(_FINDING_STEPS)
                    why, nearest = false
                    shown = (nearest.path, why, text_of(nearest.value), True)
                    self.false_prices.append(Finding(field, number.text, number.start, *shown))

    def item(self, field: str, item: Evidence) -> None:
        """Check an evidence item: its value against its path or formula, and the numbers of its reading."""
        path = item.path.strip("\"'` \n\u201c\u201d")
        if path in self._facts:
            node: Node | None = Node("path", path=path)
        else:
            node = parse(plain(path.removeprefix("[").removesuffix("]") if path[:1] == "[" else path))
        if not self._is_status(path, item.value):
            wrong = ("no such path", None) if node is None else self._wrong_value(item.value, node)
            if wrong is not None:
                self._miscite((field, item.value, 0), item.path, wrong, node)
        self.text(f"{field}.reading", item.reading, about=node)

    def _is_status(self, path: str, said: str) -> bool:
        """Whether an item cites a section for its status, with no other number than its age."""
        section = self._package.sections.get(path)
        if section is None or str(section.status) not in said.lower():
            return False
        age = "" if section.age_ms is None else clock.in_words(section.age_ms)
        return all(occurs_in(number, age) for number in numerals(plain(said)))

    def _miscite(self, place: tuple[str, str, int], citation: str, wrong: Wrong, node: Node | None) -> None:
        self._steps.take(_FINDING_STEPS)
        self.miscited.append(Finding(*place, citation, *wrong, self._alarms(node, citation)))

    def _alarms(self, node: Node | None, citation: str) -> bool:
        """Whether a citation refers to a price, level or quantity; an unknown path counts as the most similar one."""
        amount = None if node is None else evaluate(node, self._facts)
        if isinstance(amount, Amount):
            return amount.unit in (PRICE, "shares")
        path = citation if node is None else (amount.path if amount and amount.path else node.paths()[0])
        if path not in self._meant:
            known = path in self._facts or len(self._meant) > _MAX_GUESSES
            fact = self._facts.get(path) if known else self._likeliest(path[:MAX_CHARS])
            self._meant[path] = fact is not None and fact.unit in (PRICE, "shares")
        return self._meant[path]

    def _likeliest(self, path: str) -> Fact | None:
        """The fact whose path shares most with an unknown one; None if none shares enough."""
        self._steps.take(len(self._facts))
        shape = _shape(path)
        alike, fact = max(
            ((2 * len(shape & own) / (len(shape) + len(own)), fact) for fact, own in self._shapes),
            key=lambda found: found[0],
        )
        return fact if alike >= _LIKELY else None

    def _wrong(self, number: Numeral, node: Node) -> Wrong | None:
        """What is wrong with a number that cites a formula; None if it is right."""
        fact = self._facts.get(node.path)
        if fact is not None and isinstance(fact.value, str | datetime):
            shown = plain(shown_text(fact))
            self._steps.take(4 * len(shown))
            return None if occurs_in(number, shown) else (ANOTHER, text_of(fact.value))
        return self._compared(node, lambda amount: is_right(number, amount))

    def _wrong_value(self, said: str, node: Node) -> Wrong | None:
        """What is wrong with the value of an evidence item; None if it is right."""
        fact = self._facts.get(node.path)
        if fact is not None and (isinstance(fact.value, str | datetime | bool) or fact.value is None):
            return None if is_text(said, fact) else (ANOTHER, text_of(fact.value))
        number = next(numerals(plain(said)), None)
        return self._compared(node, lambda amount: number is not None and is_right(number, amount, signed=True))

    def _compared(self, node: Node, is_right: Callable[[Amount], bool]) -> Wrong | None:
        self._steps.take(_FORMULA_STEPS)
        amount = evaluate(node, self._facts)
        if not isinstance(amount, Amount):
            fact = self._facts.get(amount.path)
            return amount.why, None if fact is None else text_of(fact.value)
        if is_right(amount):
            return None
        return ANOTHER, text_of(self._facts[node.path].value if node.op == "path" else _SHOWN.plus(amount.value))


def _exact(fact: Fact) -> Fact:
    """A fact with a Decimal for a whole number, which may have thousands of digits: it is converted once."""
    assert isinstance(fact.value, int)
    return fact._replace(value=Decimal(fact.value))


def _shape(path: str) -> set[str]:
    """The runs of three characters of a path: similar paths share most of them."""
    return {path[at : at + 3] for at in range(max(1, len(path) - 2))}
