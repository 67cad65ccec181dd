"""Fill in the values that the messages repeat from the snapshot: the inverse of `compaction.mark_facts`.

Only the values that a mark asks for are looked up, each by its path; `values_of` collects all of them, which takes
twice as long. Where a path could lead to two values, as when a name has a dot in it, `values_of` decides.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

import jiter

from llmctx.trail.log.compaction import BARE, QUOTED, parse_snapshot, values_of

_MAX_KNOWN = 4096
_STEP = re.compile(r"\.([^.\[]*)|\[(0|[1-9]\d*)\]")
_ENDS_PATH = len(b": ")


class _Place(NamedTuple):
    """Where the value of a mark stands."""

    before: bytes
    """What stands before the mark."""
    is_quoted: bool
    """Whether the value stands in quotes."""
    section: str
    """The section that has the value."""
    path: str
    """The path to the value."""
    steps: tuple[str | int, ...]
    """The names and list places of the path behind the section."""


class _Section(NamedTuple):
    """A section's value, and the texts of what was looked up in it, by path."""

    value: Any
    texts: dict[str, bytes]


class _UnclearError(Exception):
    """A path may lead to another value than a look-up by its steps finds."""


def fill_facts(messages: bytes, snapshot: bytes) -> bytes:
    """Undo `mark_facts`. Raises ValueError for a mark without a value in the snapshot."""
    # Split at one byte, since a pattern for whole lines takes twice as long: a quoted mark ends with its own byte.
    *lines, rest = messages.replace(QUOTED, QUOTED + BARE).split(BARE)
    try:
        return b"".join((*_looked_up(lines, snapshot), rest))
    except (_UnclearError, ValueError, LookupError, TypeError, AttributeError, RecursionError, ArithmeticError):
        pass
    values = values_of(snapshot)
    filled: list[bytes] = []
    try:
        for line in lines:
            before = line.removesuffix(QUOTED)
            value = values[_path(before)]
            filled += (before, value if before == line else b'\\"%b\\"' % value)
    except LookupError as error:
        raise ValueError(f"a mark has no value in the snapshot: {error}") from error
    return b"".join((*filled, rest))


def _path(before: bytes) -> bytes:
    """The path in what stands before a mark, which ends with `- PATH: `."""
    return before[before.rfind(b"- ") + 2 : -_ENDS_PATH]


def _looked_up(lines: list[bytes], snapshot: bytes) -> list[bytes]:
    """What stands before each mark, each followed by its value.

    Raises _UnclearError, or any error of a look-up, if `values_of` has to decide.
    """
    texts = parse_snapshot(snapshot)["sections"]
    sections = {name: _parsed(name, text) for name, text in texts.items() if isinstance(text, str)}
    places = _places_in(tuple(sections))
    filled: list[bytes] = []
    for line in lines:
        place = places.get(line)
        if place is None:
            place = _remember(places, line, _place(line, sections))
        before, is_quoted, name, path, steps = place
        value, known = sections[name]
        text = known.get(path)
        if text is None:
            for step in steps:
                value = value[step]
            text = known[path] = _text(value)
        filled += (before, b'\\"%b\\"' % text if is_quoted else text)
    return filled


def _text(value: Any) -> bytes:
    """A scalar as the messages have it. Raises _UnclearError if it is none."""
    kind = type(value)
    if kind is str:
        return value.encode(errors="replace")  # type: ignore[no-any-return]
    if kind is int:
        return b"%d" % value
    if kind is jiter.LosslessFloat:
        return _decimal(str(value)).encode()
    raise _UnclearError


_known_places: dict[tuple[str, ...], dict[bytes, _Place]] = {}
_plain_names: dict[tuple[str, ...], bool] = {}
_latest: dict[str, tuple[str, _Section]] = {}  # records that follow each other share many sections


def _places_in(sections: tuple[str, ...]) -> dict[bytes, _Place]:
    """The places that are known where a snapshot has these sections, by what stands before a mark."""
    found = _known_places.get(sections)
    return _remember(_known_places, sections, {}) if found is None else found


def _remember(known: dict[Any, Any], key: object, value: Any) -> Any:
    if len(known) >= _MAX_KNOWN:
        known.clear()
    known[key] = value
    return value


def _place(line: bytes, sections: Iterable[str]) -> _Place:
    """Where the value behind a line stands. Raises _UnclearError if its path may begin with several sections."""
    before = line.removesuffix(QUOTED)
    path = _path(before).decode()
    names = [name for name in sections if path == name or path.startswith((f"{name}.", f"{name}["))]
    if len(names) != 1:
        raise _UnclearError
    steps, at = list[str | int](), len(names[0])
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            raise _UnclearError
        steps.append(step[1] if step[2] is None else int(step[2]))
        at = step.end()
    return _Place(before, before != line, names[0], path, tuple(steps))


def _parsed(name: str, text: str) -> _Section:
    """A section's value. Raises ValueError if it is malformed, _UnclearError if a name in it is ambiguous in a path."""
    known = _latest.get(name)
    if known is not None and known[0] == text:
        return known[1]
    found = _Section(jiter.from_json(text.encode(), float_mode="lossless-float", cache_mode="keys"), {})
    _check_names(found.value)
    _remember(_latest, name, (text, found))
    return found


def _check_names(value: Any) -> None:
    """Raises _UnclearError if a name in a value has a dot or a bracket."""
    inside = [value]
    for each in inside:  # which grows
        if type(each) is dict:
            names = tuple(each)
            if names not in _plain_names:
                if any("." in name or "[" in name for name in names):
                    raise _UnclearError
                _remember(_plain_names, names, True)
            inside += [item for item in each.values() if type(item) is dict or type(item) is list]
        elif type(each) is list:
            inside += [item for item in each if type(item) is dict or type(item) is list]


def _decimal(text: str) -> str:
    """A number as Decimal writes it; it writes those with a small exponent, or none, as they stand."""
    if "e" in text or "E" in text or text.lstrip("-").startswith("0.000000"):
        return str(Decimal(text))
    return text
