"""Archive a partition, segment by segment.

Rules of order for each segment: it is written and proven (llmctx/trail/archive/segment.py); what it settled is kept,
signed; then the owner says in the trail that it is archived, and only then trims Redis. Killed at any step, the next
run finds how far this one came: files are taken over if they hold the same, the notice is looked for, and the log
begins where its base says.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from llmctx.connection import server_ms
from llmctx.errors import ArchiveError
from llmctx.killpoint import reached
from llmctx.ops.archive.stays import records_that_stay
from llmctx.private_files import exclusive_lock
from llmctx.trail.archive.archived_range import ArchivedRange
from llmctx.trail.archive.manifest import Enrolled
from llmctx.trail.archive.place import Place
from llmctx.trail.archive.plan import DAY_MS, Limits, Plan
from llmctx.trail.archive.segment import SegmentWriter, Trail, Written
from llmctx.trail.archive.ticks import ArchivedTicks, Segment
from llmctx.trail.log.base import Base
from llmctx.trail.proof.base import check_base, open_by_any, tree_of
from llmctx.trail.proof.checkpoint import is_signed_by, origin_of
from llmctx.trail.proof.merkle import CompactRange
from llmctx.trail.proof.roster import Roster
from llmctx.trail.proof.rotation import handover
from llmctx.trail.proof.writer import Writer

Begin = Callable[[str, int], Callable[[], None]]
"""Begins to show a long step: its name and its number of records; returns what is called for each."""


class ArchivedSegment(NamedTuple):
    """One segment that was archived."""

    partition: int
    """The partition."""
    first: int
    """The index of its first record."""
    end: int
    """One more than the index of its last record."""
    file: str
    """Its Parquet file in the archive."""
    size_bytes: int
    """The size of that file."""
    trimmed: int
    """How many records were removed from Redis."""


NoteAndTrim = Callable[[int, ArchivedRange], Awaitable[int]]
"""Has the owner of a partition append the notice and trim the log; returns how many records were removed."""


class Archiver:
    """Archives one partition from a state directory that has its anchor."""

    def __init__(self, trail: Trail, state_dir: Path, place: Place, writer: Writer, note_and_trim: NoteAndTrim) -> None:
        self._trail = trail._replace(writers=self._roster)
        self._state_dir = state_dir
        self._place = place
        self._writer = writer
        self._note_and_trim = note_and_trim
        self._origin = origin_of(trail.instance, trail.log.partition)
        self._begin = Base()

    async def run(self, older_than_ms: int, keep: int, begin: Begin) -> AsyncIterator[ArchivedSegment]:
        """Archive every record that was signed longer ago than this, except the newest `keep`, and yield each segment.

        From a day on, whole UTC days are archived.

        Raises ArchiveError if another process archives this partition, or if something cannot be written or trusted;
        TrailError if Redis or the anchor cannot be read.
        """
        log, anchor = self._trail.log, self._trail.anchor
        with archive_lock(self._state_dir, self._trail.instance, log.partition):
            base = await self._base()
            plan = Plan(anchor.checkpoints(), self._sign_prefix, base_note=base.note)
            before_ms = await server_ms(self._trail.redis) - older_than_ms
            if older_than_ms >= DAY_MS:
                before_ms -= before_ms % DAY_MS
            # Notices that this run appends are newer, and do not push others out.
            limits = Limits(min(await log.size() - keep, await log.durable(), anchor.size), before_ms)
            while True:
                base = self._begin = await self._base()
                cut = plan.next(base.size, limits)
                if cut is None:
                    return
                what = f"partition {log.partition}, records {cut.first} to {cut.end - 1}"
                on_record = begin(what, cut.end - cut.first)
                frontier = tree_of(base) if base.size else CompactRange()
                enrolled = tuple(Enrolled.model_validate(each) for each in base.writers)
                written = await SegmentWriter(self._trail, self._place, plan, on_record).write(cut, frontier, enrolled)
                if written.base.size > limits.size:
                    return  # an earlier run with a smaller --keep wrote it; it is trimmed once it may be
                yield await self._finish(written)

    async def _base(self) -> Base:
        """Where the log begins.

        Raises ArchiveError if that is not what the instance key signed.
        """
        try:
            base = await self._trail.log.base()
            fault = check_base(base, self._trail.keys, self._origin)
            wrong = None if fault is None else str(fault)
        except ValueError as error:
            wrong = str(error)
        if wrong is None:
            return base
        raise ArchiveError(
            f"{self._trail.log.key('base')} was changed: {wrong}.",
            "Run `llmctx verify`; nothing was archived.",
            exit_code=1,
        )

    def _sign_prefix(self, end: int, note: str) -> str | None:
        """A checkpoint over the records below `end`, which a note covers with others; None if we lack its key."""
        signing, keys = self._trail.signing, self._trail.keys
        if signing is None or handover(note) is not None or not is_signed_by(note, signing.key):
            return None
        covering = open_by_any(note, keys, self._origin)
        tree = tree_of(self._begin) if self._begin.size else CompactRange()
        for hashed in self._trail.anchor.hashes(tree.size, end):
            tree.append(hashed)
        return signing.sign(covering._replace(size=tree.size, root=tree.root())) if tree.size == end else None

    async def _finish(self, written: Written) -> ArchivedSegment:
        """Keep what the segment settled, and have it noted and trimmed."""
        trail, manifest = self._trail, written.manifest
        segment = Segment(manifest.first, manifest.end, manifest.made_ms)
        ticks = ArchivedTicks(trail.redis, trail.log, self._roster)
        await ticks.keep(segment, written.settled, self._origin, self._writer.sign)
        reached("settled_kept")
        stays = await records_that_stay(trail.redis, trail.log, trail.partitions, manifest.end)
        stays |= {each.index for each in manifest.writers}  # a new owner finds its enrolment there
        found = ArchivedRange(
            first=manifest.first, base=written.base.fields, made_ms=manifest.made_ms, stays=tuple(sorted(stays))
        )
        return ArchivedSegment(
            partition=manifest.partition,
            first=manifest.first,
            end=manifest.end,
            file=manifest.records.name,
            size_bytes=manifest.records.size_bytes,
            trimmed=await self._note_and_trim(manifest.partition, found),
        )

    def _roster(self) -> Roster:
        return Roster(self._state_dir, self._trail.instance, self._trail.log.partition)


@contextmanager
def archive_lock(state_dir: Path, instance: str, partition: int) -> Iterator[None]:
    """Keep others of this state directory away from a partition's archive.

    Raises ArchiveError if there is one.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive_lock(state_dir / "archive" / instance / f"{partition}.lock"))
        except BlockingIOError as error:
            raise ArchiveError(
                f"Another process archives partition {partition} of {state_dir}.",
                "Wait until it is done; nothing has to be repeated.",
                exit_code=3,
            ) from error
        yield
