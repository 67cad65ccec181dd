"""Prices without a citation: false if no known value matches, or if they directly follow the name of another level.

Only bare numbers of three or more digits between half and twice the symbol's price are judged. Texts written by others
and the previous decision support nothing here.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import chain, combinations
from typing import NamedTuple

from llmctx.context.amount import PRICE
from llmctx.context.facts import Fact
from llmctx.context.package import Package
from llmctx.decision.steps import Steps
from llmctx.numerals import CONTEXT, Numeral, Value

_NAMES = {  # English, German, French, Chinese, Japanese
    "stop": r"stop(?:[-_ ]?loss)?|sl|stopp|stopkurs|arrêt|止损[价位线]?|損切り(?:ライン)?|逆指値",
    "target": r"(?:profit |price )?target|take[-_ ]?profit|tp|(?:kurs)?ziel|objectif|(?:止盈|目标)[价位]?|利確|目標値?",
    "entry": r"entry(?:[-_ ]price)?|einstieg(?:skurs)?|einstand|(?:prix d')?entrée|(?:入场|开仓|成本)价?|建値|取得単価",
    "high": r"high|hoch|(?:plus )?haut|最高价?|高値",
    "low": r"low|tief|(?:plus )?bas|最低价?|安値",
    "open": r"open(?:ing)?(?: price)?|eröffnung(?:skurs)?|ouverture|开盘价?|始値",
    "last": r"(?:last|current)(?: price)?|letzter kurs|aktueller kurs|dernier cours|最新价?|现价|現在?値",
}
"""The names of levels, the only vocabulary of grounding."""
_WORDS = {level: {level} for level in _NAMES} | {"target": {"target", "take"}, "last": {"last", "current"}}
"""The words that name the same levels in paths."""
_NAME = "name"
_LEVEL = "|".join(_NAMES.values())
_GAP = r"[\s:=@(*_|`\"'~≈$€£¥]"
_NAMED = re.compile(
    rf"(?<![^\W\d_])(?P<name>{'|'.join(f'(?P<{level}>{names})' for level, names in _NAMES.items())})"
    rf"{_GAP}*+(?:(?:(?(open)(?!)|at)|is|of|bei|ist|à|est|de){_GAP}++|[为在是はが])?+\Z",
    re.IGNORECASE,
)
_PAIRED = re.compile(rf"(?<![^\W\d_])(?:{_LEVEL})[^\w.;]*+(?:\w{{1,3}}+[^\w.;]*+)?\Z", re.IGNORECASE)
"""Another level's name with at most a short word in between: stop and target, entry/stop."""
_RESULT = re.compile(r"[\d)%]\s*+[=≈]\s*+[$€£¥]?\Z")
"""What precedes the result of a written-out calculation."""
_CONTEXT_CHARS = 48
_MIN_DIGITS = 3
_STEPS = 250
"""The cost in steps of judging a price, mostly for finding level names before it."""
_MISNAMED = "the name of another level"
_BELOW, _ABOVE = Decimal("0.8"), Decimal("1.25")
"""The range around the symbol's known levels within which an unnamed number counts as a price."""
_MIDPOINTS = (
    ("indicators.bollinger_upper", "indicators.bollinger_lower"), ("price.price.high", "price.price.low"),
    ("position.stop_loss", "position.take_profit"), ("position.entry_price", "position.take_profit"),
    ("position.entry_price", "position.stop_loss"), ("position.entry_price", "price.price.last"),
    ("price.price.last", "position.take_profit"), ("price.price.last", "position.stop_loss"),
)  # fmt: skip
_RISK = ("position.entry_price", "position.stop_loss")
_LEVELS = (*_RISK, "position.take_profit", "price.price.last")
_QUANTITY = "position.quantity"


class FalsePrice(NamedTuple):
    """Why a price is false."""

    why: str
    """no such price, or the name of another level."""
    nearest: Fact
    """The level named before it, or the nearest fact."""


