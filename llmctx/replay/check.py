"""Verify a trail in full: the rules of the log, then each record rebuilt from its evidence."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

from llmctx import canonical
from llmctx.errors import RecordError
from llmctx.replay.report import Report
from llmctx.replay.reproduction import Reproduction
from llmctx.replay.rerun import Templates, rebuild
from llmctx.trail.export.reader import Export, Part
from llmctx.trail.log.entry import BLOBS, Entry
from llmctx.trail.log.log import Log
from llmctx.trail.proof.checkpoint import Key
from llmctx.trail.proof.coverage import Coverage, Trusted, read_coverage
from llmctx.trail.proof.fault import Fault, FaultError
from llmctx.trail.proof.receipt import HeldReceipts, Receipt, check_receipts
from llmctx.trail.proof.verify import Verifier

_Blobs = Callable[[str], Awaitable[bytes | None]]


class Outside(NamedTuple):
    """What is known of a partition from outside Redis."""

    trusted: Trusted | None = None
    """Whose signatures count; without it checkpoints are not looked at."""
    notes: Sequence[str] = ()
    """The anchor's checkpoints."""
    hashes: Sequence[bytes] = ()
    """The anchor's leaf hashes."""
    receipts: Sequence[Receipt] = ()
    """Receipts held by others."""
    given: bool = False
    """Whether the key came from somebody who wants something signed by it."""
    warnings: Sequence[str] = ()
    """What was seen of the anchor that is no fault, but should be known."""


async def verify_log(
    log: Log,
    on_record: Callable[[], None] = lambda: None,
    outside: Outside | None = None,
    *,
    rebuilding: bool = True,
) -> Report:
    """Check every record of a partition in Redis, in order, up to the first bad one.

    With what is known outside Redis, records and checkpoints are held against that too.
    """
    outside = outside or Outside()
    # Map and checkpoint are taken first: a running service goes on while the log is read.
    size, tick_map, told = await log.size(), await log.tick_map(), await log.checkpoint()
    symbols = await log.symbol_lists()
    try:
        if outside.trusted is not None:
            check_receipts(outside.receipts, outside.trusted)
        coverage = _coverage(outside, told)
    except FaultError as broken:
        return Report(log.partition, 0, 0, 0, 0, broken.fault)
    known = outside.hashes
    verifier = Verifier(
        coverage,
        known=known,
        lost=lambda index: known[index] if index < len(known) else None,
        held=HeldReceipts(outside.receipts),
    )
    check = _Check(log.partition, verifier, log.blob, rebuilding=rebuilding)
    fault = await check.records(log.read(), on_record)
    fault = fault or _check_anchor(verifier, known) or _check_signed(outside, verifier)
    fault = fault or verifier.check_map(tick_map, size) or verifier.check_symbols(symbols, size)
    return check.report(fault, [*_unsigned(outside, coverage, verifier.size), *outside.warnings, *coverage.warnings()])


def _coverage(outside: Outside, told: str | None) -> Coverage:
    """The anchor's checkpoints; without an anchor the one that stands in Redis, which alone tells nothing of times."""
    if outside.trusted is None:
        return Coverage()
    if not outside.notes:
        return read_coverage([] if told is None else [told], outside.trusted, complete=False)
    coverage = read_coverage(outside.notes, outside.trusted)
    if coverage.size > len(outside.hashes):
        expected = f"{coverage.size} leaf hashes in the anchor, as its last checkpoint says"
        raise FaultError(Fault(len(outside.hashes), "tail", expected, f"{len(outside.hashes)}"))
    if told is not None and told not in outside.notes:
        read_coverage([told], outside.trusted)
        coverage = read_coverage([*outside.notes, told], outside.trusted)
    return coverage


def _check_anchor(verifier: Verifier, known: Sequence[bytes]) -> Fault | None:
    if len(known) > verifier.size:
        return Fault(verifier.size, "tail", f"{len(known)} records, as the anchor has leaf hashes", f"{verifier.size}")
    return verifier.check_end(all_covered=False)


def _check_signed(outside: Outside, verifier: Verifier) -> Fault | None:
    if outside.given and verifier.size and not verifier.coverage.size:
        return Fault(0, "uncovered", "a checkpoint signed by the key that was given", "none")
    return None


def _unsigned(outside: Outside, coverage: Coverage, size: int) -> list[str]:
    if outside.trusted is None:
        return ["no key is known here, so no checkpoint was checked; name one with --key"]
    if not coverage.count:
        return ["no checkpoint covers any record yet: nothing outside Redis vouches for them"]
    if coverage.size < size:
        return [f"{size - coverage.size} records are not covered by a checkpoint yet"]
    return []


