"""An entry: the exact bytes of a record (its leaf) and, beside them, the evidence whose digests the leaf holds.

In Redis both are packed into one value (trail/packing.py); what is hashed is always the exact bytes inside.
"""

import json
from collections.abc import Callable
from functools import cached_property
from typing import Any

from llmctx import canonical
from llmctx.errors import RecordError
from llmctx.trail.log.packing import Dictionary, Pieces, pack, textual, unpack

PIECES = {"snapshot": "snapshot", "messages": "prompt", "completion": "completion"}
"""Evidence piece -> the name in the leaf under which its sha256 stands."""
BLOBS = (("prompt", "template_sha256"), ("request", "schema_sha256"))
"""Where a leaf names blobs by digest."""

FIELD = b"record"
"""The one field of a log entry."""


class Entry:
    """One record with its place in the log."""

    def __init__(
        self,
        leaf: bytes,
        pieces: Pieces | Callable[[], Pieces],
        *,
        index: int,
        partition: int = 0,
        packed: bytes = b"",
    ) -> None:
        """`pieces` may be a function that unpacks them when they are first asked for."""
        self.leaf = leaf
        """The exact bytes that are hashed."""
        self._pieces = pieces
        self.index = index
        """Its place in the partition's log, from 0 on without gaps."""
        self.partition = partition
        """The partition whose log it stands in."""
        self.packed = packed
        """The exact bytes that hold it in the log; empty for an entry that was not read from one."""
        self.carried: object = None
        """What the draft carried, if this process has just appended it."""

    @cached_property
    def pieces(self) -> Pieces:
        """The evidence: piece name to exact bytes.

        Raises RecordError where it cannot be unpacked.
        """
        if not callable(self._pieces):
            return self._pieces
        try:
            return self._pieces()
        except ValueError as error:
            raise RecordError(self.index, self.partition, f"its evidence cannot be unpacked: {error}") from error

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


def named_blobs(record: dict[str, Any]) -> list[str]:
    """The digests of the blobs that a record names."""
    parts = ((record.get(section), field) for section, field in BLOBS)
    found = [part.get(field) for part, field in parts if isinstance(part, dict)]
    return [digest for digest in found if isinstance(digest, str)]


def stored(leaf: bytes, pieces: Pieces, dictionary: Dictionary | None = None) -> dict[bytes, bytes]:
    """The fields of a log entry."""
    return {FIELD: pack(leaf, pieces, dictionary)}


def evidence_text(pieces: Pieces) -> bytes:
    """The pieces as one JSON object: text as it is, what is no UTF-8 as {"base64": ...}."""
    document = {name: textual(raw) for name, raw in pieces.items()}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def restored(fields: dict[bytes, bytes], index: int, partition: int, dictionary: Dictionary | None = None) -> Entry:
    """The entry that a log entry holds; `dictionary` is the one that it names.

    Raises RecordError where the fields cannot be unpacked; evidence is unpacked when it is first asked for.
    """
    try:
        leaf, pieces = unpack(fields[FIELD], dictionary)
    except (KeyError, ValueError) as error:
        why = f"it cannot be unpacked: {type(error).__name__}: {error}"
        raise RecordError(index, partition, why) from error
    return Entry(leaf, pieces, index=index, partition=partition, packed=fields[FIELD])
