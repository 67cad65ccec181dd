"""Verify a trail against what is known outside it: the anchor of a state directory, a key, receipts held by others."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from llmctx.errors import CheckpointError
from llmctx.replay.partition_check import PartitionReport
from llmctx.replay.verify import OutsideEvidence, trusted_of, verify_log, verify_part
from llmctx.trail.export.reader import Export, Part
from llmctx.trail.log.instance import Instance, read_state_instance
from llmctx.trail.log.log import Log
from llmctx.trail.proof.anchor import Anchor, anchor_directory
from llmctx.trail.proof.checkpoint import Key, origin_of, read_note
from llmctx.trail.proof.fault import Fault, FaultError
from llmctx.trail.proof.key import read_public_key
from llmctx.trail.proof.receipt import Receipt


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
                found = f"{partitions} partitions"
                raise FaultError(Fault(receipt.at, "receipt", f"a partition {receipt.partition}", found))

    def receipts_of(self, partition: int) -> list[Receipt]:
        """The receipts for one partition."""
        return [receipt for receipt in self.receipts if receipt.partition == partition]


async def verify_partition(
    log: Log,
    instance: Instance,
    state_dir: Path,
    expected: Expected | None = None,
    on_record: Callable[[], None] = lambda: None,
) -> PartitionReport:
    """Verify one partition in Redis against the anchor and the key of a state directory.

    Raises FaultError if a receipt or the key belongs to another trail, AnchorError if the anchor cannot be read.
    """
    expected = expected or Expected()
    key = expected.key or read_public_key(state_dir, instance.id)
    name = origin_of(instance.id, log.partition)
    trusted = None if key is None else trusted_of(key, expected.origin, log.partition, instance.partitions)
    if trusted is not None and trusted.origin != name:
        raise FaultError(Fault(0, "origin", trusted.origin, name))
    # Read before the anchor: the notary writes the anchor first, so this checkpoint cannot be newer than the anchor's.
    checkpoint = await log.checkpoint()
    anchor = Anchor(anchor_directory(state_dir, instance.id, log.partition))
    notes, hashes = anchor.checkpoints(), anchor.hashes()
    has_state = read_state_instance(state_dir) is not None
    outside = OutsideEvidence(
        trusted=trusted,
        checkpoints=notes,
        leaf_hashes=hashes,
        receipts=_receipts_from(expected.receipts_of(log.partition), name),
        key_given=expected.key is not None,
        warnings=_anchor_warnings(notes, checkpoint, has_state=has_state),
    )
    return await verify_log(log, on_record, outside, rebuilding=expected.rebuild)


def _receipts_from(receipts: list[Receipt], origin: str) -> list[Receipt]:
    for receipt in receipts:
        if receipt.origin not in ("", origin):
            raise FaultError(Fault(receipt.at, "receipt", f"a receipt of {origin}", receipt.origin))
    return receipts


def _anchor_warnings(notes: list[str], checkpoint: str | None, *, has_state: bool) -> list[str]:
    if not notes:
        warning = "this state directory has no anchor for it: the result proves only what Redis says"
        return [warning] if has_state else []
    if checkpoint is None or checkpoint in notes:
        return []
    try:
        there, here = read_note(checkpoint), read_note(notes[-1])
    except CheckpointError:
        return []  # verification itself reports it
    if (there.size, there.time_ms) > (here.size, here.time_ms):
        return ["the checkpoint in Redis is newer than the anchor's newest: was the anchor cut back?"]
    return []


def open_export(directory: Path, expected: Expected) -> Export:
    """An export with the expected key and origin, all of whose blobs have the right digests.

    Raises ExportError if the folder is not an export, FaultError if key, origin, a blob or a receipt does not fit.
    """
    export = Export(directory)
    if expected.key is not None and export.key != expected.key:
        raise FaultError(Fault(0, "key", expected.key.text, export.key.text))
    origin = expected.origin or export.key.name
    if export.origin != origin:
        raise FaultError(Fault(0, "origin", origin, export.origin))
    export.check_blobs()
    expected.check_partitions(len(export.parts))
    return export


async def verify_export_part(
    export: Export, part: Part, expected: Expected, on_record: Callable[[], None] = lambda: None
) -> PartitionReport:
    """Verify one partition of an export that `open_export` returned."""
    trusted = trusted_of(export.key, export.origin, part.partition, len(export.parts))
    receipts = expected.receipts_of(part.partition)
    report = await verify_part(export, part, trusted, receipts, on_record, rebuilding=expected.rebuild)
    if expected.key is None:
        why = "the key came with the export, so it proves nothing against whoever made the export; name it with --key"
        report = report._replace(warnings=(why, *report.warnings))
    return report
