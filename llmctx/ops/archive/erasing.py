"""Erase what is past its time in an archive, segment by segment, and have each noted in the trail.

The spool lets go of the records of erased segments altogether: they are archived, and Redis does not need them again.
"""

import logging
from collections.abc import AsyncIterator
from typing import NamedTuple

from llmctx import canonical
from llmctx.errors import RequestError
from llmctx.killpoint import reached
from llmctx.ops.archive.run import archive_lock
from llmctx.trail.archive.erase import SegmentEraser
from llmctx.trail.archive.hold import Hold, Holds
from llmctx.trail.archive.manifest import Manifest
from llmctx.trail.archive.place import Place
from llmctx.trail.archive.reader import read_manifests
from llmctx.trail.archive.retention import Retention
from llmctx.trail.proof.checkpoint import key_name_of, origin_of
from llmctx.trail.proof.erasure import Erasure
from llmctx.trail.proof.roster import Roster
from llmctx.worker.ask_owner import have_forgotten, have_noted
from llmctx.worker.home import TrailHome

_log = logging.getLogger(__name__)


class ErasedSegment(NamedTuple):
    """One segment that lost pieces, or would."""

    partition: int
    """The partition."""
    first: int
    """The index of its first record."""
    end: int
    """One more than the index of its last record."""
    pieces: tuple[str, ...]
    """The pieces that are past their time."""
    records: int | None
    """How many records lost one; None if nothing was changed."""
    version_stays: bool = False
    """Whether the object store keeps a version of the file that had them."""


def holds_of(home: TrailHome, place: Place) -> Holds:
    """The legal holds in an archive of this trail."""
    roster = Roster(home.state_dir, home.instance.id, 0)
    return Holds(place, key_name_of(home.instance.id), lambda: roster.former | roster.keys)


class Eraser:
    """Erases what is past its time in the archive of one trail."""

    def __init__(self, home: TrailHome, place: Place, retention: Retention) -> None:
        self._home = home
        self._place = place
        self._retention = retention
        self._holds = holds_of(home, place)

    async def run(self, now_ms: int, *, apply: bool) -> AsyncIterator[ErasedSegment]:
        """Erase every piece whose time was over at `now_ms`, and yield each segment that lost one.

        With `apply` False nothing is changed, and what holds keep is not told apart.

        Raises ArchiveError if the archive cannot be read, is not what its manifests say, or does not let go of a file.
        """
        released_ms, held = self._holds.released_ms(), self._holds.active()
        for partition, segments in read_manifests(self._place).items():
            below = 0
            with archive_lock(self._home.state_dir, self._home.instance.id, partition):
                for segment in segments:
                    pieces = self._due(segment, now_ms, released_ms)
                    if pieces and not apply:
                        yield ErasedSegment(partition, segment.first, segment.end, pieces, None)
                    elif apply and (erased := await self._erase(segment, pieces, held, now_ms)) is not None:
                        yield erased
                    if apply and (pieces or segment.erased):
                        below = segment.end
                if below:
                    await self._forget_spooled(partition, below)

    async def _forget_spooled(self, partition: int, below: int) -> None:
        """Take the records of erased segments out of the spool as well, which still has their evidence."""
        try:
            await have_forgotten(self._home, partition, below)
        except RequestError as error:
            _log.warning(
                f"The spool of partition {partition} in {self._home.state_dir} still has records below {below}: "
                f"{error.what} Run this command where the owner's state directory is, too."
            )

    def _due(self, segment: Manifest, now_ms: int, released_ms: int) -> tuple[str, ...]:
        """The pieces to erase; none if that was done, and no hold has been released since."""
        pieces = self._retention.erased(now_ms - segment.tree.time_ms)
        done = {piece for each in segment.erased or () if each.made_ms > released_ms for piece in each.pieces}
        return () if done.issuperset(pieces) else pieces

    async def _erase(
        self, segment: Manifest, pieces: tuple[str, ...], held: list[Hold], now_ms: int
    ) -> ErasedSegment | None:
        """Erase pieces of a segment; None if no record lost one."""
        origin, eraser = origin_of(self._home.instance.id, segment.partition), SegmentEraser(self._place, segment)
        eraser.tidy()  # what a run left that was killed

        def is_held(symbol: str | None, time_ms: int | None) -> bool:
            return any(each.holds(symbol, time_ms) for each in held)

        def sign(erasure: Erasure) -> Erasure:
            return erasure.signed(self._home.writer, origin)

        erased = eraser.erase(pieces, is_held, sign, now_ms) if pieces else None
        if erased is None:
            return None
        reached("erased_written")
        last, names = segment.end - 1, ", ".join(pieces)
        reason = f"{names} of records {segment.first} to {last} erased by rule, but for what is held"
        said = {
            "first": segment.first,
            "end": segment.end,
            "pieces": list(pieces),
            "manifest": canonical.sha256(erased.manifest.raw),
        }
        await have_noted(self._home, segment.partition, reason, {"erased": said})
        reached("erased_noted")
        stays = eraser.put_in_force(erased)
        return ErasedSegment(segment.partition, segment.first, segment.end, pieces, erased.records, stays)
