"""Numbers as models write them in five languages: places, signs, units, separators, full-width digits."""

import random
import re
from decimal import Decimal
from typing import NamedTuple

from benchmarks.cited_facts import CITATIONS, PRICES, Known, kind_of, rounded

SLOT = re.compile(r"\{([a-z_]+)(?::([^{}~]*))?(?:~([^{}]*))?\}")
"""A slot of a template: `{name:flags~words between number and citation}`.

Flags: + a sign always; a no sign at all; % percent; h percent without its sign; b bps; k, M and the characters for
10^4 and 10^8 as units; a digit for the places; w full-width digits; u no citation.
"""
_SCALES = {"k": ("k", -3), "M": ("M", -6), "万": ("万", -4), "亿": ("亿", -8), "億": ("億", -8)}
_PLACES = {"rsi": 1, "qty": 0, "vol": 0, "adv": 0, "dec": 0, "news": 0, "npos": 0, "aqty": 0, "half": 1}
_EXACT_PLACES = 6
"""More places than these nobody copies."""
_POINTS = {"de": ",", "fr": ","}
_THOUSANDS = {"de": ".", "fr": "\u202f"}
_IN_TEXT = re.compile(r"\d\d:\d\d:\d\d|\d+(?:\.\d+)?%?(?![\d.]| million)")
"""What is copied out of a text fact: 00:27:15, 1.9%, 2026; "$340 million" is left alone, 340 being a part of it."""
MINUS = "\N{MINUS SIGN}"
_WIDE = {ord(sign): ord(sign) + 0xFEE0 for sign in "0123456789.,%+-"} | {ord(MINUS): 0xFF0D}
"""ASCII to full-width forms, which stand in the same order."""


class Manner(NamedTuple):
    """How one writer writes numbers."""

    language: str
    grouped: bool
    """Whether thousands are set apart."""
    minus: str
    """The minus sign."""
    gap: str
    """What stands before the bracket."""
    cuts: bool
    """Whether digits are cut where most writers round."""


class Slot(NamedTuple):
    """One slot of a template."""

    name: str
    flags: str
    between: str

    @property
    def places(self) -> int | None:
        """The places asked for."""
        digits = re.sub(r"\D", "", self.flags)
        return int(digits) if digits else None

    @property
    def is_cited(self) -> bool:
        """Whether a citation follows."""
        return "u" not in self.flags


class Figure(NamedTuple):
    """A number as it is to be written."""

    number: Decimal
    """In its unit, rounded or cut; negative even where the sign is not written."""
    places: int
    sign: str
    """The sign that is written: +, - or none."""
    unit: str
    """%, bps, k, ... or none."""
    wide: bool
    """Whether in full-width characters."""
    raw: str | None
    """What is copied from a text fact as it stands; the number counts for nothing then."""


def manner_of(language: str, chance: random.Random) -> Manner:
    """A writer of this language."""
    gap = chance.choice(("", " ")) if language in ("zh", "ja") else " "
    return Manner(language, chance.random() < 0.6, chance.choice(("-", "-", MINUS)), gap, chance.random() < 0.3)


def figure_of(slot: Slot, known: Known, manner: Manner, chance: random.Random) -> Figure | None:
    """The true number of a slot; None where it cannot be told from zero."""
    value = known.value(CITATIONS[slot.name])
    wide = "w" in slot.flags
    if isinstance(value, str):
        found = _IN_TEXT.search(value)
        return Figure(Decimal(0), 0, "", "", wide, found[0]) if found else None
    places = _places(slot, value, known, chance)
    for more in range(4):
        figure = restated(slot, CITATIONS[slot.name], value, places + more, manner)
        if figure.number or not value:
            return figure
    return None


def restated(slot: Slot, citation: str, value: Decimal, places: int, manner: Manner) -> Figure:
    """A value written as the slot asks, with so many places."""
    unit, factor = scale_of(slot, citation)
    number = rounded(value * factor, places, cut=manner.cuts)
    sign = "" if "a" in slot.flags or not number else "-" if number < 0 else "+" if "+" in slot.flags else ""
    return Figure(number, places, sign, unit, "w" in slot.flags, None)


def scale_of(slot: Slot, citation: str) -> tuple[str, Decimal]:
    """The unit that is written, and by what the value is multiplied for it."""
    if "%" in slot.flags or "h" in slot.flags:
        return "%" if "%" in slot.flags else "", Decimal(1 if kind_of(citation) == "percent" else 100)
    if "b" in slot.flags:
        return "bps", Decimal(100 if kind_of(citation) == "percent" else 10_000)
    for flag, (unit, exponent) in _SCALES.items():
        if flag in slot.flags:
            return unit, Decimal(1).scaleb(exponent)
    return "", Decimal(1)


def _places(slot: Slot, value: Decimal, known: Known, chance: random.Random) -> int:
    if slot.places is not None:
        return slot.places
    last = known.package.price.price.last
    usual = _PLACES.get(slot.name, 2)
    if slot.name in PRICES:
        usual = 5 if last < 1 else 2
    elif slot.name in ("macd", "hist"):
        usual = 5 if last < 1 else 3
    own = -int(value.normalize().as_tuple().exponent)
    draw = chance.random()
    if draw < 0.25 and usual <= own <= _EXACT_PLACES and not set("%h") & set(slot.flags):
        return own
    return usual - 1 if draw > 0.85 and usual > 1 else usual


def written(figure: Figure, manner: Manner) -> str:
    """The characters of a number with its sign and unit."""
    point = _POINTS.get(manner.language, ".")
    if figure.raw is not None:
        text = figure.raw.replace(".", point)
    else:
        whole, _, fraction = f"{abs(figure.number):.{figure.places}f}".partition(".")
        if manner.grouped:
            whole = f"{int(whole):,}".replace(",", _THOUSANDS.get(manner.language, ","))
        sign = manner.minus if figure.sign == "-" else figure.sign
        text = sign + whole + (point + fraction if fraction else "") + _unit(figure, manner)
    return text.translate(_WIDE) if figure.wide else text


def _unit(figure: Figure, manner: Manner) -> str:
    if figure.unit == "bps":
        return " bps"
    apart = figure.unit and manner.language in ("de", "fr")
    return f"\u00a0{figure.unit}" if apart else figure.unit
