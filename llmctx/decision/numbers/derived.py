"""Derived numbers: what follows from facts, as far as a claim may speak of it.

Differences and percentages between price levels, their worth in the position, and what `ratios` and `wholes` add.
Levels that a claim does not speak of support nothing: between a dozen levels some difference would fit any number by
chance. A text speaks of a level by its name, or by its value.
"""

from collections.abc import Iterable, Iterator
from itertools import product

from llmctx.decision.numbers.amount import Amount
from llmctx.decision.numbers.claim import Claim, Form
from llmctx.decision.numbers.day import of_day
from llmctx.decision.numbers.ledger import Ledger
from llmctx.decision.numbers.ratios import compared, derived, marks, ratios, retraced, units, values_of
from llmctx.decision.numbers.spoken import Spoken
from llmctx.decision.numbers.topics import LEVELS
from llmctx.decision.numbers.wholes import apart, shares, sizes, spans, sums, worth

_ALSO: dict[str, frozenset[str]] = {
    "range": frozenset({"high", "low"}),
    "ratio": frozenset({"stop", "target"}),
    "risk": frozenset({"stop"}),
    "reward": frozenset({"target"}),
    "pnl": frozenset({"entry", "open"}),
    "last": frozenset({"entry", "open"}),
    "daily": frozenset({"open"}),
    "way": frozenset({"stop", "target", "level", "upper", "lower"}),
    "level": frozenset({"stop", "target", "upper", "lower", "high", "low"}),
    "band": frozenset({"upper", "lower"}),
    "units": frozenset({"stop"}),
    "initial": frozenset({"stop", "target"}),
}
"""Levels that a topic may speak of without naming them."""
_FROM_ENTRY = frozenset({"entry", "risk", "reward", "ratio", "pnl", "quantity", "half", "units", "initial"})
_INSIDE = frozenset({"band", "upper", "lower", "range", "way"})
_OF_BANDS = {"high": "upper", "low": "lower"}
_AS_PART = 1.5
"""A bare number up to this may be a part of one: the price stands at 0.67 of its range."""
_HIGH, _LOW = frozenset({"high"}), frozenset({"low"})
_COMES_TO = frozenset({"->", "=>", "=", "\u2248"})
_NEAREST = 2
_ENDS = (
    ("stop", "target"), ("entry", "last"), ("low", "high"), ("entry", "target"), ("entry", "stop"), ("last", "target"),
    ("last", "stop"),
)  # fmt: skip
_EXITS = frozenset({"stop", "target"})
_PROGRESS = 10
_MID = frozenset({"mid"})
_BRACKET = frozenset({"stop", "target", "entry"})
_OF_DAY = frozenset({"payoff", "expectancy", "wins", "winrate", "ratio", "reward"})
_ODDS = frozenset({"ratio", "units", "payoff"})
_REWARD, _RISK = frozenset({"reward", "target"}), frozenset({"risk", "stop"})
_SCORED = frozenset({"score", "candidate"})
_TRAILING = frozenset("behind ahead leader lead leads leading trail trails trailing margin".split())
"""Words of how far scores are apart."""
_WAYS = frozenset({"way", "range", "band"})


def what_follows(ledger: Ledger, claim: Claim, topics: frozenset[str], spoken: Spoken) -> Iterator[Amount]:
    """What follows from the facts that a claim with these topics may speak of."""
    risked = claim.form is Form.RATIO and topics & {"risk", "initial"}
    if claim.form is Form.UNITS or (claim.form is Form.PLAIN and "units" in topics) or risked:
        yield from units(ledger, topics if claim.against is None else frozenset({claim.against}))
    if (
        claim.form is Form.RATIO
        or (claim.form is Form.PLAIN and (topics & _ODDS or _is_odds(claim)))
        or (claim.form is Form.UNITS and topics & _REWARD and topics & _RISK)
    ):
        yield from ratios(ledger)
    if claim.form is Form.RATIO or (claim.form is Form.PLAIN and not claim.whole):
        yield from compared(ledger, topics)
    if claim.form in (Form.RATIO, Form.UNITS):
        return
    yield from _distances(ledger, claim, topics, spoken)
    yield from _read(ledger, claim, topics)
    if claim.form is Form.PERCENT or claim.tabled:
        yield from shares(ledger, topics)
    if claim.form is Form.PERCENT:
        return
    yield from sums(ledger, claim, topics, halved=spoken.halved(claim))
    if claim.value <= _AS_PART and topics & _INSIDE:
        yield from (derived(share.source, share.value / 100) for share in shares(ledger, topics))


def _read(ledger: Ledger, claim: Claim, topics: frozenset[str]) -> Iterator[Amount]:
    """Midpoints, differences of readings, and what the trades of the day come to."""
    if claim.may_be_level:
        yield from _mids(ledger, topics)
    if "apart" in topics or claim.between or (topics & _SCORED and _TRAILING & claim.words):
        yield from apart(ledger, topics)
    if topics & _OF_DAY:
        yield from of_day(ledger, claim, topics)


def _is_odds(claim: Claim) -> bool:
    """Whether it is what reward over risk comes to: reward 0.33 / risk 0.23 -> 1.47."""
    told = claim.before
    both = told & _REWARD and told & _RISK
    return bool(both) and claim.items[claim.i - 1].text in _COMES_TO


