"""Compare log, spool and anchor, and make the log whole again, before anything is appended.

Rules of order: a fork is reported before anything is written. Records that Redis forgot are refilled from the spool at
their own index, byte for byte. Records that only the log holds are reported, to be copied into the spool. A range that
nobody holds any more is reported, to be named by an incident at the index after it (`ComparisonResult.lost`).
"""

import asyncio
import logging
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis

from llmctx.errors import ForkError, LeaseError, TrailError
from llmctx.functions import ServerFunction
from llmctx.killpoint import reached
from llmctx.trail.log.dictionary import Dictionary
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.leaf_schema import lost_range
from llmctx.trail.log.lease import HELD, redis_errors
from llmctx.trail.log.log import Log
from llmctx.trail.proof.anchor import Anchor
from llmctx.trail.proof.roster import Roster
from llmctx.trail.spool.first import genuine_first
from llmctx.trail.spool.foreign import Compose, Placed, incidents_for, rebuild, take_out_of_indices
from llmctx.trail.spool.segment import BLOB
from llmctx.trail.spool.spool import Spool
from llmctx.trail.spool.spooled import SpooledEntries
from llmctx.trail.spool.walk import Walked, Walker, ends_whole

_log = logging.getLogger(__name__)

COMPARED = 1000
"""How many of the newest common records are compared. Every record has its own time and ticks, so two histories differ
in all records from the fork on. `llmctx verify` checks every record."""

_REFILL = ServerFunction(Path(__file__).with_name("refill.lua"), after=[HELD])


class ComparisonResult(NamedTuple):
    """What a comparison found and did."""

    size: int
    """The next index."""
    refilled: int
    """How many records Redis had forgotten and holds again."""
    uncopied: dict[int, bytes]
    """The leaf hash of each record that the log holds and the spool does not, by index."""
    lost: tuple[int, int] | None
    """First and last index of the range that nobody holds; its incident belongs at the next index."""


