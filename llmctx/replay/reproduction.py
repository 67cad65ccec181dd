"""Rebuild many records: which are reproduced, which were altered, and which differ because other rules made them."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, NamedTuple

from llmctx import canonical, clock
from llmctx.replay.corpus import BlobCache, Place, Recorded
from llmctx.replay.difference import DATA, Difference, Rebuild
from llmctx.replay.rerun import rebuild
from llmctx.rules import Rules
from llmctx.trail.log.entry import Entry, promised_pieces


class Reproduction:
    """Counts of records that differ without being altered, by version and by part."""

    def __init__(self) -> None:
        self.known: Counter[str] = Counter()
        """Records made by the rules of a released version, by their `code`."""
        self.unknown: Counter[str] = Counter()
        """Records made by rules that this version does not know, by their `code`."""
        self.proven: Counter[str] = Counter()
        """Parts of these records that were reproduced."""
        self.differing: Counter[str] = Counter()
        """Parts of these records that differ."""

    def add(self, entry: Entry, rebuilt: Rebuild) -> None:
        """Count a record that differs without being altered; any other counts nowhere."""
        if rebuilt.same or rebuilt.tampering is not None:
            return
        (self.unknown if rebuilt.rules is Rules.UNKNOWN else self.known)[entry.record["code"]] += 1
        self.proven.update(rebuilt.proven)
        self.differing.update(difference.part for difference in rebuilt.differences)

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return {name: dict(counter) for name, counter in vars(self).items()}

    def lines(self) -> list[str]:
        """Describe the counts; no lines if every record was reproduced."""
        if not self.differing:
            return []
        records = ", ".join(f"{count} of {code}" for code, count in (self.known + self.unknown).items())
        lines = [f"not reproducible by this version: {records}; differing parts: {_counts(self.differing)}"]
        if self.proven:
            lines.append(f"proven parts of the same records: {_counts(self.proven)}")
        return lines

    def warnings(self) -> list[str]:
        """Return a warning if some of the records were made by unknown rules."""
        if not self.unknown:
            return []
        names = ", ".join(sorted(self.unknown))
        what = f"{self.unknown.total()} differing records name rules that this version does not know ({names})"
        return [f"{what}; check them with the version that made them"]


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{part} ({count})" for part, count in counter.items())


class DifferingRecord(NamedTuple):
    """A record that its evidence does not reproduce."""

    place: Place
    """Which record."""
    rebuild: Rebuild
    """What differs, part by part."""

    @property
    def difference(self) -> Difference:
        """The difference to report first: tampering before all others."""
        return self.rebuild.tampering or self.rebuild.differences[0]

    def as_dict(self) -> dict[str, Any]:
        """Return the record and its differences as JSON values."""
        difference = self.difference
        return {
            **vars(self.place),
            "cause": difference.by,
            "rule": difference.rule,
            "what": difference.what,
            "tampered": difference.tampered,
            "rules": str(self.rebuild.rules),
            "proven": list(self.rebuild.proven),
            "differing": {part.part: part.what for part in self.rebuild.differences},
        }


class RebuildSummary(NamedTuple):
    """The rebuild of many records."""

    records: int
    """Records rebuilt."""
    prompts: int
    """Prompts that were reproduced byte for byte."""
    decisions: int
    """Answers that led to the same decision, grounding and verdict as recorded."""
    differing: list[DifferingRecord]
    """The records that differ, in order."""
    reproduction: Reproduction
    """Counts of those that were not altered."""
    per_s: float
    """Records per second."""
    per_core_s: float
    """Records per second of CPU time."""
    rebuild_per_core_s: float
    """Records per second of CPU time, without reading and digests."""

    @property
    def blame(self) -> dict[str, int]:
        """Number of differing records by cause: data, template, model and code."""
        return dict(Counter(found.difference.by for found in self.differing))

    @property
    def tampered(self) -> bool:
        """Whether a record was altered."""
        return any(found.difference.tampered for found in self.differing)


async def rebuild_all(
    entries: AsyncIterator[Recorded],
    blobs: BlobCache,
    on_record: Callable[[Recorded, Rebuild], None] = lambda _, __: None,
) -> RebuildSummary:
    """Rebuild every record; `blobs` may grow while they are read."""
    records = prompts = decisions = 0
    differing: list[DifferingRecord] = []
    reproduction = Reproduction()
    rebuild_cpu_s = 0.0
    start_s, start_cpu_s = clock.monotonic_s(), clock.cpu_s()
    async for entry in entries:
        found = check_evidence(entry)
        if found is None:
            before_s = clock.cpu_s()
            found = rebuild(entry, blobs)
            rebuild_cpu_s += clock.cpu_s() - before_s
        records += 1
        if "prompt" in found.proven:
            prompts += 1
        if found.same and "completion" in entry.record:
            decisions += 1
        if not found.same:
            differing.append(DifferingRecord(entry.place, found))
        reproduction.add(entry, found)
        on_record(entry, found)
    return RebuildSummary(
        records=records,
        prompts=prompts,
        decisions=decisions,
        differing=differing,
        reproduction=reproduction,
        per_s=_rate(records, clock.monotonic_s() - start_s),
        per_core_s=_rate(records, clock.cpu_s() - start_cpu_s),
        rebuild_per_core_s=_rate(records, rebuild_cpu_s),
    )


def _rate(records: int, elapsed_s: float) -> float:
    return records / elapsed_s if elapsed_s else 0.0


def check_evidence(entry: Entry) -> Rebuild | None:
    """Return the rebuild that ends at the first piece of evidence without its digest in the leaf; None if all match.

    A whole log is held to its rules by `trail.proof.verify`; a replay of single records needs only this.
    """
    for piece, digest in promised_pieces(entry.record).items():
        found = canonical.sha256(entry.pieces[piece]) if piece in entry.pieces else "nothing"
        if found != digest:
            what = f"the {piece} piece is not the recorded one: expected {digest}, found {found}"
            difference = Difference(piece, f"evidence-digest of {piece}", what, DATA, tampered=True)
            return Rebuild(Rules.SAME, differences=(difference,))
    return None


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
        found = check_evidence(entry) or rebuild(entry, blobs)
        if found.tampering is not None:
            check.altered.append((entry, found.tampering))
        check.reproduction.add(entry, found)
    return check