def from_spoken(ledger: Ledger, claim: Claim, spoken: Spoken) -> Iterator[Amount]:
    """What follows from the levels that the text names by their value next to a claim."""
    if claim.form in (Form.RATIO, Form.UNITS):
        return
    if claim.may_be_level:
        yield from marks(ledger, spoken.units(claim) or ([1.0] if "units" in claim.around else []))
        if "retraced" in claim.around:
            yield from retraced(ledger)
    near = spoken.levels(claim)[:_NEAREST]
    if near:
        ends = {"last", claim.against} | (claim.around & {"entry"})
        yield from _pairs(
            ledger, claim, near, [*ledger.levels_of(frozenset(end for end in ends if end)), *near], spoken
        )


def core(ledger: Ledger, claim: Claim, spoken: Spoken) -> Iterator[Amount]:
    """What is commonly worked out of a position, whatever the words."""
    if claim.form in (Form.RATIO, Form.UNITS):
        return
    bracket = ledger.levels_of(_BRACKET - _other_way(claim.topics))
    yield from _pairs(ledger, claim, bracket, ledger.levels_of(frozenset({"last", "entry"})), spoken)
    if claim.form is Form.PERCENT:
        if claim.whole and claim.value >= _PROGRESS:
            yield from shares(ledger, _WAYS)
        return
    if claim.may_be_level:
        yield from marks(ledger, [1.0, 2.0])
        yield from _mids(ledger, _MID)
    yield from worth(ledger, sizes(ledger, halved=spoken.halved(claim)), bracket)
    yield from (derived(name, size) for name, size in sizes(ledger, halved=spoken.halved(claim)))


def _other_way(topics: frozenset[str]) -> frozenset[str]:
    """The exit that is not spoken of where the other is."""
    risk, reward = topics & {"stop", "risk"}, topics & {"target", "reward"}
    if bool(risk) == bool(reward):
        return frozenset()
    return frozenset({"target" if risk else "stop"})


def _distances(ledger: Ledger, claim: Claim, topics: frozenset[str], spoken: Spoken) -> Iterator[Amount]:
    ones = ledger.levels_of(_spoken(claim, topics, pinned=bool(spoken.levels(claim)))) or ledger.levels_of(
        frozenset({"entry"})
    )
    others = ledger.levels_of(_ends(claim, topics))
    if claim.against is None and "last" not in topics:
        others = [*others, *ones]
    yield from _pairs(ledger, claim, ones, others, spoken)
    if "range" in topics:
        yield from _pairs(ledger, claim, ledger.levels_of(_HIGH), ledger.levels_of(_LOW), spoken)
        if claim.form is Form.PERCENT:
            yield from spans(ledger)


def _mids(ledger: Ledger, topics: frozenset[str]) -> Iterator[Amount]:
    every = topics & {"mid", "half"}
    for low, high in _ENDS:
        if not every and not {low, high} <= topics:
            continue
        for one, other in product(values_of(ledger, low), values_of(ledger, high)):
            yield derived(f"the middle of {low} and {high}", (one + other) / 2)


def _pairs(
    ledger: Ledger, claim: Claim, ones: Iterable[Amount], others: Iterable[Amount], spoken: Spoken
) -> Iterator[Amount]:
    held = sizes(ledger, halved=spoken.halved(claim))
    seen: set[tuple[float, float]] = set()
    for one in ones:
        for other in others:
            pair = (one.value, other.value)
            if one.value != other.value and pair not in seen:
                seen.add(pair)
                yield from _between(held, one, other, claim)


def _spoken(claim: Claim, topics: frozenset[str], *, pinned: bool) -> frozenset[str]:
    """The levels that it may speak of."""
    if claim.against is None:
        unnamed = {"level", "way"} if pinned else set()
        return topics.union(*(_ALSO[topic] for topic in topics - unnamed if topic in _ALSO))
    if claim.against == "last":
        return claim.around & LEVELS
    banded = _OF_BANDS.get(claim.against) if "band" in claim.around else None
    return frozenset({claim.against, banded or claim.against})


def _ends(claim: Claim, topics: frozenset[str]) -> frozenset[str]:
    """What a distance may be measured from: the price, and where it fits the entry."""
    ends = {"last"}
    if topics & _FROM_ENTRY or "entry" in claim.around or claim.sense:
        ends.add("entry")
    if claim.against == "entry":
        ends |= (claim.around & _EXITS) or (_EXITS if claim.fine else frozenset())
    if claim.against is not None and "last" not in topics:
        ends |= claim.before & LEVELS
    return frozenset(ends)


def _between(held: list[tuple[str, float]], one: Amount, other: Amount, claim: Claim) -> Iterator[Amount]:
    apart = one.value - other.value
    results = [("as it is", apart)]
    parts = [("of the second", apart / other.value * 100), ("of the first", apart / one.value * 100)]
    if claim.form is Form.PERCENT:
        results = parts
    else:
        results += [(name, apart * size) for name, size in held]
    if claim.form is Form.PLAIN and claim.tabled:
        results += parts
    for how, value in results:
        if abs(abs(value) - claim.value) <= claim.room:
            yield derived(f"{one.source} - {other.source}, {how}", value)
