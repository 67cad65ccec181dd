"""Check that what a package remembers follows from the records before it: each memory is rebuilt out of the record that
it names, whose own memory was rebuilt before.
"""

from collections.abc import Callable, Mapping
from typing import Any

from llmctx import canonical
from llmctx.context.memory import NOTHING, MemoryLength
from llmctx.context.package import build_package
from llmctx.context.remember import memory_after, said_in
from llmctx.context.snapshot import Snapshot
from llmctx.publication import thesis_of
from llmctx.replay.difference import mismatch
from llmctx.replay.thesis_check import earlier_index
from llmctx.rules import Rules, compare
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.leaf_schema import Fault

_LENGTHS: tuple[MemoryLength, ...] = ("short", "long")
_UNUSABLE = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError)


class MemoryCheck:
    """Keeps two records of each symbol: the newest with a package, and the one that its memory follows from. The next
    memory follows from one of the two: from the newest, or from what that one followed from, if it said nothing new.
    """

    def __init__(self, partition: int, partitions: int, blobs: Mapping[str, bytes]) -> None:
        """`blobs` holds the mappings that snapshots name."""
        self._partition = partition
        self._partitions = partitions
        self._blobs = blobs
        self._kept: dict[str, dict[int, Entry]] = {}

    def check(self, entry: Entry, is_unknown: Callable[[int], bool]) -> Fault | None:
        """The fault of the next record's memory, None if it is genuine or there is none.

        Nobody can tell what a lost, unreadable or erased record said.
        """
        piece = entry.pieces.get("snapshot")
        if piece is None or "tick" not in entry.record:
            return None
        fault, named = None, None
        if b'"memory":' in piece:
            try:
                fault, named = self._check(entry, canonical.loads(piece), is_unknown)
            except _UNUSABLE as error:
                fault = Fault(entry.index, "memory", "what a record says", f"{type(error).__name__}: {error}"[:160])
        symbol = str(entry.record.get("symbol"))
        kept = self._kept.get(symbol, {})
        self._kept[symbol] = {index: each for index, each in kept.items() if index == named} | {entry.index: entry}
        return fault

    def _check(
        self, entry: Entry, snapshot: dict[str, Any], is_unknown: Callable[[int], bool]
    ) -> tuple[Fault | None, int | None]:
        """The fault, and the index of the record that the memory follows from."""
        text, source = snapshot["sections"].get("memory"), snapshot.get("memory")
        if text is None or (source is None and text.encode() == NOTHING):
            return None, None
        is_same = compare(entry.record["code"]) is Rules.SAME
        if source is None:
            expected = "the record that the memory follows from"
            return (Fault(entry.index, "memory", expected, "none") if is_same else None), None
        where = source["address"]
        index = earlier_index(where, self._partition, self._partitions, entry.index)
        if index is None:
            expected = "an earlier record of this partition"
            return Fault(entry.index, "memory", expected, f"address {where}"[:160]), None
        if is_unknown(index):
            return None, index
        record = self._kept.get(str(entry.record.get("symbol")), {}).get(index)
        if record is None or record.leaf_hash != source["leaf_hash"]:
            expected = f"the last record on {entry.record.get('symbol')} by address and leaf hash"
            return Fault(entry.index, "memory", expected, f"{where}, {source['leaf_hash']}"[:160]), index
        if not is_same or record.erased:
            return None, index  # other rules made it, or its source was erased
        wanted = [self._after(record, length) for length in _LENGTHS]
        if text.encode() in wanted:
            return None, index
        told = mismatch("memory", canonical.loads(text.encode()), canonical.loads(wanted[-1]))
        return Fault(entry.index, "memory", f"what follows from record {where}", told[:300]), index

    def _after(self, entry: Entry, length: MemoryLength) -> bytes:
        package = build_package(Snapshot.from_evidence(entry.pieces["snapshot"], self._blobs))
        usable = thesis_of(entry, self._partitions) is not None
        return memory_after(package, said_in(entry.record, usable=usable), length)
