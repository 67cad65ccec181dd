"""Fill in the values that the messages repeat from the snapshot: the inverse of `compaction.mark_facts`.

`values_of` collects every value of a snapshot, exactly as it stands there, which takes several times as long as all the
rest of unpacking. So the values that are asked for are guessed first: looked up by the steps of their paths, floats in
their shortest form. Messages of one template ask for the same paths in the same order, so where these lead is worked
out once. A guess counts only if the digest of the filled messages stands in the leaf; if not, `values_of` decides.
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, NamedTuple

import jiter

from llmctx.trail.log.compaction import BARE, QUOTED, parse_snapshot, values_of

_MAX_KNOWN = 4096
_MAX_PLANS = 256
_STEP = re.compile(r"\.([^.\[]*)|\[(0|[1-9]\d*)\]")
_QUOTE, _ENDS_PATH = b'\\"', len(b": ")


class _Parent(NamedTuple):
    """An object or a list that has some of the values."""

    section: str
    """The section that has it."""
    steps: tuple[str | int, ...]
    """The names and list places that lead to it."""
    values: Callable[[Any], tuple[Any, ...]]
    """Extracts those values."""


class _Plan(NamedTuple):
    """Where the values of some messages are found."""

    sections: tuple[str, ...]
    """The sections that have one."""
    parents: tuple[_Parent, ...]
    """The objects and lists that hold the values."""
    places: tuple[int, ...]
    """For each mark, the place of its value among those of all parents."""


class _Known(NamedTuple):
    """The cached plan for snapshots with the same sections."""

    paths: dict[bytes, str]
    """The path of a mark, by what stands before it."""
    plans: dict[tuple[str, ...], _Plan]
    """The plan for the paths of some messages."""


def fill_facts(messages: bytes, snapshot: bytes, leaf: bytes) -> bytes:
    """Undo `mark_facts`; `leaf` names the digest of the messages. Raises ValueError for a mark without a value."""
    # Split at one byte, since a pattern for whole lines takes twice as long.
    lines = messages.replace(QUOTED, _QUOTE + BARE + _QUOTE).split(BARE)
    if len(lines) == 1:
        return messages
    filled = [b""] * (2 * len(lines) - 1)
    filled[::2] = lines
    lines.pop()
    try:
        filled[1::2] = _guessed(lines, snapshot)
        guess = b"".join(filled)
        if hashlib.sha256(guess).hexdigest().encode() in leaf:
            return guess
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    values = values_of(snapshot)
    try:
        filled[1::2] = [values[_path(line)] for line in lines]
    except LookupError as error:
        raise ValueError(f"a mark has no value in the snapshot: {error}") from error
    return b"".join(filled)


def _path(before: bytes) -> bytes:
    """The path in what stands before a value, which ends with `- PATH: `, and with a quote if the value has one."""
    return before[before.rfind(b"- ") + 2 :].removesuffix(_QUOTE)[:-_ENDS_PATH]


def _guessed(lines: list[bytes], snapshot: bytes) -> list[bytes]:
    """The most likely value for each mark, given the text before it; any error if none is likely."""
    texts = {name: text for name, text in parse_snapshot(snapshot)["sections"].items() if isinstance(text, str)}
    names = tuple(texts)
    known = _known.get(names) or _remember(_known, names, _Known({}, {}))
    paths = tuple([known.paths.get(line) or _remember(known.paths, line, _path(line).decode()) for line in lines])
    plan = known.plans.get(paths) or _remember(known.plans, paths, _plan(paths, names), _MAX_PLANS)
    sections = {name: _parsed(name, texts[name]) for name in plan.sections}
    values: list[Any] = []
    for section, steps, values_in in plan.parents:
        parent = sections[section]
        for step in steps:
            parent = parent[step]
        values += values_in(parent)
    found = "\0".join(map(str, values)).encode(errors="replace").split(b"\0")
    return [found[place] for place in plan.places]


_known: dict[tuple[str, ...], _Known] = {}
_latest: dict[str, tuple[str, Any]] = {}  # consecutive records share many sections


def _remember(known: dict[Any, Any], key: object, value: Any, most: int = _MAX_KNOWN) -> Any:
    if len(known) >= most:
        known.clear()
    known[key] = value
    return value


def _plan(paths: Iterable[str], sections: Iterable[str]) -> _Plan:
    """Where the values of these paths are found. Raises ValueError if one cannot be followed."""
    parents: dict[tuple[str, tuple[str | int, ...]], dict[str | int, str]] = {}
    for path in dict.fromkeys(paths):
        section, *before, last = _steps(path, sections)
        parents.setdefault((str(section), tuple(before)), {})[last] = path
    order = {path: place for place, path in enumerate(path for asked in parents.values() for path in asked.values())}
    return _Plan(
        sections=tuple({section: None for section, _ in parents}),
        parents=tuple(_Parent(*where, _taking(list(asked))) for where, asked in parents.items()),
        places=tuple(order[path] for path in paths),
    )


def _taking(names: list[str | int]) -> Callable[[Any], tuple[Any, ...]]:
    """Takes the values with these names out of an object."""
    only = names[0]
    return itemgetter(*names) if len(names) > 1 else lambda parent: (parent[only],)


def _steps(path: str, sections: Iterable[str]) -> list[str | int]:
    """The section of a path, and the names and list places that lead from there to its value."""
    name = next((name for name in sections if path.startswith((f"{name}.", f"{name}["))), path)
    steps, at = list[str | int]([name]), len(name)
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            raise ValueError
        steps.append(step[1] if step[2] is None else int(step[2]))
        at = step.end()
    return steps


def _parsed(name: str, text: str) -> Any:
    """A section's value. Raises ValueError if it is malformed."""
    known = _latest.get(name)
    if known is not None and known[0] == text:
        return known[1]
    value = jiter.from_json(text.encode(), cache_mode="keys")
    _remember(_latest, name, (text, value))
    return value
