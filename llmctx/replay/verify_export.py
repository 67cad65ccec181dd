"""Verify an export or an archive in full: what it holds against its checkpoints, a key and receipts."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from llmctx.replay.partition_check import PartitionCheck, PartitionReport
from llmctx.replay.verify import Expected, trusted_of, writers_of
from llmctx.trail.archive.reader import Archive
from llmctx.trail.export.reader import Export, Part
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.leaf_schema import Fault, FaultError
from llmctx.trail.proof.coverage import read_coverage
from llmctx.trail.proof.receipt import HeldReceipts, check_receipts
from llmctx.trail.proof.verify import Verifier

_OWN_KEY = "the key came with the export, so it proves nothing against whoever made the export; name it with --key"


def open_export(directory: Path, expected: Expected) -> Export:
    """Open an export with the expected key and origin, all of whose blobs have the right digests.

    Raises ExportError if the folder is not an export, FaultError if key, origin, a blob or a receipt does not fit.
    """
    export = Export(directory)
    if expected.key is not None and export.key not in export.key_chain(expected.key):
        raise FaultError(Fault(0, "key", expected.key.text, export.key.text))
    origin = expected.origin or export.key.name
    if export.origin != origin:
        raise FaultError(Fault(0, "origin", origin, export.origin))
    export.check_blobs()
    expected.check_partitions(len(export.parts))
    return export


async def verify_part(
    export: Export | Archive, part: Part, expected: Expected, on_record: Callable[[], None] = lambda: None
) -> PartitionReport:
    """Check every record of one partition of an export that `open_export` returned, or of an archive, in order."""

    async def blob(digest: str) -> bytes | None:
        return export.blob(digest)

    trusted = trusted_of(expected.key or export.key, export.origin, part.partition, export.partitions)
    receipts = expected.receipts_of(part.partition)
    try:
        trusted = trusted._replace(chain=export.key_chain(trusted.key))
        check_receipts(receipts, trusted)
        notes, instead = export.notes(part)
        coverage = read_coverage(notes, trusted)
        if instead is not None:
            fault = Fault(coverage.size, "note-grammar", "signed checkpoints, one blank line between", instead)
            return PartitionReport(part.partition, fault=fault)
        lost, known = export.lost(part), export.known(part)
    except FaultError as error:
        return PartitionReport(part.partition, fault=error.fault)
    writers = writers_of(trusted.origin, trusted)
    verifier = Verifier(coverage, known=known, lost=lost.get, held=HeldReceipts(receipts), writers=writers)
    check = PartitionCheck(part.partition, verifier, blob, rebuilding=expected.rebuild, partitions=export.partitions)
    found = await check.check_records(_each(export, part, lost), on_record) or verifier.check_end(all_covered=True)
    found = found or _check_sizes(verifier, part, known) or await check.check_lost(export.found_again(part), lost)
    warnings = [] if expected.key is not None else [_OWN_KEY]
    warnings += [] if coverage.count else ["there is no checkpoint, so nothing proves that this partition is empty"]
    return check.report(found, [*warnings, *coverage.warnings()])


async def _each(export: Export | Archive, part: Part, lost: dict[int, bytes]) -> AsyncIterator[Entry]:
    for entry in export.entries(part, lost):
        yield entry


def _check_sizes(verifier: Verifier, part: Part, known: Sequence[bytes] | None) -> Fault | None:
    if part.size != verifier.size:
        return Fault(verifier.size, "manifest", f"{part.size} records, as the manifest says", f"{verifier.size}")
    if known is not None and len(known) != verifier.size:
        return Fault(min(verifier.size, len(known)), "leaf-hash", f"{verifier.size} leaf hashes", f"{len(known)}")
    return None
