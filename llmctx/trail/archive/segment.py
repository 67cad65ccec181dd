"""Write one segment: blobs, records, checkpoints, and last the manifest; then read everything back and prove it.

Rules of order: each file is stored under a name that nobody has taken, or the file that stands there is taken over if
it holds the same records. So a segment that was cut short, or that another process is writing, is completed and never
doubled. Nothing is believed because it was written: what counts is what the place gives back.
"""

from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple

from redis.asyncio import Redis

from llmctx import canonical
from llmctx.connection import server_ms
from llmctx.errors import ArchiveError
from llmctx.killpoint import reached
from llmctx.trail.archive.content import ContentDigest
from llmctx.trail.archive.manifest import (
    Enrolled,
    Manifest,
    StoredFile,
    blob_name,
    manifest_name,
    notes_name,
    records_name,
)
from llmctx.trail.archive.place import Place
from llmctx.trail.archive.plan import Cut, Plan
from llmctx.trail.archive.reader import Archive
from llmctx.trail.archive.records_file import RecordsFile
from llmctx.trail.archive.ticks import digests_of, said_tick
from llmctx.trail.archive.writer import RecordsWriter
from llmctx.trail.export.reader import Part
from llmctx.trail.log.base import Base
from llmctx.trail.log.entry import named_blobs
from llmctx.trail.log.leaf_schema import FaultError
from llmctx.trail.log.log import Log
from llmctx.trail.proof.anchor import Anchor
from llmctx.trail.proof.base import open_by_any
from llmctx.trail.proof.checkpoint import Key, key_name_of, origin_of
from llmctx.trail.proof.key import SigningKey
from llmctx.trail.proof.merkle import CompactRange, leaf_hash
from llmctx.trail.proof.notes import join_notes
from llmctx.trail.proof.writer import WriterKeys
from llmctx.version import VERSION

OnRecord = Callable[[], None]

_HASHED = ("index", "leaf", "leaf_hash")


class Trail(NamedTuple):
    """One partition of a trail, as an archiver sees it."""

    redis: Redis
    """Its server."""
    log: Log
    """Its log there."""
    anchor: Anchor
    """Its anchor, which has the leaf hashes and every checkpoint."""
    instance: str
    """The instance's id."""
    partitions: int
    """How many partitions the trail has."""
    keys: Sequence[Key]
    """The instance's public key, and before it those that it replaced."""
    signing: SigningKey | None = None
    """The instance's private key, if it is at hand: with it a segment may end between two checkpoints."""
    writers: Callable[[], WriterKeys] | None = None
    """Gives the keys of its writers, who may have erased pieces of what is archived already."""


class _Content(NamedTuple):
    """What a range of the log holds."""

    raw: bytes
    """It as a Parquet file."""
    digest: ContentDigest
    """The digest of everything in it."""
    lost: int
    unreadable: int
    blobs: tuple[str, ...]
    enrolled: tuple[Enrolled, ...]
    settled: bytes


class Written(NamedTuple):
    """A segment that is written and proven."""

    manifest: Manifest
    """Its manifest."""
    base: Base
    """The base of the log once it is trimmed."""
    settled: bytes
    """The digests of the ticks that its records settle (ticks.py)."""


