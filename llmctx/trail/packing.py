r"""Packing: a leaf and its evidence as the one value that a log entry holds, and back, byte for byte.

One frame holds everything, so that what the leaf, the messages and the completion repeat of the snapshot costs little.
Before it is compressed, three things are moved that no compressor can see through:

- a SHA-256 in the leaf (`"sha256":"..."`) leaves a mark and stands before the frame as 32 bytes;
- a line `- PATH: VALUE` of the messages whose PATH leads to VALUE in the snapshot leaves a mark for VALUE;
- numbers and times of the snapshot leave a mark each and stand in a column of their own; a time that is the one before
  it is left empty.

This is what format 1 means for ever: a change here is a new format with a new first byte. What has a mark's byte
in it, or is no UTF-8, is packed as format 0: one JSON object. Measured: docs/adr/0007-one-frame-a-record.md.
"""

import base64
import json
import re
from collections.abc import Callable
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import jiter
import zstandard

from llmctx import canonical

PLAIN, MARKED = 0, 1
"""The formats, by their first byte."""
REFERENCE_BYTES = 8
"""How much of a dictionary's SHA-256 stands in an entry; zeros where it needs none."""
LARGEST = 64 * 1024 * 1024

_LEVEL = 12
_NO_DICTIONARY = bytes(REFERENCE_BYTES)
_DIGEST_BYTES = 32
_YEAR_BYTES = 4
_PARTS = ("snapshot", "messages", "completion")
_RESERVED = bytes(range(8))
_GAP, _DIGEST, _BARE, _QUOTED, _NUMBER, _ABSENT = b"\x00", b"\x03", b"\x01", b"\x02", b"\x04", b"\x05"
_SINGLE = frozenset({str, int, Decimal})
# Patterns that begin with a plain text are searched for ten times as fast as those that look behind themselves.
_IN_LEAF = re.compile(rb'"sha256":"([0-9a-f]{64})"')
_NUMBER_IN_SNAPSHOT = re.compile(rb'\\":(-?\d+(?:\.\d+)?)')
_TIME_BEHIND_YEAR = re.compile(rb"-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_LINE = b"\\n- "
_PATH = re.compile(rb"[a-z][\w.\[\]]*")


class Dictionary:
    """What earlier records have in common; a blob, named by its digest."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        """The exact bytes that are kept."""

    @cached_property
    def digest(self) -> str:
        """Its SHA-256, in hex."""
        return canonical.sha256(self.content)

    @cached_property
    def reference(self) -> bytes:
        """How an entry names it."""
        return bytes.fromhex(self.digest)[:REFERENCE_BYTES]

    @cached_property
    def compressor(self) -> zstandard.ZstdCompressor:
        """Compresses with it; made once."""
        parameters = zstandard.ZstdCompressionParameters.from_level(_LEVEL, write_dict_id=False)
        made = zstandard.ZstdCompressionDict(self.content)
        made.precompute_compress(compression_params=parameters)
        return zstandard.ZstdCompressor(dict_data=made, compression_params=parameters)

    @cached_property
    def decompressor(self) -> zstandard.ZstdDecompressor:
        """Unpacks with it; made once."""
        return zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(self.content))


_compressor = zstandard.ZstdCompressor(level=_LEVEL)
_decompressor = zstandard.ZstdDecompressor()

Pieces = dict[str, bytes]
Values = dict[str, str | int | Decimal]


class Laid(NamedTuple):
    """A leaf and its evidence, ready to be compressed."""

    form: int
    """PLAIN or MARKED."""
    digests: bytes
    """What stands before the frame."""
    text: bytes
    """What is compressed, and what dictionaries are trained on."""


def pack(leaf: bytes, pieces: Pieces, dictionary: Dictionary | None = None) -> bytes:
    """The value that holds a leaf and its evidence."""
    return framed(laid_out(leaf, pieces), dictionary)


def framed(laid: Laid, dictionary: Dictionary | None = None) -> bytes:
    """The value that holds what was laid out."""
    compressor = _compressor if dictionary is None else dictionary.compressor
    reference = _NO_DICTIONARY if dictionary is None else dictionary.reference
    head = bytes((laid.form,)) + reference + bytes((len(laid.digests) // _DIGEST_BYTES,))
    return head + laid.digests + compressor.compress(laid.text)


def laid_out(leaf: bytes, pieces: Pieces) -> Laid:
    """A leaf and its evidence with everything moved that no compressor can see through."""
    parts = [pieces.get(name, _ABSENT) for name in _PARTS]
    found = _IN_LEAF.findall(leaf)
    odd = not pieces.keys() <= set(_PARTS) or len(found) > 255  # noqa: PLR2004  one byte counts them
    if odd or any(_has_reserved(part) for part in (leaf, *pieces.values())):
        return Laid(PLAIN, b"", _plain(leaf, pieces))
    digests = bytes.fromhex(b"".join(found).decode())
    snapshot, messages, completion = parts
    if _ABSENT not in (messages, snapshot):
        messages = _mark_facts(messages, _values(snapshot))
    skeleton, column = _mark_numbers(snapshot)
    text = _GAP.join((skeleton, column, messages, completion, _IN_LEAF.sub(b'"sha256":"%b"' % _DIGEST, leaf)))
    return Laid(MARKED, digests, text)


def _has_reserved(part: bytes) -> bool:
    return len(part.translate(None, _RESERVED)) != len(part)


def reference_of(packed: bytes) -> bytes | None:
    """The reference of the dictionary that a value needs; None where it needs none."""
    reference = packed[1 : 1 + REFERENCE_BYTES]
    return None if reference == _NO_DICTIONARY else reference


def unpack(packed: bytes, dictionary: Dictionary | None = None) -> tuple[bytes, Callable[[], Pieces]]:
    """The leaf, and a function that gives the evidence: a list of records needs the leaves alone.

    Raises ValueError where the bytes are no packed record, or need another dictionary.
    """
    reference = reference_of(packed)
    if len(packed) < REFERENCE_BYTES + 2 or packed[0] not in (PLAIN, MARKED):
        raise ValueError("it has no known format")
    if reference != (None if dictionary is None else dictionary.reference):
        raise ValueError(f"it needs the dictionary {'' if reference is None else reference.hex()}")
    begins = REFERENCE_BYTES + 2 + packed[REFERENCE_BYTES + 1] * _DIGEST_BYTES
    text = _decompress(packed[begins:], _decompressor if dictionary is None else dictionary.decompressor)
    if packed[0] == PLAIN:
        return _read_plain(text)
    skeleton, column, messages, completion, marked_leaf = text.split(_GAP)
    leaf = _filled(marked_leaf.split(_DIGEST), _hexed(packed[REFERENCE_BYTES + 2 : begins]))

    def pieces() -> Pieces:
        snapshot = _filled(skeleton.split(_NUMBER), _times_repeated(column))
        known = {} if _ABSENT in (snapshot, messages) else _values(snapshot)
        parts = (snapshot, _fill_facts(messages, known), completion)
        return {name: part for name, part in zip(_PARTS, parts, strict=True) if part != _ABSENT}

    return leaf, pieces


def _decompress(frame: bytes, decompressor: zstandard.ZstdDecompressor) -> bytes:
    # A frame states its size before it is unpacked: one that claims more than any record has is no record.
    try:
        if zstandard.frame_content_size(frame) > LARGEST:
            raise ValueError("the frame claims more than 64 MB")
        return decompressor.decompress(frame, max_output_size=LARGEST, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ValueError(f"the frame is broken: {error}") from error


def _mark_numbers(snapshot: bytes) -> tuple[bytes, bytes]:
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


def _hexed(digests: bytes) -> list[bytes]:
    return [digests[at : at + _DIGEST_BYTES].hex().encode() for at in range(0, len(digests), _DIGEST_BYTES)]


def _values(snapshot: bytes) -> Values:
    """Every single value of the snapshot's sections, by its path."""
    found: Values = {}
    try:
        for name, text in json.loads(snapshot)["sections"].items():
            if isinstance(text, str):
                found |= _section_values(name, text)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # no snapshot of ours: nothing is marked, and nothing is filled in
    return found


@lru_cache(maxsize=256)
def _section_values(name: str, text: str) -> Values:
    """The values of one section; many symbols are decided on the same market, candidates and book."""
    found: Values = {}
    _collect(jiter.from_json(text.encode(), float_mode="decimal", cache_mode="keys"), name, found)
    return found


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


def _written(value: str | int | Decimal) -> bytes:
    """A value as a line of the messages has it; numbers as Python's Decimal and int write them."""
    return str(value).encode(errors="replace")


def _mark_facts(messages: bytes, values: Values) -> bytes:
    first, *lines = messages.split(_LINE)
    for place, line in enumerate(lines):
        path, _, said = line.partition(b": ")
        if _PATH.fullmatch(path) and (known := values.get(path.decode())) is not None:
            value, mark = _written(known), _BARE
            if said.startswith(b'\\"'):
                value, mark = b'\\"%b\\"' % value, _QUOTED
            if value and said.startswith(value):
                lines[place] = b"%b: %b%b" % (path, mark, said[len(value) :])
    return _LINE.join((first, *lines))


def _fill_facts(messages: bytes, values: Values) -> bytes:
    return _fill(_fill(messages, _QUOTED, b'\\"%b\\"', values), _BARE, b"%b", values)


def _fill(messages: bytes, mark: bytes, form: bytes, values: Values) -> bytes:
    *parts, last = messages.split(mark)
    for place, part in enumerate(parts):
        path = part[part.rindex(b"- ") + 2 : -2].decode()  # it ends in "- PATH: "
        if path not in values:
            raise ValueError(f"the snapshot has no {path}")
        parts[place] = part + form % _written(values[path])
    return b"".join((*parts, last))


def _plain(leaf: bytes, pieces: Pieces) -> bytes:
    document = {"leaf": textual(leaf), "pieces": {name: textual(piece) for name, piece in pieces.items()}}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _read_plain(text: bytes) -> tuple[bytes, Callable[[], Pieces]]:
    try:
        document = canonical.loads(text)
        pieces = {name: _exact(value) for name, value in document["pieces"].items()}
        return _exact(document["leaf"]), lambda: pieces
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it lacks {error}") from error


def textual(raw: bytes) -> str | dict[str, str]:
    """Text as it is, what is no UTF-8 as {"base64": ...}."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def _exact(value: str | dict[str, str]) -> bytes:
    return value.encode() if isinstance(value, str) else base64.b64decode(value["base64"])
