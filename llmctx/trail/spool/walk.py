"""Walk through the entries of a log as they are, and tell which of them a writer of this instance appended.

What spool or anchor hold is compared with them. Whatever comes after that is judged: its form, its writer's proof, and
that neither its leaf hash nor its ticks stand at another index, for whoever can write to Redis can repeat a record.
"""

import logging
from collections.abc import AsyncIterator
from typing import NamedTuple

from redis.asyncio import Redis

from llmctx import canonical
from llmctx.connection.streams import StreamEntry, pages_of_stream, read_stream
from llmctx.errors import ForkError
from llmctx.trail.log.appended import is_ours
from llmctx.trail.log.entry import Entry, promised_pieces
from llmctx.trail.log.leaf_schema import lost_range
from llmctx.trail.log.lease import redis_errors
from llmctx.trail.log.log import Log
from llmctx.trail.log.unreadable import Unreadable
from llmctx.trail.proof.anchor import Anchor
from llmctx.trail.proof.roster import Roster
from llmctx.trail.spool.foreign import Foreign
from llmctx.trail.spool.spool import Spool
from llmctx.trail.spool.spooled import SpooledEntries

_log = logging.getLogger(__name__)

_PAGE = 200


class Walked(NamedTuple):
    """What a walk found."""

    start: int
    """The index where it began."""
    good: dict[int, bytes]
    """The leaf hash of each record of ours, by index."""
    foreign: list[Foreign]
    """Entries that are not ours."""
    lost: set[int]
    """The indices that incidents declare lost."""
    seen: str
    """The id of the last entry; empty if there is none."""

    @property
    def end(self) -> int:
        """One more than the last index of our records; 0 if there are none."""
        return max(self.good, default=-1) + 1


