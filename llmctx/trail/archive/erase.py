"""Erase pieces of evidence from an archived segment: the same records in a new file, without them.

Rules of order: the new file is stored under a name that nobody has taken and read back; then the erasure is noted in
the trail; then comes the manifest, which names the digest of the one before; and only then the old file is deleted.
Killed at any step, the next run deletes what is left over and begins again.

Old and new file lie on this disk meanwhile, without a name, so that a kill leaves nothing of what is erased; in memory
is a row group at a time.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any, BinaryIO, NamedTuple

from llmctx import canonical, clock
from llmctx.errors import ArchiveError
from llmctx.trail.archive.columns import EVIDENCE, arrow
from llmctx.trail.archive.manifest import Manifest, StoredFile, revised, unrevised
from llmctx.trail.archive.place import CHUNK_BYTES, Place, digest_of
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
        self._revision = 1 + (segment.revision or 0)

    def tidy(self) -> bool:
        """Delete files of records that no manifest in force names; returns whether the place keeps versions of them.

        Raises ArchiveError if the place does not let go of them, as under object lock.
        """
        version_stays = False
        for name in self._names():
            if name.endswith(".parquet") and name != self._segment.records.name:
                version_stays |= self._place.remove(name)
        return version_stays

    def erase(
        self, pieces: Sequence[str], is_held: IsHeld, sign: Callable[[Erasure], Erasure], at_ms: int
    ) -> Erased | None:
        """Store the records without these pieces; None if no record that is not held has one of them.

        Raises ArchiveError if the file is not what its manifest says, or if what is read back is not what was written.
        """
        with tempfile.TemporaryFile() as old, tempfile.TemporaryFile() as new:
            self._fetch(old)
            count = _rewrite(old, new, pieces, is_held)
            if not count:
                return None
            records = self._store(old, new, pieces, is_held)
        segment = self._segment
        erasure = Erasure(first=segment.first, end=segment.end, pieces=tuple(sorted(pieces)), made_ms=at_ms)
        manifest = segment.model_copy(
            update={
                "records": records,
                "revision": self._revision,
                "replaces": canonical.sha256(segment.raw),
                "erased": (*(segment.erased or ()), sign(erasure)),
            }
        )
        return Erased(manifest, count)

    def _fetch(self, old: BinaryIO) -> None:
        """Copy the segment's records into a file."""
        stored = self._segment.records
        if digest_of(self._place.chunks(stored.name), old) != stored.sha256:
            raise ArchiveError(
                f"{stored.name} in {self._place.name} is not what its manifest says.",
                f"Nothing was erased: `llmctx verify --from {self._place.name}`.",
                exit_code=1,
            )

    def _store(self, old: BinaryIO, new: BinaryIO, pieces: Sequence[str], is_held: IsHeld) -> StoredFile:
        """Store the new file, and prove what the place gives back."""
        stem = self._segment.records.name.removesuffix(".parquet")
        name, size_bytes = f"{unrevised(stem)}{revised(self._revision)}.parquet", new.tell()
        new.seek(0)
        digest = digest_of(iter(partial(new.read, CHUNK_BYTES), b""))
        new.seek(0)
        self._place.put(name, new)
        if digest_of(self._place.chunks(name)) != digest or not _is_rewritten(old, new, pieces, is_held):
            raise ArchiveError(f"{name} in {self._place.name} is not what was written.", "Run it again.", exit_code=1)
        return StoredFile(name=name, size_bytes=size_bytes, sha256=digest)

    def put_in_force(self, erased: Erased) -> bool:
        """Store the manifest, and delete the file with the pieces; returns whether the place keeps a version of it.

        Raises ArchiveError if another process was faster, or if the place does not let go of the file.
        """
        manifest = erased.manifest
        if not self._place.put(manifest.name, manifest.raw):
            raise ArchiveError(f"{manifest.name} in {self._place.name} is there already.", "Run it again.", exit_code=3)
        return SegmentEraser(self._place, manifest).tidy()

    def _names(self) -> list[str]:
        """The names of this segment's files."""
        mark = f"{self._segment.first:012d}"
        return [name for name in self._place.names(str(self._segment.partition)) if mark in name.rpartition("/")[2]]


def _groups(file: BinaryIO) -> Iterator[Any]:
    """A file's row groups, each as a table: a whole file takes gigabytes once it is unpacked."""
    arrow()
    from pyarrow import parquet  # noqa: PLC0415  an optional extra

    opened = parquet.ParquetFile(file)
    return (opened.read_row_group(number, use_threads=False) for number in range(opened.num_row_groups))


def _rewrite(old: BinaryIO, new: BinaryIO, pieces: Sequence[str], is_held: IsHeld) -> int:
    """Write a file without these pieces of records that are not held; returns how many records had one."""
    count, writer = 0, None
    for group in _groups(old):
        writer = writer or open_parquet(new, group.schema)
        table, lacking = _without(group, pieces, is_held)
        writer.write_table(table)
        count += lacking
    if writer is not None:
        writer.close()
    return count


def _is_rewritten(old: BinaryIO, new: BinaryIO, pieces: Sequence[str], is_held: IsHeld) -> bool:
    """Whether a file gives back the evidence of another one without these pieces."""
    evidence = list(EVIDENCE)
    return all(
        before is not None
        and after is not None
        and _without(before, pieces, is_held)[0].select(evidence).equals(after.select(evidence))
        for before, after in zip_longest(_groups(old), _groups(new))
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
