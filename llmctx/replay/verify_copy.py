"""Verify a copy of a trail, an export or an archive, by what it holds itself, a key and receipts."""

from collections.abc import AsyncIterator, Callable, Sequence

from llmctx.replay.partition_check import PartitionCheck, PartitionReport
from llmctx.replay.verify import Expected, check_erasures, trusted_of, writers_of
from llmctx.trail.archive.reader import Archive
from llmctx.trail.export.reader import Part
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.leaf_schema import Fault, FaultError
from llmctx.trail.proof.coverage import read_coverage
from llmctx.trail.proof.receipt import HeldReceipts, check_receipts
from llmctx.trail.proof.verify import Verifier
from llmctx.trail.proof.writer import WriterKeys
from llmctx.trail.source.copies import Copy


def check_copy(copy: Copy, expected: Expected) -> None:
    """Check an export or an archive as a whole: the expected key and origin, and the digest of each blob.

    Raises FaultError if key, origin, a blob or a receipt does not fit.
    """
    if expected.key is not None and copy.key not in copy.key_chain(expected.key):
        raise FaultError(Fault(0, "key", expected.key.text, copy.key.text))
    origin = expected.origin or copy.key.name
    if copy.origin != origin:
        raise FaultError(Fault(0, "origin", origin, copy.origin))
    copy.check_blobs()
    expected.check_partitions(copy.partitions)


async def verify_part(
    copy: Copy, part: Part, expected: Expected, on_record: Callable[[], None] = lambda: None
) -> PartitionReport:
    """Check every record of one partition of a copy that `check_copy` passed, in order."""

    async def blob(digest: str) -> bytes | None:
        return copy.blob(digest)

    trusted = trusted_of(expected.key or copy.key, copy.origin, part.partition, copy.partitions)
    receipts = expected.receipts_of(part.partition)
    for receipt in receipts:
        if receipt.at < part.first:
            outside = Fault(receipt.at, "receipt", f"a record from {part.first} on, where this begins", f"{receipt.at}")
            return PartitionReport(part.partition, fault=outside)
    try:
        trusted = trusted._replace(chain=copy.key_chain(trusted.key))
        check_receipts(receipts, trusted)
        notes, instead = copy.notes(part)
        coverage = read_coverage(notes, trusted)
        if instead is not None:
            fault = Fault(coverage.size, "note-grammar", "signed checkpoints, one blank line between", instead)
            return PartitionReport(part.partition, fault=fault)
        lost, known, erasures = copy.lost(part), copy.known(part), copy.erasures(part)
    except FaultError as error:
        return PartitionReport(part.partition, fault=error.fault)
    writers = writers_of(trusted.origin, trusted)
    verifier = Verifier(
        coverage, known=known, known_from=part.first, lost=lost.get, held=HeldReceipts(receipts), writers=writers
    )
    check = PartitionCheck(part.partition, verifier, blob, rebuilding=expected.rebuild, partitions=copy.partitions)
    begun = _begin(part, verifier, writers)
    found = begun or await check.check_records(_each(copy, part, lost), on_record)
    found = (
        found
        or check_erasures(erasures, writers)
        or verifier.check_end(all_covered=True)
        or _check_sizes(verifier, part, known)
        or await check.check_lost(copy.found_again(part), lost)
    )
    warnings = [] if expected.key is not None else [_own_key(copy)]
    warnings += [] if coverage.count else ["there is no checkpoint, so nothing proves that this partition is empty"]
    return check.report(found, [*warnings, *coverage.warnings()])


def _begin(part: Part, verifier: Verifier, writers: WriterKeys) -> Fault | None:
    """Begin where the copy begins; the fault if a checkpoint or the keys named before it contradict that."""
    if not part.first:
        return None
    try:
        return verifier.begin_at(part.first, part.subtrees) or writers.begin_after(part.writers)
    except ValueError as error:
        return Fault(part.first, "manifest", f"the subtrees of a tree of {part.first} leaves", str(error))


def _own_key(copy: Copy) -> str:
    kind = "archive" if isinstance(copy, Archive) else "export"
    return f"the key came with the {kind}, so it proves nothing against whoever made the {kind}; name it with --key"


async def _each(copy: Copy, part: Part, lost: dict[int, bytes]) -> AsyncIterator[Entry]:
    for entry in copy.entries(part, lost):
        yield entry


def _check_sizes(verifier: Verifier, part: Part, known: Sequence[bytes] | None) -> Fault | None:
    if part.size != verifier.size:
        return Fault(verifier.size, "manifest", f"{part.size} records, as the manifest says", f"{verifier.size}")
    if known is not None and part.first + len(known) != verifier.size:
        end = part.first + len(known)
        return Fault(min(verifier.size, end), "leaf-hash", f"leaf hashes below {verifier.size}", f"below {end}")
    return None
