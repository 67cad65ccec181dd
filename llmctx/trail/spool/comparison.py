"""Log, spool and anchor compared, and the log made whole again, before anything is appended.

Rules of order: a fork is told before anything is written; what Redis forgot is refilled from the spool at its own
index, byte for byte; what the log has and the spool has not is copied; what nobody has any more is a range that an
incident must name, at the index behind it (`Outcome.lost`).
"""

import contextlib
import logging
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from llmctx.errors import ForkError, LeaseError, TrailError
from llmctx.functions import ServerFunction, execute
from llmctx.killpoint import reached
from llmctx.trail.log.entry import FIELD, Entry, restored
from llmctx.trail.log.lease import HELD, SEE_REDIS, lease_key
from llmctx.trail.log.log import Log
from llmctx.trail.log.packing import Dictionary, reference_of
from llmctx.trail.proof.anchor import Anchor
from llmctx.trail.proof.merkle import leaf_hash
from llmctx.trail.spool.spool import BLOB, SpoolIndex

_log = logging.getLogger(__name__)

COMPARED = 1000
"""How many of the newest common records are compared: every record has its own time and ticks, so two histories
differ in all of them from the fork on. `llmctx verify` looks at every one."""

_REFILL = ServerFunction(Path(__file__).with_name("refill.lua"), after=[HELD])


class Outcome(NamedTuple):
    """What a comparison came to."""

    size: int
    """The next index."""
    refilled: int
    """How many records Redis had forgotten and has again."""
    uncopied: list[int]
    """Indices that the log has and the spool has not."""
    lost: tuple[int, int] | None
    """First and last index of the range that cannot be refilled; its incident belongs at the next index."""


class Comparison:
    """One partition's log, spool and anchor."""

    def __init__(self, redis: Redis, log: Log, spool: SpoolIndex, anchor: Anchor) -> None:
        self._redis = redis
        self._log = log
        self._spool = spool
        self._anchor = anchor
        self._dictionaries: dict[bytes, Dictionary] = {}

    async def run(self, owner: str) -> Outcome:
        """Compare, refill, and say what is left to do.

        Raises ForkError where two of the three differ, LeaseError when the partition is another's, TrailError where
        a record between the log's end and the spool's beginning is missing, or when the server does not answer.
        """
        size, spooled, anchored = await self._log.size(), self._spool.size, self._anchor.size
        await self._compare(size)
        for path in self._spool.torn:
            _log.warning(f"the end of {path} is torn; what stands before it counts")
        refilled = await self._refill(size, owner)
        if refilled:
            _log.warning(f"Redis had forgotten {refilled} records of partition {self._log.partition}; they are back")
        if size < max(spooled, anchored):
            await self._rewrite_aof()
        now = max(size, spooled)
        lost = (now, anchored - 1) if anchored > now else None
        uncopied = [index for index in range(self._spool.base, size) if index not in self._spool.places]
        return Outcome(max(now, anchored), refilled, uncopied, lost)

    async def _compare(self, size: int) -> None:
        common = min(size, max(self._spool.size, self._anchor.size))
        start = max(0, common - COMPARED)
        anchored = self._anchor.hashes(start, common)
        async for entry in self._log.read(start, common):
            spooled = self._spool.record(entry.index)
            if spooled is not None and spooled != entry.packed:
                there = leaf_hash((await self._entry(entry.index, spooled)).leaf)
                if there != leaf_hash(entry.leaf):
                    raise self._fork(entry.index, "spool", there, entry.leaf)
            if entry.index - start < len(anchored) and anchored[entry.index - start] != leaf_hash(entry.leaf):
                raise self._fork(entry.index, "anchor", anchored[entry.index - start], entry.leaf)
        for index in range(max(size, start), min(self._spool.size, self._anchor.size)):
            packed = self._spool.record(index)
            if packed is not None:
                leaf = (await self._entry(index, packed)).leaf
                if self._anchor.hash_at(index) != leaf_hash(leaf):
                    raise self._fork(index, "anchor", self._anchor.hash_at(index), leaf)

    def _fork(self, index: int, where: str, there: bytes, leaf: bytes) -> ForkError:
        return ForkError(index, f"{where} of partition {self._log.partition}", there.hex(), leaf_hash(leaf).hex())

    async def _refill(self, size: int, owner: str) -> int:
        if self._spool.size <= size:
            return 0
        present = [index for index in range(size, self._spool.size) if index in self._spool.places]
        await self._check_gaps(size, present)
        for frame in self._spool.blobs():
            if frame.kind == BLOB:
                await self._log.blobs.keep(frame.payload)
            else:
                await self._log.blobs.keep_dictionary(Dictionary(frame.content), frame.number)
        for index in present:
            await self._put_back(index, owner)
            reached("refilled")
        return len(present)

    async def _check_gaps(self, size: int, present: list[int]) -> None:
        """What is missing between records that will be put back is a range that an incident behind it names."""
        expected = size
        for index in present:
            if index != expected:
                packed = self._spool.record(index)
                assert packed is not None
                named = (await self._entry(index, packed)).record.get("incident", {})
                if not (named.get("what") == "lost" and named["first"] <= expected and named["last"] == index - 1):
                    raise TrailError(
                        f"Redis ends at record {size} of partition {self._log.partition}, and the spool has no record "
                        f"{expected}, though it has {index}.",
                        "Restore Redis from a newer backup, or put the spool's missing segment back.",
                    )
            expected = index + 1

    async def _put_back(self, index: int, owner: str) -> None:
        packed = self._spool.record(index)
        assert packed is not None
        record = (await self._entry(index, packed)).record
        ticks = [record["tick"], *record.get("conflated", [])] if "tick" in record else []
        partition = self._log.partition
        names = [
            lease_key(partition),
            self._log.key("log"),
            self._log.key("ticks"),
            self._log.key(f"symbol:{record.get('symbol', '')}"),
        ]
        try:
            await _REFILL(self._redis, names, [owner, index, packed, *ticks])
        except ResponseError as error:
            if str(error).startswith("LEASE"):
                raise LeaseError(
                    f"Partition {partition} is not ours ({error}); record {index} was not put back.",
                    "Its owner puts it back.",
                ) from error
            raise TrailError(f"Record {index} could not be put back: {error}", SEE_REDIS) from error
        except RedisError as error:
            raise TrailError(f"Record {index} could not be put back: {error}", SEE_REDIS) from error

    async def _entry(self, index: int, packed: bytes) -> Entry:
        reference = reference_of(packed)
        if reference is not None and not self._dictionaries:
            for frame in self._spool.blobs():
                if frame.kind != BLOB:
                    dictionary = Dictionary(frame.content)
                    self._dictionaries[dictionary.reference] = dictionary
        known = None if reference is None else self._dictionaries.get(reference)
        return restored({FIELD: packed}, index, self._log.partition, known)

    async def _rewrite_aof(self) -> None:
        # An AOF that was cut in mid-command and is loaded twice can bring back what was rolled back (TRAPS.md).
        with contextlib.suppress(RedisError):
            await execute(self._redis, "BGREWRITEAOF")
