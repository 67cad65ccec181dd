"""Grounding: check an answer's statements against the package, without asking a model.

A number followed by a citation must equal the value of the citation. A price without a citation is compared with the
known prices (`prices`); every other number without one is only counted. A pure function of package and decision.
"""

import re
from collections.abc import Callable
from datetime import datetime
from decimal import MAX_EMAX, MIN_EMIN, Context
from difflib import get_close_matches
from functools import cached_property
from typing import NamedTuple

from llmctx import clock
from llmctx.context.facts import Fact
from llmctx.context.formula import LAUNDERS, MAX_CHARS, PRICE, Amount, Node, evaluate, parse
from llmctx.context.package import Package
from llmctx.decision.citations import cited_numbers, is_right, occurs_in
from llmctx.decision.decision import Decision, Evidence
from llmctx.decision.prices import Prices
from llmctx.numerals import Numeral, numerals, plain
from llmctx.prompt.render import text_of

ANOTHER = "another value"
MAX_TEXT_CHARS = 300
"""Prompts show this much of a text; only numbers within it can be cited."""

_SHOWN = Context(12, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])
_MAX_GUESSES = 8
_SHORTEST_TIME, _SHORTEST_CUT = len("2025-05-09T10:15"), 20
_QUOTES = re.compile(r"[\"'`\u201c\u201d\u2018\u2019\\]")

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


def ground(package: Package, decision: Decision) -> Grounding:
    """Check an answer against a package, which must have a position and a price."""
    check = _Check(package, decision)
    check.text("reasoning", decision.reasoning)
    check.text("invalidation", decision.invalidation, judged=False)
    for number, item in enumerate(decision.evidence):
        check.item(f"evidence[{number}]", item)
    counted = (check.cited, check.uncited, check.unread)
    return Grounding(len(decision.evidence), *counted, tuple(check.miscited), tuple(check.false_prices))


class _Check:
    """The facts that an answer is checked against, and the findings so far."""

    def __init__(self, package: Package, decision: Decision) -> None:
        self._package = package
        self._facts = {fact[0]: fact for facts in package.facts.values() for fact in facts}
        for name, unit in (("stop_loss", PRICE), ("take_profit", PRICE), ("quantity", "shares")):
            self._facts[f"answer.{name}"] = Fact(f"answer.{name}", getattr(decision, name), unit)
        self._heads = {name.partition(".")[0] for name in package.sections} | {"answer"}
        self.cited = self.uncited = self.unread = 0
        self._meant: dict[str, bool] = {}
        self.miscited: list[Finding] = []
        self.false_prices: list[Finding] = []

    @cached_property
    def _prices(self) -> Prices:
        return Prices(self._package, self._facts)

    def text(self, field: str, text: str, *, judged: bool = True, about: Node | None = None) -> None:
        """Check the numbers of a text.

        With `judged`, prices without a citation are judged too. A number without a citation may equal `about`, the
        formula that an evidence item's reading refers to.
        """
        text = plain(text)
        for number, citation in cited_numbers(text, self._heads):
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
        section = self._package.sections.get(path)
        if section is None or str(section.status) not in item.value.lower():  # a section is cited for its status
            wrong = ("no such path", None) if node is None else self._wrong_value(item.value, node)
            if wrong is not None:
                self._miscite((field, item.value, 0), item.path, wrong, node)
        self.text(f"{field}.reading", item.reading, about=node)

    def _miscite(self, place: tuple[str, str, int], citation: str, wrong: Wrong, node: Node | None) -> None:
        self.miscited.append(Finding(*place, citation, *wrong, self._alarms(node, citation)))

    def _alarms(self, node: Node | None, citation: str) -> bool:
        """Whether a citation refers to a price, level or quantity; an unknown path counts as the most similar one."""
        amount = None if node is None else evaluate(node, self._facts)
        if isinstance(amount, Amount):
            return amount.unit in (PRICE, "shares")
        path = citation if node is None else (amount.path if amount and amount.path else node.paths()[0])
        if path not in self._meant:
            known = path in self._facts or len(self._meant) > _MAX_GUESSES  # guessing is slow
            likely = [path] if known else get_close_matches(path[:MAX_CHARS], self._facts, 1)
            fact = self._facts.get(likely[0]) if likely else None
            self._meant[path] = fact is not None and fact.unit in (PRICE, "shares")
        return self._meant[path]

    def _wrong(self, number: Numeral, node: Node) -> Wrong | None:
        """What is wrong with a number that cites a formula; None if it is right."""
        fact = self._facts.get(node.path)
        if fact is not None and isinstance(fact.value, str | datetime):
            shown = clock.iso_of(fact.value) if isinstance(fact.value, datetime) else fact.value[:MAX_TEXT_CHARS]
            return None if occurs_in(number, plain(shown)) else (ANOTHER, text_of(fact.value))
        return self._compared(node, lambda amount: is_right(number, amount))

    def _wrong_value(self, said: str, node: Node) -> Wrong | None:
        """What is wrong with the value of an evidence item; None if it is right."""
        fact = self._facts.get(node.path)
        if fact is not None and (isinstance(fact.value, str | datetime | bool) or fact.value is None):
            return None if _is_text(said, fact) else (ANOTHER, text_of(fact.value))
        number = next(numerals(plain(said)), None)
        return self._compared(node, lambda amount: number is not None and is_right(number, amount, signed=True))

    def _compared(self, node: Node, is_right: Callable[[Amount], bool]) -> Wrong | None:
        amount = evaluate(node, self._facts)
        if not isinstance(amount, Amount):
            fact = self._facts.get(amount.path)
            return amount.why, None if fact is None else text_of(fact.value)
        if is_right(amount):
            return None
        return ANOTHER, text_of(self._facts[node.path].value if node.op == "path" else _SHOWN.plus(amount.value))


def _is_text(said: str, fact: Fact) -> bool:
    """Whether a text equals a fact, ignoring case, quotes and spacing; long texts may be cut."""
    shown = clock.iso_of(fact.value) if isinstance(fact.value, datetime) else text_of(fact.value)
    text, full = _bare(said), _bare(fact.value if isinstance(fact.value, str) else shown)
    if text == full or text == _bare(shown):
        return True
    if isinstance(fact.value, datetime):
        return full.startswith(text.rstrip("z")) and len(text) >= _SHORTEST_TIME
    if not isinstance(fact.value, str):
        return fact.value is None and text in ("none", "n/a", "not set")
    text = text.rstrip(".\u2026 ")
    parts = [part.strip(" []") for part in text.split(",")]
    return (len(text) >= _SHORTEST_CUT and full.startswith(text)) or all(
        part and part in full.split(", ") for part in parts
    )


def _bare(text: str) -> str:
    return " ".join(_QUOTES.sub("", text).lower().split())
