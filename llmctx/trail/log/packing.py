"""Packing: a leaf and its evidence as the one value that a log entry holds, and back, byte for byte.

One zstd frame holds everything, so repeating the snapshot in the leaf, the messages and the completion costs little.
Before compression, `compaction` moves out what no compressor can shorten: digests stand before the frame, values that
the messages repeat from the snapshot become marks, and the snapshot's numbers and times stand in a column.

This is format 1, for ever: any change is a new format with a new first byte. Text that contains a mark's byte, or is
not UTF-8, is packed as format 0: one JSON object. Measured: docs/adr/0007-one-frame-a-record.md.
"""

import base64
import json
from collections.abc import Callable
from typing import NamedTuple

import zstandard

from llmctx import canonical
from llmctx.errors import RecordSizeError
from llmctx.limits import MAX_RECORD_BYTES
from llmctx.trail.log import compaction
from llmctx.trail.log.dictionary import LEVEL, REFERENCE_BYTES, Dictionary
from llmctx.trail.log.facts import fill_facts

PLAIN, MARKED = 0, 1
"""The formats: an entry's first byte."""

_NO_DICTIONARY = bytes(REFERENCE_BYTES)
_PARTS = ("snapshot", "messages", "completion")
_GAP, _ABSENT = b"\x00", b"\x05"

_compressor = zstandard.ZstdCompressor(level=LEVEL)
_decompressor = zstandard.ZstdDecompressor()

Pieces = dict[str, bytes]


class Layout(NamedTuple):
    """A leaf and its evidence, ready to be compressed."""

    form: int
    """PLAIN or MARKED."""
    digests: bytes
    """The digests that stand before the frame."""
    text: bytes
    """The text to compress; dictionaries are trained on it too."""


def pack(leaf: bytes, pieces: Pieces, dictionary: Dictionary | None = None) -> bytes:
    """Pack a leaf and its evidence into one value.

    Raises RecordSizeError if `unpack` would refuse it.
    """
    return compress(lay_out(leaf, pieces), dictionary)


def compress(layout: Layout, dictionary: Dictionary | None = None) -> bytes:
    """Compress what `lay_out` prepared into the value for the log.

    Raises RecordSizeError if `unpack` would refuse it.
    """
    if len(layout.text) > MAX_RECORD_BYTES:
        raise RecordSizeError(len(layout.text), MAX_RECORD_BYTES)
    compressor = _compressor if dictionary is None else dictionary.compressor
    reference = _NO_DICTIONARY if dictionary is None else dictionary.reference
    head = bytes((layout.form,)) + reference + bytes((len(layout.digests) // compaction.DIGEST_BYTES,))
    return head + layout.digests + compressor.compress(layout.text)


def lay_out(leaf: bytes, pieces: Pieces) -> Layout:
    """Move out of a leaf and its evidence everything that no compressor can shorten."""
    parts = [pieces.get(name, _ABSENT) for name in _PARTS]
    marked_leaf, digests = compaction.mark_digests(leaf)
    odd = not pieces.keys() <= set(_PARTS) or len(digests) > 255 * compaction.DIGEST_BYTES  # their count takes one byte
    if odd or any(_has_reserved(part) for part in (leaf, *pieces.values())):
        document = {"leaf": textual(leaf), "pieces": textual_pieces(pieces)}
        return Layout(PLAIN, b"", json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())
    snapshot, messages, completion = parts
    if _ABSENT not in (messages, snapshot):
        messages = compaction.mark_facts(messages, snapshot)
    skeleton, column = compaction.mark_numbers(snapshot)
    return Layout(MARKED, digests, _GAP.join((skeleton, column, messages, completion, marked_leaf)))


def _has_reserved(part: bytes) -> bool:
    return len(part.translate(None, compaction.RESERVED)) != len(part)


def reference_of(packed: bytes) -> bytes | None:
    """The reference of the dictionary that a packed value needs; None if it needs none, or is not a packed value."""
    reference = packed[1 : 1 + REFERENCE_BYTES]
    return None if reference == _NO_DICTIONARY or len(reference) < REFERENCE_BYTES else reference


def unpack(packed: bytes, dictionary: Dictionary | None = None) -> tuple[bytes, Callable[[], Pieces]]:
    """The leaf, and a function that unpacks the evidence (listing records needs only the leaves).

    Raises ValueError if the bytes are not a packed record or need another dictionary.
    """
    reference = reference_of(packed)
    if len(packed) < REFERENCE_BYTES + 2 or packed[0] not in (PLAIN, MARKED):
        raise ValueError("its format is unknown")
    if reference != (None if dictionary is None else dictionary.reference):
        raise ValueError(f"it needs the dictionary {'' if reference is None else reference.hex()}")
    begins = REFERENCE_BYTES + 2 + packed[REFERENCE_BYTES + 1] * compaction.DIGEST_BYTES
    text = _decompress(packed[begins:], dictionary)
    if packed[0] == PLAIN:
        return _read_plain(text)
    skeleton, column, messages, completion, marked_leaf = text.split(_GAP)
    leaf = compaction.fill_digests(marked_leaf, packed[REFERENCE_BYTES + 2 : begins])

    def pieces() -> Pieces:
        snapshot = compaction.fill_numbers(skeleton, column)
        sent = messages if _ABSENT in (snapshot, messages) else fill_facts(messages, snapshot, leaf)
        parts = (snapshot, sent, completion)
        return {name: part for name, part in zip(_PARTS, parts, strict=True) if part != _ABSENT}

    return leaf, pieces


def _decompress(frame: bytes, dictionary: Dictionary | None) -> bytes:
    # The frame header states the size, so that an absurd claim is refused before any memory is allocated.
    try:
        size = zstandard.frame_content_size(frame)
        if size < 0:
            raise ValueError("the frame does not state its size")
        if size > MAX_RECORD_BYTES:
            raise ValueError(f"the frame claims {size} bytes, more than the limit of {MAX_RECORD_BYTES}")
        decompressor = _decompressor if dictionary is None else dictionary.decompressor  # zstd refuses some contents
        return decompressor.decompress(frame, max_output_size=MAX_RECORD_BYTES, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ValueError(f"the frame is broken: {error}") from error


def _read_plain(text: bytes) -> tuple[bytes, Callable[[], Pieces]]:
    try:
        document = canonical.loads(text)
        pieces = {name: _exact(value) for name, value in document["pieces"].items()}
        return _exact(document["leaf"]), lambda: pieces
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a field is missing or malformed: {error}") from error


def textual(raw: bytes) -> str | dict[str, str]:
    """UTF-8 as text, any other bytes as {"base64": ...}."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def textual_pieces(pieces: Pieces) -> dict[str, str | dict[str, str]]:
    """The evidence as JSON values: each piece as `textual` gives it."""
    return {name: textual(raw) for name, raw in pieces.items()}


def _exact(value: str | dict[str, str]) -> bytes:
    return value.encode() if isinstance(value, str) else base64.b64decode(value["base64"])
