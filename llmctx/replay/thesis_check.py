"""Check that each thesis is an earlier decision of the same trail."""

import hashlib
from collections.abc import Callable
from typing import Any

from llmctx import canonical
from llmctx.publication import thesis_of
from llmctx.rules import Rules, compare
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.leaf_schema import Fault

_BYTES = 32
_NOTHING = bytes(_BYTES)
_ERASED = b"\xff" * _BYTES


class ThesisCheck:
    """Remembers a digest of each decision and compares every thesis with the decision that it names."""

    def __init__(self, partition: int, partitions: int) -> None:
        self._partition = partition
        self._partitions = partitions
        self._leaves, self._texts = _Digests(), _Digests()

    def check(self, entry: Entry, is_unknown: Callable[[int], bool]) -> Fault | None:
        """The fault of the next record's thesis, None if it is genuine or there is none.

        Nobody can tell what a lost or unreadable record said.
        """
        fault = self._check(entry, is_unknown)
        if fault is None and entry.record["kind"] == "decision":
            self._remember(entry)
        return fault

    def _check(self, entry: Entry, is_unknown: Callable[[int], bool]) -> Fault | None:
        piece = entry.pieces.get("snapshot", b"")
        if piece.count(b'"thesis":') == 1:  # the section alone; most records need not be parsed for this
            return None
        try:
            snapshot = canonical.loads(piece)
        except ValueError:
            return None  # whatever it is, no thesis was read from it
        if not isinstance(snapshot, dict) or snapshot.get("thesis") is None:
            return None
        try:
            return self._compare(entry, snapshot, is_unknown)
        except (KeyError, TypeError, AttributeError) as error:
            return Fault(entry.index, "thesis", "an address and a leaf hash", f"{type(error).__name__}: {error}")

    def _compare(self, entry: Entry, snapshot: dict[str, Any], is_unknown: Callable[[int], bool]) -> Fault | None:
        address, leaf_hash = snapshot["thesis"]["address"], snapshot["thesis"]["leaf_hash"]
        index = earlier_index(address, self._partition, self._partitions, entry.index)
        if index is None:
            return Fault(entry.index, "thesis", "an earlier record of this partition", f"address {address}"[:160])
        if is_unknown(index):
            return None
        expected = f"the decision of record {address} on {entry.record.get('symbol')}"
        if self._leaves.of(index) != _of_leaf(entry, leaf_hash):
            return Fault(entry.index, "thesis", expected, f"a thesis with leaf hash {leaf_hash}"[:160])
        if compare(entry.record["code"]) is not Rules.SAME:
            return None  # other rules composed the text
        if self._texts.of(index) == _ERASED:
            return None  # the text needs an erased piece
        text = snapshot["sections"].get("thesis")
        if not isinstance(text, str) or self._texts.of(index) != _digest(text.encode()):
            return Fault(entry.index, "thesis", f"{expected}, as it was published", str(text)[:160])
        return None

    def _remember(self, entry: Entry) -> None:
        self._leaves.put(entry.index, _of_leaf(entry, entry.leaf_hash))
        if entry.erased:
            self._texts.put(entry.index, _ERASED)
            return
        try:
            thesis = thesis_of(entry, self._partitions)
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError):
            return  # whatever is wrong with this record, it cannot be a thesis
        if thesis is not None:
            self._texts.put(entry.index, _digest(thesis.text))


def earlier_index(address: str, of: int, partitions: int, before: int) -> int | None:
    """The index in an address, None unless it names an earlier record of the partition `of`."""
    partition, _, index = address.rpartition(":")
    if partition != ("" if partitions == 1 else str(of)) or not index.isdecimal():
        return None
    return int(index) if len(index) <= len(str(before)) and int(index) < before else None


def _digest(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()


def _of_leaf(entry: Entry, leaf_hash: str) -> bytes:
    return _digest(f"{entry.record.get('symbol')} {leaf_hash}".encode())


class _Digests:
    """A digest for each index, in 32 bytes each; a trail has millions."""

    def __init__(self) -> None:
        self._all = bytearray()

    def put(self, index: int, digest: bytes) -> None:
        self._all.extend(bytes(max(0, (index + 1) * _BYTES - len(self._all))))
        self._all[index * _BYTES : (index + 1) * _BYTES] = digest

    def of(self, index: int) -> bytes:
        return bytes(self._all[index * _BYTES : (index + 1) * _BYTES]) or _NOTHING
