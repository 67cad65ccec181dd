"""Verify a trail in Redis in full, against the anchor of a state directory, a key and receipts."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from llmctx.errors import CheckpointError
from llmctx.replay.partition_check import PartitionCheck, PartitionReport
from llmctx.trail.log.base import Base
from llmctx.trail.log.instance import Instance, read_state_instance
from llmctx.trail.log.leaf_schema import Fault, FaultError
from llmctx.trail.log.log import Log
from llmctx.trail.log.records import Records
from llmctx.trail.proof.anchor import Anchor, anchor_directory
from llmctx.trail.proof.base import check_base
from llmctx.trail.proof.checkpoint import Key, origin_of, read_note
from llmctx.trail.proof.coverage import Coverage, Trusted, notes_since, read_coverage
from llmctx.trail.proof.erasure import Erasure
from llmctx.trail.proof.key import read_public_key
from llmctx.trail.proof.receipt import HeldReceipts, Receipt, check_receipts
from llmctx.trail.proof.replaced import replaced_key
from llmctx.trail.proof.rotation import key_chain
from llmctx.trail.proof.verify import Verifier
from llmctx.trail.proof.writer import WriterKeys
from llmctx.trail.proof.writers_file import older_keys


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
    keys_before: Sequence[Key] = ()
    """The instance keys before the trusted ones, as the state directory knows them; one may have signed the base."""
    warnings: Sequence[str] = ()
    """Remarks about the anchor that are no faults."""
    writers: WriterKeys | None = None
    """Checks the records' proofs; None skips them."""
    whole: Records | None = None
    """The records of the archive and those of the log, as one; None checks the log alone."""
    archived_notes: Sequence[str] = ()
    """The archive's checkpoints, which stand in for an anchor."""
    erasures: Sequence[Erasure] = ()
    """What was erased of the archived records by rule."""

    def begins_at(self, base: Base) -> int:
        """Before which record nothing is compared: its base is signed, and a million hashes take ten seconds."""
        return 0 if self.receipts or self.whole is not None else base.size


class Older(NamedTuple):
    """What an archive has of a partition."""

    records: Records
    """The archived records and those of the log, as one."""
    notes: Sequence[str] = ()
    """The archive's signed checkpoints."""
    erasures: Sequence[Erasure] = ()
    """What was erased of its records by rule."""


class Expected(NamedTuple):
    """What the verifier was told from outside the trail."""

    key: Key | None = None
    """The notary's public key."""
    origin: str | None = None
    """llmctx/INSTANCE, which checkpoints must name; None takes the key's name."""
    receipts: Sequence[Receipt] = ()
    """Receipts that the trail must agree with."""
    rebuild: bool = True
    """Whether each record is rebuilt from its evidence."""

    def check_partitions(self, partitions: int) -> None:
        """Raise FaultError if a receipt names a partition that the trail does not have."""
        for receipt in self.receipts:
            if receipt.partition >= partitions:
                raise FaultError(
                    Fault(receipt.at, "receipt", f"a partition {receipt.partition}", f"{partitions} partitions")
                )

    def receipts_of(self, partition: int) -> list[Receipt]:
        """Return the receipts for one partition."""
        return [receipt for receipt in self.receipts if receipt.partition == partition]


def trusted_of(key: Key, origin: str | None, partition: int, partitions: int | None = None) -> Trusted:
    """Return whose signatures count on a partition; the origin defaults to the key's name."""
    return Trusted(key, f"{origin or key.name}/{partition}", partitions)


