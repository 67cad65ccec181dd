"""Read an archive from a folder or an object store, with the interface of an export (llmctx/trail/export/reader.py).

What is read is compared with the digests in the manifests. Whether those are to be believed is what the checkpoints
say: `Archive.notes` gives them to whoever verifies.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from llmctx import canonical
from llmctx.errors import ArchiveError, CheckpointError
from llmctx.trail.archive.manifest import SUFFIX, Manifest, StoredFile, blob_name, manifest_name
from llmctx.trail.archive.place import Place, open_place
from llmctx.trail.archive.records_file import ROW, RecordsFile, rows_of
from llmctx.trail.export.reader import Part
from llmctx.trail.log.entry import PIECES, Entry
from llmctx.trail.log.leaf_schema import Fault, FaultError
from llmctx.trail.proof.checkpoint import Key
from llmctx.trail.proof.erasure import Erasure, erased_at
from llmctx.trail.proof.merkle import leaf_hash
from llmctx.trail.proof.notes import leading_notes
from llmctx.trail.proof.rotation import key_chain

if TYPE_CHECKING:
    import pyarrow as pa


class Archive:
    """An archive of one trail. Reading raises FaultError at the first file that is not what its manifest says."""

    def __init__(self, place: Place, manifests: dict[int, list[Manifest]]) -> None:
        self.place = place
        """Where it lies."""
        self.segments = manifests
        """The segments of each partition, in order and without a gap."""
        newest = [segments[-1] for segments in manifests.values()]
        self.origin = newest[0].origin
        """The instance: llmctx/INSTANCE."""
        self.partitions = newest[0].partitions
        """How many partitions the trail has; some may have nothing archived yet."""
        self._key = newest[0].key
        self._kept: tuple[StoredFile, RecordsFile] | None = None
        self.parts = [self._part(segments) for segments in manifests.values()]
        """The partitions of which something is archived; their records begin at `first`."""

    def _part(self, segments: list[Manifest]) -> Part:
        first, partition = segments[0].first, segments[0].partition
        return Part(
            partition=partition,
            origin=f"{self.origin}/{partition}",
            size=segments[-1].end,
            first=first,
            subtrees=tuple(bytes.fromhex(each) for each in segments[0].frontier),
            writers=tuple(each.model_dump(exclude_none=True) for each in segments[0].writers if each.index < first),
        )

    @property
    def name(self) -> str:
        """Its path or address, for messages."""
        return self.place.name

    @property
    def key(self) -> Key:
        """The public key in the archive, chosen by whoever made it."""
        try:
            return Key.read(self._key)
        except CheckpointError as error:
            raise FaultError(Fault(0, "key", "a vkey in the manifest", str(error))) from error

    def key_chain(self, key: Key) -> tuple[Key, ...]:
        """The keys that signed this archive one after the other, oldest first; the trusted `key` is one."""
        return key_chain([note for part in self.parts for note in self.notes(part)[0]], key)

    def notes(self, part: Part) -> tuple[list[str], str | None]:
        """The signed checkpoints of a partition up to the first damage, and the damaged text, None if there is none."""
        found: dict[str, None] = {}
        for segment in self.segments[part.partition]:
            raw = self._read(segment.notes, segment)
            notes, end = leading_notes(raw)
            found |= dict.fromkeys(notes)  # a segment repeats those over the records before it
            if end < len(raw):
                return list(found), raw[end : end + 120].decode(errors="replace")
        return list(found), None

    def known(self, part: Part) -> list[bytes] | None:
        """The leaf hash of every record from `part.first` on; None if all leaves can be read and so tell them."""
        segments = self.segments[part.partition]
        if not any(segment.lost or segment.unreadable for segment in segments):
            return None
        rows = (row for segment in segments for row in self._rows(segment, segment.first, segment.end))
        return [row[ROW["leaf_hash"]] or leaf_hash(row[ROW["leaf"]]) for row in rows]

    def lost(self, part: Part) -> dict[int, bytes]:
        """The leaf hashes of lost records, by index."""
        segments = [segment for segment in self.segments[part.partition] if segment.lost]
        rows = (row for segment in segments for row in self._rows(segment, segment.first, segment.end))
        return {row[0]: row[ROW["leaf_hash"]] for row in rows if row[ROW["leaf"]] is None}

    def entries(
        self,
        part: Part,
        lost: dict[int, bytes] | None = None,  # noqa: ARG002  as an export has it
        *,
        start: int = 0,
        stop: int | None = None,
    ) -> Iterator[Entry]:
        """The records of a partition from `start` up to but not including `stop` (None: the end), in order."""
        for segment in self.segments[part.partition]:
            first, end = max(start, segment.first), segment.end if stop is None else min(stop, segment.end)
            if first < end:
                for row in self._rows(segment, first, end):
                    if row[ROW["leaf"]] is not None:
                        yield _entry(row, segment)

    def tables(self, part: Part) -> "Iterator[pa.Table]":
        """The evidence of a partition's records, in order, the lost ones included, without parsing them."""
        for segment in self.segments[part.partition]:
            yield from self._tables(segment, segment.first, segment.end)

    def entries_back(self, part: Part, stop: int, containing: bytes = b"") -> Iterator[Entry]:
        """The records below `stop` whose leaf contains some bytes, newest first."""
        for segment in reversed(self.segments[part.partition]):
            if segment.first < stop:
                for row in self._file(segment).rows_back(min(stop, segment.end), containing):
                    yield _entry(row, segment)

    def erasures(self, part: Part) -> list[Erasure]:
        """What was erased of a partition's records by rule."""
        segments = self.segments.get(part.partition, ())
        return [each for segment in segments for each in segment.erased or ()]

    def entry(self, part: Part, index: int) -> Entry | None:
        """The record at an index, None if it is not here."""
        return next(self.entries(part, start=index, stop=index + 1), None)

    def blob(self, digest: str) -> bytes | None:
        """The blob with this digest, None if it is missing."""
        return self.place.read(blob_name(digest)) if digest.isalnum() else None

    def check_blobs(self) -> None:
        """Check that every blob that a manifest names is there, with the right digest."""
        named = {digest for segments in self.segments.values() for segment in segments for digest in segment.blobs}
        for digest in sorted(named):
            raw = self.blob(digest)
            found = "nothing" if raw is None else canonical.sha256(raw)
            if digest != found:
                raise FaultError(Fault(0, "blob-digest", digest, found))

    def found_again(self, part: Part) -> Iterator[Entry]:  # noqa: ARG002  as an export has it
        """Nothing: what is found again is attached to exports only."""
        return iter(())

    def _rows(self, segment: Manifest, first: int, end: int) -> Iterator[tuple[Any, ...]]:
        """The evidence of the records from `first` on and below `end`."""
        return (row for rows in self._tables(segment, first, end) for row in rows_of(rows))

    def _tables(self, segment: Manifest, first: int, end: int) -> "Iterator[pa.Table]":
        expected = max(first, segment.first)
        for rows in self._file(segment).tables(first, end):
            for index in rows.column("index").to_pylist():
                if index != expected:
                    raise FaultError(Fault(expected, "contiguity", f"index {expected}", f"index {index}"))
                expected += 1
            yield rows
        if expected != end:
            raise FaultError(Fault(expected, "lines", f"records below {end} in {segment.records.name}", f"{expected}"))

    def _file(self, segment: Manifest) -> "RecordsFile":
        """A segment's file; the one that was read last is kept."""
        if self._kept is None or self._kept[0] != segment.records:
            self._kept = segment.records, RecordsFile(self._read(segment.records, segment))
        return self._kept[1]

    def _read(self, file: StoredFile, segment: Manifest) -> bytes:
        raw = self.place.read(file.name)
        found = "nothing" if raw is None else canonical.sha256(raw)
        if raw is None or found != file.sha256:
            raise FaultError(Fault(segment.first, "archive-digest", f"{file.name} with {file.sha256}", found))
        return raw


