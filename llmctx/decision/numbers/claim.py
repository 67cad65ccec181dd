"""A claim: one number that a text states, as it is meant."""

from enum import IntEnum, StrEnum
from typing import NamedTuple

_NEARLY = 0.005
_TELLING = 100


class Form(StrEnum):
    """How a number is meant."""

    PLAIN = "plain"
    MONEY = "money"
    PERCENT = "percent"
    RATIO = "ratio"


class Loose(IntEnum):
    """Whether a number may as well be no claim (a small count, a year, a round mark) and so is never unsupported."""

    CLAIM = 0
    UNLESS_PRICE = 1
    NO_CLAIM = 2


class Claim(NamedTuple):
    """One number of a text."""

    text: str
    """As it is written."""
    at: int
    """Where it begins, in characters."""
    value: float
    """What it says; percentages as percent, basis points too."""
    step: float
    """The worth of one unit of its last digit."""
    form: Form
    """How it is meant."""
    sign: int
    """1 or -1 where a sign is written, otherwise 0."""
    sense: int
    """-1 where it is told as a loss, 1 where as a gain, otherwise 0."""
    near: bool
    """Whether the text says that it is no exact value: about, nearly."""
    bound: str | None
    """The topic that it is said of directly."""
    against: str | None
    """The level that it is a distance from: 0.4% below the high."""
    moved: bool
    """Whether it is where something is to be moved to: the stop to 150."""
    topics: frozenset[str]
    """What its clause is about."""
    around: frozenset[str]
    """What its sentence is about."""
    result: float | None
    """What the sum before it comes to: 648.41 - 638.65 = ..."""
    term: bool
    """Whether it is a term of a sum."""
    loose: Loose
    """Whether it may as well be no claim."""

    @property
    def whole(self) -> bool:
        """Whether it is a whole number, written without decimals."""
        return self.step >= 1 and self.value.is_integer()

    @property
    def telling(self) -> bool:
        """Whether it has digits enough not to meet another fact by chance; a percentage never has."""
        return self.form is not Form.PERCENT and (self.term or self.value >= _TELLING * self.step)

    @property
    def room(self) -> float:
        """How far a number may be from this one and still be what it states, at the very most."""
        return self.step + (max(self.step, _NEARLY * self.value) if self.near else 0.0) + 1e-6 * self.value


def rounds_to(value: float, said: float, step: float) -> bool:
    """Whether a positive value is what was said, rounded or cut to steps of its last digit."""
    slack = 1e-9 * max(1.0, abs(value))
    apart = value - said
    return abs(apart) <= step / 2 + slack or 0 <= apart < step - slack
