"""Citations: whether an item of evidence names a fact, and states the value that the fact has.

A number agrees where the fact, rounded or cut to the digits that were written, is that number, and where what was lost
by it is within the tolerance of the fact's unit (`TOLERANCES`, as a share of the value). Texts agree without regard to
case, quotes and spaces.
"""

import re
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import NamedTuple

from llmctx import clock
from llmctx.context.facts import Fact
from llmctx.decision.decision import Evidence
from llmctx.decision.numbers.claim import Form, rounds_to
from llmctx.decision.numbers.claims import claims_of
from llmctx.decision.numbers.ledger import Ledger

TOLERANCES: dict[str | None, float] = {
    "price": 0.001,
    "shares": 0.01,
    "0 to 100": 0.01,
    "index points": 0.03,
    "account currency": 0.01,
    "positions": 0,
    "symbols": 0,
    "headlines": 0,
    "trades": 0,
    "minutes": 0,
}
"""How much of a fact rounding may take away, as a share of it, by its unit; a twentieth for every other."""
_OTHER_UNITS = 0.05
_NEAREST_CUTOFF = 0.5
_DROPPED = re.compile(r"^[\s\"'`\u201c\u201d]+|[\s\"'`\u201c\u201d]+$")


class Miscited(NamedTuple):
    """An item of evidence that the package does not bear out."""

    path: str
    """What it cites."""
    value: str
    """What it says stands there."""
    why: str
    """no such path, or another value."""
    nearest: str | None
    """The path that was cited, or the most similar one."""
    fact: str | None
    """What stands there."""
    price: bool
    """Whether it is about a price."""


def check(item: Evidence, ledger: Ledger) -> Miscited | None:
    """What is wrong with an item of evidence; None where the package bears it out."""
    path = _DROPPED.sub("", item.path)
    fact = ledger.fact(path)
    if fact is not None:
        if agrees(item.value, fact):
            return None
        return Miscited(item.path, item.value, "another value", path, shown(fact), fact.unit == "price")
    status = ledger.status(path)
    if status is not None and status in item.value.lower():
        return None  # a section may be cited for its status: missing
    nearest = get_close_matches(path, ledger.paths, 1, _NEAREST_CUTOFF)
    found = ledger.fact(nearest[0]) if nearest else None
    price = found is not None and found.unit == "price"
    return Miscited(
        item.path, item.value, "no such path", found and found.path, None if found is None else shown(found), price
    )


def shown(fact: Fact) -> str:
    """A fact's value as a record tells it."""
    if isinstance(fact.value, datetime):
        return clock.iso_of(fact.value)
    if isinstance(fact.value, Decimal):
        return format(fact.value, "f")
    if isinstance(fact.value, bool) or fact.value is None:
        return {True: "true", False: "false", None: "null"}[fact.value]
    return str(fact.value)[:120]


def agrees(said: str, fact: Fact) -> bool:
    """Whether a value as an answer states it is the fact's."""
    text, value = _DROPPED.sub("", said), shown(fact)
    if _plain(text) == _plain(value):
        return True
    if isinstance(fact.value, bool) or fact.value is None:
        return fact.value is None and text.lower() in ("none", "n/a", "not set")
    if isinstance(fact.value, Decimal | int):
        return _same_number(text, float(fact.value), fact.unit)
    if isinstance(fact.value, datetime):
        return _same_time(text, fact.value)
    full = _plain(str(fact.value))
    if len(full) > len(_plain(text)) >= 20:  # noqa: PLR2004  long texts are cut, by the prompt and by models
        return full.startswith(_plain(text).rstrip(".\u2026 "))
    parts = [part.strip(" \"'[]") for part in text.split(",")]
    return bool(text) and all(part and part in str(fact.value).split(", ") for part in parts)


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[\"'\u201c\u201d\u2018\u2019\\]", "", text).lower().split())


def _same_number(text: str, value: float, unit: str | None) -> bool:
    claims = claims_of(text)
    if not claims:
        return value == 0 and bool(re.fullmatch(r"[$\u20ac\u00a3+-]?0+(\.0+)?%?", text))
    claim = claims[0]
    share = 100 if claim.form is Form.PERCENT and unit in ("0 to 1", "-1 to 1", None) and abs(value) <= 1 else 1
    value *= share
    if (claim.sign < 0) != (value < 0):
        return False
    lost = abs(claim.value - abs(value))
    return (
        rounds_to(abs(value), claim.value, claim.step)
        and lost <= abs(value) * TOLERANCES.get(unit, _OTHER_UNITS) + 1e-9
    )


def _same_time(text: str, value: datetime) -> bool:
    try:
        said = clock.parse_iso(text)
    except ValueError:
        return clock.iso_of(value).startswith(text) and len(text) >= len("2025-05-09T10:15")
    return abs((said - value).total_seconds()) < 1
