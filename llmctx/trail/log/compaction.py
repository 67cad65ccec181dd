"""Compaction: replace what a record repeats by marks before compression, and restore it byte for byte.

- A SHA-256 in the leaf (`"sha256":"..."`) becomes a mark; its 32 bytes are stored apart.
- In the messages, a line `- PATH: VALUE` whose PATH leads to VALUE in the snapshot gets a mark for VALUE.
- Numbers and times of the snapshot become marks and stand in a column of their own; a time equal to the time before it
  is stored as an empty string.

Marks are control bytes that no JSON text contains; the caller makes sure that the text contains none of them.
"""

import json
import re
from decimal import Decimal
from typing import Any

import jiter

from llmctx.bounded_cache import BoundedCache

RESERVED = bytes(range(8))
"""The bytes used as marks: a text that contains one of them cannot be compacted."""
DIGEST_BYTES = 32

BARE, QUOTED, _DIGEST, _NUMBER = b"\x01", b"\x02", b"\x03", b"\x04"
_YEAR_BYTES, _UTC = 4, ord("Z")
_MAX_CACHED_SECTIONS = 4096
_MAX_CACHED_BYTES = 16 * 1024 * 1024
_BYTES_PER_CHARACTER = 8  # measured: the paths and values of a section, for each character of its text
_SCALARS = frozenset({str, int, Decimal})
# A pattern that begins with literal text is found ten times as fast as one with a look-behind.
_IN_LEAF = re.compile(rb'"sha256":"([0-9a-f]{64})"')
_NUMBER_IN_SNAPSHOT = re.compile(rb'\\":(-?\d+(?:\.\d+)?)')
_TIME_BEHIND_YEAR = re.compile(rb"-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_LINE = b"\\n- "
_PATH = re.compile(rb"[a-z][\w.\[\]]*")

Values = dict[bytes, bytes]
"""The value of each plain path of a snapshot, as the messages write them: numbers in the form of Decimal and int."""


def mark_digests(leaf: bytes) -> tuple[bytes, bytes]:
    """The leaf with a mark for each digest, and the digests concatenated."""
    found = _IN_LEAF.findall(leaf)
    return _IN_LEAF.sub(b'"sha256":"%b"' % _DIGEST, leaf), bytes.fromhex(b"".join(found).decode())


def fill_digests(marked: bytes, digests: bytes) -> bytes:
    """Undo `mark_digests`. Raises ValueError if the number of marks differs from the number of digests."""
    hexed = [digests[at : at + DIGEST_BYTES].hex().encode() for at in range(0, len(digests), DIGEST_BYTES)]
    return _interleave(marked.split(_DIGEST), hexed)


def mark_numbers(snapshot: bytes) -> tuple[bytes, bytes]:
    """The snapshot with a mark for each number and time, and those joined by spaces."""
    rest, column, end, last = [], [], 0, b""
    for start, stop in _numbers_and_times(snapshot):
        if start < end:
            continue  # inside the span before, such as the year of an unquoted time
        rest.append(snapshot[end:start])
        token, end = snapshot[start:stop], stop
        is_time = token.endswith(b"Z")
        column.append(b"" if is_time and token == last else token)
        last = token if is_time else last
    return _NUMBER.join((*rest, snapshot[end:])), b" ".join(column)


def _numbers_and_times(snapshot: bytes) -> list[tuple[int, int]]:
    """The spans of all numbers and times, as (start, stop), in order."""
    times = ((found.start() - _YEAR_BYTES, found.end()) for found in _TIME_BEHIND_YEAR.finditer(snapshot))
    spans = [span for span in times if snapshot[max(0, span[0]) : span[0] + _YEAR_BYTES].isdigit()]
    return sorted([*spans, *(found.span(1) for found in _NUMBER_IN_SNAPSHOT.finditer(snapshot))])


def fill_numbers(marked: bytes, column: bytes) -> bytes:
    """Undo `mark_numbers`. Raises ValueError if the number of marks differs from the number of values."""
    tokens, last = column.split(b" "), b""
    for place, token in enumerate(tokens):
        if not token:
            tokens[place] = last
        elif token[-1] == _UTC:
            last = token
    return _interleave(marked.split(_NUMBER), tokens)


def _interleave(parts: list[bytes], tokens: list[bytes]) -> bytes:
    """The parts with one token between each two. Raises ValueError if there are more or fewer tokens."""
    if len(parts) == 1:
        return parts[0]
    if len(tokens) != len(parts) - 1:
        raise ValueError("the number of marks differs from the number of values")
    both = [b""] * (2 * len(parts) - 1)
    both[::2], both[1::2] = parts, tokens
    return b"".join(both)


_sections: BoundedCache[tuple[str, str], Values] = BoundedCache(_MAX_CACHED_SECTIONS, _MAX_CACHED_BYTES)


def values_of(snapshot: bytes) -> Values:
    """What the messages may repeat: every scalar value with a plain path; empty if it is not a snapshot."""
    found: Values = {}
    try:
        for name, text in parse_snapshot(snapshot)["sections"].items():
            if isinstance(text, str):
                found |= _section_values(name, text)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # then nothing is marked, and nothing has to be filled in
    return found


def parse_snapshot(snapshot: bytes) -> Any:
    """The snapshot, parsed. Raises ValueError if it is not JSON."""
    try:
        return jiter.from_json(snapshot, cache_mode="none")  # three times as fast as json
    except ValueError:
        return json.loads(snapshot)  # which also reads lone surrogates


def _section_values(name: str, text: str) -> Values:
    """The values of one section; cached, because ticks share most sections."""
    cached = _sections.get((name, text))
    if cached is not None:
        return cached
    values: Values = {}
    _collect(jiter.from_json(text.encode(), float_mode="decimal", cache_mode="all"), name, values)
    values = {path: value for path, value in values.items() if _PATH.fullmatch(path)}
    _sections.put((name, text), values, _BYTES_PER_CHARACTER * len(text))
    return values


def _collect(value: Any, path: str, found: Values) -> None:
    kind = type(value)
    if kind is dict:
        prefix = path + "."
        for name, item in value.items():
            if type(item) in _SCALARS:  # most values are scalars; this saves a call for each
                found[_bytes(prefix + name)] = _bytes(item)
            else:
                _collect(item, prefix + name, found)
    elif kind is list:
        for place, item in enumerate(value):
            _collect(item, f"{path}[{place}]", found)
    elif kind in _SCALARS:
        found[_bytes(path)] = _bytes(value)


def _bytes(value: object) -> bytes:
    return str(value).encode(errors="replace")


def mark_facts(messages: bytes, snapshot: bytes) -> bytes:
    """The messages with a mark for each value that they repeat from the snapshot."""
    values = values_of(snapshot)
    first, *lines = messages.split(_LINE)
    for place, line in enumerate(lines):
        path, _, rest = line.partition(b": ")
        if (value := values.get(path)) is None:
            continue
        mark = BARE
        if rest.startswith(b'\\"'):
            value, mark = b'\\"%b\\"' % value, QUOTED
        if value and rest.startswith(value):
            lines[place] = b"%b: %b%b" % (path, mark, rest[len(value) :])
    return _LINE.join((first, *lines))
