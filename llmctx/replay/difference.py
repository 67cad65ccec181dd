"""How a record differs from what its evidence gives: by part, with the field's name and both values."""

import json
from itertools import zip_longest
from typing import Any, NamedTuple

from llmctx.rules import Rules

_LONGEST = 120
_NOTHING = object()


class Difference(NamedTuple):
    """One part of a record that its evidence does not give."""

    part: str
    """snapshot, sections, prompt, reasked, decision, grounding or verdict; for altered evidence the piece."""
    rule: str
    """The rule it breaks, by the name it has in audit/README.md."""
    what: str
    """What differs: field, recorded value, rebuilt value."""
    by: str
    """What was changed: data, template, model or code."""
    tampered: bool
    """Whether only an altered record explains it; otherwise other rules may have made it."""


class Rebuild(NamedTuple):
    """What came of one record's rebuild, part by part."""

    rules: Rules
    """How the rules that made the record stand to those that rebuilt it."""
    proven: tuple[str, ...] = ()
    """The parts that came out as recorded."""
    differences: tuple[Difference, ...] = ()
    """The parts that did not, in the order in which a record is made."""

    @property
    def same(self) -> bool:
        """Whether every part came out as recorded."""
        return not self.differences

    @property
    def tampering(self) -> Difference | None:
        """The first difference that only an altered record explains."""
        return next((difference for difference in self.differences if difference.tampered), None)

    @property
    def first(self) -> Difference | None:
        """The difference to tell of first: tampering before everything else."""
        return self.tampering or next(iter(self.differences), None)


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