class Comparison:
    """Compares one partition's log, spool and anchor."""

    def __init__(
        self, redis: Redis, log: Log, spool: Spool, anchor: Anchor, roster: Roster, compose: Compose | None
    ) -> None:
        """`roster` tells whose records are ours; `compose` composes the incidents about all others."""
        self._redis = redis
        self._log = log
        self._spool = spool
        self._spooled = SpooledEntries(spool, log.partition)
        self._anchor = anchor
        self._roster = roster
        self._walker = Walker(redis, log, roster, spool, anchor)
        self._compose = compose

    async def run(self, owner: str) -> ComparisonResult:
        """Compare, remove what is not ours, refill the log, and report what is left to do.

        Raises ForkError if two of the three differ, LeaseError if another owner holds the partition, SpoolError if the
        spool cannot be read, TrailError if the spool lacks a record that the log needs, or if the server does not
        answer.
        """
        spooled, anchored = self._spool.size, self._anchor.size
        trusted = max(spooled, anchored)
        # Below the first index everything is archived, so nothing is missing.
        first = await genuine_first(self._redis, self._log, self._roster, self._spooled.entry)
        start = max(first, min(await self._log.size(), trusted) - COMPARED)
        await asyncio.to_thread(self._spool.load, min(start, spooled))
        await self._restore_blobs(min(start, spooled))
        walked = await self._walker.walk(start, trusted)
        size = max(walked.end, start)
        await self._compare_beyond_log(size)
        for path in self._spool.torn:
            _log.warning(f"The end of {path} is torn; the records before it count.")
        good, present = walked.good, self._present(size)
        if walked.foreign or not await ends_whole(self._redis, self._log) or self._missing(walked):
            good |= await self._rebuild(owner, walked, trusted)
        refilled = await self._refill(present, owner, walked.end - 1)
        if refilled and self._compose is not None:  # a restore expects it, and says itself how many came back
            _log.warning(f"Redis had forgotten {refilled} records of partition {self._log.partition}; refilled them.")
        end = max(size, spooled, max(good, default=-1) + 1)
        lost = (end, anchored - 1) if anchored > end else None
        return ComparisonResult(max(end, anchored), refilled, self._uncopied(good), lost)

    def _uncopied(self, good: dict[int, bytes]) -> dict[int, bytes]:
        """Older records were copied before the segments after them were begun."""
        held = set(self._spool.indices(min(good, default=0), max(good, default=-1) + 1))
        return {index: good[index] for index in sorted(good) if index >= self._spool.base and index not in held}

    def _missing(self, walked: Walked) -> list[int]:
        """The indices between records of the log that only the spool holds."""
        return [index for index in self._spool.indices(walked.start, walked.end) if index not in walked.good]

    async def _rebuild(self, owner: str, walked: Walked, trusted: int) -> dict[int, bytes]:
        """Rebuild the log without foreign entries; returns the incidents about them, by index."""
        log, end = self._log, max(walked.end, trusted)
        absent = set(range(trusted, walked.end)) - walked.good.keys() - walked.lost
        is_losing = self._anchor.size > max(walked.end, self._spool.size)  # that incident has the next place
        holes = sorted(absent) or ([end] if walked.foreign and not is_losing else [])
        if walked.foreign and self._compose is None:
            each = walked.foreign[0]
            raise TrailError(
                f"Entry {each.entry.id} of the log of partition {log.partition} is foreign ({each.why}).",
                "`llmctx run` takes it out and keeps it in an incident.",
            )
        for each in walked.foreign:
            _log.error(
                f"Entry {each.entry.id} of the log of partition {log.partition} is foreign ({each.why}).",
                extra={"alert": "foreign", "subject": log.key("log")},
            )
            await take_out_of_indices(self._redis, log, each)
        reached("unlisted")
        incidents = [] if self._compose is None else await incidents_for(log, walked.foreign, holes, self._compose)
        back = [self._placed(index) for index in self._spool.indices(walked.start, end) if index not in walked.good]
        keep = sorted(walked.good)
        await rebuild(self._redis, log, owner, walked.start, walked.seen, keep, [*back, *incidents])
        for placed in [each for each in back if each.at < walked.end]:  # the rest is refilled
            await put_back(self._redis, log, self._spooled_entry(placed.at), owner)
        _log.error(
            f"The log of partition {log.partition} was rebuilt: {len(walked.foreign)} foreign entries were removed, "
            f"{len(back)} records restored from the spool, incidents added at {holes or 'no index'}."
        )
        return {placed.at: placed.leaf_hash for placed in incidents}

    def _placed(self, index: int) -> Placed:
        entry = self._spooled_entry(index)
        return Placed(index, entry.packed, entry.proof, entry.digest)

    async def _compare_beyond_log(self, start: int) -> None:
        """Compare spool and anchor where the log ends before both."""
        for index, anchored in enumerate(self._anchor.hashes(start, self._spool.size), start):
            entry = self._spooled.entry(index)
            if entry is not None and (found := entry.digest) != anchored and not entry.lacks_leaf:
                raise self._fork(index, "anchor", anchored, found)

    def _fork(self, index: int, where: str, expected: bytes, found: bytes) -> ForkError:
        return ForkError(index, f"{where} of partition {self._log.partition}", expected.hex(), found.hex())

    async def _refill(self, present: list[int], owner: str, after: int) -> int:
        for index in present:
            await put_back(self._redis, self._log, self._spooled_entry(index), owner, after)
            reached("refilled")
            after = index
        return len(present)

    async def _restore_blobs(self, start: int) -> None:
        """Restore the blobs and dictionaries that records from an index on need; without its dictionary a record is
        unreadable.
        """
        blobs, restored = self._log.blobs, 0
        for frame in await asyncio.to_thread(lambda: list(self._spool.blobs(start))):
            if frame.kind == BLOB:
                restored += await blobs.restore(frame.payload)
            else:
                restored += await blobs.restore_dictionary(Dictionary(frame.content), frame.number)
        if restored:
            _log.warning(
                f"{restored} blobs of partition {self._log.partition} were missing or did not match their digest; they "
                "are back from the spool"
            )

    def _present(self, size: int) -> list[int]:
        """The indices from the log's size on that the spool holds.

        Raises TrailError at a gap that the incident after it does not declare lost.
        """
        present = self._spool.indices(size, self._spool.size)
        expected = size
        for index in present:
            if index != expected:
                lost = lost_range(self._spooled_entry(index).record)
                if lost is None or lost[0] > expected or lost[1] != index - 1:
                    raise TrailError(
                        f"Redis ends at record {size} of partition {self._log.partition}, and the spool has record "
                        f"{index} but not record {expected}.",
                        "Restore Redis from a newer backup, or put the spool's missing segment back.",
                    )
            expected = index + 1
        return present

    def _spooled_entry(self, index: int) -> Entry:
        entry = self._spooled.entry(index)
        assert entry is not None
        return entry


async def put_back(redis: Redis, log: Log, entry: Entry, owner: str, after: int = -1) -> None:
    """Put a record back into the log at its own index, and into tick map and symbol list; existing entries stay.

    Raises LeaseError if another owner holds the partition, TrailError if the server does not answer, or if its log does
    not reach the index `after`.
    """
    id_map = "effects" if entry.said else "ticks"
    names = [log.key(name) for name in ("lease", "log", id_map, f"symbol:{entry.record.get('symbol', '')}")]
    try:
        with redis_errors(f"Record {entry.index} could not be put back"):
            ids = [*entry.ticks, *entry.said]
            await _REFILL(redis, names, [owner, entry.index, entry.packed, entry.proof, after, *ids])
    except TrailError as error:
        if str(error.__cause__).startswith("LEASE"):
            raise LeaseError(
                f"Partition {log.partition} is not ours ({error.__cause__}); record {entry.index} was not put back.",
                "Its owner does that.",
            ) from error
        raise
