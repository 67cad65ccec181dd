"""Which ticks archived records settled, so that a tick raised again later is still known.

The map from ticks to records stays for a while after its records were archived, but nothing in Redis bears it out any
more, and whoever can write to Redis could name an archived record there to keep a tick from being decided. So the
archiver signs what each segment settled: `audit:{p}:archived` is a hash, field `FIRST END MADE_MS`, value a writer's
key ID and signature, and then the first 8 bytes of each tick id's SHA-256, sorted.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import NamedTuple, cast

from redis.asyncio import Redis

from llmctx.bounded_cache import BoundedCache
from llmctx.trail.log.lease import redis_errors
from llmctx.trail.log.reader import LogReader
from llmctx.trail.proof.roster import Roster
from llmctx.trail.proof.writer import KEY_ID_BYTES

_DIGEST_BYTES = 8
_PROOF_BYTES = KEY_ID_BYTES + 64
_MAX_CACHED, _MAX_CACHED_BYTES = 64, 16 * 1024 * 1024


class Segment(NamedTuple):
    """A range of archived records."""

    first: int
    """The index of its first record."""
    end: int
    """One more than the index of its last record."""
    made_ms: int
    """When it was archived, in milliseconds since 1970."""

    @property
    def field(self) -> str:
        """Its field in the hash."""
        return f"{self.first} {self.end} {self.made_ms}"


def digests_of(ticks: Iterable[str]) -> bytes:
    """The digests of tick ids, sorted and concatenated."""
    return b"".join(sorted(map(_digest, ticks)))


def said_tick(said: str) -> str:
    """The id of what others say of a decision, among ticks: it is none of theirs."""
    return f"\0{said}"


def _digest(tick: str) -> bytes:
    return hashlib.sha256(tick.encode()).digest()[:_DIGEST_BYTES]


def _text(origin: str, segment: Segment, digests: bytes) -> str:
    """The text that a writer signs."""
    return f"llmctx-archived/1\n{origin}\n{segment.field}\n{hashlib.sha256(digests).hexdigest()}\n"


class ArchivedTicks:
    """What the archived records of one partition settled."""

    def __init__(self, redis: Redis, log: LogReader, roster: Callable[[], Roster]) -> None:
        """`roster` gives the writers that are enrolled now."""
        self._redis = redis
        self._key = log.key("archived")
        self._roster = roster
        self._known: BoundedCache[str, bytes] = BoundedCache(_MAX_CACHED, _MAX_CACHED_BYTES)

    async def keep(self, segment: Segment, digests: bytes, origin: str, sign: Callable[[str], bytes]) -> None:
        """Store what a segment settled, signed by a writer.

        Raises TrailError if the server does not answer.
        """
        with redis_errors("The archived ticks could not be stored"):
            await self._redis.hset(self._key, segment.field, sign(_text(origin, segment, digests)) + digests)

    async def segments(self) -> list[Segment]:
        """The segments whose ticks are known.

        Raises TrailError if the server does not answer.
        """
        with redis_errors():
            fields = cast("list[bytes]", await self._redis.hkeys(self._key))
        parts = [field.split(b" ") for field in fields]
        return sorted(Segment(*map(int, part)) for part in parts if len(part) == 3 and all(map(bytes.isdigit, part)))  # noqa: PLR2004  as above

    async def settled(self, tick: str, index: int) -> bool:
        """Whether the archived record at an index settled a tick, or another one of its segment did.

        Raises TrailError if the server does not answer.
        """
        for segment in await self.segments():
            if segment.first <= index < segment.end and _holds(await self._digests(segment), _digest(tick)):
                return True
        return False

    async def _digests(self, segment: Segment) -> bytes:
        """The digests of a segment; empty if no enrolled writer signed them."""
        known = self._known.get(segment.field)
        if known is not None:
            return known
        with redis_errors():
            found = cast("bytes | None", await self._redis.hget(self._key, segment.field)) or b""
        proof, digests = found[:_PROOF_BYTES], found[_PROOF_BYTES:]
        roster = self._roster()
        key = roster.keys.get(proof[:KEY_ID_BYTES])
        if key is None or not key.accepts(_text(roster.origin, segment, digests), proof[KEY_ID_BYTES:]):
            return b""
        self._known.put(segment.field, digests, len(digests))
        return digests


def _holds(digests: bytes, wanted: bytes) -> bool:
    count = len(digests) // _DIGEST_BYTES

    def at(place: int) -> bytes:
        return digests[place * _DIGEST_BYTES : (place + 1) * _DIGEST_BYTES]

    place = bisect_left(range(count), wanted, key=at)
    return place < count and at(place) == wanted
