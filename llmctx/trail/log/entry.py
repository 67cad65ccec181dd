"""An entry: the exact bytes of a record (its leaf) and the evidence whose digests the leaf holds.

In Redis both are packed into one value (packing.py); the exact bytes inside are what is hashed.
"""

import hashlib
from collections.abc import Callable
from functools import cached_property
from typing import Any

from llmctx.errors import AddressError
from llmctx.limits import MAX_ADDRESS_CHARS, MAX_DETAIL_CHARS
from llmctx.trail.log.dictionary import Dictionary
from llmctx.trail.log.leaf_schema import SAID
from llmctx.trail.log.packing import Pieces, unpack
from llmctx.trail.log.unreadable import Unreadable, is_stand_in, read_record, stand_in

PIECES = {"snapshot": "snapshot", "messages": "prompt", "completion": "completion", "foreign": "incident"}
"""Evidence piece -> the object in the leaf that holds its sha256."""
BLOBS = (
    ("prompt", "template_sha256"),
    ("request", "schema_sha256"),
    ("snapshot", "mapping_sha256"),
    ("mandate", "sha256"),
)
"""The fields of a leaf that name blobs by digest."""

FIELD, PROOF = b"record", b"proof"
"""The fields of a log entry; records from before the first enrolment have no proof."""


class Entry:
    """One record at its place in the log. Reading it never fails: what is `unreadable` is a value."""

    def __init__(
        self,
        leaf: bytes,
        pieces: Pieces | Callable[[], Pieces],
        *,
        index: int,
        partition: int = 0,
        packed: bytes = b"",
        proof: bytes = b"",
        problem: Unreadable | None = None,
        erasable: frozenset[str] = frozenset(),
    ) -> None:
        """`pieces` may be a function that unpacks them on first use; `problem` says that there is no leaf. `erasable`
        are the pieces that were erased by rule where the record was read, unless a hold kept them.
        """
        self.leaf = leaf
        """The exact bytes that are hashed."""
        self._pieces = pieces
        self._erasable = erasable
        self.index = index
        """Its index in the partition's log, from 0 without gaps."""
        self.partition = partition
        """The partition whose log holds it."""
        self.packed = packed
        """The exact value that holds it in the log; empty if it was not read from a log."""
        self.proof = proof
        """Its writer's key ID and signature; empty if it has none."""
        self.carried: object = None
        """The draft's own data, if this process has just appended it."""
        self.published: bytes | None = None
        """Its published bytes, once computed; not part of the record."""
        self.timings_ms: dict[str, float] = {}
        """The duration of each step of its tick, if this process has just settled it; not part of the record."""
        self._parsed: dict[str, Any] | Unreadable | None = problem

    def accept(self, record: dict[str, Any]) -> None:
        """Take over the leaf as the caller parsed it, which saves parsing it again."""
        self._parsed = record

    @property
    def _leaf_read(self) -> dict[str, Any] | Unreadable:
        if self._parsed is None:
            self._parsed = read_record(self.leaf)
        return self._parsed

    @cached_property
    def _evidence(self) -> Pieces | Unreadable:
        if not callable(self._pieces):
            return self._pieces
        try:
            return self._pieces()
        except ValueError as error:
            return Unreadable(f"its evidence cannot be unpacked: {error}")

    @property
    def unreadable(self) -> Unreadable | None:
        """Why the record cannot be read, None if it can. Only this decides it."""
        record, evidence = self._leaf_read, self._evidence
        if isinstance(record, Unreadable):
            return record
        if isinstance(evidence, Unreadable):
            return evidence
        lacking = [piece for piece in promised_pieces(record) if piece not in evidence and piece not in self._erasable]
        return Unreadable(f"its evidence lacks {', '.join(lacking)}") if lacking else None

    @property
    def lacks_leaf(self) -> bool:
        """Whether its leaf is a stand-in, because there is none or none is available now."""
        return isinstance(self._leaf_read, Unreadable) and not self._leaf_read.has_leaf

    @property
    def record(self) -> dict[str, Any]:
        """The parsed leaf; if it lacks the form of a record, a record of kind `unreadable` that says why."""
        read = self._leaf_read
        return read.record if isinstance(read, Unreadable) else read

    @property
    def pieces(self) -> Pieces:
        """The evidence: piece name to exact bytes; empty if it cannot be unpacked."""
        evidence = self._evidence
        return {} if isinstance(evidence, Unreadable) else evidence

    @property
    def erased(self) -> tuple[str, ...]:
        """The pieces that it named and that retention rules erased."""
        if not self._erasable:
            return ()
        return tuple(sorted((promised_pieces(self.record).keys() - self.pieces.keys()) & self._erasable))

    @property
    def kept(self) -> tuple[bytes, Pieces]:
        """Leaf and evidence as an export keeps them; for an unreadable record a stand-in with its bytes."""
        if self.unreadable is None:
            return self.leaf, self.pieces
        return self.leaf if is_stand_in(self.leaf) else stand_in({FIELD: self.packed}), {}

    @property
    def ticks(self) -> list[str]:
        """The ticks that it settles."""
        record = self.record
        return [record["tick"], *record.get("conflated", [])] if "tick" in record else []

    @property
    def said(self) -> list[str]:
        """Its id, if it is a statement about a decision, such as an effect or an approval; no other record has the
        same.
        """
        record = self.record
        return [record["id"]] if record["kind"] in SAID else []

    @cached_property
    def digest(self) -> bytes:
        """The leaf hash: SHA-256 of a zero byte and the leaf (RFC 6962, 2.1)."""
        return hashlib.sha256(b"\x00" + self.leaf).digest()

    @property
    def leaf_hash(self) -> str:
        """The leaf hash in hex."""
        return self.digest.hex()


