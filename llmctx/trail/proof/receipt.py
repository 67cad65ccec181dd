"""A receipt: a proof of one record that stands alone, or a leaf hash that somebody noted when the record was made.

    {"format": "llmctx-receipt/1", "origin": ..., "index": 12, "leaf": "<the leaf's exact text>",
     "size": 40, "proof": ["<hex>", ...], "checkpoint": "<the signed note over `size` records>"}

The output of `llmctx decide --json`, `{"address": "12", "leaf_hash": "<hex>", ...}`, is a receipt too. It proves
nothing alone, but a trail with another leaf hash at that address has been rewritten.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.errors import ReceiptError
from llmctx.trail.log.leaf_schema import Fault, FaultError, read_leaf
from llmctx.trail.proof.checkpoint import read_note
from llmctx.trail.proof.coverage import Trusted, open_checkpoint
from llmctx.trail.proof.merkle import HASH_BYTES, CompactRange, inclusion_proof, leaf_hash, verify_inclusion

FORMAT = "llmctx-receipt/1"


class Receipt(NamedTuple):
    """The content of a receipt."""

    at: int
    """The record's index."""
    leaf_hash: bytes
    """Its leaf hash."""
    origin: str
    """The origin of the log; empty if the receipt does not say."""
    partition: int = 0
    """The partition."""
    leaf: bytes = b""
    """The leaf's exact bytes; empty if the receipt does not contain it."""
    proof: tuple[bytes, ...] = ()
    """The inclusion proof."""
    note: str = ""
    """The signed checkpoint; empty if there is none."""
    size: int = 0
    """The size of its tree; 0 if there is none."""
    is_proof: bool = False
    """Whether it is a proof, and not only a noted leaf hash."""


def make_receipt(leaf: bytes, index: int, hashes: Sequence[bytes], note: str) -> dict[str, Any]:
    """Make the receipt of a record from the leaf hashes that a signed checkpoint covers.

    Raises ReceiptError if the checkpoint does not cover the record.
    """
    checkpoint = read_note(note)
    if index >= checkpoint.size:
        raise ReceiptError(
            f"Record {index} is not covered by a checkpoint yet; the newest covers {checkpoint.size}.",
            "A notary signs within a second: check that `llmctx run` or `llmctx notary` is running.",
        )
    return {
        "format": FORMAT,
        "origin": checkpoint.origin,
        "index": index,
        "leaf": leaf.decode(),
        "size": checkpoint.size,
        "proof": [step.hex() for step in inclusion_proof(hashes[: checkpoint.size], index)],
        "checkpoint": note,
    }


def read_receipt(text: bytes) -> Receipt:
    """Parse a receipt file.

    Raises FaultError if it is malformed.
    """
    try:
        document = canonical.shallow(text)
        return _read_proof(document) if "format" in document else _read_note(document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FaultError(Fault(0, "receipt-form", "a receipt", f"{type(error).__name__}: {error}")) from error


def _read_proof(document: dict[str, Any]) -> Receipt:
    if document["format"] != FORMAT:
        raise ValueError(f"its format is {document['format']!r}; this version knows {FORMAT}")
    leaf, origin, note = document["leaf"].encode(), document["origin"], document["checkpoint"]
    match = re.fullmatch(r"[^\n]*/(0|[1-9][0-9]*)", origin)
    if match is None or not isinstance(note, str) or not isinstance(document["proof"], list):
        raise ValueError("origin, proof or checkpoint is malformed")
    return Receipt(
        at=_read_index(document["index"]),
        leaf_hash=leaf_hash(leaf),
        origin=origin,
        partition=int(match[1]),
        leaf=leaf,
        proof=tuple(_read_hash(step) for step in document["proof"]),
        note=note,
        size=_read_index(document["size"]),
        is_proof=True,
    )


def _read_note(document: dict[str, Any]) -> Receipt:
    match = re.fullmatch(r"(?:(0|[1-9][0-9]*):)?(0|[1-9][0-9]*)", document["address"])
    if match is None:
        raise ValueError(f"address {document['address']!r} is not INDEX or P:INDEX")
    return Receipt(
        at=int(match[2]), leaf_hash=_read_hash(document["leaf_hash"]), origin="", partition=int(match[1] or 0)
    )


def _read_hash(text: str) -> bytes:
    raw = bytes.fromhex(text)
    if len(raw) != HASH_BYTES or raw.hex() != text:
        raise ValueError(f"{text!r} is not a hash")
    return raw


def _read_index(number: int) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r} is not an index")
    return number


