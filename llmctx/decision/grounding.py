"""Grounding: whether an answer's evidence and numbers stand in the package, without asking a model.

Each item of evidence must name a fact and state its value (`citation`). Each number in reasoning and invalidation
(`numbers`) must be a fact, a number out of a fact's text, or follow from facts; what does not is listed with the
nearest fact. A number said of RSI, a stop, volume and the like is held against facts about that alone.

A pure function of package and decision: live and in replay it gives the same.
"""

from collections.abc import Iterable
from typing import NamedTuple

from llmctx.context.package import Package
from llmctx.decision.citation import Miscited, check, shown
from llmctx.decision.decision import Decision
from llmctx.decision.numbers.amount import Amount
from llmctx.decision.numbers.claim import Claim, Form
from llmctx.decision.numbers.claims import claims_of
from llmctx.decision.numbers.ledger import Ledger
from llmctx.decision.numbers.loose import looseness
from llmctx.decision.numbers.spoken import Spoken
from llmctx.decision.numbers.support import find_support, is_price


class Unsupported(NamedTuple):
    """A number that nothing in the package supports."""

    field: str
    """reasoning or invalidation."""
    text: str
    """As it is written."""
    at: int
    """Where it begins in the field, in characters."""
    nearest: str | None
    """The path of the nearest fact; None where there is none of its kind."""
    fact: str | None
    """What stands there."""
    price: bool
    """Whether it is a price."""


class Grounding(NamedTuple):
    """What became of an answer's evidence and numbers."""

    evidence: int
    """Items of evidence."""
    miscited: tuple[Miscited, ...]
    """Those that the package does not bear out."""
    numbers: int
    """Numbers that reasoning and invalidation claim."""
    unsupported: tuple[Unsupported, ...]
    """Those that nothing supports."""

    @property
    def grounded(self) -> bool:
        """Whether all of it stands in the package."""
        return not self.miscited and not self.unsupported

    @property
    def false_prices(self) -> list[str]:
        """The prices among what is not borne out, each with what stands there."""
        said = [f"{item.path} = {item.value} (it is {item.fact})" for item in self.miscited if item.price]
        return said + [
            f"{item.text} in the {item.field} (nearest: {item.nearest} {item.fact})"
            for item in self.unsupported
            if item.price
        ]


def ground(package: Package, decision: Decision) -> Grounding:
    """What in an answer the package bears out. The package must have a position and a price."""
    ledger = Ledger(package, decision)
    miscited = [wrong for item in decision.evidence if (wrong := check(item, ledger)) is not None]
    numbers, unsupported = 0, []
    for field in ("reasoning", "invalidation"):
        claims = claims_of(getattr(decision, field), ledger.vocabulary)
        spoken = Spoken(claims, ledger)
        for claim in claims:
            support = find_support(claim, ledger, spoken)
            if support is None and looseness(claim) > is_price(claim, ledger):
                continue
            numbers += 1
            if support is None:
                unsupported.append(_unsupported(field, claim, ledger))
            else:
                spoken.add(claim, support)
    return Grounding(len(decision.evidence), tuple(miscited), numbers, tuple(unsupported))


def _unsupported(field: str, claim: Claim, ledger: Ledger) -> Unsupported:
    price = is_price(claim, ledger)
    percent = claim.form is Form.PERCENT
    subject = {claim.bound} if claim.bound else claim.topics
    if price:
        named = [level for level in ledger.levels if level.topics & subject] or ledger.levels
    else:
        named = _told(ledger.about(subject), ledger, percent=percent)
    nearest = min(
        named or _told(ledger.amounts, ledger, percent=percent),
        key=lambda a: abs(abs(a.value) - claim.value),
        default=None,
    )
    fact = None if nearest is None else ledger.fact(nearest.source)
    path, value = (None, None) if fact is None else (fact.path, shown(fact))
    return Unsupported(field, claim.text, claim.at, path, value, price)


def _told(amounts: Iterable[Amount], ledger: Ledger, *, percent: bool) -> list[Amount]:
    """Those that are facts, and percentages or none."""
    return [a for a in amounts if percent == (a.form is Form.PERCENT) and ledger.fact(a.source) is not None]
