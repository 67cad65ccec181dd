"""Verify a log by the rules that need no knowledge of what the records mean (audit/README.md states them).

A check ends at the first record that breaks a rule, because everything after it depends on it. It continues after an
unreadable record, using its known leaf hash.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest

from llmctx.trail.log.entry import Entry
from llmctx.trail.log.leaf_schema import SAID, SETTLING, Fault, lost_range
from llmctx.trail.proof.coverage import Coverage
from llmctx.trail.proof.merkle import CompactRange
from llmctx.trail.proof.receipt import HeldReceipts
from llmctx.trail.proof.record_checks import SaidCheck, check_evidence, check_form, not_read
from llmctx.trail.proof.writer import WriterKeys


class Verifier:
    """Checks records in order and remembers what it has seen."""

    def __init__(
        self,
        coverage: Coverage | None = None,
        *,
        known: Sequence[bytes] | None = None,
        known_from: int = 0,
        lost: Callable[[int], bytes | None] = lambda _: None,
        held: HeldReceipts | None = None,
        writers: WriterKeys | None = None,
    ) -> None:
        """`known` are leaf hashes, from record `known_from` on. Without `writers` no proof is checked."""
        self.coverage = coverage or Coverage()
        """The checkpoints against which the tree is checked."""
        self.settled: dict[str, int] = {}
        """The index of each settled tick's record."""
        self.said = SaidCheck()
        """The statements about records."""
        self.of_symbol: dict[str, list[int]] = {}
        """The indices of each symbol's records that settle a tick or have an id."""
        self.losses: list[tuple[int, int]] = []
        """First and last index of each lost range."""
        self.incidents: list[int] = []
        """The index of each incident."""
        self.erased: dict[str, int] = {}
        """How many records lack each piece that was erased by rule."""
        self.unreadable: list[Fault] = []
        """The fault of each record that cannot be read; the check goes on after them."""
        self.tree = CompactRange()
        """The tree over the records that were checked."""
        self.archived = 0
        """How many archived records the tree begins with; the check begins after them."""
        self.trimmed = 0
        """Below which index records are archived and trimmed, whether or not they are checked here."""
        self.notices: set[int] = set()
        """The sizes up to which notices say that records are archived."""
        self._known = known or ()
        self._known_from = known_from
        self._lost = lost
        self._held = held or HeldReceipts()
        self._writers = writers
        self._without_tick: dict[bytes, int] = {}

    def begin_at(self, size: int, subtrees: Sequence[bytes], *, grow: bool = True) -> Fault | None:
        """Begin after what was archived: with its known leaf hashes, or else (without `grow` always) these subtrees.

        Returns the fault if a checkpoint, or what is known, contradicts them. Raises ValueError if a tree of this size
        has other subtrees.
        """
        tree = CompactRange.resume(size, subtrees)
        self.trimmed = size
        if not grow or self._known_from or len(self._known) < size:
            self.tree, self.archived = tree, size
            self.coverage.begin_at(size)
            self.said.begin_at(size)
            return self.coverage.check_root(tree)
        for hashed in self._known[:size]:
            if (fault := self._grow(hashed)) is not None:
                return fault
        self.archived = size
        self.said.begin_at(size)
        if self.tree.root() != tree.root():
            return Fault(size, "base", f"root {self.tree.root().hex()} over {size} records", tree.root().hex())
        return None

    @property
    def size(self) -> int:
        """How many records were checked, lost and archived ones included."""
        return self.tree.size

    @property
    def records(self) -> int:
        """How many records passed, without those that are archived, lost or unreadable."""
        lost = sum(last - first + 1 for first, last in self.losses)
        return self.size - self.archived - lost - len(self.unreadable)

    def check(self, entry: Entry) -> Fault | None:
        """The fault of the next record, None if it is good. After one of `unreadable` the check can go on."""
        if entry.index < self.size:
            return Fault(self.size, "contiguity", f"index {self.size}", f"index {entry.index}")
        fault = check_form(entry) if entry.index == self.size else self._bridge(entry)
        if (problem := entry.unreadable) is not None and entry.index == self.size:
            return self._pass_over(entry, fault or check_evidence(entry) or not_read(entry.index, problem))
        fault = fault or self._check_incident(entry) or self._check_ticks(entry) or check_evidence(entry)
        fault = fault or self.said.check(entry)
        if fault is not None:
            return fault
        hashed = entry.digest
        if (known := self._known_at(entry.index)) is not None and known != hashed:
            return Fault(entry.index, "leaf-hash", known.hex(), hashed.hex())
        fault = self._check_writer(entry)
        fault = fault or self.coverage.check_time(entry.index, entry.record["recorded_at_ms"])
        fault = fault or self._grow(hashed)
        if (archived := entry.record.get("archived")) is not None:
            self.notices.add(archived["end"])
        for piece in entry.erased:
            self.erased[piece] = self.erased.get(piece, 0) + 1
        if fault is None and entry.record["kind"] in (*SETTLING, *SAID) and entry.record.get("symbol"):
            self.of_symbol.setdefault(entry.record["symbol"], []).append(entry.index)
        return fault

    def _pass_over(self, entry: Entry, fault: Fault) -> Fault | None:
        """Note that a record cannot be read, and let the tree grow by its known leaf hash."""
        self.unreadable.append(fault)
        return self._grow(self._known_at(entry.index) or entry.digest) or fault

    def _known_at(self, index: int) -> bytes | None:
        """The known leaf hash of a record; None if unknown."""
        place = index - self._known_from
        return self._known[place] if 0 <= place < len(self._known) else None

    def _grow(self, hashed: bytes) -> Fault | None:
        fault = self._held.check_leaf(self.tree.size, hashed)
        if fault is not None:
            return fault
        self.tree.append(hashed)
        self.said.grow(hashed)
        return self.coverage.check_root(self.tree) or self._held.check_root(self.tree)

    def _bridge(self, entry: Entry) -> Fault | None:
        """A gap is a loss if the record after it is an incident that names it, and the leaf hashes are known."""
        first, last = self.size, entry.index - 1
        named_range = None if check_form(entry) else lost_range(entry.record)
        if named_range is None:
            return Fault(first, "contiguity", f"index {first}", f"index {entry.index}")
        if named_range != (first, last):
            named = f"one that names {entry.record['incident']}"[:160]
            return Fault(first, "incident", f"an incident that names {first} to {last}", named)
        for index in range(first, entry.index):
            hashed = self._lost(index)
            if hashed is None:
                return Fault(index, "lost-hash", "the leaf hash of a lost record", "none")
            if (fault := self._grow(hashed)) is not None:
                return fault
        self.losses.append((first, last))
        return None

    def _check_incident(self, entry: Entry) -> Fault | None:
        if entry.record["kind"] != "incident":
            return None
        named = lost_range(entry.record)
        if named is not None and (not self.losses or self.losses[-1] != named or named[1] != entry.index - 1):
            return Fault(entry.index, "incident", "a lost range that ends here", f"{named[0]} to {named[1]}")
        self.incidents.append(entry.index)
        return None

    def check_end(self, *, all_covered: bool) -> Fault | None:
        """The fault if the log is shorter than its checkpoints say, or (`all_covered`) longer."""
        if self.coverage.size > self.size:
            expected = f"{self.coverage.size} records, as the last checkpoint says"
            return Fault(self.size, "tail", expected, f"{self.size}")
        if all_covered and self.coverage.size < self.size:
            covered = self.coverage.size
            return Fault(covered, "uncovered", "a checkpoint over every record", f"none above {covered}")
        return self._held.check_size(self.size)

    def check_notice(self) -> Fault | None:
        """The fault if no notice says that what was trimmed is archived."""
        if self.trimmed and self.trimmed not in self.notices:
            return Fault(self.trimmed, "base", f"a notice that records below {self.trimmed} are archived", "none")
        return None

    def check_kept(self, entry: Entry) -> Fault | None:
        """The fault of an archived record that is kept; None if its leaf hash, as far as known, matches."""
        known = self._known_at(entry.index)
        differs = known is not None and known != entry.digest and entry.unreadable is None
        if not 0 <= entry.index < self.trimmed or differs:
            expected = known.hex() if known else f"an index below {self.trimmed}"
            return Fault(max(0, entry.index), "kept", expected, entry.leaf_hash)
        return None if entry.unreadable is not None else check_form(entry) or check_evidence(entry)

    def check_found(self, entry: Entry, lost: Mapping[int, bytes]) -> Fault | None:
        """The fault if a recovered record differs from the one that was lost."""
        hashed = entry.digest
        if lost.get(entry.index) != hashed:
            return Fault(entry.index, "lost-hash", "the leaf hash of the lost record", hashed.hex())
        return check_form(entry) or check_evidence(entry)

    def check_map(self, tick_map: Mapping[str, int], size: int | None = None, *, said: bool = False) -> Fault | None:
        """The first fault of a map from ticks to indices, or from the ids of what others say.

        `size` is the log's size when the map was read; ticks of later records may be missing from it. Nobody can say
        which ticks were settled by records that are lost or cannot be read.
        """
        faults = []
        known, what, rule = (self.said.ids, "id", "id-map") if said else (self.settled, "tick", "tick-map")
        for tick in known.keys() | tick_map.keys():
            mapped, actual = tick_map.get(tick), known.get(tick)
            if mapped is None and size is not None and actual is not None and actual >= size:
                continue
            if mapped is None and actual is not None and actual < self.trimmed:
                continue  # it is forgotten some time after its record was archived
            if actual is None and mapped is not None and mapped >= 0 and self.is_unknown(mapped):
                continue  # that record may well have settled it
            if mapped != actual:
                index = self.size if actual is None else actual
                faults.append(Fault(index, rule, f"{what} {tick} -> {actual}", f"{what} {tick} -> {mapped}"))
        return min(faults, default=None)

    def check_symbols(self, lists: Mapping[str, Sequence[int]], size: int | None = None) -> Fault | None:
        """The first fault of the lists of record indices by symbol.

        `size` is the log's size before the lists were read; later records may be missing from them. Indices of lost
        records are allowed, and those of records that cannot be read.
        """
        faults = []
        for symbol in self.of_symbol.keys() | lists.keys():
            wanted = [index for index in self.of_symbol.get(symbol, ()) if index >= self.trimmed]
            listed = [index for index in lists.get(symbol, ()) if not 0 <= index < self.trimmed]
            found = [index for index in listed if index < 0 or not self.is_unknown(index)]
            needed = len([index for index in wanted if size is None or index < size])
            if found != wanted[: max(needed, len(found))]:
                both = enumerate(zip_longest(wanted, found))
                place, (index, actual) = next((place, pair) for place, pair in both if pair[0] != pair[1])
                expected = f"symbol {symbol} -> {index} at place {place}"
                faults.append(Fault(self.size if index is None else index, "symbol-index", expected, f"{actual}"))
        return min(faults, default=None)

    def is_unknown(self, index: int) -> bool:
        """Whether it is unknown here what the record at an index says."""
        if index < self.archived:
            return True
        lost = any(first <= index <= last for first, last in self.losses)
        return lost or any(fault.at == index for fault in self.unreadable)

    def _check_writer(self, entry: Entry) -> Fault | None:
        """A proof does not contain the index; ticks tell decisions apart, but a copied notice would pass."""
        if self._writers is None or (fault := self._writers.check(entry)) is not None:
            return None if self._writers is None else fault
        if "tick" not in entry.record and self._writers.needs_proof(entry.index):
            first = self._without_tick.setdefault(entry.digest, entry.index)
            if first != entry.index:
                return Fault(entry.index, "writer-proof", "a leaf that stands at one index", f"that of record {first}")
        return None

    def _check_ticks(self, entry: Entry) -> Fault | None:
        record = entry.record
        own, conflated = record.get("tick"), record.get("conflated", [])
        listed = conflated if isinstance(conflated, list) else [None]
        ticks = [*([own] if "tick" in record else []), *listed]
        settles = record["kind"] in SETTLING
        if ("tick" in record) != settles or not all(isinstance(tick, str) for tick in ticks) or (ticks and not settles):
            expected = "a tick" if settles else "no tick"
            return Fault(entry.index, "one-record-per-tick", f"{expected} in a {record['kind']}", str(ticks)[:120])
        for tick in ticks:
            first = self.settled.setdefault(tick, entry.index)
            if first != entry.index or ticks.count(tick) > 1:
                return Fault(entry.index, "one-record-per-tick", f"tick {tick} only in record {first}", "it again")
        return None
