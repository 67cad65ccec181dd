"""Support: the number of a package that bears a claim out."""

from llmctx.decision.numbers import wording
from llmctx.decision.numbers.amount import Amount
from llmctx.decision.numbers.claim import Claim, Form
from llmctx.decision.numbers.derived import core, from_spoken, what_follows
from llmctx.decision.numbers.fields import from_fields
from llmctx.decision.numbers.ledger import Ledger
from llmctx.decision.numbers.matching import match
from llmctx.decision.numbers.ratios import marks
from llmctx.decision.numbers.shape import ANOTHER
from llmctx.decision.numbers.spoken import Spoken
from llmctx.decision.numbers.topics import AVERAGES, FOREIGN, LEVELS, SECTORS
from llmctx.decision.numbers.turned import is_turned_round
from llmctx.decision.numbers.wholes import counts

_READINGS = (
    frozenset(
        "rsi macd signal vix sentiment volume news wins losses winrate positions symbols advancing declining "
        "unchanged".split()
    )
    | SECTORS
)
"""Topics of which a number is a reading, never a difference."""
_ALIKE = {
    "signal": ("signal", "macd"),
    "quantity": ("quantity", "volume"),
    "symbols": ("symbols", "breadth", "advancing"),
}
_NO_PRICES = frozenset("rsi vix volume macd signal histogram sentiment width".split())
_NO_FACTS = frozenset({"ratio", "units", "payoff", "initial"})
"""Topics of which no fact speaks, only what follows from facts."""
_NO_SHARES = frozenset({"last", "macd", "signal", "histogram", "volume"})
"""Topics of which no percentage is a reading."""
_MONEY = frozenset({"risk", "reward"})
"""Topics of which a number beside a level may be money that is risked or made there."""
_COMPARED = frozenset({"apart", "ratio"})
_ONLY = frozenset({"histogram", "trades"})
"""Topics of no fact, of which a number is nothing else all the same."""
_RANKED = frozenset({"candidate", "score"})
_SUBJECTS = (LEVELS | _READINGS | FOREIGN) - {"symbols", "positions"}
_ELSEWHERE = LEVELS | {"risk", "reward", "way", "range", "band", "level", "units", "ratio", "half"}
"""Topics with which a percentage is no mere result."""
_AS_LARGE = 2.0
_BESIDE = 3
_HUGE = 1e6
_CONFIDENT = 0.01
"""A confidence has no more than two digits."""
_PRIOR = frozenset({"thesis", "confidence"})
_OWN = ("position.", "price.", "monitoring.", "its own", "the middle")
"""What a number of an unknown subject is about."""


def find_support(claim: Claim, ledger: Ledger, spoken: Spoken) -> Amount | None:
    """What supports a claim: a fact about its subject first, then what follows from such facts, then any fact."""
    if claim.form is Form.TIME:
        return match(claim, [*ledger.held, *(ledger.ages if claim.words & wording.DATED else ())], derived=True)
    if is_turned_round(claim, ledger):
        return None
    if (
        (_CONFIDENT <= claim.step <= claim.value <= 1 or claim.form is Form.PERCENT)
        and claim.around >= _PRIOR
        and "last" not in claim.topics
    ):
        return match(claim, [a for a in ledger.about(("confidence",)) if a.topics >= _PRIOR or a.topics <= _PRIOR])
    bound = _bound(claim, ledger)
    if bound in FOREIGN:
        return (
            match(claim, ledger.about((bound,)))
            or (_follows(claim, ledger, frozenset({bound}), spoken) if bound in AVERAGES else None)
            or (match(claim, from_fields(ledger, claim), derived=True) if "atr" in claim.topics else None)
            or _quoted(claim, ledger, bound)
        )
    if bound is not None and not claim.moved:
        support = match(claim, ledger.about(_ALIKE.get(bound, (bound,)))) or _of_bound(claim, ledger, bound, spoken)
        if support is not None or bound in ledger.vocabulary or bound in _ONLY:
            return support or _quoted(claim, ledger, bound)
    if claim.topics & _RANKED and claim.around & ledger.others and not claim.telling:
        return _of_another(claim, ledger) or _of_own(claim, ledger)
    if claim.result is not None and not _sum(claim) and spoken.stand_before(claim):
        return None
    return (
        _sum(claim)
        or match(claim, _named(claim, ledger, claim.topics))
        or _follows(claim, ledger, claim.topics, spoken)
        or _of_another(claim, ledger)
        or _of_own(claim, ledger)
        or match(claim, _named(claim, ledger, claim.around))
        or (_follows(claim, ledger, claim.around, spoken) if claim.around != claim.topics else None)
        or match(claim, from_spoken(ledger, claim, spoken), derived=True)
        or (match(claim, from_fields(ledger, claim), derived=True) if "atr" in claim.topics else None)
        or (match(claim, core(ledger, claim, spoken), derived=True) if _untold(claim) else None)
        or _from_said(claim, spoken)
        or _quoted(claim, ledger)
    )


def _bound(claim: Claim, ledger: Ledger) -> str | None:
    """The topic that it is said of, where a number of its form can be."""
    bound = claim.bound
    if bound in _NO_SHARES and claim.form is Form.PERCENT:
        return None
    if bound in LEVELS and claim.form is not Form.PERCENT and (claim.sign or _is_money(claim, ledger)):
        return None
    return (
        None
        if bound == "last" and (claim.around & ledger.ranked or claim.ranging or "thesis" in claim.topics)
        else bound
    )


