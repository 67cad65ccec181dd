"""A receipt: one record as a proof that stands alone, or what somebody noted of it when it was made.

    {"format": "llmctx-receipt/1", "origin": ..., "index": 12, "leaf": "<the leaf's exact text>",
     "size": 40, "proof": ["<hex>", ...], "checkpoint": "<the signed note over `size` records>"}

What `llmctx decide --json` prints, `{"address": "12", "leaf_hash": "<hex>", ...}`, is a receipt too: it proves
nothing alone, but a trail that has another leaf there is not the one in which it was made.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.errors import ReceiptError
from llmctx.trail.proof.checkpoint import read_note
from llmctx.trail.proof.coverage import Trusted, opened
from llmctx.trail.proof.fault import Fault, FaultError
from llmctx.trail.proof.leaf_schema import read_leaf
from llmctx.trail.proof.merkle import HASH_BYTES, CompactRange, inclusion_proof, leaf_hash, verify_inclusion

FORMAT = "llmctx-receipt/1"


class Receipt(NamedTuple):
    """What a receipt says."""

    at: int
    """The index of the record."""
    leaf_hash: bytes
    """Its leaf hash."""
    origin: str
    """Whose log; empty where the receipt does not say."""
    partition: int = 0
    """Which partition."""
    leaf: bytes = b""
    """The leaf's exact bytes; empty where it is not in it."""
    proof: tuple[bytes, ...] = ()
    """The inclusion proof."""
    note: str = ""
    """The signed checkpoint; empty where it has none."""
    size: int = 0
    """The size of its tree; 0 where it has none."""
    whole: bool = False
    """Whether it is a proof, and not just what was noted of a decision."""


def make_receipt(leaf: bytes, index: int, hashes: Sequence[bytes], note: str) -> dict[str, Any]:
    """The receipt of a record, out of the leaf hashes that its checkpoint covers.

    Raises ReceiptError where the checkpoint does not cover the record.
    """
    checkpoint = read_note(note)
    if index >= checkpoint.size:
        raise ReceiptError(
            f"Record {index} is not covered by a checkpoint yet; the newest covers {checkpoint.size}.",
            "See that a notary is at work (`llmctx run` or `llmctx notary`); it signs within a second.",
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
    """The receipt that a file holds.

    Raises FaultError where it is none.
    """
    try:
        document = canonical.shallow(text)
        if "format" not in document:
            return _noted(document)
        return _whole(document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FaultError(Fault(0, "receipt-form", "a receipt", f"{type(error).__name__}: {error}")) from error


def _whole(document: dict[str, Any]) -> Receipt:
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']!r}, this version knows {FORMAT}")
    leaf, origin, note = document["leaf"].encode(), document["origin"], document["checkpoint"]
    named = re.fullmatch(r"[^\n]*/(0|[1-9][0-9]*)", origin)
    if named is None or not isinstance(note, str) or not isinstance(document["proof"], list):
        raise ValueError("origin, proof or checkpoint have another form")
    return Receipt(
        _index(document["index"]),
        leaf_hash(leaf),
        origin,
        int(named[1]),
        leaf,
        tuple(_hash(step) for step in document["proof"]),
        note,
        _index(document["size"]),
        whole=True,
    )


def _noted(document: dict[str, Any]) -> Receipt:
    found = re.fullmatch(r"(?:(0|[1-9][0-9]*):)?(0|[1-9][0-9]*)", document["address"])
    if found is None:
        raise ValueError(f"address {document['address']!r} is no INDEX or P:INDEX")
    return Receipt(int(found[2]), _hash(document["leaf_hash"]), "", int(found[1] or 0))


def _hash(text: str) -> bytes:
    raw = bytes.fromhex(text)
    if len(raw) != HASH_BYTES or raw.hex() != text:
        raise ValueError(f"{text!r} is no hash")
    return raw


def _index(number: int) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r} is no index")
    return number


def verify_receipt(receipt: Receipt, trusted: Trusted) -> Fault | None:
    """The rule that a receipt breaks by itself, None where it proves its record."""
    if not receipt.whole:
        return Fault(receipt.at, "receipt", "a leaf, an inclusion proof and a checkpoint", "a leaf hash alone")
    if receipt.origin != trusted.origin:
        return Fault(receipt.at, "origin", trusted.origin, receipt.origin)
    try:
        checkpoint = opened(receipt.note, trusted, receipt.at)
    except FaultError as broken:
        return broken.fault
    if receipt.size != checkpoint.size:
        return Fault(0, "receipt-form", f"size {checkpoint.size}, as its checkpoint has", f"{receipt.size}")
    if not verify_inclusion(receipt.leaf_hash, receipt.at, checkpoint.size, receipt.proof, checkpoint.root):
        expected = f"a proof that leads to the root {checkpoint.root.hex()}"
        return Fault(receipt.at, "inclusion", expected, f"one of {len(receipt.proof)} hashes that does not")
    found = read_leaf(receipt.leaf, receipt.at)
    return found if isinstance(found, Fault) else None


def check_held(receipts: Iterable[Receipt], trusted: Trusted) -> None:
    """Every receipt of a partition is of its log, and good by itself before the log is held against it.

    Raises FaultError for the first one that is not.
    """
    for receipt in receipts:
        if not receipt.whole:
            continue
        if receipt.origin != trusted.origin:
            raise FaultError(Fault(receipt.at, "receipt", f"a receipt of {trusted.origin}", receipt.origin))
        if (fault := verify_receipt(receipt, trusted)) is not None:
            raise FaultError(fault)


class Held:
    """The receipts of one partition that are held outside: each must be found in the trail."""

    def __init__(self, receipts: Iterable[Receipt] = ()) -> None:
        self._leaves: dict[int, set[bytes]] = {}
        self._roots: dict[int, set[bytes]] = {}
        self._size = 0
        for receipt in receipts:
            self._leaves.setdefault(receipt.at, set()).add(receipt.leaf_hash)
            self._size = max(self._size, receipt.at + 1)
            if receipt.whole:
                checkpoint = read_note(receipt.note)
                self._roots.setdefault(checkpoint.size, set()).add(checkpoint.root)
                self._size = max(self._size, checkpoint.size)

    def check_leaf(self, index: int, hashed: bytes) -> Fault | None:
        """Whether the record at an index is the one of the receipts for it."""
        for held in self._leaves.get(index, ()):
            if held != hashed:
                return Fault(index, "receipt", f"the leaf hash {held.hex()} of a receipt", hashed.hex())
        return None

    def check_root(self, tree: CompactRange) -> Fault | None:
        """Whether the tree of this size is the one that a receipt's checkpoint signs."""
        for held in self._roots.get(tree.size, ()):
            if held != tree.root():
                expected = f"the root {held.hex()} over {tree.size} records of a receipt"
                return Fault(tree.size - 1, "receipt", expected, tree.root().hex())
        return None

    def check_size(self, size: int) -> Fault | None:
        """Whether a trail of this size has all that the receipts speak of."""
        if self._size > size:
            return Fault(size, "receipt", f"{self._size} records, as a receipt says", f"{size}")
        return None
