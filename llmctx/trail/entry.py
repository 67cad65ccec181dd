"""An entry: the exact bytes of a record (its leaf) and, beside them, the evidence whose digests the leaf holds.

In Redis both are compressed with zstd; what is hashed is always the exact bytes inside.
"""

import base64
import json
from functools import cached_property
from typing import Any

import zstandard

from llmctx import canonical
from llmctx.errors import RecordError

PIECES = {"snapshot": "snapshot", "messages": "prompt", "completion": "completion"}
"""Evidence piece -> the name in the leaf under which its sha256 stands."""
BLOBS = (("prompt", "template_sha256"), ("request", "schema_sha256"))
"""Where a leaf names blobs by digest."""

_LEVEL = 3
_LARGEST = 64 * 1024 * 1024
_compressor = zstandard.ZstdCompressor(level=_LEVEL)
_decompressor = zstandard.ZstdDecompressor()


class Entry:
    """One record with its place in the log."""

    def __init__(self, leaf: bytes, pieces: dict[str, bytes], *, index: int, partition: int = 0) -> None:
        self.leaf = leaf
        """The exact bytes that are hashed."""
        self.pieces = pieces
        """The evidence: piece name to exact bytes."""
        self.index = index
        """Its place in the partition's log, from 0 on without gaps."""
        self.partition = partition
        """The partition whose log it stands in."""

    @property
    def leaf_hash(self) -> str:
        """SHA-256 of a zero byte and the leaf, in hex (RFC 6962, 2.1): what a tree over the log is built from."""
        return canonical.sha256(b"\x00" + self.leaf)

    @cached_property
    def record(self) -> dict[str, Any]:
        """The leaf, read.

        Raises RecordError where it is no JSON object.
        """
        try:
            document = canonical.loads(self.leaf)
        except ValueError as error:
            raise RecordError(self.index, self.partition, f"its leaf is no JSON: {error}") from error
        if not isinstance(document, dict):
            raise RecordError(self.index, self.partition, "its leaf is no JSON object")
        return document


def address(index: int, partition: int, partitions: int) -> str:
    """How a record is named: INDEX, or P:INDEX where there are several partitions."""
    return str(index) if partitions == 1 else f"{partition}:{index}"


def stored(leaf: bytes, pieces: dict[str, bytes]) -> dict[str, bytes]:
    """The fields of a log entry."""
    return {
        "leaf": _compressor.compress(leaf),
        "evidence": _compressor.compress(evidence_text(pieces)),
    }


def evidence_text(pieces: dict[str, bytes]) -> bytes:
    """The pieces as one JSON object: text as it is, what is no UTF-8 as {"base64": ...}."""
    return json.dumps(
        {name: piece_value(raw) for name, raw in pieces.items()}, separators=(",", ":"), ensure_ascii=False
    ).encode()


def piece_value(raw: bytes) -> str | dict[str, str]:
    """A piece as JSON has it."""
    """A piece as JSON has it."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def restored(fields: dict[bytes, bytes], index: int, partition: int) -> Entry:
    """The entry that a log entry holds.

    Raises RecordError where the fields cannot be unpacked.
    """
    try:
        leaf = _decompress(fields[b"leaf"])
        pieces = {
            name: value.encode() if isinstance(value, str) else base64.b64decode(value["base64"])
            for name, value in canonical.loads(_decompress(fields[b"evidence"])).items()
        }
    except (KeyError, ValueError, TypeError, AttributeError, zstandard.ZstdError) as error:
        why = f"it cannot be unpacked: {type(error).__name__}: {error}"
        raise RecordError(index, partition, why) from error
    return Entry(leaf, pieces, index=index, partition=partition)


def _decompress(frame: bytes) -> bytes:
    # A frame states its size before it is unpacked: one that claims more than any record has is no record.
    if zstandard.frame_content_size(frame) > _LARGEST:
        raise ValueError("the frame claims more than 64 MB")
    return _decompressor.decompress(frame, max_output_size=_LARGEST)
