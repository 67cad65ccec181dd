"""The check of one partition: the rules of the log, the blobs, and each record rebuilt from its evidence."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.replay.corpus import BlobCache
from llmctx.replay.memory_check import MemoryCheck
from llmctx.replay.reproduction import Reproduction
from llmctx.replay.rerun import rebuild
from llmctx.replay.thesis_check import ThesisCheck
from llmctx.trail.log.entry import BLOBS, Entry
from llmctx.trail.log.leaf_schema import Fault, FaultError
from llmctx.trail.proof.verify import Verifier

ReadBlob = Callable[[str], Awaitable[bytes | None]]
"""Returns the blob with a digest, None if it is missing."""


class PartitionReport(NamedTuple):
    """The result of checking one partition."""

    partition: int
    """The partition."""
    records: int = 0
    """Records without a fault, before the one that ended the check."""
    archived: int = 0
    """Records that were archived and trimmed before them: their leaf hashes are in the tree, the rest is archived."""
    ticks: int = 0
    """Distinct ticks that they settle."""
    rebuilt: int = 0
    """Records with a prompt that were reproduced: the prompt byte for byte, decision and verdict."""
    not_reproducible: int = 0
    """Records made by the rules of another released version that are not reproduced in every part."""
    fault: Fault | None = None
    """The first bad record; None if there is none."""
    further: tuple[Fault, ...] = ()
    """The faults after it: further records that cannot be read, and what ended the check."""
    checkpoints: int = 0
    """Signed checkpoints that agree with the records."""
    covered: int = 0
    """The tree size signed by the newest of them."""
    erased: Mapping[str, int] = {}
    """How many records lack each piece that was erased by rule."""
    losses: tuple[tuple[int, int], ...] = ()
    """First and last index of each lost range; the root is still computed."""
    incidents: tuple[int, ...] = ()
    """The indices of all incidents."""
    warnings: tuple[str, ...] = ()
    """Warnings that are not faults."""
    reproduction: Reproduction | None = None
    """Counts of records that differ under other rules, unknown ones included; None if nothing was rebuilt."""

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return self._asdict() | {
            "verdict": self.verdict,
            "fault": None if self.fault is None else self.fault._asdict(),
            "further": [fault._asdict() for fault in self.further],
            "reproduction": None if self.reproduction is None else self.reproduction.as_dict(),
        }

    @property
    def unknown(self) -> int:
        """Number of differing records made by rules that this version does not know."""
        return 0 if self.reproduction is None else self.reproduction.unknown.total()

    @property
    def verdict(self) -> str:
        """failed, intact with losses, or verified."""
        if self.fault is not None:
            return "failed"
        return "intact, with losses" if self.losses else "verified"


class PartitionCheck:
    """The check of one partition's records, in order."""

    def __init__(
        self, partition: int, verifier: Verifier, read_blob: ReadBlob, *, rebuilding: bool, partitions: int = 1
    ) -> None:
        self.verifier = verifier
        """The rules of the log, and their state so far."""
        self._partition = partition
        self._read_blob = read_blob
        self._theses = ThesisCheck(partition, partitions)
        self._blobs = BlobCache()
        self._memories = MemoryCheck(partition, partitions, self._blobs)
        self._rebuilding = rebuilding
        self._rebuilt = 0
        self._reproduction = Reproduction()

    async def check_records(self, entries: AsyncIterator[Entry], on_record: Callable[[], None]) -> Fault | None:
        """Check records up to the first fault that ends the check and return it, None if there is none."""
        try:
            async for entry in entries:
                fault = self.verifier.check(entry) or await self._check_blobs(entry)
                fault = fault or self._theses.check(entry, self.verifier.is_unknown)
                if fault is None and self._rebuilding:
                    fault = self._check_rebuild(entry) or self._memories.check(entry, self.verifier.is_unknown)
                if fault is not None and [fault] != self.verifier.unreadable[-1:]:
                    return fault
                on_record()
        except FaultError as error:
            return error.fault
        return None

    async def check_lost(self, found_again: Iterable[Entry], lost: dict[int, bytes]) -> Fault | None:
        """Check that exactly the records named by incidents are lost, and that those found again match `lost`."""
        declared = {index for first, last in self.verifier.losses for index in range(first, last + 1)}
        if undeclared := lost.keys() - declared:
            return Fault(min(undeclared), "incident", "one that names every lost record", "none for this one")
        try:
            for entry in found_again:
                fault = self.verifier.check_found(entry, lost) or await self._check_blobs(entry)
                if fault is not None:
                    return fault
        except FaultError as error:
            return error.fault
        return None

    async def _check_blobs(self, entry: Entry) -> Fault | None:
        """Check that every blob named by a record exists and matches its digest."""
        for section, field in BLOBS:
            digest = entry.record.get(section, {}).get(field)
            if digest is None or digest in self._blobs:
                continue
            blob = await self._read_blob(digest)
            found = "nothing" if blob is None else canonical.sha256(blob)
            if blob is None or found != digest:
                return Fault(entry.index, f"blob-digest of {field}", digest, found)
            self._blobs.add(digest, blob)
        return None

    def _check_rebuild(self, entry: Entry) -> Fault | None:
        if entry.erased:
            return None
        rebuilt = rebuild(entry, self._blobs)
        if (found := rebuilt.tampering) is not None:
            return Fault(entry.index, found.rule, "what its evidence yields", found.what)
        self._reproduction.add(entry, rebuilt)
        if rebuilt.same and "prompt" in entry.record:
            self._rebuilt += 1
        return None

    def report(self, fault: Fault | None, warnings: Iterable[str]) -> PartitionReport:
        """Return the report; `fault` is what ended the check, also of checks made elsewhere."""
        verifier = self.verifier
        good = verifier.size if fault is None else min(fault.at, verifier.size)
        lost = sum(min(last + 1, good) - first for first, last in verifier.losses if first < good)
        unreadable = [found for found in verifier.unreadable if found.at < good]
        faults = sorted(verifier.unreadable if fault is None else [*verifier.unreadable, fault])
        return PartitionReport(
            partition=self._partition,
            records=max(0, good - verifier.archived - lost - len(unreadable)),
            archived=verifier.archived,
            ticks=len([index for index in verifier.settled.values() if index < good]),
            rebuilt=self._rebuilt,
            not_reproducible=self._reproduction.known.total(),
            fault=faults[0] if faults else None,
            further=tuple(faults[1:]),
            checkpoints=verifier.coverage.count,
            covered=verifier.coverage.size,
            erased=verifier.erased,
            losses=tuple(verifier.losses),
            incidents=tuple(verifier.incidents),
            warnings=(*warnings, *self._reproduction.warnings()),
            reproduction=self._reproduction,
        )
