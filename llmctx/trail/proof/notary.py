"""The notary of a partition: copies leaf hashes out of the log into the anchor, and signs what they come to.

Rules of order: only what is durable is signed (`audit:{p}:durable` says how much is in the spool); leaf hashes are
on disk before the checkpoint, the checkpoint before Redis is told. Each write may be the last one before a kill:
the next notary goes on from the anchor. Sizes never go down; what contradicts the anchor is never signed.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, WatchError

from llmctx.connection import server_ms
from llmctx.errors import CheckpointError, ForkError, InstanceError, TrailError
from llmctx.killpoint import reached
from llmctx.trail.log.instance import Instance
from llmctx.trail.log.lease import SEE_REDIS
from llmctx.trail.log.log import Log
from llmctx.trail.proof.anchor import Anchor, anchor_directory
from llmctx.trail.proof.checkpoint import LATE_SINCE, Checkpoint, open_note, origin_of
from llmctx.trail.proof.key import SigningKey
from llmctx.trail.proof.merkle import CompactRange, leaf_hash, root

SHORTEST_MS = 1000
"""No two checkpoints of a partition are nearer to each other."""
LONGEST_MS = 50_000
"""After so long without a new record the same tree is signed again: silence is no sign of life."""
LATE_MS = 60_000
"""A checkpoint that covers records older than this says so itself."""
_COMPARED = 10_000


class _Fresh(NamedTuple):
    """What the log has beyond the anchor."""

    hashes: list[bytes]
    earliest_ms: int | None
    latest_ms: int


class Notary:
    """One partition's notary, while it holds the anchor's lock."""

    def __init__(self, redis: Redis, instance: Instance, partition: int, state_dir: Path, signing: SigningKey) -> None:
        self._redis = redis
        self._instance = instance
        self._log = Log(redis, partition)
        self._signing = signing
        self._partitions = instance.partitions
        self.anchor = Anchor(anchor_directory(state_dir, instance.id, partition))
        """Where it writes."""
        self.origin = origin_of(instance.id, partition)
        """Whose checkpoints it signs."""
        self.last: Checkpoint | None = None
        """The newest checkpoint of the anchor."""
        self._last_note: str | None = None
        self._tree = CompactRange()

    async def open(self) -> None:
        """Take up where the last notary ended, and compare the newest anchored records with the log.

        Raises ForkError where they differ, TrailError where log or anchor cannot be read.
        """
        self._tree = CompactRange(self.anchor.hashes())
        self._last_note = self.anchor.newest()
        self.last = None if self._last_note is None else open_note(self._last_note, self._signing.key, self.origin)
        if self.last is not None and self.last.size > self._tree.size:
            raise TrailError(
                f"The anchor {self.anchor.directory} has {self._tree.size} leaf hashes, but a checkpoint over "
                f"{self.last.size}.",
                "Put the folder back from a backup.",
            )
        await self._check_instance(self._redis)
        await self._compare(max(0, self._tree.size - _COMPARED))
        there = await self._told()
        if self.last is not None and self._last_note is not None and (there is None or there.size <= self.last.size):
            self._compare_checkpoint(there, [])
            await self._tell(self._last_note)

    async def attend(self) -> Checkpoint | None:
        """Sign what is durable and not covered yet, or the same tree again where the last checkpoint is old.

        Gives the checkpoint signed now, None where none was due.

        Raises ForkError where the log contradicts the anchor, TrailError where Redis or the disk does not answer.
        """
        now_ms = await self._now_ms()
        since_ms = None if self.last is None else now_ms - self.last.time_ms
        if since_ms is not None and 0 <= since_ms < SHORTEST_MS:
            return None
        await self._check_instance(self._redis)
        await self._compare(max(0, self._tree.size - 1))
        fresh = await self._fresh(await self._log.durable())
        if not fresh.hashes and not await self._sign_of_life_is_due(since_ms):
            return None
        self._compare_checkpoint(await self._told(), fresh.hashes)
        return await self._sign(fresh, max(now_ms, fresh.latest_ms))

    async def is_behind(self) -> bool:
        """Whether the log has durable records that no checkpoint covers."""
        covered = 0 if self.last is None else self.last.size
        return min(await self._log.durable(), await self._log.size()) > covered

    async def _sign_of_life_is_due(self, since_ms: int | None) -> bool:
        if since_ms is None or 0 <= since_ms < LONGEST_MS:
            return False
        # It says that there is nothing more: not while records wait to become durable.
        return await self._log.size() <= self._tree.size

    async def _sign(self, fresh: _Fresh, time_ms: int) -> Checkpoint:
        start = self._tree.size
        for hashed in fresh.hashes:
            self._tree.append(hashed)
        checkpoint = Checkpoint.at(self.origin, self._tree.size, self._tree.root(), time_ms, self._partitions)
        if fresh.earliest_ms is not None and time_ms - fresh.earliest_ms > LATE_MS:
            late = f"{LATE_SINCE}{fresh.earliest_ms}"
            checkpoint = checkpoint._replace(extensions=(*checkpoint.extensions, late))
        note = self._signing.sign(checkpoint)
        reached("signed")
        try:
            await _to_the_end(self.anchor.append, start, fresh.hashes, note)
        except TrailError:
            self._tree = CompactRange(self.anchor.hashes())
            raise
        self.last, self._last_note = checkpoint, note
        await self._tell(note)
        reached("told")
        return checkpoint

    async def _fresh(self, durable: int) -> _Fresh:
        """The leaf hashes from the anchor's end up to the durable size, and when their records were made."""
        start = self._tree.size
        hashes: list[bytes] = []
        times: list[int] = []
        if start < durable:
            async for entry in self._log.read(start, durable):
                if entry.index != start + len(hashes):
                    raise TrailError(
                        f"Partition {self._log.partition} has no record {start + len(hashes)}, and the anchor has no "
                        f"leaf hash of it; the next record is {entry.index}.",
                        "Put the anchor's folder back from a backup: only it can still prove what was lost.",
                    )
                hashes.append(leaf_hash(entry.leaf))
                recorded = entry.record.get("recorded_at_ms")
                times += [recorded] if isinstance(recorded, int) else []
        return _Fresh(hashes, min(times, default=None), max(times, default=0))

    async def _compare(self, start: int) -> None:
        """The log says what the anchor says, as far as both say something."""
        anchored = self.anchor.hashes(start, self._tree.size)
        if not anchored:
            return
        async for entry in self._log.read(start, start + len(anchored)):
            there, found = anchored[entry.index - start], leaf_hash(entry.leaf)
            if there != found:
                raise ForkError(entry.index, f"anchor {self.anchor.directory}", there.hex(), found.hex())

    def _compare_checkpoint(self, there: Checkpoint | None, fresh: list[bytes]) -> None:
        """What stands in Redis as the newest checkpoint is the beginning of what is signed next."""
        if there is None or there == self.last:
            return
        size = self._tree.size + len(fresh)
        if there.size > size:
            raise TrailError(
                f"Redis has a checkpoint over {there.size} records of partition {self._log.partition}, but only {size} "
                "can be signed now.",
                "Sizes never go down: nothing is signed until the log has those records again.",
            )
        found = root([*self.anchor.hashes(0, there.size), *fresh][: there.size])
        if found != there.root:
            raise ForkError(there.size - 1, "checkpoint in Redis", there.root.hex(), found.hex())

    @property
    def _checkpoint_key(self) -> str:
        return f"audit:{{{self._log.partition}}}:checkpoint"

    async def _told(self) -> Checkpoint | None:
        """The checkpoint that stands in Redis."""
        note = await self._ask(self._redis.get(self._checkpoint_key))
        if note is None:
            return None
        try:
            return open_note(note.decode(errors="replace"), self._signing.key, self.origin)
        except CheckpointError as error:
            raise TrailError(
                f"The checkpoint of partition {self._log.partition} in Redis is not this notary's: {error.why}.",
                "One notary signs a trail: stop the other one, or use its state directory. If there is no other one, "
                f"somebody wrote there; remove it with: DEL '{self._checkpoint_key}'",
            ) from error

    async def _tell(self, note: str) -> None:
        """Tell Redis, and only the one whose trail this is: it may have been emptied since it was asked."""
        try:
            async with self._redis.pipeline(transaction=True) as both:
                await both.watch("audit:instance")
                await self._check_instance(both)
                both.multi()  # type: ignore[no-untyped-call]  # untyped in redis-py
                both.set(self._checkpoint_key, note)
                await both.execute()
        except WatchError:
            await self._check_instance(self._redis)
            raise TrailError("The instance was written to while a checkpoint was told.", SEE_REDIS) from None
        except RedisError as error:
            raise TrailError(f"The notary could not ask Redis: {error}", SEE_REDIS) from error

    async def _check_instance(self, redis: Redis) -> None:
        found = await self._ask(redis.hget("audit:instance", "id"))
        if found is None or found.decode(errors="replace") != self._instance.id:
            raise InstanceError(
                f"Redis had instance {self._instance.id}, now it has "
                f"{found.decode(errors='replace') if found else 'none: it lost its data'}.",
                "Stop, and restore the server's data from a backup; or start a new trail with --new-instance.",
            )

    async def _now_ms(self) -> int:
        return cast("int", await self._ask(server_ms(self._redis)))

    async def _ask(self, reply: Any) -> Any:
        try:
            return await reply
        except RedisError as error:
            raise TrailError(f"The notary could not ask Redis: {error}", SEE_REDIS) from error


async def _to_the_end(append: Callable[..., None], *arguments: object) -> None:
    """Write to the disk without holding up the loop; a cancellation waits until the write is done."""
    writing = asyncio.ensure_future(asyncio.to_thread(append, *arguments))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait([writing])
        raise
