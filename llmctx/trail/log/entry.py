"""An entry: the exact bytes of a record (its leaf) and the evidence whose digests the leaf holds.

In Redis both are packed into one value (packing.py); the exact bytes inside are what is hashed.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from llmctx import canonical
from llmctx.errors import AddressError, RecordError
from llmctx.trail.log.dictionary import Dictionary
from llmctx.trail.log.packing import Pieces, unpack

PIECES = {"snapshot": "snapshot", "messages": "prompt", "completion": "completion", "foreign": "incident"}
"""Evidence piece -> the object in the leaf that holds its sha256."""
BLOBS = (("prompt", "template_sha256"), ("request", "schema_sha256"))
"""The fields of a leaf that name blobs by digest."""

FIELD, PROOF = b"record", b"proof"
"""The fields of a log entry; records from before the first enrolment have no proof."""


class Entry:
    """One record at its place in the log."""

    def __init__(
        self,
        leaf: bytes,
        pieces: Pieces | Callable[[], Pieces],
        *,
        index: int,
        partition: int = 0,
        packed: bytes = b"",
        proof: bytes = b"",
    ) -> None:
        """`pieces` may be a function that unpacks them on first use."""
        self.leaf = leaf
        """The exact bytes that are hashed."""
        self._pieces = pieces
        self.index = index
        """Its index in the partition's log, from 0 without gaps."""
        self.partition = partition
        """The partition whose log holds it."""
        self.packed = packed
        """The exact value that holds it in the log; empty if it was not read from a log."""
        self.proof = proof
        """Its writer's key ID and signature; empty if it has none."""
        self.carried: object = None
        """What the draft carried, if this process has just appended it."""

    @cached_property
    def pieces(self) -> Pieces:
        """The evidence: piece name to exact bytes.

        Raises RecordError if it cannot be unpacked.
        """
        if not callable(self._pieces):
            return self._pieces
        try:
            return self._pieces()
        except ValueError as error:
            raise RecordError(self.index, self.partition, f"its evidence cannot be unpacked: {error}") from error

    @property
    def leaf_hash(self) -> str:
        """SHA-256 of a zero byte and the leaf, in hex (RFC 6962, 2.1)."""
        return canonical.sha256(b"\x00" + self.leaf)

    @cached_property
    def record(self) -> dict[str, Any]:
        """The leaf, parsed.

        Raises RecordError if it is not a JSON object.
        """
        try:
            document = canonical.loads(self.leaf)
        except ValueError as error:
            raise RecordError(self.index, self.partition, f"its leaf is not valid JSON: {error}") from error
        if not isinstance(document, dict):
            raise RecordError(self.index, self.partition, "its leaf is not a JSON object")
        return document


def address(index: int, partition: int, partitions: int) -> str:
    """The address of a record: INDEX, or P:INDEX if there are several partitions."""
    return str(index) if partitions == 1 else f"{partition}:{index}"


def parse_address(text: str, partitions: int) -> tuple[int, int]:
    """Partition and index of an address; the partition may be left out if there is only one.

    Raises AddressError if the text is not an address.
    """
    partition, _, index = text.rpartition(":")
    if not partition and partitions == 1:
        partition = "0"
    if index.isdecimal() and partition.isdecimal() and int(index) < 2**53 and int(partition) < partitions:
        return int(partition), int(index)
    form = "INDEX" if partitions == 1 else "P:INDEX"
    raise AddressError(f"{text!r} is not an address.", f"Write {form}, as `llmctx decisions` prints it.")


def named_blobs(record: dict[str, Any]) -> list[str]:
    """The digests of all blobs that a record names."""
    parts = ((record.get(section), field) for section, field in BLOBS)
    found = [part.get(field) for part, field in parts if isinstance(part, dict)]
    return [digest for digest in found if isinstance(digest, str)]


def restored(fields: dict[bytes, bytes], index: int, partition: int, dictionary: Dictionary | None = None) -> Entry:
    """The entry in the fields of a log entry; `dictionary` is the one that they name. Evidence is unpacked lazily.

    Raises RecordError if the leaf cannot be unpacked.
    """
    try:
        leaf, pieces = unpack(fields[FIELD], dictionary)
    except (KeyError, ValueError) as error:
        why = f"it cannot be unpacked: {type(error).__name__}: {error}"
        raise RecordError(index, partition, why) from error
    proof = fields.get(PROOF, b"")
    return Entry(leaf, pieces, index=index, partition=partition, packed=fields[FIELD], proof=proof)
