"""Check recorded decisions against their own evidence."""

from collections.abc import Iterable
from typing import NamedTuple

from llmctx.replay.blob_cache import BlobCache
from llmctx.replay.corpus import Recorded
from llmctx.replay.difference import Difference
from llmctx.replay.reproduction import Reproduction
from llmctx.replay.rerun import check_evidence, rebuild


class EvidenceCheck(NamedTuple):
    """The result of checking some records."""

    altered: list[tuple[Recorded, Difference]]
    """The altered records, each with the first difference that shows it."""
    reproduction: Reproduction
    """The records that differ because other rules made them."""


def check_records(entries: Iterable[Recorded], blobs: BlobCache) -> EvidenceCheck:
    """Compare each record's digests with its evidence, and rebuild it from that."""
    check = EvidenceCheck([], Reproduction())
    for entry in entries:
        altered = check_evidence(entry)
        if altered is None:
            rebuilt = rebuild(entry, blobs)
            altered = rebuilt.tampering
            if altered is None:
                check.reproduction.add(entry.record["code"], rebuilt)
        if altered is not None:
            check.altered.append((entry, altered))
    return check