class Walker:
    """Walks through one partition's log."""

    def __init__(self, redis: Redis, log: Log, roster: Roster, spool: Spool, anchor: Anchor) -> None:
        self._redis = redis
        self._log = log
        self._roster = roster
        self._spool = spool
        self._spooled = SpooledEntries(spool, log.partition)
        self._anchor = anchor
        self._places: dict[bytes, int] | None = None

    async def walk(self, start: int, trusted: int) -> Walked:
        """Walk from an index to the end; records below `trusted` are compared with spool and anchor.

        Raises ForkError if one of them is another record of ours, TrailError if the server does not answer.
        """
        walked, claims = Walked(start, {}, [], set(), ""), dict[str, int]()
        anchored = dict(enumerate(self._anchor.hashes(start, trusted), start))
        async for found in raw_entries(self._redis, self._log, start):
            walked = walked._replace(seen=found.id)
            entry = await self._log.restore(found._replace(id=f"{found.number}-1"))
            hashed = entry.digest
            foreign: Foreign | None
            if found.id != f"{entry.index}-1":
                foreign = Foreign(found, "its id is none of the log's")
            elif entry.index < trusted:
                differs = self._differs(entry, hashed, anchored.get(entry.index))
                foreign = None if differs is None else Foreign(found, differs)
            else:
                foreign = self._judge(found, entry, hashed)
                if self._roster.needs_proof(entry.index):
                    claims |= dict.fromkeys(entry.ticks, entry.index)
            if foreign is not None:
                symbol = str(entry.record.get("symbol", ""))
                walked.foreign.append(foreign._replace(ticks=entry.ticks, said=entry.said, symbol=symbol))
                continue
            walked.good[entry.index] = hashed
            named = lost_range(entry.record)
            walked.lost.update(range(named[0], named[1] + 1) if named else ())
        await self._check_ticks(walked, claims)
        return walked

    async def _check_ticks(self, walked: Walked, claims: dict[str, int]) -> None:
        """Reclassify records that settle a tick which another record settles as foreign."""
        ticks = list(claims)
        for begin in range(0, len(ticks), _PAGE):
            batch = ticks[begin : begin + _PAGE]
            for tick, index in zip(batch, await self._log.settled(batch), strict=True):
                at = claims[tick]
                if index in (None, at) or at not in walked.good or not await self._settles(index, tick):
                    continue
                with redis_errors():
                    (found,) = await read_stream(self._redis, self._log.key("log"), f"{at}-1", f"{at}-1")
                del walked.good[at]
                walked.foreign.append(Foreign(found, f"record {index} settled its tick {tick}", index, [tick]))

    def _differs(self, entry: Entry, hashed: bytes, anchored: bytes | None) -> str | None:
        """Why an entry is not the record that spool and anchor have at its index; None if it is.

        Raises ForkError if one of our writers may have signed it.
        """
        if (problem := entry.unreadable) is not None:
            warn_of(entry, problem)
            if not problem.has_leaf:
                can_be_had = not problem.may_return and self._spools_readable(entry.index)
                return f"unreadable: {problem.why}"[:200] if can_be_had else None
        frame = self._spool.frame(entry.index)
        spooled = hashed
        if frame is not None and (frame.content, frame.proof) != (entry.packed, entry.proof):
            spooled = self._spooled.leaf_hash(entry.index) or hashed
            if spooled == hashed and frame.proof != entry.proof:
                return "its proof is not the one in the spool"
        if spooled != hashed:
            fault = self._roster.check(entry)
            if fault is not None and self._roster.since is not None:
                return f"{fault.rule}: {fault.found}"
            raise self._fork(entry.index, "spool", spooled, hashed)
        if anchored not in (None, hashed):
            raise self._fork(entry.index, "anchor", anchored or b"", hashed)
        return None

    def _spools_readable(self, index: int) -> bool:
        spooled = self._spooled.entry(index)
        return spooled is not None and spooled.unreadable is None

    def _fork(self, index: int, where: str, expected: bytes, found: bytes) -> ForkError:
        return ForkError(index, f"{where} of partition {self._log.partition}", expected.hex(), found.hex())

    def _judge(self, found: StreamEntry, entry: Entry, hashed: bytes) -> Foreign | None:
        """Why an entry that nobody has copied yet is not ours; None if it is."""
        if is_ours(entry.partition, entry.index, hashed):
            return None
        if not self._roster.needs_proof(entry.index) and "enrolment" not in entry.record:
            if entry.unreadable is not None:
                warn_of(entry, entry.unreadable)
            return None
        original = self._stands_at(hashed, entry.index)
        if original is not None:
            return Foreign(found, f"it is record {original} again", original)
        if (fault := self._roster.check(entry)) is not None:
            return Foreign(found, f"{fault.rule}: {fault.found}")
        if entry.unreadable is not None:
            return Foreign(found, f"unreadable: {entry.unreadable.why}"[:200])
        wrong = [name for name, digest in promised_pieces(entry.record).items() if digest != _digest(entry, name)]
        return Foreign(found, f"its {', '.join(wrong)} has another digest") if wrong else None

    async def _settles(self, index: int | None, tick: str) -> bool:
        """Whether the record at an index settles a tick; the map of ticks by itself may lie."""
        entry = None if index is None else await self._log.entry(index)
        return entry is not None and tick in entry.ticks

    def _stands_at(self, hashed: bytes, index: int) -> int | None:
        """The other index that already has this leaf hash; None if there is none, and then this index gets it."""
        if self._places is None:
            hashes = self._anchor.hashes()
            self._places = {each: at for at, each in enumerate(hashes)}
            for at in self._spool.indices(max(len(hashes), self._spool.base), self._spool.size):
                self._places[self._spooled.leaf_hash(at) or b""] = at
        original = self._places.setdefault(hashed, index)
        return None if original == index else original


async def raw_entries(redis: Redis, log: Log, start: int) -> AsyncIterator[StreamEntry]:
    """The entries of a log's stream from index `start` on, whatever they are.

    Raises TrailError if the server does not answer.
    """

    async def fetch(begin: str, count: int) -> list[StreamEntry]:
        with redis_errors():
            return await read_stream(redis, log.key("log"), begin, count=count)

    async for page in pages_of_stream(fetch, f"{start}-0", _PAGE):
        for found in page:
            yield found


async def ends_whole(redis: Redis, log: Log) -> bool:
    """Whether a log's stream ends with a record, and remembers no higher id than that record's.

    A deleted record leaves its id behind, and then the stream never takes that place again.
    """
    with redis_errors():
        if not await redis.exists(log.key("log")):
            return True
        about = await redis.xinfo_stream(log.key("log"))
    last, newest = about["last-generated-id"], about["last-entry"]
    return newest is not None and last == newest[0] and bool(last.endswith(b"-1"))


def warn_of(entry: Entry, problem: Unreadable) -> None:
    """Warn about an unreadable record; the service continues with all others."""
    _log.warning(
        f"Record {entry.index} of partition {entry.partition} cannot be read: {problem.why}. "
        f"Nothing else is affected; `llmctx show {entry.index}` says what to do."
    )


def _digest(entry: Entry, piece: str) -> str:
    return canonical.sha256(entry.pieces.get(piece, b""))