async def verify_partition(
    log: Log,
    instance: Instance,
    state_dir: Path,
    expected: Expected = Expected(),  # noqa: B008  frozen
    on_record: Callable[[], None] = lambda: None,
    older: Older | None = None,
) -> PartitionReport:
    """Verify one partition in Redis against the anchor and the key of a state directory.

    With `older` the archived records are verified too, so the partition is checked from its first record on.

    Raises FaultError if a receipt or the key belongs to another trail, AnchorError if the anchor cannot be read.
    """
    key, first = expected.key or read_public_key(state_dir, instance.id), await log.first()
    name = origin_of(instance.id, log.partition)
    # Read before the anchor: the notary writes the anchor first, so this checkpoint cannot be newer than the anchor's.
    checkpoint = await log.checkpoint()
    anchor = Anchor(anchor_directory(state_dir, instance.id, log.partition))
    notes = anchor.checkpoints()
    trusted = None
    if key is not None:
        trusted = trusted_of(key, expected.origin, log.partition, instance.partitions)
        # A state directory that has joined has no anchor: it learned from records which keys came before its own.
        followed = not notes and key == read_public_key(state_dir, instance.id)
        chain = (*older_keys(state_dir, instance.id), key) if followed else key_chain(notes, key)
        trusted = trusted._replace(chain=chain)
    if trusted is not None and trusted.origin != name:
        raise FaultError(Fault(0, "origin", trusted.origin, name))
    receipts, before = expected.receipts_of(log.partition), older_keys(state_dir, instance.id)
    for receipt in receipts:
        if receipt.origin not in ("", name):
            raise FaultError(Fault(receipt.at, "receipt", f"a receipt of {name}", receipt.origin))
    outside = OutsideEvidence(
        trusted=trusted,
        checkpoints=notes,
        leaf_hashes=anchor.packed(),
        receipts=receipts,
        key_given=expected.key is not None,
        keys_before=before,
        warnings=[*_anchor_warnings(notes, checkpoint, state_dir), *_key_warnings(log.partition, instance, state_dir)],
        writers=writers_of(name, trusted, before),
        whole=None if older is None else older.records,
        archived_notes=() if older is None else older.notes,
        erasures=() if older is None else older.erasures,
    )
    report = await verify_log(log, on_record, outside, rebuilding=expected.rebuild, partitions=instance.partitions)
    if report.fault is not None and await log.first() != first:  # it was archived meanwhile
        return await verify_partition(log, instance, state_dir, expected, on_record, older)
    return report


def writers_of(origin: str, trusted: Trusted | None, older: Sequence[Key] = ()) -> WriterKeys:
    """Return the keys that vouch for the writers of a partition; `older` ones vouch for what they enrolled."""
    *before, newest = [None] if trusted is None else trusted.keys
    return WriterKeys(origin, newest, [*older, *(key for key in before if key is not None)])


def _key_warnings(partition: int, instance: Instance, state_dir: Path) -> list[str]:
    found = replaced_key(state_dir, instance.id, partition)
    return [] if found is None else [f"{found.what} {found.do}"]


def _anchor_warnings(notes: list[str], checkpoint: str | None, state_dir: Path) -> list[str]:
    if not notes and read_state_instance(state_dir) is not None:
        return ["this state directory has no anchor for it: the result proves only what Redis says"]
    if not notes or checkpoint is None or checkpoint in notes:
        return []
    try:
        there, here = read_note(checkpoint), read_note(notes[-1])
    except CheckpointError:
        return []  # verification itself reports it
    if (there.size, there.time_ms) > (here.size, here.time_ms):
        return ["the checkpoint in Redis is newer than the anchor's newest: was the anchor cut back?"]
    return []


async def verify_log(
    log: Log,
    on_record: Callable[[], None] = lambda: None,
    outside: OutsideEvidence = OutsideEvidence(),  # noqa: B008  frozen
    *,
    rebuilding: bool = True,
    partitions: int = 1,
) -> PartitionReport:
    """Check every record of a partition in Redis, in order, up to the first bad one, also against what is outside."""
    # Map and checkpoint are read first, since a running service appends while the log is read.
    size, tick_map, checkpoint = await log.size(), await log.tick_map(), await log.checkpoint()
    symbols, known, ids = await log.symbol_lists(), outside.leaf_hashes, await log.tick_map("effects")
    try:
        base = await _read_base(log, outside.trusted, outside.keys_before)
        coverage = _coverage(outside, checkpoint, outside.begins_at(base))
    except FaultError as error:
        return PartitionReport(log.partition, fault=error.fault, warnings=tuple(outside.warnings))
    verifier = Verifier(
        coverage,
        known=known,
        lost=lambda index: known[index] if index < len(known) else None,
        held=HeldReceipts(outside.receipts),
        writers=outside.writers,
    )
    records = outside.whole or log
    check = PartitionCheck(log.partition, verifier, records.blob, rebuilding=rebuilding, partitions=partitions)
    verifier.trimmed = base.size
    fault = None if outside.whole is not None else _begin(base, verifier, outside)
    fault = fault or await check.check_records(records.read(), on_record)
    fault = fault or _check_outside(outside, verifier) or verifier.check_notice() or await _check_kept(log, verifier)
    fault = fault or check_erasures(outside.erasures, outside.writers)
    fault = fault or verifier.check_map(tick_map, size) or verifier.check_map(ids, size, said=True)
    fault = fault or verifier.check_symbols(symbols, size)
    warnings = [*_coverage_warnings(outside, coverage, verifier.size), *outside.warnings, *coverage.warnings()]
    return check.report(fault, warnings)


