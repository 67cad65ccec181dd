"""Fields that the schema does not know, which other systems write: what follows from an ATR, from averages and VWAP."""

from collections.abc import Iterator
from itertools import product

from llmctx.decision.numbers.amount import Amount
from llmctx.decision.numbers.claim import Claim, Form
from llmctx.decision.numbers.ledger import Ledger
from llmctx.decision.numbers.ratios import derived, values_of
from llmctx.decision.numbers.topics import LEVELS

_HUNDRED = 100
_ATR = ("atr",)
_EXITS = frozenset({"stop", "target"})
_NAMES = {"risk": "stop", "reward": "target", "pnl": "entry"}


def from_fields(ledger: Ledger, claim: Claim) -> Iterator[Amount]:
    """Distances in multiples of the ATR, and the ATR as a percentage of the price."""
    for ranged in ledger.about(_ATR):
        if not ranged.value or ranged.form is Form.PERCENT:
            continue
        if claim.form is Form.PERCENT:
            yield derived(f"{ranged.source} / price.price.last", ranged.value / ledger.last * _HUNDRED)
        else:
            yield from _multiples(ledger, claim, ranged)


def _multiples(ledger: Ledger, claim: Claim, ranged: Amount) -> Iterator[Amount]:
    """Of the levels that the clause names, or else the sentence: from the price, and exits from entry too."""
    named = _levels(claim.topics) or _levels(claim.around) or {"entry", "stop", "target"}
    starts = [("last", ledger.last)]
    if named & _EXITS and "entry" in claim.around:
        starts += [("entry", entry) for entry in values_of(ledger, "entry")]
    for name, (begin, start) in product(sorted(named), starts):
        for level in values_of(ledger, name):
            yield derived(f"{name} - {begin}, over {ranged.source}", (level - start) / ranged.value)
    if "range" in claim.around:
        for high, low in product(values_of(ledger, "high"), values_of(ledger, "low")):
            yield derived(f"high - low, over {ranged.source}", (high - low) / ranged.value)


def _levels(topics: frozenset[str]) -> set[str]:
    return {_NAMES.get(topic, topic) for topic in topics} & LEVELS