def _pieces(row: tuple[Any, ...]) -> dict[str, bytes]:
    return {name: row[ROW[name]] for name in PIECES if row[ROW[name]] is not None}


def _entry(row: tuple[Any, ...], segment: Manifest) -> Entry:
    return Entry(
        row[ROW["leaf"]],
        _pieces(row),
        index=row[0],
        partition=segment.partition,
        proof=row[ROW["proof"]] or b"",
        erasable=erased_at(segment.erased or (), row[0]),
    )


def open_archive(where: str) -> Archive:
    """The archive at a path or an address; its manifests are read, nothing else.

    Raises ArchiveError if there is none, or if its segments do not fit together.
    """
    place = open_place(where)
    found = read_manifests(place)
    if not found:
        raise ArchiveError(f"{place.name} holds no archive.", "Make one: `llmctx archive --to`.")
    return Archive(place, found)


def read_manifests(place: Place) -> dict[int, list[Manifest]]:
    """The segments of each partition, in order.

    Raises ArchiveError if they do not follow each other, or belong to different trails.
    """
    newest: dict[tuple[int, int], Manifest] = {}
    digests: dict[str, str] = {}
    for name in place.names(""):
        folder, _, file = name.rpartition("/")
        if folder.isdecimal() and file.endswith(SUFFIX):
            raw = place.read(name) or b""
            manifest = Manifest.read(raw, f"{name} in {place.name}")
            digests[name] = canonical.sha256(raw)
            known = newest.setdefault((manifest.partition, manifest.first), manifest)
            if (manifest.revision or 0) > (known.revision or 0):
                newest[manifest.partition, manifest.first] = manifest
    segments = [newest[key] for key in sorted(newest)]
    found: dict[int, list[Manifest]] = {}
    for segment in segments:
        _check_revision(segment, digests, place)
        found.setdefault(segment.partition, []).append(segment)
    for before, after in pairwise(segments):
        follows = after.partition != before.partition or after.first == before.end
        if not follows or (after.origin, after.partitions) != (before.origin, before.partitions):
            raise ArchiveError(
                f"{after.name} in {place.name} does not follow {before.name}.",
                "A trail has one archive, and a segment may not be removed: restore the missing one from a copy.",
                exit_code=1,
            )
    return found


def _check_revision(manifest: Manifest, digests: Mapping[str, str], place: Place) -> None:
    """Check that an erased segment names the manifest that it replaces."""
    if manifest.revision is None:
        return
    before = manifest_name(manifest.partition, manifest.first, manifest.revision - 1)
    if manifest.replaces != digests.get(before):
        raise ArchiveError(
            f"{manifest.name} in {place.name} does not replace {before} as it is.",
            "Restore the manifests of the segment from a copy; they hold no evidence.",
            exit_code=1,
        )
