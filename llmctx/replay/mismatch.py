"""The first thing in which what is there and what should be there are not the same, with its name and both values."""

import json
from itertools import zip_longest
from typing import Any

_LONGEST = 120
_NOTHING = object()


def mismatch(name: str, found: Any, expected: Any) -> str:
    """The first field below `name` that differs: found in the record, expected by its evidence."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted(found.keys() | expected.keys()):
            if found.get(key, _NOTHING) != expected.get(key, _NOTHING):
                return mismatch(f"{name}.{key}" if name else key, found.get(key), expected.get(key))
    if isinstance(found, list | tuple) and isinstance(expected, list | tuple):
        for number, (one, other) in enumerate(zip_longest(found, expected)):
            if one != other:
                return mismatch(f"{name}[{number}]", one, other)
    return f"{name}: the record has {_told(found)}, its evidence gives {_told(expected)}"


def mismatch_of_lines(found: str, expected: str) -> str:
    """The first line that differs: found is what was sent, expected what its evidence gives."""
    pairs = enumerate(zip_longest(found.split("\n"), expected.split("\n")), start=1)
    differing = ((number, *pair) for number, pair in pairs if pair[0] != pair[1])
    number, one, other = next(differing, (0, None, None))
    if not number:
        return "in their form, not in their words"
    return f"line {number} was sent as {_told(one)}, its evidence gives {_told(other)}"


def _told(value: Any) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"
