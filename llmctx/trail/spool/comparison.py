"""Compare log, spool and anchor, and make the log whole again, before anything is appended.

Rules of order: a fork is reported before anything is written. Records that Redis forgot are refilled from the spool at
their own index, byte for byte. Records that only the log holds are reported, to be copied into the spool. A range that
nobody holds any more is reported, to be named by an incident at the index after it (`ComparisonResult.lost`).
"""

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.errors import ForkError, LeaseError, TrailError
from llmctx.functions import ServerFunction, execute
from llmctx.killpoint import reached
from llmctx.trail.log.dictionary import Dictionary
from llmctx.trail.log.entry import FIELD, Entry, restored
from llmctx.trail.log.leaf_schema import lost_range
from llmctx.trail.log.lease import HELD, redis_errors
from llmctx.trail.log.log import Log
from llmctx.trail.log.packing import reference_of
from llmctx.trail.log.unreadable import Unreadable
from llmctx.trail.proof.anchor import Anchor
from llmctx.trail.proof.merkle import leaf_hash
from llmctx.trail.spool.segment import BLOB
from llmctx.trail.spool.spool import Spool

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
    uncopied: list[int]
    """The indices that the log holds and the spool does not."""
    lost: tuple[int, int] | None
    """First and last index of the range that nobody holds; its incident belongs at the next index."""


class Comparison:
    """Compares one partition's log, spool and anchor."""

    def __init__(self, redis: Redis, log: Log, spool: Spool, anchor: Anchor) -> None:
        self._redis = redis
        self._log = log
        self._spool = spool
        self._anchor = anchor
        self._dictionaries: dict[bytes, Dictionary] = {}

    async def run(self, owner: str) -> ComparisonResult:
        """Compare, refill the log, and report what is left to do.

        Raises ForkError if two of the three differ, LeaseError if another owner holds the partition, SpoolError if the
        spool cannot be read, TrailError if the spool lacks a record that the log needs, or if the server does not
        answer.
        """
        size, spooled, anchored = await self._log.size(), self._spool.size, self._anchor.size
        common = min(size, max(spooled, anchored))
        start = max(0, common - COMPARED)
        await asyncio.to_thread(self._spool.load, min(start, spooled))
        await self._compare_log(start, common)
        await self._compare_beyond_log(max(size, start))
        for path in self._spool.torn:
            _log.warning(f"The end of {path} is torn; the records before it count.")
        refilled = await self._refill(size, owner)
        if refilled:
            _log.warning(f"Redis had forgotten {refilled} records of partition {self._log.partition}; refilled them.")
        if size < max(spooled, anchored):
            await self._rewrite_aof()
        end = max(size, spooled)
        lost = (end, anchored - 1) if anchored > end else None
        return ComparisonResult(max(end, anchored), refilled, self._uncopied(min(start, spooled), size), lost)

    def _uncopied(self, start: int, size: int) -> list[int]:
        """Older records were copied before the segments after them were begun."""
        first = max(self._spool.base, start)
        return sorted(set(range(first, size)).difference(self._spool.indices(first, size)))

    async def _compare_log(self, start: int, stop: int) -> None:
        anchored = dict(enumerate(self._anchor.hashes(start, stop), start))
        async for entry in self._log.read(start, stop):
            found = leaf_hash(entry.leaf)
            if (problem := entry.unreadable) is not None:
                _warn_of(entry, problem)
                if not problem.has_leaf:
                    continue
            packed = self._spool.record(entry.index)
            if packed is not None and packed != entry.packed:
                spooled = self._unpack(entry.index, packed)
                if (expected := leaf_hash(spooled.leaf)) != found and not spooled.lacks_leaf:
                    raise self._fork(entry.index, "spool", expected, found)
            if (expected := anchored.get(entry.index, found)) != found:
                raise self._fork(entry.index, "anchor", expected, found)

    async def _compare_beyond_log(self, start: int) -> None:
        """Compare spool and anchor where the log ends before both."""
        for index, anchored in enumerate(self._anchor.hashes(start, self._spool.size), start):
            packed = self._spool.record(index)
            entry = None if packed is None else self._unpack(index, packed)
            if entry is not None and (found := leaf_hash(entry.leaf)) != anchored and not entry.lacks_leaf:
                raise self._fork(index, "anchor", anchored, found)

    def _fork(self, index: int, where: str, expected: bytes, found: bytes) -> ForkError:
        return ForkError(index, f"{where} of partition {self._log.partition}", expected.hex(), found.hex())

    async def _refill(self, size: int, owner: str) -> int:
        if self._spool.size <= size:
            return 0
        present = self._spool.indices(size, self._spool.size)
        self._check_gaps(size, present)
        for frame in self._spool.blobs(size):
            if frame.kind == BLOB:
                await self._log.blobs.keep(frame.payload)
            else:
                await self._log.blobs.keep_dictionary(Dictionary(frame.content), frame.number)
        for index in present:
            await self._refill_record(index, owner)
            reached("refilled")
        return len(present)

    def _check_gaps(self, size: int, present: list[int]) -> None:
        """Only a range that the incident after it declares lost may be missing.

        Raises TrailError at the first other gap.
        """
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

    async def _refill_record(self, index: int, owner: str) -> None:
        entry = self._spooled_entry(index)
        record = entry.record
        ticks = [record["tick"], *record.get("conflated", [])] if "tick" in record else []
        names = [self._log.key(name) for name in ("lease", "log", "ticks", f"symbol:{record.get('symbol', '')}")]
        try:
            with redis_errors(f"Record {index} could not be refilled"):
                await _REFILL(self._redis, names, [owner, index, entry.packed, *ticks])
        except TrailError as error:
            if str(error.__cause__).startswith("LEASE"):
                raise LeaseError(
                    f"Partition {self._log.partition} is not ours ({error.__cause__}); record {index} was not "
                    "refilled.",
                    "Its owner refills it.",
                ) from error
            raise

    def _spooled_entry(self, index: int) -> Entry:
        packed = self._spool.record(index)
        assert packed is not None
        return self._unpack(index, packed)

    def _unpack(self, index: int, packed: bytes) -> Entry:
        """Unpack a spooled record with the spool's dictionaries; callers ask in the order of indices."""
        reference = reference_of(packed)
        if reference is not None and not self._dictionaries:
            for frame in self._spool.blobs(index):
                if frame.kind != BLOB:
                    dictionary = Dictionary(frame.content)
                    self._dictionaries[dictionary.reference] = dictionary
        return restored({FIELD: packed}, index, self._log.partition, self._dictionaries.get(reference or b""))

    async def _rewrite_aof(self) -> None:
        # An AOF that was cut in mid-command and loaded twice can bring back a record that was rolled back.
        with contextlib.suppress(RedisError):
            await execute(self._redis, "BGREWRITEAOF")


def _warn_of(entry: Entry, problem: Unreadable) -> None:
    """Name an unreadable record; the service goes on with all others."""
    _log.warning(
        f"Record {entry.index} of partition {entry.partition} cannot be read: {problem.why}. "
        f"Nothing else is affected; `llmctx show {entry.index}` says what to do."
    )
