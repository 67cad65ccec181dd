"""Marks: what a record repeats, moved out of the way of a compressor, and put back, byte for byte.

- a SHA-256 in the leaf (`"sha256":"..."`) leaves a mark and stands apart as 32 bytes;
- a line `- PATH: VALUE` of the messages whose PATH leads to VALUE in the snapshot leaves a mark for VALUE;
- numbers and times of the snapshot leave a mark each and stand in a column of their own; a time that is the one before
  it is left empty.

Marks are bytes that no JSON text has; whoever marks a text sees to it that it has none of them.
"""

import json
import re
from decimal import Decimal
from typing import Any

import jiter

from llmctx.bounded_cache import BoundedCache

RESERVED = bytes(range(8))
"""Bytes that stand for something: a text that has one of them cannot be marked."""
DIGEST_BYTES = 32

_BARE, _QUOTED, _DIGEST, _NUMBER = b"\x01", b"\x02", b"\x03", b"\x04"
_YEAR_BYTES = 4
_MAX_CACHED_SECTIONS = 4096
_MAX_CACHED_BYTES = 16 * 1024 * 1024
_BYTES_PER_CHARACTER = 12  # measured: paths and values of a section, beside its text
_SINGLE = frozenset({str, int, Decimal})
# Patterns that begin with a plain text are searched for ten times as fast as those that look behind themselves.
_IN_LEAF = re.compile(rb'"sha256":"([0-9a-f]{64})"')
_NUMBER_IN_SNAPSHOT = re.compile(rb'\\":(-?\d+(?:\.\d+)?)')
_TIME_BEHIND_YEAR = re.compile(rb"-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_LINE = b"\\n- "
_PATH = re.compile(rb"[a-z][\w.\[\]]*")

Values = dict[str, str | int | Decimal]


def mark_digests(leaf: bytes) -> tuple[bytes, bytes]:
    """The leaf with a mark for each digest, and the digests one behind the other."""
    found = _IN_LEAF.findall(leaf)
    return _IN_LEAF.sub(b'"sha256":"%b"' % _DIGEST, leaf), bytes.fromhex(b"".join(found).decode())


def fill_digests(marked: bytes, digests: bytes) -> bytes:
    """What `mark_digests` marked; ValueError where they differ in number."""
    hexed = [digests[at : at + DIGEST_BYTES].hex().encode() for at in range(0, len(digests), DIGEST_BYTES)]
    return _filled(marked.split(_DIGEST), hexed)


def mark_numbers(snapshot: bytes) -> tuple[bytes, bytes]:
    """The snapshot with a mark for each number and time, and those one behind the other with spaces between."""
    rest, column, end, last = [], [], 0, b""
    for start, stop in _numbers_and_times(snapshot):
        if start < end:
            continue  # the year of a time without quotes, say
        rest.append(snapshot[end:start])
        token, end = snapshot[start:stop], stop
        is_time = token.endswith(b"Z")
        column.append(b"" if is_time and token == last else token)
        last = token if is_time else last
    return _NUMBER.join((*rest, snapshot[end:])), b" ".join(column)


def _numbers_and_times(snapshot: bytes) -> list[tuple[int, int]]:
    """Where they stand, from and to."""
    times = ((found.start() - _YEAR_BYTES, found.end()) for found in _TIME_BEHIND_YEAR.finditer(snapshot))
    spans = [span for span in times if snapshot[max(0, span[0]) : span[0] + _YEAR_BYTES].isdigit()]
    return sorted([*spans, *(found.span(1) for found in _NUMBER_IN_SNAPSHOT.finditer(snapshot))])


def fill_numbers(marked: bytes, column: bytes) -> bytes:
    """What `mark_numbers` marked; ValueError where they differ in number."""
    return _filled(marked.split(_NUMBER), _times_repeated(column))


def _times_repeated(column: bytes) -> list[bytes]:
    tokens, last = [], b""
    for token in column.split(b" "):
        last = token if token.endswith(b"Z") else last
        tokens.append(token or last)
    return tokens


def _filled(parts: list[bytes], tokens: list[bytes]) -> bytes:
    if len(parts) == 1:
        return parts[0]
    if len(tokens) != len(parts) - 1:
        raise ValueError("marks and what they stand for differ in number")
    both = [b""] * (2 * len(parts) - 1)
    both[::2], both[1::2] = parts, tokens
    return b"".join(both)


def values_of(snapshot: bytes) -> Values:
    """Every single value of the snapshot's sections, by its path."""
    found: Values = {}
    try:
        for name, text in json.loads(snapshot)["sections"].items():
            if isinstance(text, str):
                found |= _section_values(name, text)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # no snapshot of ours: nothing is marked, and nothing is filled in
    return found


def _section_values(name: str, text: str) -> Values:
    found: Values = {}
    _collect(jiter.from_json(text.encode(), float_mode="decimal", cache_mode="keys"), name, found)
    return found


_marks: BoundedCache[tuple[str, str], dict[bytes, bytes]] = BoundedCache(_MAX_CACHED_SECTIONS, _MAX_CACHED_BYTES)


def _marks_of(snapshot: bytes) -> dict[bytes, bytes]:
    """What a line of the messages may repeat: path to value, both as such a line has them."""
    found: dict[bytes, bytes] = {}
    try:
        for name, text in json.loads(snapshot)["sections"].items():
            if isinstance(text, str):
                found |= _section_marks(name, text)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # as values_of
    return found


def _section_marks(name: str, text: str) -> dict[bytes, bytes]:
    marks = _marks.get((name, text))
    if marks is None:
        named = ((path.encode(errors="replace"), value) for path, value in _section_values(name, text).items())
        marks = {path: written(value) for path, value in named if _PATH.fullmatch(path)}
        _marks.put((name, text), marks, _BYTES_PER_CHARACTER * len(text))
    return marks


def _collect(value: Any, path: str, found: Values) -> None:
    kind = type(value)
    if kind is dict:
        for name, item in value.items():
            if type(item) in _SINGLE:  # most are; a call less each
                found[f"{path}.{name}"] = item
            else:
                _collect(item, f"{path}.{name}", found)
    elif kind is list:
        for place, item in enumerate(value):
            _collect(item, f"{path}[{place}]", found)
    elif kind in _SINGLE:
        found[path] = value


def written(value: str | int | Decimal) -> bytes:
    """A value as a line of the messages has it; numbers as Python's Decimal and int write them."""
    return str(value).encode(errors="replace")


def mark_facts(messages: bytes, snapshot: bytes) -> bytes:
    """The messages with a mark for each value that they repeat of the snapshot."""
    marks = _marks_of(snapshot)
    first, *lines = messages.split(_LINE)
    for place, line in enumerate(lines):
        path, _, said = line.partition(b": ")
        value = marks.get(path)
        if value is None:
            continue
        mark = _BARE
        if said.startswith(b'\\"'):
            value, mark = b'\\"%b\\"' % value, _QUOTED
        if value and said.startswith(value):
            lines[place] = b"%b: %b%b" % (path, mark, said[len(value) :])
    return _LINE.join((first, *lines))


def fill_facts(messages: bytes, snapshot: bytes) -> bytes:
    """What `mark_facts` marked; ValueError for a mark that the snapshot has nothing for."""
    values = values_of(snapshot)
    return _fill(_fill(messages, _QUOTED, b'\\"%b\\"', values), _BARE, b"%b", values)


def _fill(messages: bytes, mark: bytes, form: bytes, values: Values) -> bytes:
    *parts, last = messages.split(mark)
    for place, part in enumerate(parts):
        path = part[part.rindex(b"- ") + 2 : -2].decode()  # it ends in "- PATH: "
        if path not in values:
            raise ValueError(f"the snapshot has no {path}")
        parts[place] = part + form % written(values[path])
    return b"".join((*parts, last))
