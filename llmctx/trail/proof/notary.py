"""A partition's notary: it copies leaf hashes from the log into the anchor and signs checkpoints over them.

Rules of order: only durable records are signed (`audit:{p}:durable` says how many are in the spool); leaf hashes are on
disk before the checkpoint, and the checkpoint before Redis is told. A kill may come between any two writes: the next
notary goes on from the anchor. Sizes never go down. Never signed are what contradicts the anchor, a record that no
enrolled writer signed, one that stands at another index too, and whatever follows them.
"""

import asyncio
import logging
from pathlib import Path
from typing import NamedTuple, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, WatchError

from llmctx.connection import server_ms
from llmctx.errors import CheckpointError, ForkError, InstanceError, TrailError
from llmctx.killpoint import reached
from llmctx.trail.disk import write_in_thread
from llmctx.trail.log import unreadable
from llmctx.trail.log.appended import is_ours
from llmctx.trail.log.base import Base
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import Instance
from llmctx.trail.log.lease import RECORD_FORMAT, SEE_REDIS, newest_format, redis_errors
from llmctx.trail.log.log import Log
from llmctx.trail.proof.anchor import Anchor, anchor_directory
from llmctx.trail.proof.base import genuine_base, tree_of
from llmctx.trail.proof.checkpoint import LATE_SINCE, Checkpoint, open_note, origin_of
from llmctx.trail.proof.key import SigningKey
from llmctx.trail.proof.merkle import CompactRange, root
from llmctx.trail.proof.notes import leading_notes
from llmctx.trail.proof.roster import Roster
from llmctx.trail.proof.rotation import Rotation, rotation_of
from llmctx.trail.proof.signed import SignedHashes

_log = logging.getLogger(__name__)

MIN_INTERVAL_MS = 1000
"""The shortest time between two checkpoints of a partition."""
MAX_SILENCE_MS = 50_000
"""After this long without a new record, the same tree is signed again as a sign of life."""
LATE_MS = 60_000
"""A checkpoint that covers records older than this declares them late."""
_COMPARED = 10_000
_UNREACHABLE = "The notary could not reach Redis"


class _Fresh(NamedTuple):
    """The durable records that the anchor does not hold yet."""

    hashes: list[bytes]
    earliest_ms: int | None
    latest_ms: int