class SegmentWriter:
    """Writes segments of one partition to a place."""

    def __init__(self, trail: Trail, place: Place, plan: Plan, on_record: OnRecord = lambda: None) -> None:
        """`on_record` is called for each record that is read."""
        self._trail = trail
        self._place = place
        self._plan = plan
        self._on_record = on_record

    async def write(self, cut: Cut, frontier: CompactRange, writers: tuple[Enrolled, ...]) -> Written:
        """Write the segment that begins where `cut` does and prove it.

        `frontier` is the tree over the records before it, `writers` what they enrolled. If a segment that begins there
        was written before, perhaps with another end, it is proven and returned.

        Raises ArchiveError if a file in the place holds something else, or if what is read back is not what the
        checkpoint signed; TrailError if Redis or the anchor cannot be read.
        """
        there = self._newest(cut.first)
        if there is not None:
            cut = self._cut_like(cut, Manifest.read(there, self._where(cut)).end)
        content = await self._content(cut)
        if there is not None and Manifest.read(there, self._where(cut)).revision:
            return self._written(cut, there, None, content, frontier)  # what was erased is not written again
        records = records_name(self._trail.log.partition, cut.first, cut.signed_ms)
        while not self._place.put(records, content.raw):
            end = RecordsFile(self._place.read(records) or b"").end
            if end == cut.end:
                break
            cut = self._cut_like(cut, end)
            content = await self._content(cut)
        reached("records_written")
        for digest in content.blobs:
            await self._put_blob(digest)
        manifest = await self._manifest(cut, content, records, frontier, writers)
        self._place.put(manifest.name, manifest.raw)
        reached("manifest_written")
        return self._written(cut, self._place.read(manifest.name) or b"", manifest, content, frontier)

    def _written(
        self, cut: Cut, raw: bytes, ours: Manifest | None, content: _Content, frontier: CompactRange
    ) -> Written:
        """Prove the segment of a stored manifest, which says the same as `ours`, or of which pieces were erased."""
        found, tree = Manifest.read(raw, self._where(cut)), CompactRange.resume(frontier.size, frontier.subtrees)
        self._prove(found, ours, content, tree)
        base = Base(
            size=found.end,
            note=found.checkpoint,
            subtrees=tree.subtrees,
            writers=tuple(each.model_dump(exclude_none=True) for each in found.writers),
            where=self._place.name,
            manifest=canonical.sha256(raw),
        )
        return Written(found, base, content.settled)

    def _newest(self, first: int) -> bytes | None:
        """The manifest in force of the segment that begins at an index; None if no segment begins there."""
        newest, partition = None, self._trail.log.partition
        for revision in count():
            raw = self._place.read(manifest_name(partition, first, revision))
            if raw is None:
                return newest
            newest = raw
        return None

    def _where(self, cut: Cut) -> str:
        return f"{manifest_name(self._trail.log.partition, cut.first)} in {self._place.name}"

    def _cut_like(self, cut: Cut, end: int) -> Cut:
        """The cut to the end that a file has which is there already."""
        found = self._plan.cut(cut.first, end)
        if found is None:
            raise ArchiveError(
                f"{self._place.name} has records of partition {self._trail.log.partition} from {cut.first} to "
                f"{end - 1}, and no checkpoint of this trail ends there.",
                "It is another trail's archive, or damaged: name another place with --to.",
            )
        return found

    async def _content(self, cut: Cut) -> _Content:
        log, hashes = self._trail.log, self._trail.anchor.hashes(cut.first, cut.end)
        writer = RecordsWriter(cut.first, dict(enumerate(hashes, cut.first)))
        blobs, enrolled = dict[str, None](), list[Enrolled]()
        ticks: list[str] = []
        async for entry in log.read(cut.first, cut.end):
            if (problem := entry.unreadable) is not None and problem.may_return:
                raise ArchiveError(
                    f"Record {entry.index} of partition {log.partition} cannot be read now: {problem.why}.",
                    "Restore the server's data from a backup; records that may be read again are not archived.",
                    exit_code=3,
                )
            writer.add(entry)
            ticks += [*entry.ticks, *map(said_tick, entry.said)]
            blobs |= dict.fromkeys(named_blobs(entry.record))
            about_keys = {name: entry.record[name] for name in ("enrolment", "rotation") if name in entry.record}
            if about_keys:
                enrolled.append(Enrolled(index=entry.index, **about_keys))
            self._on_record()
        raw = writer.finish(cut.end)
        return _Content(
            raw=raw,
            digest=writer.digest,
            lost=writer.lost,
            unreadable=writer.unreadable,
            blobs=tuple(sorted(blobs)),
            enrolled=tuple(enrolled),
            settled=digests_of(ticks),
        )

    async def _put_blob(self, digest: str) -> None:
        blob = await self._trail.log.blobs.blob(digest)
        if blob is not None and digest.isalnum():  # it becomes a file's name
            self._place.put(blob_name(digest), blob)
        reached("blob_written")

    async def _manifest(
        self, cut: Cut, content: _Content, records: str, frontier: CompactRange, writers: tuple[Enrolled, ...]
    ) -> Manifest:
        trail, partition = self._trail, self._trail.log.partition
        notes = notes_name(partition, cut.first)
        self._place.put(notes, join_notes(cut.notes))
        reached("notes_written")
        return Manifest(
            origin=key_name_of(trail.instance),
            partition=partition,
            partitions=trail.partitions,
            first=cut.first,
            end=cut.end,
            lost=content.lost,
            unreadable=content.unreadable,
            made_ms=await server_ms(trail.redis),
            version=VERSION,
            records=StoredFile.of(records, self._place.read(records) or b""),
            notes=StoredFile.of(notes, self._place.read(notes) or b""),
            checkpoint=cut.checkpoint,
            frontier=tuple(each.hex() for each in frontier.subtrees),
            key=trail.keys[-1].text,
            writers=(*writers, *content.enrolled),
            blobs=content.blobs,
        )

    def _prove(self, found: Manifest, ours: Manifest | None, content: _Content, tree: CompactRange) -> None:
        """Check that the segment gives back what Redis holds, and what the checkpoint signed; `tree` grows by it.

        Raises ArchiveError if it does not.
        """
        try:
            fault = self._fault(found, ours, content, tree)
        except FaultError as error:
            fault = str(error.fault)
        if fault is not None:
            raise ArchiveError(
                f"The segment {found.name} in {self._place.name} cannot be trusted: {fault}.",
                "Nothing was trimmed. Run `llmctx verify`; see whether somebody changed the archive.",
                exit_code=1,
            )
        reached("proven")

    def _fault(self, found: Manifest, ours: Manifest | None, content: _Content, tree: CompactRange) -> str | None:
        # Two archivers may differ in these, and in nothing else.
        either: dict[str, object] = {"made_ms": 0, "version": "", "checkpoint": "", "key": ""}
        if ours is not None and found.model_copy(update=either) != ours.model_copy(update=either):
            return "its manifest describes other files"
        signed = open_by_any(found.checkpoint, self._trail.keys, origin_of(self._trail.instance, found.partition))
        archive, digest = Archive(self._place, {found.partition: [found]}), ContentDigest()
        part = Part(found.partition, signed.origin, found.end, found.first)
        hashes = self._trail.anchor.hashes(found.first, found.end)
        for rows in archive.tables(part):  # nothing is parsed again: the bytes are what Redis holds, or they are not
            digest.add(rows)
            for index, leaf, known in zip(*(rows.column(name).to_pylist() for name in _HASHED), strict=True):
                if known is None and leaf_hash(leaf) != hashes[index - found.first]:
                    return f"record {index} has another leaf hash than the anchor"
        archive.check_blobs()
        if digest.value(with_evidence=ours is not None) != content.digest.value(with_evidence=ours is not None):
            return "what is read back is not what Redis holds"
        if ours is None and (fault := self._fault_of_erased(found, archive, part)) is not None:
            return fault
        if archive.known(part) not in (None, hashes):
            return "lost or unreadable records have other leaf hashes than the anchor"
        for hashed in hashes:
            tree.append(hashed)
        if (tree.size, tree.root()) != (signed.size, signed.root):
            return "the leaf hashes of the anchor have another root than the checkpoint"
        return None

    def _fault_of_erased(self, found: Manifest, archive: Archive, part: Part) -> str | None:
        """Why the evidence that a segment lacks was not erased by rule; None if it was."""
        writers = None if self._trail.writers is None else self._trail.writers()
        if writers is None or any(each.fault(writers) is not None for each in found.erased or ()):
            return "no writer of this trail signed what was erased"
        lacking = sum(entry.unreadable is not None for entry in archive.entries(part))
        return "it lacks evidence that was not erased by rule" if lacking != found.unreadable else None