async def verify_part(
    export: Export,
    part: Part,
    trusted: Trusted,
    receipts: Sequence[Receipt] = (),
    on_record: Callable[[], None] = lambda: None,
    *,
    rebuilding: bool = True,
) -> Report:
    """Check every record of one partition of an export, in order, up to the first bad one."""

    async def blob(digest: str) -> bytes | None:
        return export.blob(digest)

    try:
        check_receipts(receipts, trusted)
        coverage = _covered(export, part, trusted)
        lost, known = export.lost(part), export.known(part)
    except FaultError as broken:
        return Report(part.partition, 0, 0, 0, 0, broken.fault)
    verifier = Verifier(coverage, known=known, lost=lost.get, held=HeldReceipts(receipts))
    check = _Check(part.partition, verifier, blob, rebuilding=rebuilding)
    fault = await check.records(_each(export, part, lost), on_record) or verifier.check_end(all_covered=True)
    fault = fault or _check_sizes(verifier, part, known) or await _check_lost(export, part, check, lost)
    unsigned = [] if coverage.count else ["there is no checkpoint: nothing says that this partition is empty"]
    return check.report(fault, [*unsigned, *coverage.warnings()])


def _covered(export: Export, part: Part, trusted: Trusted) -> Coverage:
    notes, instead = export.notes(part)
    coverage = read_coverage(notes, trusted)
    if instead is not None:
        expected = "signed checkpoints, one blank line between"
        raise FaultError(Fault(coverage.size, "note-grammar", expected, instead))
    return coverage


async def _each(export: Export, part: Part, lost: dict[int, bytes]) -> AsyncIterator[Entry]:
    for entry in export.entries(part, lost):
        yield entry


def _check_sizes(verifier: Verifier, part: Part, known: Sequence[bytes] | None) -> Fault | None:
    if part.size != verifier.size:
        return Fault(verifier.size, "manifest", f"{part.size} records, as the manifest says", f"{verifier.size}")
    if known is not None and len(known) != verifier.size:
        return Fault(min(verifier.size, len(known)), "leaf-hash", f"{verifier.size} leaf hashes", f"{len(known)}")
    return None


async def _check_lost(export: Export, part: Part, check: "_Check", lost: dict[int, bytes]) -> Fault | None:
    """Lost is what an incident says, and nothing else; what was found again is what was lost."""
    declared = {index for first, last in check.verifier.losses for index in range(first, last + 1)}
    if undeclared := lost.keys() - declared:
        return Fault(min(undeclared), "incident", "one that names every lost record", "none for this one")
    try:
        for entry in export.found_again(part):
            fault = check.verifier.check_found(entry, lost) or await check.blobs(entry)
            if fault is not None:
                return fault
    except FaultError as broken:
        return broken.fault
    return None


class _Check:
    """The check of one partition's records."""

    def __init__(self, partition: int, verifier: Verifier, blob: _Blobs, *, rebuilding: bool) -> None:
        self._partition = partition
        self.verifier = verifier
        """What has been found good so far."""
        self._blob = blob
        self._blobs: dict[str, bytes] = {}
        self._templates = Templates(self._blobs)
        self._rebuilding = rebuilding
        self._rebuilt = 0
        self._reproduction = Reproduction()

    async def records(self, entries: AsyncIterator[Entry], on_record: Callable[[], None]) -> Fault | None:
        """The first fault of the records, None where all are good."""
        try:
            async for entry in entries:
                fault = self.verifier.check(entry) or await self.blobs(entry)
                if fault is None and self._rebuilding:
                    fault = self._rebuild(entry)
                if fault is not None:
                    return fault
                on_record()
        except RecordError as error:
            return Fault(self.verifier.size, "record-form", "a leaf and evidence that can be unpacked", error.why)
        except FaultError as broken:
            return broken.fault
        return None

    def _rebuild(self, entry: Entry) -> Fault | None:
        rebuilt = rebuild(entry, self._templates)
        if (found := rebuilt.tampering) is not None:
            return Fault(entry.index, found.rule, "what its evidence gives", found.what)
        self._reproduction.add(entry.record["code"], rebuilt)
        self._rebuilt += rebuilt.same and "prompt" in entry.record
        return None

    async def blobs(self, entry: Entry) -> Fault | None:
        """Every blob that a record names is there, with that digest."""
        for section, field in BLOBS:
            digest = entry.record.get(section, {}).get(field)
            if digest is None:
                continue
            if digest in self._blobs:
                continue
            blob = await self._blob(digest)
            if blob is None or canonical.sha256(blob) != digest:
                found = "nothing" if blob is None else canonical.sha256(blob)
                return Fault(entry.index, f"blob-digest of {field}", digest, found)
            self._blobs[digest] = blob
        return None

    def report(self, fault: Fault | None, warnings: Iterable[str]) -> Report:
        """What was found."""
        verifier = self.verifier
        good = verifier.size if fault is None else min(fault.at, verifier.size)
        lost = sum(min(last + 1, good) - first for first, last in verifier.losses if first < good)
        return Report(
            self._partition,
            good - lost,
            sum(index < good for index in verifier.settled.values()),
            self._rebuilt,
            self._reproduction.known.total(),
            fault,
            verifier.coverage.count,
            verifier.coverage.size,
            tuple(verifier.losses),
            tuple(verifier.incidents),
            (*warnings, *self._reproduction.warnings()),
            self._reproduction,
        )


def trusted_of(key: Key, origin: str | None, partition: int, partitions: int | None = None) -> Trusted:
    """Whose signatures count on a partition: the origin is the key's name where no other one is given."""
    return Trusted(key, f"{origin or key.name}/{partition}", partitions)
