"""Erase pieces of evidence from an archived segment: the same records in a new file, without them.

Rules of order: the new file is stored under a name that nobody has taken and read back; then the erasure is noted in
the trail; then comes the manifest, which names the digest of the one before; and only then the old file is deleted.
Killed at any step, the next run deletes what is left over and begins again.
"""

from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from itertools import zip_longest
from typing import Any, NamedTuple

from llmctx import canonical, clock
from llmctx.errors import ArchiveError
from llmctx.trail.archive.columns import EVIDENCE, arrow
from llmctx.trail.archive.manifest import Manifest, StoredFile, revised
from llmctx.trail.archive.place import Place
from llmctx.trail.archive.writer import open_parquet
from llmctx.trail.log.entry import PIECES
from llmctx.trail.proof.erasure import Erasure

IsHeld = Callable[[str | None, int | None], bool]
"""Whether the record of a symbol and a time is held."""


class Erased(NamedTuple):
    """A segment without some pieces, stored and read back, but not yet in force."""

    manifest: Manifest
    """Its manifest, not yet stored."""
    records: int
    """How many records lack a piece that they had."""


class SegmentEraser:
    """Erases pieces of one segment."""

    def __init__(self, place: Place, segment: Manifest) -> None:
        self._place = place
        self._segment = segment

    def tidy(self) -> int:
        """Delete files of records that no manifest in force names; returns how many bytes they had.

        Raises ArchiveError if the place does not let go of them, as under object lock.
        """
        removed = 0
        for name in self._names():
            if name.endswith(".parquet") and name != self._segment.records.name:
                removed += len(self._place.read(name) or b"")
                self._place.remove(name)
        return removed

    def erase(
        self, pieces: Sequence[str], is_held: IsHeld, sign: Callable[[Erasure], Erasure], at_ms: int
    ) -> Erased | None:
        """Store the records without these pieces; None if no record that is not held has one of them.

        Raises ArchiveError if the file is not what its manifest says, or if what is read back is not what was written.
        """
        segment = self._segment
        raw = self._place.read(segment.records.name)
        if raw is None or canonical.sha256(raw) != segment.records.sha256:
            raise ArchiveError(
                f"{segment.records.name} in {self._place.name} is not what its manifest says.",
                f"Nothing was erased: `llmctx verify --from {self._place.name}`.",
                exit_code=1,
            )
        new, count = _rewritten(raw, pieces, is_held)
        if not count:
            return None
        revision = 1 + (segment.revision or 0)
        stem = segment.records.name.removesuffix(".parquet").removesuffix(revised(segment.revision or 0))
        name = f"{stem}{revised(revision)}.parquet"
        self._place.put(name, new)
        if self._place.read(name) != new or not _is_rewritten(raw, new, pieces, is_held):
            raise ArchiveError(f"{name} in {self._place.name} is not what was written.", "Run it again.", exit_code=1)
        erasure = Erasure(first=segment.first, end=segment.end, pieces=tuple(sorted(pieces)), made_ms=at_ms)
        manifest = segment.model_copy(
            update={
                "records": StoredFile.of(name, new),
                "revision": revision,
                "replaces": canonical.sha256(segment.raw),
                "erased": (*(segment.erased or ()), sign(erasure)),
            }
        )
        return Erased(manifest, count)

    def put_in_force(self, erased: Erased) -> None:
        """Store the manifest, and delete the file with the pieces.

        Raises ArchiveError if another process was faster, or if the place does not let go of the file.
        """
        manifest = erased.manifest
        if not self._place.put(manifest.name, manifest.raw):
            raise ArchiveError(f"{manifest.name} in {self._place.name} is there already.", "Run it again.", exit_code=3)
        SegmentEraser(self._place, manifest).tidy()

    def _names(self) -> list[str]:
        """The names of this segment's files."""
        mark = f"{self._segment.first:012d}"
        return [name for name in self._place.names(str(self._segment.partition)) if mark in name.rpartition("/")[2]]


def _groups(raw: bytes) -> Iterator[Any]:
    """A file's row groups, each as a table: a whole file takes gigabytes once it is unpacked."""
    arrow()
    from pyarrow import parquet  # noqa: PLC0415  an optional extra

    file = parquet.ParquetFile(BytesIO(raw))
    return (file.read_row_group(number) for number in range(file.num_row_groups))


def _rewritten(raw: bytes, pieces: Sequence[str], is_held: IsHeld) -> tuple[bytes, int]:
    """The file without these pieces of records that are not held, and how many records had one."""
    file, count, writer = BytesIO(), 0, None
    for group in _groups(raw):
        writer = writer or open_parquet(file, group.schema)
        table, lacking = _without(group, pieces, is_held)
        writer.write_table(table)
        count += lacking
    if writer is not None:
        writer.close()
    return file.getvalue(), count


def _is_rewritten(raw: bytes, new: bytes, pieces: Sequence[str], is_held: IsHeld) -> bool:
    """Whether a file gives back the evidence of another one without these pieces."""
    evidence = list(EVIDENCE)
    return all(
        old is not None
        and group is not None
        and _without(old, pieces, is_held)[0].select(evidence).equals(group.select(evidence))
        for old, group in zip_longest(_groups(raw), _groups(new))
    )


def _without(table: Any, pieces: Sequence[str], is_held: IsHeld) -> tuple[Any, int]:
    """The same table without these pieces of records that are not held, and how many records had one."""
    pa = arrow()
    from pyarrow import compute  # noqa: PLC0415  an optional extra

    times = (table.column(name).to_pylist() for name in ("time", "recorded"))
    of_package = [time or recorded for time, recorded in zip(*times, strict=True)]
    times_ms = [None if time is None else clock.to_ms(time) for time in of_package]
    held = pa.array([is_held(*each) for each in zip(table.column("symbol").to_pylist(), times_ms, strict=True)])
    lacking = pa.array([False] * len(held))
    for piece in pieces:
        assert piece in PIECES
        place, column = table.schema.get_field_index(piece), table.column(piece).combine_chunks()
        lacking = compute.or_(lacking, compute.and_not(compute.is_valid(column), held))
        kept = compute.if_else(held, column, pa.scalar(None, pa.binary()))
        table = table.set_column(place, table.schema.field(place), kept)
    return table, compute.sum(lacking).as_py() or 0