def _is_money(claim: Claim, ledger: Ledger) -> bool:
    """Whether it is what is risked or made, told after where it is measured from: at risk from entry $244."""
    measured = claim.form is Form.MONEY and claim.i > 1 and claim.items[claim.i - 2].text == "from"
    return claim.fine and (measured or not is_price(claim, ledger)) and bool(_MONEY & claim.around)


def _of_bound(claim: Claim, ledger: Ledger, bound: str, spoken: Spoken) -> Amount | None:
    """What follows for what it is said of directly: of a level its distances, of a count sums of counts."""
    if bound in wording.COUNTED and claim.form is not Form.PERCENT:
        return match(claim, counts(ledger, bound), derived=True)
    if bound == "signal" and "macd" not in claim.around:
        return _follows(claim, ledger, frozenset({bound}), spoken)
    if bound in SECTORS or (bound in _READINGS and claim.form is not Form.PERCENT):
        return None
    own = frozenset({bound})
    if (
        claim.may_be_level
        and (bound in LEVELS or bound == "last")
        and (mark := match(claim, marks(ledger, spoken.units(claim)), derived=True))
    ):
        return mark
    if bound == "width" and "range" in claim.around:
        own = frozenset({"range"})
    support = _follows(claim, ledger, own | (claim.before & LEVELS) | (claim.around & {"units", "ratio"}), spoken)
    if support is None and (bound not in LEVELS or claim.fine):
        support = _follows(claim, ledger, claim.topics, spoken)
    return support


def _quoted(claim: Claim, ledger: Ledger, bound: str | None = None) -> Amount | None:
    """What a text of the package says, of the same thing or with digits enough."""
    topics = claim.topics if bound is None else frozenset({bound})
    telling = bound is None and (claim.telling or claim.value >= _HUGE or "news" in claim.around)
    return match(claim, [amount for amount in ledger.quoted if telling or amount.topics & topics])


def _of_another(claim: Claim, ledger: Ledger) -> Amount | None:
    """What a sentence that names another symbol of the ranking says of that."""
    others = claim.topics & ledger.others or claim.around & ledger.others
    return match(claim, ledger.about(others)) if others else None


def _of_own(claim: Claim, ledger: Ledger) -> Amount | None:
    """What the ranking says of this symbol, where the clause names it beside another."""
    if claim.around.isdisjoint(ledger.ranked):
        return None
    if ledger.symbol not in [item.text for item in claim.items[max(0, claim.i - _BESIDE) : claim.i]]:
        return None
    return match(claim, [amount for amount in ledger.about(_RANKED) if ANOTHER not in amount.topics])


def _sum(claim: Claim) -> Amount | None:
    """What the sum written before it comes to; its terms are claims of their own."""
    if claim.result is None:
        return None
    value, slack = claim.result
    scales = (1, 100) if claim.form is Form.PERCENT else (1,)
    fits = any(abs(abs(value * scale) - claim.value) <= slack * scale + claim.step for scale in scales)
    return Amount("the sum before it", value, None, frozenset()) if fits else None


def _untold(claim: Claim) -> bool:
    """Whether it may be any of what is commonly worked out: where no words say what it is about, or it has digits."""
    if claim.form is Form.PERCENT and claim.sense and "pnl" in claim.topics and not claim.topics & _ELSEWHERE:
        return False
    return claim.fine or not claim.around & _SUBJECTS


def _from_said(claim: Claim, spoken: Spoken) -> Amount | None:
    """The same number, or what follows from the two before it, where the text has said them and they stand."""
    if claim.result is not None:
        return None
    bracketed = spoken.bracketed(claim)
    if bracketed is not None and match(claim, [bracketed]):
        return bracketed
    again = spoken.again(claim)
    if again is not None:
        return again
    if claim.form is Form.RATIO or claim.around & _COMPARED or not claim.topics:
        return match(claim, spoken.pairs(claim), derived=True)
    return None


def _named(claim: Claim, ledger: Ledger, topics: frozenset[str]) -> list[Amount]:
    """The facts that a claim with these topics may state: those about them; any where it is telling, or a price."""
    if not claim.telling and topics & (ledger.vocabulary | _NO_FACTS) and not is_price(claim, ledger):
        return ledger.about(topics)
    if is_price(claim, ledger):
        level = match(claim, ledger.about(("last",))) or match(claim, ledger.levels)
        if level is not None:
            return [level]
        if not claim.telling:
            return ledger.about(topics)
    near = ledger.near(claim.value, claim.room)
    if not claim.telling:
        near = [amount for amount in near if amount.source.startswith(_OWN)]
    if claim.around & _RANKED:
        return near
    return [amount for amount in near if ANOTHER not in amount.topics or amount.topics & claim.around]


def _follows(claim: Claim, ledger: Ledger, topics: frozenset[str], spoken: Spoken) -> Amount | None:
    return match(claim, what_follows(ledger, claim, topics, spoken), derived=True)


def is_price(claim: Claim, ledger: Ledger) -> bool:
    """Whether an unsupported number is a price: money or a bare number, of a size that this symbol's prices have."""
    if claim.form not in (Form.MONEY, Form.PLAIN) or claim.bound in _NO_PRICES or claim.bound in wording.COUNTED:
        return False
    return ledger.last / _AS_LARGE <= claim.value <= ledger.last * _AS_LARGE
