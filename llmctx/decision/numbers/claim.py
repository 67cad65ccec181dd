"""A claim: one number that a text states, as it is meant.

What the words around it say is worked out when it is asked for: most claims are borne out before that.
"""

import re
from enum import IntEnum, StrEnum

from llmctx.decision.numbers import bearing
from llmctx.decision.numbers.arithmetic import Result, result_before
from llmctx.decision.numbers.figure import plain
from llmctx.decision.numbers.once import once
from llmctx.decision.numbers.passage import Item

_NEARLY = 0.005
_TELLING = 100
_SHORT = 2
_IN_PERCENT = frozenset({"percent", "pct"})
_MARKS = frozenset({0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.3, 0.75})
_FINE = 20
_TURNS = frozenset({"->", "=>", "to", "..", "..."})
_MINUTE = 0.001


class Form(StrEnum):
    """How a number is meant."""

    PLAIN = "plain"
    MONEY = "money"
    PERCENT = "percent"
    RATIO = "ratio"
    UNITS = "units of risk"
    TIME = "minutes"
    COUNT = "count"


_PRICED = (Form.PLAIN, Form.MONEY)
_UNBOUND = (Form.RATIO, Form.UNITS, Form.TIME)


class Loose(IntEnum):
    """Whether a number may as well be no claim (a small count, a year, a round mark) and so is never unsupported."""

    CLAIM = 0
    UNLESS_PRICE = 1
    NO_CLAIM = 2


class Claim:
    """One number of a text."""

    def __init__(
        self, items: list[Item], i: int, *, value: float, step: float, form: Form, sign: int, near: bool
    ) -> None:
        self.items, self.i = items, i
        self.value = value
        """What it says; percentages as percent, basis points too."""
        self.step = step
        """The worth of one unit of its last digit."""
        self.form = form
        """How it is meant."""
        self.sign = sign
        """1 or -1 where a sign is written, otherwise 0."""
        self.near = near
        """Whether the text says that it is no exact value: about, nearly."""
        self.room = (max(step, _NEARLY * value) if near else step) + 1e-6 * value
        """How far a number may be from this one and still be what it states, at the very most."""
        self.bound, self.moved = bearing.bound(items, i) if form not in _UNBOUND else (None, False)
        """The topic that it is said of directly, and whether it is where that is to be moved to: the stop to 150."""

    @property
    def text(self) -> str:
        """As it is written."""
        return self.items[self.i].match[0].strip()

    @property
    def at(self) -> int:
        """Where it begins, in characters."""
        return self.items[self.i].match.start()

    @once
    def _topics(self) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
        return bearing.topics(self.items, self.i)

    @property
    def topics(self) -> frozenset[str]:
        """What its clause is about."""
        return self._topics[0]

    @property
    def around(self) -> frozenset[str]:
        """What its sentence is about."""
        return self._topics[1]

    @property
    def before(self) -> frozenset[str]:
        """What its clause has said before it."""
        return self._topics[2]

    @once
    def sense(self) -> int:
        """-1 where it is told as a loss, 1 where as a gain, otherwise 0."""
        return bearing.sense(self.items, self.i)

    @once
    def against(self) -> str | None:
        """The level that it is a distance from: 0.4% below the high."""
        return bearing.against(self.items, self.i)

    @once
    def term(self) -> bool:
        """Whether it is a term of a sum."""
        return bearing.is_term(self.items, self.i)

    @once
    def result(self) -> Result | None:
        """What the sum before it comes to, 648.41 - 638.65 = ..., and what its rounded terms leave open."""
        match = self.items[self.i].match
        return result_before(match.string, match.start("number"))

    @property
    def may_be_level(self) -> bool:
        """Whether it may name a level by its value."""
        return self.form in _PRICED and self.value >= _TELLING * self.step

    @property
    def match(self) -> re.Match[str]:
        """Where it stands, and its parts."""
        return self.items[self.i].match

    @property
    def end(self) -> int:
        """Where it ends, in characters."""
        return self.match.end()

    @property
    def short(self) -> bool:
        """Whether it has no more than two digits that count."""
        return len(plain(self.match["number"]).replace(".", "").strip("0")) <= _SHORT

    @once
    def round(self) -> bool:
        """Whether people set themselves such marks: 80, 3, 0.7, 0.25, 1.5%."""
        return is_round(self.match["number"], percent=self.form is Form.PERCENT)

    @once
    def clause(self) -> frozenset[str]:
        """The words of its clause."""
        return bearing.words(self.items, self.i, ("break", "comma"))

    @once
    def words(self) -> frozenset[str]:
        """The words of its sentence."""
        return bearing.words(self.items, self.i, ("break",))

    @property
    def between(self) -> bool:
        """Whether it is what lies between two things: 1.79 between them."""
        beside = self.items[max(0, self.i - 1) : self.i + 2]
        return beside[-1].text == "between" or beside[0].text == "by"

    @property
    def ranging(self) -> bool:
        """Whether another number follows, to which it is the first: 151.59 -> 153.20, 2.22 ... 2.31."""
        after = self.items[self.i + 1 : self.i + 3]
        return bool(after) and after[-1].kind == "number" and after[0].text in _TURNS

    @once
    def tabled(self) -> bool:
        """Whether something beside it, as the head of a column, may say that it is a percentage."""
        return any(item.text == "|" for item in self.items[max(0, self.i - 1) : self.i + 2]) or bool(
            _IN_PERCENT & self.words
        )

    @property
    def fine(self) -> bool:
        """Whether it has digits enough to meet one of a few numbers by chance but seldom."""
        return self.value >= _FINE * self.step

    @property
    def whole(self) -> bool:
        """Whether it is a whole number, written without decimals."""
        return self.step >= 1 and self.value.is_integer()

    @property
    def telling(self) -> bool:
        """Whether it has digits enough not to meet another fact by chance; a percentage never has."""
        return self.form is not Form.PERCENT and (
            self.term or self.step <= _MINUTE or self.value >= _TELLING * self.step
        )


def is_round(number: str, *, percent: bool) -> bool:
    """Whether digits are such as people set themselves; percentages with decimals are so only where they are small."""
    text = plain(number)
    if percent and "." in text:
        return float(text) in _MARKS or float(text) % 0.5 == 0
    digits = text.replace(".", "").strip("0")
    return len(digits) <= 1 or (len(digits) == _SHORT and digits[-1] == "5")


def rounds_to(value: float, said: float, step: float) -> bool:
    """Whether a positive value is what was said, rounded or cut to steps of its last digit."""
    slack = 1e-9 * max(1.0, abs(value))
    apart = value - said
    return abs(apart) <= step / 2 + slack or 0 <= apart < step - slack