class Notary:
    """One partition's notary. The caller holds the anchor's lock."""

    def __init__(self, redis: Redis, instance: Instance, partition: int, state_dir: Path, signing: SigningKey) -> None:
        self._redis = redis
        self._instance = instance
        self._log = Log(redis, partition)
        self._signing = signing
        self._checkpoint_key = self._log.key("checkpoint")
        self.anchor = Anchor(anchor_directory(state_dir, instance.id, partition))
        """The anchor that it writes."""
        self.origin = origin_of(instance.id, partition)
        """The origin of its checkpoints."""
        self.last: Checkpoint | None = None
        """The newest checkpoint in the anchor."""
        self._last_note: str | None = None
        self._tree = CompactRange()
        self._base = Base()
        self._roster = Roster(state_dir, instance.id, partition)
        self._next: SigningKey | None = None
        self._refused = -1
        self._signed = SignedHashes(self.anchor)

    async def open(self) -> None:
        """Continue from the anchor, after comparing its newest records with the log.

        Raises ForkError if they differ, InstanceError if Redis has another instance, TrailError if log or anchor
        cannot be read.
        """
        self._base = await genuine_base(self._log, self._signing.key, self.origin)
        self._tree = await self._anchored_tree()
        self._last_note = self.anchor.newest()
        self.last = None if self._last_note is None else open_note(self._last_note, self._signing.key, self.origin)
        if self.last is not None and self.last.size > self._tree.size:
            raise TrailError(
                f"The anchor {self.anchor.directory} has {self._tree.size} leaf hashes, but a checkpoint over "
                f"{self.last.size}.",
                "Restore the folder from a backup.",
            )
        await self._check_instance(self._redis)
        await self._compare(max(0, self._tree.size - _COMPARED))
        published = await self._published()
        if self.last is None or self._last_note is None:
            return
        if published is None or published.size <= self.last.size:
            self._compare_checkpoint(published, [])
            await self._publish(self._last_note)

    async def attend(self) -> Checkpoint | None:
        """Sign the durable records that no checkpoint covers, or the same tree again if the last checkpoint is old.

        Returns the checkpoint signed now, None if none was due.

        Raises ForkError if the log contradicts the anchor, InstanceError if Redis has another instance, TrailError if
        Redis or the disk fails.
        """
        with redis_errors(_UNREACHABLE):
            now_ms = await server_ms(self._redis)
        since_ms = None if self.last is None else now_ms - self.last.time_ms
        if since_ms is not None and 0 <= since_ms < MIN_INTERVAL_MS:
            return None
        await self._check_instance(self._redis)
        await self._compare(max(0, self._tree.size - 1))
        fresh = await self._fresh(await self._log.durable())
        if not fresh.hashes and self._next is None:
            if since_ms is None or 0 <= since_ms < MAX_SILENCE_MS:
                return None
            # A sign of life claims that there are no more records: not while some are not durable yet, or out of reach.
            if await self._log.size() != self._tree.size:
                return None
        self._compare_checkpoint(await self._published(), fresh.hashes)
        return await self._sign(fresh, max(now_ms, fresh.latest_ms))

    async def hand_over(self, following: SigningKey) -> None:
        """Sign the checkpoint after which another key signs, with both; nothing, if it is signed already.

        Raises as `attend` does.
        """
        if self.last is not None and rotation_of(self.last) == Rotation(self._signing.key, following.key):
            return
        self._next = following
        if await self.attend() is None:  # it signed less than a second ago
            await asyncio.sleep(MIN_INTERVAL_MS / 1000)
            await self.attend()

    async def is_behind(self) -> bool:
        """Whether the log has durable records that no checkpoint covers.

        Raises TrailError if Redis does not answer.
        """
        covered = 0 if self.last is None else self.last.size
        return min(await self._log.durable(), await self._log.size()) > covered

    async def _sign(self, fresh: _Fresh, time_ms: int) -> Checkpoint:
        start = self._tree.size
        for hashed in fresh.hashes:
            self._tree.append(hashed)
        checkpoint = Checkpoint.at(self.origin, self._tree.size, self._tree.root(), time_ms, self._instance.partitions)
        if fresh.earliest_ms is not None and time_ms - fresh.earliest_ms > LATE_MS:
            late = f"{LATE_SINCE}{fresh.earliest_ms}"
            checkpoint = checkpoint._replace(extensions=(*checkpoint.extensions, late))
        if self._next is not None:
            line = Rotation(self._signing.key, self._next.key).line
            checkpoint = checkpoint._replace(extensions=(*checkpoint.extensions, line))
        note = self._signing.sign(checkpoint)
        if self._next is not None:
            note += self._next.sign(checkpoint).rpartition("\n\n")[2]
        reached("signed")
        try:
            await write_in_thread(self.anchor.append, start, fresh.hashes, note)
        except TrailError:
            self._tree = await self._anchored_tree()
            raise
        self.last, self._last_note = checkpoint, note
        self._signed.add(fresh.hashes)
        await self._publish(note)
        reached("told")
        return checkpoint

    async def _fresh(self, durable: int) -> _Fresh:
        """The leaf hashes from the anchor's end up to the durable size, with the times of their records."""
        start = self._tree.size
        hashes: list[bytes] = []
        times: list[int] = []
        async for entry in self._log.read(start, durable):
            if entry.record["kind"] == unreadable.KIND:
                await self._check_signable(entry)
            if (why := self._refusal(entry, hashes)) is not None:
                if entry.index != self._refused:
                    what = f"Record {entry.index} of partition {self._log.partition} is not signed, nor what follows"
                    _log.error(f"{what}: {why}.")
                self._refused = entry.index
                break
            if entry.index != start + len(hashes):
                raise TrailError(
                    f"Partition {self._log.partition} lacks record {start + len(hashes)}, and the anchor has no "
                    f"leaf hash of it; the next record is {entry.index}.",
                    "Restore the anchor's folder from a backup: nothing else can prove what was lost.",
                )
            hashes.append(entry.digest)
            recorded = entry.record.get("recorded_at_ms")
            times += [recorded] if isinstance(recorded, int) else []
        return _Fresh(hashes, min(times, default=None), max(times, default=0))

    def _refusal(self, entry: Entry, fresh: list[bytes]) -> str | None:
        """Why a record is not signed: none of our writers signed it, or it stands at another index; None if it is."""
        hashed = entry.digest
        if (fault := self._roster.check(entry)) is not None:
            return f"{fault.rule}: {fault.found}"
        if not self._roster.needs_proof(entry.index) or is_ours(entry.partition, entry.index, hashed):
            return None
        return "it stands at another index too" if hashed in fresh or self._signed.has(hashed) else None

    async def _check_signable(self, entry: Entry) -> None:
        """Let an unreadable record be signed as it is, with a warning, unless it may be read again later.

        Raises TrailError if its dictionary is only missing now, or if a newer version wrote the partition: its leaf
        hash would become another one.
        """
        problem = entry.unreadable
        assert problem is not None
        what = f"Record {entry.index} of partition {entry.partition} cannot be read: {problem.why}."
        if problem.may_return:
            raise TrailError(what, "Restore the server's data from a backup; nothing after it is signed until then.")
        if await newest_format(self._redis, entry.partition) > RECORD_FORMAT:
            raise TrailError(what, "A newer version of llmctx wrote this partition: run that version's notary.")
        _log.warning(f"{what} Its bytes are signed as they are; `llmctx show` prints them.")

    async def _compare(self, start: int) -> None:
        """Compare the log with the anchor from an index on. A record without a leaf has nothing to compare.

        Raises ForkError if they differ.
        """
        anchored = self.anchor.hashes(start, self._tree.size)
        async for entry in self._log.read(start, start + len(anchored)):
            expected, found = anchored[entry.index - start], entry.digest
            if expected != found and not entry.lacks_leaf:
                raise ForkError(entry.index, f"anchor {self.anchor.directory}", expected.hex(), found.hex())

    async def _anchored_tree(self) -> CompactRange:
        is_known = 0 < self._base.size <= self.anchor.size  # then the tree is not built from the first record on
        return await asyncio.to_thread(self.anchor.grow, tree_of(self._base) if is_known else CompactRange())

    def _compare_checkpoint(self, published: Checkpoint | None, fresh: list[bytes]) -> None:
        """Check that the tree to be signed next has grown out of the checkpoint in Redis.

        Raises ForkError if it has not, TrailError if the checkpoint in Redis is larger.
        """
        if published is None or published == self.last:
            return
        size = self._tree.size + len(fresh)
        if published.size > size:
            raise TrailError(
                f"Redis has a checkpoint over {published.size} records of partition {self._log.partition}, but only "
                f"{size} can be signed now.",
                "Sizes never go down, so nothing is signed until the log has those records again.",
            )
        found = root([*self.anchor.hashes(0, published.size), *fresh][: published.size])
        if found != published.root:
            raise ForkError(published.size - 1, "checkpoint in Redis", published.root.hex(), found.hex())

    async def _published(self) -> Checkpoint | None:
        """The checkpoint in Redis; None before the first, or if something else is there, which is replaced."""
        note = await self._log.checkpoint()
        if note is None:
            return None
        if leading_notes(note.encode())[0] != [note]:
            said = f"{self._checkpoint_key} held no signed checkpoint and is replaced: see who else may write it"
            _log.error(f"{said} (docs/threat-model.md).", extra={"alert": "foreign", "subject": self._checkpoint_key})
            return None
        try:
            return open_note(note, self._signing.key, self.origin)
        except CheckpointError as error:
            raise TrailError(
                f"The checkpoint of partition {self._log.partition} in Redis is not this notary's: {error.why}.",
                "Only one notary may sign a trail: stop the other one, or use its state directory. If there is no "
                f"other one, somebody else wrote this key; remove it with: DEL '{self._checkpoint_key}'",
            ) from error

    async def _publish(self, note: str) -> None:
        """Write the checkpoint to Redis, unless the server was emptied or replaced since it was last asked."""
        try:
            async with self._redis.pipeline(transaction=True) as both:
                await both.watch("audit:instance")
                await self._check_instance(both)
                both.multi()  # type: ignore[no-untyped-call]  # untyped in redis-py
                both.set(self._checkpoint_key, note)
                await both.execute()
        except WatchError:
            await self._check_instance(self._redis)
            raise TrailError("The instance key changed while a checkpoint was written.", SEE_REDIS) from None
        except RedisError as error:
            raise TrailError(f"{_UNREACHABLE}: {error}", SEE_REDIS) from error

    async def _check_instance(self, redis: Redis) -> None:
        with redis_errors(_UNREACHABLE):
            found = cast("bytes | None", await redis.hget("audit:instance", "id"))
        now = None if found is None else found.decode(errors="replace")
        if now != self._instance.id:
            raise InstanceError(
                f"Redis had instance {self._instance.id}, now it has {now or 'none: it lost its data'}.",
                "Stop, and restore the server's data from a backup; or start a new trail with --new-instance.",
            )