def verify_receipt(receipt: Receipt, trusted: Trusted) -> Fault | None:
    """The fault of a receipt taken by itself, None if it proves its record."""
    if not receipt.is_proof:
        return Fault(receipt.at, "receipt", "a leaf, an inclusion proof and a checkpoint", "a leaf hash alone")
    if receipt.origin != trusted.origin:
        return Fault(receipt.at, "origin", trusted.origin, receipt.origin)
    try:
        checkpoint = open_checkpoint(receipt.note, trusted, receipt.at)
    except FaultError as broken:
        return broken.fault
    if receipt.size != checkpoint.size:
        return Fault(0, "receipt-form", f"size {checkpoint.size}, as its checkpoint has", f"{receipt.size}")
    if not verify_inclusion(receipt.leaf_hash, receipt.at, checkpoint.size, receipt.proof, checkpoint.root):
        expected = f"a proof that leads to the root {checkpoint.root.hex()}"
        return Fault(receipt.at, "inclusion", expected, f"one of {len(receipt.proof)} hashes that does not")
    found = read_leaf(receipt.leaf, receipt.at)
    return found if isinstance(found, Fault) else None


def check_receipts(receipts: Iterable[Receipt], trusted: Trusted) -> None:
    """Check that every receipt of a partition names its log and, if it is a proof, holds by itself.

    Raises FaultError for the first one that does not.
    """
    for receipt in receipts:
        if receipt.is_proof and receipt.origin != trusted.origin:
            raise FaultError(Fault(receipt.at, "receipt", f"a receipt of {trusted.origin}", receipt.origin))
        if receipt.is_proof and (fault := verify_receipt(receipt, trusted)) is not None:
            raise FaultError(fault)


class HeldReceipts:
    """Receipts of one partition that somebody holds: the trail must contain every record that they prove."""

    def __init__(self, receipts: Iterable[Receipt] = ()) -> None:
        self._leaves: dict[int, set[bytes]] = {}
        self._roots: dict[int, set[bytes]] = {}
        self._size = 0
        for receipt in receipts:
            self._leaves.setdefault(receipt.at, set()).add(receipt.leaf_hash)
            self._size = max(self._size, receipt.at + 1)
            if receipt.is_proof:
                checkpoint = read_note(receipt.note)
                self._roots.setdefault(checkpoint.size, set()).add(checkpoint.root)
                self._size = max(self._size, checkpoint.size)

    def check_leaf(self, index: int, hashed: bytes) -> Fault | None:
        """The fault if a receipt for this index has another leaf hash."""
        for expected in self._leaves.get(index, ()):
            if expected != hashed:
                return Fault(index, "receipt", f"the leaf hash {expected.hex()} of a receipt", hashed.hex())
        return None

    def check_root(self, tree: CompactRange) -> Fault | None:
        """The fault if a receipt's checkpoint over this many records has another root."""
        for signed in self._roots.get(tree.size, ()):
            if signed != tree.root():
                expected = f"the root {signed.hex()} over {tree.size} records of a receipt"
                return Fault(tree.size - 1, "receipt", expected, tree.root().hex())
        return None

    def check_size(self, size: int) -> Fault | None:
        """The fault if a trail of this size is smaller than a receipt says."""
        if self._size > size:
            return Fault(size, "receipt", f"{self._size} records, as a receipt says", f"{size}")
        return None