def promised_pieces(record: dict[str, Any]) -> dict[str, Any]:
    """The digest of each piece of evidence that a record names."""
    parts = ((piece, record.get(name)) for piece, name in PIECES.items())
    return {piece: part["sha256"] for piece, part in parts if isinstance(part, dict) and "sha256" in part}


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
    digits = index.isdecimal() and partition.isdecimal() and len(text) <= MAX_ADDRESS_CHARS
    if digits and int(index) < 2**53 and int(partition) < partitions:
        return int(partition), int(index)
    form = "INDEX" if partitions == 1 else "P:INDEX"
    raise AddressError(
        f"{text[:MAX_ADDRESS_CHARS]!r} is not an address.", f"Write {form}, as `llmctx decisions` prints it."
    )


def named_blobs(record: dict[str, Any]) -> list[str]:
    """The digests of all blobs that a record names."""
    parts = ((record.get(section), field) for section, field in BLOBS)
    found = [part.get(field) for part, field in parts if isinstance(part, dict)]
    return [digest for digest in found if isinstance(digest, str)]


def restored(fields: dict[bytes, bytes], index: int, partition: int, dictionary: Dictionary | None = None) -> Entry:
    """The entry in the fields of a log entry; `dictionary` is the one that they name. Evidence is unpacked lazily."""
    packed = fields.get(FIELD, b"")
    if fields.keys() not in ({FIELD}, {FIELD, PROOF}):
        return without_leaf(fields, index, partition, f"its entry has the fields {sorted(fields)}")
    if is_stand_in(packed):  # it came back from the spool
        return Entry(packed, {}, index=index, partition=partition, packed=packed)
    try:
        leaf, pieces = unpack(packed, dictionary)
    except ValueError as error:
        return without_leaf(fields, index, partition, f"it cannot be unpacked: {error}")
    return Entry(leaf, pieces, index=index, partition=partition, packed=packed, proof=fields.get(PROOF, b""))


def without_leaf(
    fields: dict[bytes, bytes], index: int, partition: int, why: str, *, may_return: bool = False
) -> Entry:
    """The entry of a record that has no leaf, or whose leaf is not available now."""
    leaf = stand_in(fields)
    packed = fields[FIELD] if fields.keys() == {FIELD} else leaf
    problem = Unreadable(why[:MAX_DETAIL_CHARS], has_leaf=False, may_return=may_return)
    return Entry(leaf, {}, index=index, partition=partition, packed=packed, problem=problem)
