r"""Packing: a leaf and its evidence as the one value that a log entry holds, and back, byte for byte.

One frame holds everything, so that what the leaf, the messages and the completion repeat of the snapshot costs little.
Before it is compressed, `marks` moves what no compressor can see through: digests stand before the frame, values that
the messages repeat of the snapshot leave a mark, numbers and times of the snapshot stand in a column of their own.

This is what format 1 means for ever: a change here is a new format with a new first byte. What has a mark's byte
in it, or is no UTF-8, is packed as format 0: one JSON object. Measured: docs/adr/0007-one-frame-a-record.md.
"""

import base64
import json
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import zstandard

from llmctx import canonical
from llmctx.trail.log.compaction import (
    DIGEST_BYTES,
    RESERVED,
    fill_digests,
    fill_facts,
    fill_numbers,
    mark_digests,
    mark_facts,
    mark_numbers,
)

PLAIN, MARKED = 0, 1
"""The formats, by their first byte."""
REFERENCE_BYTES = 8
"""How much of a dictionary's SHA-256 stands in an entry; zeros where it needs none."""
LARGEST = 64 * 1024 * 1024

_LEVEL = 12
_NO_DICTIONARY = bytes(REFERENCE_BYTES)
_PARTS = ("snapshot", "messages", "completion")
_GAP, _ABSENT = b"\x00", b"\x05"


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

    def drop_compressor(self) -> None:
        """Free the compressor's memory, about a megabyte, once nothing more is compressed with this dictionary."""
        self.__dict__.pop("compressor", None)

    @cached_property
    def decompressor(self) -> zstandard.ZstdDecompressor:
        """Unpacks with it; made once."""
        return zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(self.content))


_compressor = zstandard.ZstdCompressor(level=_LEVEL)
_decompressor = zstandard.ZstdDecompressor()

Pieces = dict[str, bytes]


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
    head = bytes((laid.form,)) + reference + bytes((len(laid.digests) // DIGEST_BYTES,))
    return head + laid.digests + compressor.compress(laid.text)


def laid_out(leaf: bytes, pieces: Pieces) -> Laid:
    """A leaf and its evidence with everything moved that no compressor can see through."""
    parts = [pieces.get(name, _ABSENT) for name in _PARTS]
    marked_leaf, digests = mark_digests(leaf)
    odd = not pieces.keys() <= set(_PARTS) or len(digests) > 255 * DIGEST_BYTES  # one byte counts them
    if odd or any(_has_reserved(part) for part in (leaf, *pieces.values())):
        return Laid(PLAIN, b"", _plain(leaf, pieces))
    snapshot, messages, completion = parts
    if _ABSENT not in (messages, snapshot):
        messages = mark_facts(messages, snapshot)
    skeleton, column = mark_numbers(snapshot)
    return Laid(MARKED, digests, _GAP.join((skeleton, column, messages, completion, marked_leaf)))


def _has_reserved(part: bytes) -> bool:
    return len(part.translate(None, RESERVED)) != len(part)


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
    begins = REFERENCE_BYTES + 2 + packed[REFERENCE_BYTES + 1] * DIGEST_BYTES
    text = _decompress(packed[begins:], _decompressor if dictionary is None else dictionary.decompressor)
    if packed[0] == PLAIN:
        return _read_plain(text)
    skeleton, column, messages, completion, marked_leaf = text.split(_GAP)
    leaf = fill_digests(marked_leaf, packed[REFERENCE_BYTES + 2 : begins])

    def pieces() -> Pieces:
        snapshot = fill_numbers(skeleton, column)
        sent = messages if _ABSENT in (snapshot, messages) else fill_facts(messages, snapshot)
        parts = (snapshot, sent, completion)
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
