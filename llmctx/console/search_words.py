"""A free search: "14:31, ACME", "yesterday 9:05 MSFT exit", "ACME mandate 2h"."""

import re
from collections.abc import Iterator

from llmctx import clock
from llmctx.decision.decision import Action
from llmctx.replay.selection import GUARDS
from llmctx.schema.symbol import is_symbol
from llmctx.trail.log.leaf_schema import KINDS

_DAY_MS, _MINUTE_MS, _SECOND_MS = 86_400_000, 60_000, 1000
_PARTS = re.compile(r'"([^"]*)"|([^,;"]+)')
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_CLASS_OF_SHARES = re.compile(r"\S+ [A-Z0-9]")
_DATE = re.compile(r"(?:\d{4}-)?\d\d-\d\d")
_SHORT_DATE = len("03-02")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\S+")
_AGO = re.compile(r"\d+[smhd]")
_PROMPT = re.compile(r"[\w-]+/v\d+")
_DAYS = {"today": 0, "yesterday": 1}
_ACTIONS = {action.value for action in Action} | {"none"}


def terms_in(text: str) -> dict[str, str]:
    """The terms that a search names, as the fields of the form take them; what is nothing else is text to look for.

    A time means what was in force by the end of its minute or second, in UTC: on the day that is named beside it, or
    the last time that it was so late. A day alone means all of it.
    """
    found: dict[str, str] = {}
    words: list[str] = []
    day = time = None
    for word, is_quoted in _words(text):
        plain = word.lower()
        if is_quoted:
            words.append(word)
        elif match := _TIME.fullmatch(word):
            time = match
        elif _DATE.fullmatch(word) or plain in _DAYS:
            day = _day_ms(plain)
        elif _MOMENT.fullmatch(word):
            found["at"] = word
        elif (name := _name_of(word)) is not None and name not in found:
            found[name] = plain if name in ("action", "guard", "kind", "since") else word
        else:
            words.append(word)
    found |= _times(day, time)
    return found | ({"text": " ".join(words)} if words else {})


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """Each word with whether it is quoted; a part between commas like BRK B is one word."""
    for quoted, part in _PARTS.findall(text):
        if quoted:
            yield quoted, True
        elif _CLASS_OF_SHARES.fullmatch(part.strip()) and _is_symbol(part.strip()):
            yield part.strip(), False
        else:
            yield from ((word, False) for word in part.split())


def _name_of(word: str) -> str | None:
    """The field that a word belongs to; None if there is none."""
    plain = word.lower()
    for name, known in (("action", _ACTIONS), ("guard", GUARDS), ("kind", KINDS)):
        if plain in known:
            return name
    if _AGO.fullmatch(plain):
        return "since"
    if _PROMPT.fullmatch(word):
        return "prompt"
    return "symbol" if _is_symbol(word) else None


def _is_symbol(word: str) -> bool:
    return word == word.upper() and any(letter.isalpha() for letter in word) and is_symbol(word)


def _day_ms(word: str) -> int | None:
    """When a day began, in UTC; None if there is no such day."""
    if word in _DAYS:
        return clock.now_ms() // _DAY_MS * _DAY_MS - _DAYS[word] * _DAY_MS
    if len(word) > _SHORT_DATE:
        return _begin_ms(word)
    year = int(clock.iso(clock.now_ms())[:4])  # as lists show it: the last such day
    found = (_begin_ms(f"{one}-{word}") for one in (year, year - 1))
    return next((begin_ms for begin_ms in found if begin_ms is not None and begin_ms <= clock.now_ms()), None)


def _begin_ms(date: str) -> int | None:
    try:
        return clock.to_ms(clock.parse_iso(f"{date}T00:00:00Z"))
    except ValueError:
        return None


def _times(day_ms: int | None, time: "re.Match[str] | None") -> dict[str, str]:
    if time is None:
        return {} if day_ms is None else {"since": clock.iso(day_ms), "until": clock.iso(day_ms + _DAY_MS)}
    hours, minutes, seconds = (int(part or 0) for part in time.groups())
    into_ms = ((hours * 60 + minutes) * 60 + seconds) * _SECOND_MS
    if day_ms is None:
        day_ms = clock.now_ms() // _DAY_MS * _DAY_MS
        day_ms -= _DAY_MS if day_ms + into_ms > clock.now_ms() else 0
    lasts_ms = _MINUTE_MS if time[3] is None else _SECOND_MS
    return {"at": clock.iso(day_ms + into_ms + lasts_ms - 1)}