class _Sorted:
    """Values in order, with the facts that have them: a look-up costs the same for 10 facts and for 1,000."""

    def __init__(self, facts: Iterable[Fact], derived: Iterable[Decimal] = ()) -> None:
        ordered = sorted(enumerate(facts), key=lambda item: _of(item[1]))
        self._facts = ordered
        self._fact_values = [_of(fact) for _, fact in ordered]
        self._values = sorted([*self._fact_values, *derived])

    def has(self, said: Value) -> bool:
        """Whether a number is one of the values, rounded or cut."""
        at = bisect_left(self._values, CONTEXT.subtract(said.value, CONTEXT.divide(said.step, Decimal(2))))
        return any(map(said.is_of, self._values[at : at + 1]))

    def nearest(self, value: Decimal) -> Fact | None:
        """The fact with the nearest value, the first of several; None if there are no facts."""
        at = bisect_left(self._fact_values, value)
        below = bisect_left(self._fact_values, self._fact_values[at - 1]) if at else at
        around = self._facts[below : below + 1] + self._facts[at : at + 1]
        return min(
            around, key=lambda item: (CONTEXT.subtract(_of(item[1]), value).copy_abs(), item[0]), default=(0, None)
        )[1]


class Prices:
    """The known prices that uncited ones are compared with."""

    def __init__(self, package: Package, facts: Mapping[str, Fact], steps: Steps) -> None:
        self._steps = steps
        self._last = facts["price.price.last"]
        self._unset = {"stop": facts["position.stop_loss"], "target": facts["position.take_profit"]}
        last = package.price.price.last
        known = [
            fact._replace(value=fact.value.copy_abs())
            for path, fact in facts.items()
            if isinstance(fact.value, Decimal) and path[:7] != "thesis."
        ]
        self._low, self._high = last / 2, last * 2
        priced = [fact for fact in known if fact.unit == PRICE and self._low <= _of(fact) <= self._high]
        own = [_of(fact) for fact in priced if not fact.path.startswith("candidates")]
        self._near = min(own) * _BELOW, max(own) * _ABOVE
        self._facts, self._known, self._priced = known, _Sorted(known, _derived(facts)), _Sorted(priced)
        self._levels: dict[str, _Sorted] = {}

    def check(self, text: str, number: Numeral) -> FalsePrice | None:
        """Why an uncited number is a false price; None if it is true, or not a price."""
        if not number.bare or number.sign or not number.values:
            return None
        said = number.values[0]
        digits = sum(map(str.isdigit, number.text.lstrip("0.,")))
        if digits < _MIN_DIGITS or not self._low <= said.value <= self._high:
            return None
        self._steps.take(_STEPS)
        level = _level_before(text, number.start)
        if level is not None and not self._named(level).has(said):
            nearest = self._named(level).nearest(said.value)
            return FalsePrice(_MISNAMED, nearest or self._unset.get(level, self._last))
        written_as_price = said.step < 1 or digits > _MIN_DIGITS
        if _RESULT.search(text, max(0, number.start - _CONTEXT_CHARS), number.start):
            return None
        if not (written_as_price and self._near[0] <= said.value <= self._near[1]):
            return None
        if self._known.has(said):
            return None
        return FalsePrice("no such price", self._priced.nearest(said.value) or self._last)

    def _named(self, level: str) -> _Sorted:
        """The facts that have a level's name."""
        if level not in self._levels:
            self._levels[level] = _Sorted(fact for fact in self._facts if _WORDS[level] & _words(fact.path))
        return self._levels[level]


def _words(path: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]", path.lower()))


def _of(fact: Fact) -> Decimal:
    assert isinstance(fact.value, Decimal)
    return fact.value


def _level_before(text: str, at: int) -> str | None:
    """The level named directly before a number; None if there is none, or if two are named together."""
    before = text[max(0, at - _CONTEXT_CHARS) : at]
    found = _NAMED.search(before)
    if found is None or _PAIRED.search(before, 0, found.start(_NAME)) is not None:
        return None
    return next(level for level in _NAMES if found[level])


def _derived(facts: Mapping[str, Fact]) -> Iterator[Decimal]:
    """Midpoints of common pairs, profit and loss between the position's levels, and the level one risk unit away."""
    values = {path: facts[path].value for path in {*_LEVELS, _QUANTITY, *chain(*_MIDPOINTS)} if path in facts}
    levels = {path: value for path, value in values.items() if isinstance(value, Decimal)}
    for one, other in _MIDPOINTS:
        if one in levels and other in levels:
            yield CONTEXT.divide(CONTEXT.add(levels[one], levels[other]), Decimal(2))
    for one, other in combinations(_LEVELS, 2):
        if one in levels and other in levels:
            way = CONTEXT.subtract(levels[one], levels[other])
            yield CONTEXT.multiply(way, levels[_QUANTITY]).copy_abs()
            if (one, other) == _RISK:
                yield CONTEXT.add(levels[one], way)