async def _read_base(log: Log, trusted: Trusted | None, before: Sequence[Key]) -> Base:
    """What was archived and trimmed.

    Raises FaultError if that is not what the instance key signed.
    """
    try:
        base = await log.base()
    except ValueError as error:
        raise FaultError(Fault(0, "base", "what `llmctx archive` writes", str(error))) from error
    origin = "" if trusted is None else trusted.origin
    if (fault := check_base(base, () if trusted is None else (*trusted.keys, *before), origin)) is not None:
        raise FaultError(fault)
    return base


def check_erasures(erasures: Sequence[Erasure], writers: WriterKeys | None) -> Fault | None:
    """The first fault of what was erased, once the records have told who may write."""
    if writers is None:
        return None
    return next((fault for each in erasures if (fault := each.fault(writers)) is not None), None)


def _begin(base: Base, verifier: Verifier, outside: OutsideEvidence) -> Fault | None:
    """Begin the check where the log begins; the fault if the base contradicts what is known of it."""
    if not base.size:
        return None
    fault = verifier.begin_at(base.size, base.subtrees, grow=not outside.begins_at(base))
    return fault or (None if outside.writers is None else outside.writers.begin_after(base.writers))


async def _check_kept(log: Log, verifier: Verifier) -> Fault | None:
    """The first fault of the archived records that are kept in Redis."""
    for index in await log.kept():
        entry = await log.entry(index) if index >= 0 else None
        if entry is None:
            return Fault(0, "kept", "archived records by index", f"{index}")
        if (fault := verifier.check_kept(entry)) is not None:
            return fault
    return None


def _coverage(outside: OutsideEvidence, in_redis: str | None, since: int) -> Coverage:
    """Read the anchor's checkpoints over so many records and the one before them; without an anchor the one in Redis,
    which alone proves nothing about times.
    """
    if outside.trusted is None:
        return Coverage()
    check_receipts(outside.receipts, outside.trusted)
    if not outside.checkpoints:
        newest = [] if in_redis is None or in_redis in outside.archived_notes else [in_redis]
        return read_coverage([*outside.archived_notes, *newest], outside.trusted, complete=False)
    notes, trusted = notes_since(outside.checkpoints, outside.trusted, since)
    coverage = read_coverage(notes, trusted)
    if coverage.size > len(outside.leaf_hashes):
        expected = f"{coverage.size} leaf hashes in the anchor, as its last checkpoint says"
        raise FaultError(Fault(len(outside.leaf_hashes), "tail", expected, f"{len(outside.leaf_hashes)}"))
    if in_redis is not None and in_redis not in outside.checkpoints:
        read_coverage([in_redis], outside.trusted)
        coverage = read_coverage([*notes, in_redis], trusted)
    return coverage


def _check_outside(outside: OutsideEvidence, verifier: Verifier) -> Fault | None:
    known = len(outside.leaf_hashes)
    if known > verifier.size:
        return Fault(verifier.size, "tail", f"{known} records, as the anchor has leaf hashes", f"{verifier.size}")
    if (fault := verifier.check_end(all_covered=False)) is not None:
        return fault
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
