"""Verify a trail in full: in Redis against what is known outside, or in an export."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

from llmctx.replay.partition_check import PartitionCheck, PartitionReport
from llmctx.trail.export.reader import Export, Part
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.log import Log
from llmctx.trail.proof.checkpoint import Key
from llmctx.trail.proof.coverage import Coverage, Trusted, read_coverage
from llmctx.trail.proof.fault import Fault, FaultError
from llmctx.trail.proof.receipt import HeldReceipts, Receipt, check_receipts
from llmctx.trail.proof.verify import Verifier


class OutsideEvidence(NamedTuple):
    """What is known of a partition from outside Redis."""

    trusted: Trusted | None = None
    """Whose signatures count; None skips all checkpoints."""
    checkpoints: Sequence[str] = ()
    """The anchor's checkpoints."""
    leaf_hashes: Sequence[bytes] = ()
    """The anchor's leaf hashes."""
    receipts: Sequence[Receipt] = ()
    """Receipts kept by others."""
    key_given: bool = False
    """Whether the caller named the key and so expects a checkpoint signed by it."""
    warnings: Sequence[str] = ()
    """Remarks about the anchor that are no faults."""


async def verify_log(
    log: Log,
    on_record: Callable[[], None] = lambda: None,
    outside: OutsideEvidence | None = None,
    *,
    rebuilding: bool = True,
) -> PartitionReport:
    """Check every record of a partition in Redis, in order, up to the first bad one.

    Records and checkpoints are also compared with the evidence from outside Redis.
    """
    outside = outside or OutsideEvidence()
    # Map and checkpoint are read first, since a running service appends while the log is read.
    size, tick_map, checkpoint = await log.size(), await log.tick_map(), await log.checkpoint()
    symbols = await log.symbol_lists()
    try:
        if outside.trusted is not None:
            check_receipts(outside.receipts, outside.trusted)
        coverage = _coverage(outside, checkpoint)
    except FaultError as error:
        return PartitionReport(log.partition, fault=error.fault)
    known = outside.leaf_hashes
    verifier = Verifier(
        coverage,
        known=known,
        lost=lambda index: known[index] if index < len(known) else None,
        held=HeldReceipts(outside.receipts),
    )
    check = PartitionCheck(log.partition, verifier, log.blob, rebuilding=rebuilding)
    fault = await check.check_records(log.read(), on_record)
    fault = fault or _check_anchor(verifier, known) or _check_signed(outside, verifier)
    fault = fault or verifier.check_map(tick_map, size) or verifier.check_symbols(symbols, size)
    return check.report(
        fault, [*_coverage_warnings(outside, coverage, verifier.size), *outside.warnings, *coverage.warnings()]
    )


def _coverage(outside: OutsideEvidence, in_redis: str | None) -> Coverage:
    """Read the anchor's checkpoints; without an anchor the one in Redis, which alone says nothing about times."""
    if outside.trusted is None:
        return Coverage()
    if not outside.checkpoints:
        return read_coverage([] if in_redis is None else [in_redis], outside.trusted, complete=False)
    coverage = read_coverage(outside.checkpoints, outside.trusted)
    if coverage.size > len(outside.leaf_hashes):
        expected = f"{coverage.size} leaf hashes in the anchor, as its last checkpoint says"
        raise FaultError(Fault(len(outside.leaf_hashes), "tail", expected, f"{len(outside.leaf_hashes)}"))
    if in_redis is not None and in_redis not in outside.checkpoints:
        read_coverage([in_redis], outside.trusted)
        coverage = read_coverage([*outside.checkpoints, in_redis], outside.trusted)
    return coverage


def _check_anchor(verifier: Verifier, known: Sequence[bytes]) -> Fault | None:
    if len(known) > verifier.size:
        return Fault(verifier.size, "tail", f"{len(known)} records, as the anchor has leaf hashes", f"{verifier.size}")
    return verifier.check_end(all_covered=False)


def _check_signed(outside: OutsideEvidence, verifier: Verifier) -> Fault | None:
    if outside.key_given and verifier.size and not verifier.coverage.size:
        return Fault(0, "uncovered", "a checkpoint signed by the key that was given", "none")
    return None


def _coverage_warnings(outside: OutsideEvidence, coverage: Coverage, size: int) -> list[str]:
    if outside.trusted is None:
        return ["no key is known here, so no checkpoint was checked; name one with --key"]
    if not coverage.count:
        return ["no checkpoint covers any record yet, so nothing outside Redis proves them"]
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
) -> PartitionReport:
    """Check every record of one partition of an export, in order, up to the first bad one."""

    async def blob(digest: str) -> bytes | None:
        return export.blob(digest)

    try:
        check_receipts(receipts, trusted)
        coverage = _covered(export, part, trusted)
        lost, known = export.lost(part), export.known(part)
    except FaultError as error:
        return PartitionReport(part.partition, fault=error.fault)
    verifier = Verifier(coverage, known=known, lost=lost.get, held=HeldReceipts(receipts))
    check = PartitionCheck(part.partition, verifier, blob, rebuilding=rebuilding)
    fault = await check.check_records(_each(export, part, lost), on_record) or verifier.check_end(all_covered=True)
    fault = fault or _check_sizes(verifier, part, known) or await _check_lost(export, part, check, lost)
    missing = [] if coverage.count else ["there is no checkpoint, so nothing proves that this partition is empty"]
    return check.report(fault, [*missing, *coverage.warnings()])


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


async def _check_lost(export: Export, part: Part, check: PartitionCheck, lost: dict[int, bytes]) -> Fault | None:
    """Check that exactly the records named by incidents are lost, and that records found again are those lost."""
    declared = {index for first, last in check.verifier.losses for index in range(first, last + 1)}
    if undeclared := lost.keys() - declared:
        return Fault(min(undeclared), "incident", "one that names every lost record", "none for this one")
    try:
        for entry in export.found_again(part):
            fault = check.verifier.check_found(entry, lost) or await check.check_blobs(entry)
            if fault is not None:
                return fault
    except FaultError as error:
        return error.fault
    return None


def trusted_of(key: Key, origin: str | None, partition: int, partitions: int | None = None) -> Trusted:
    """Return whose signatures count on a partition; the origin defaults to the key's name."""
    return Trusted(key, f"{origin or key.name}/{partition}", partitions)
