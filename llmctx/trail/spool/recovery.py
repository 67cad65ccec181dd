"""Recovery: one owner's spool of a partition, and the log refilled from it at the start and after a server restart."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.errors import ForkError, TrailError
from llmctx.functions import execute
from llmctx.tasks import end
from llmctx.trail.log.appended import is_ours
from llmctx.trail.log.dictionary import Trainer
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import Instance
from llmctx.trail.log.lease import Lease, redis_errors
from llmctx.trail.log.log import Log
from llmctx.trail.proof.anchor import Anchor, anchor_directory
from llmctx.trail.proof.merkle import leaf_hash
from llmctx.trail.proof.roster import Roster
from llmctx.trail.spool.comparison import Comparison, ComparisonResult, put_back
from llmctx.trail.spool.foreign import Compose
from llmctx.trail.spool.segment import Segment
from llmctx.trail.spool.spool import Spool, spool_directory
from llmctx.trail.spool.spooler import Spooler
from llmctx.trail.spool.walk import ends_whole

_COPY_BATCH = 500
MAX_IN_FLIGHT = 2000
"""How many records at most are appended at the same time; append.lua says the same."""


class Recovery:
    """Keeps one partition's records beyond Redis, for the holder of its lease."""

    def __init__(
        self, redis: Redis, log: Log, lease: Lease, instance: Instance, state_dir: Path, compose: Compose | None = None
    ) -> None:
        """`compose` composes the incidents about entries of the log that nobody of ours appended; without it there must
        be none.
        """
        self._redis = redis
        self._log = log
        self._lease = lease
        self._compose = compose
        self._vouching: Spool | None = None
        self._directory = spool_directory(state_dir, instance.id, log.partition)
        self._anchor = Anchor(anchor_directory(state_dir, instance.id, log.partition))
        self._spooler: Spooler | None = None
        self._advance: Callable[[int], Awaitable[None]] | None = None
        self._turn = asyncio.Lock()
        self._fork: ForkError | None = None
        self._training: asyncio.Task[None] | None = None
        self._surplus = 0

    async def open(self, roster: Roster, advance: Callable[[int], Awaitable[None]]) -> tuple[int, int] | None:
        """Begin a segment, compare log, spool and anchor, and refill the log. The caller holds the lease.

        `roster` tells whose records are ours, and `advance` tells Redis how many records are durable. Returns the range
        that nobody holds any more; the caller appends its incident.

        Raises ForkError, LeaseError, SpoolError or TrailError; the caller must not append then.
        """
        run_id, self._advance, self._roster = await self._server_run_id(), advance, roster
        await _rewrite_aof_once(self._redis)
        spool, segment = await self._begin_segment()
        self._spooler = Spooler(
            self._directory, segment, self._log, advance, anchored=lambda: self._anchor.size, fetch=self.fetch
        )
        result = await self._compare(spool)
        await self._copy(result)
        self._log.known = result.size if result.lost is None else result.lost[0]
        self._spooler.start(result.size)
        await self._spooler.prune()
        if result.lost is None and result.size:
            await advance(result.size)
        self._log.run_id = run_id
        self._log.dictionary, trained_at = await self._log.blobs.newest_dictionary(result.size)
        self._log.trainer = Trainer(trained_at)
        self._surplus = (await self._log.extent())[1]
        return result.lost

    async def _begin_segment(self) -> tuple[Spool, Segment]:
        while True:
            spool = await asyncio.to_thread(Spool, self._directory)
            # Renew the lease between reading and creating: an owner that lost it stops here or finds the number taken.
            if (holder := await self._lease.take()) is not None:
                raise holder.refusal(self._log.partition)
            with contextlib.suppress(FileExistsError):
                return spool, await asyncio.to_thread(Segment, self._directory, spool.next_number, spool.size)

    async def _compare(self, spool: Spool) -> ComparisonResult:
        try:
            comparison = Comparison(self._redis, self._log, spool, self._anchor, self._roster, self._compose)
            return await comparison.run(self._lease.owner)
        except ForkError as error:
            self._fork = error
            raise

    async def _copy(self, result: ComparisonResult) -> None:
        assert self._spooler is not None
        uncopied = list(result.uncopied)
        for first in range(0, len(uncopied), _COPY_BATCH):
            wanted = uncopied[first : first + _COPY_BATCH]
            entries = [entry async for entry in self._log.read(wanted[0], wanted[-1] + 1)]
            # What was checked is what is copied: the log may have been written again meanwhile.
            judged = [each for each in entries if result.uncopied.get(each.index) == leaf_hash(each.leaf)]
            for entry in judged:  # half of an append may have come back: the record alone, without map and list
                await put_back(self._redis, self._log, entry, self._lease.owner)
            await self._spooler.copy(judged)

    async def compare_again(self) -> tuple[int, int] | None:
        """Compare again if the server restarted or forgot records.

        Returns the range that nobody holds any more, None if all is well.

        Raises ForkError, LeaseError, SpoolError or TrailError.
        """
        assert self._spooler is not None
        async with self._turn:
            if self._fork is not None:
                raise self._fork
            run_id = await self._server_run_id()
            size, known = await self._log.size(), self._log.known
            is_whole = known <= size <= known + MAX_IN_FLIGHT and await ends_whole(self._redis, self._log)
            if run_id == self._log.run_id and is_whole:
                return None
            await _rewrite_aof_once(self._redis)
            lost = await self._compare_and_copy()
            if self._advance is not None and self._spooler.durable:
                await self._advance(self._spooler.durable)
            self._log.run_id = run_id
            return lost

    async def _compare_and_copy(self) -> tuple[int, int] | None:
        assert self._spooler is not None
        await self._spooler.flush()  # the waiting records are newer than anything else anybody holds
        result = await self._compare(await asyncio.to_thread(Spool, self._directory))
        await self._copy(result)
        if result.lost is not None:
            self._log.known = result.lost[0]
        return result.lost

    async def fetch(self) -> None:
        """Copy the log's entries before a waiting record, and remove those that are not ours."""
        async with self._turn:
            await self._compare_and_copy()

    async def admits(self, entry: Entry) -> bool:
        """Whether a record that settled a tick is one of ours; if not, it is removed from the log.

        Raises ForkError, LeaseError, SpoolError or TrailError.
        """
        assert self._spooler is not None
        if is_ours(entry.partition, entry.index, entry.digest) or entry.index < self._spooler.durable:
            return True
        await self.fetch()
        now = await self._log.entry(entry.index)
        return now is not None and now.leaf == entry.leaf

    async def look(self) -> None:
        """Look for entries at the log's end that nobody has handed over, and for changes before it.

        Raises ForkError, LeaseError, SpoolError or TrailError.
        """
        if self._spooler is None:
            return
        size, surplus = await self._log.extent()
        self._spooler.expect(size)
        if surplus != self._surplus:
            await self.fetch()
            self._surplus = (await self._log.extent())[1]

    def durable(self) -> int:
        """How many records are in the spool without a gap."""
        return 0 if self._spooler is None else self._spooler.durable

    def vouches(self, entry: Entry) -> bool:
        """Whether a record of the log is the one that this state directory holds at its index."""
        hashed = entry.digest
        if is_ours(entry.partition, entry.index, hashed):
            return True
        if self._vouching is None or entry.index >= self._vouching.size:
            self._vouching = Spool(self._directory)
        packed = self._vouching.record(entry.index)
        if packed is not None:
            return packed == entry.packed
        known = self._anchor.hashes(entry.index, entry.index + 1)
        return known == [hashed] if known else self._roster.check(entry) is None

    async def add(self, entry: Entry) -> None:
        """Put a record on the disk; returns when it is durable.

        Raises LeaseError if another owner has taken the partition.
        """
        assert self._spooler is not None
        await self._spooler.add(entry)

    async def forget(self, below: int) -> int:
        """Remove archived records below an index from the spool; returns how many of its segments changed.

        Raises LeaseError, SpoolError or TrailError.
        """
        assert self._spooler is not None
        async with self._turn:
            self._vouching = None
            return await self._spooler.forget(below)

    async def check(self) -> None:
        """Check that no other owner has begun to write since.

        Raises LeaseError if one has, SpoolError if the disk fails.
        """
        if self._spooler is not None:
            await self._spooler.check()

    async def improve(self, size: int) -> None:
        """Train a new dictionary in the background if a log of this size needs one."""
        trainer = self._log.trainer
        if trainer is not None and trainer.due(size) and (self._training is None or self._training.done()):
            self._training = asyncio.create_task(self._train(trainer, size))

    async def _train(self, trainer: Trainer, size: int) -> None:
        dictionary = await asyncio.to_thread(trainer.train, size)
        with contextlib.suppress(TrailError):  # recording continues with the old dictionary
            if dictionary is not None:
                await self._log.blobs.keep_dictionary(dictionary, size)
                before, self._log.dictionary = self._log.dictionary, dictionary
                if before is not None:
                    before.drop_compressor()

    async def close(self) -> None:
        """Stop; records that still wait for the disk stay in the log, where the next owner finds them."""
        if self._training is not None:
            await end(self._training)
        if self._spooler is not None:
            await self._spooler.close()

    async def _server_run_id(self) -> bytes:
        with redis_errors("The server's run id could not be read"):
            found = await self._redis.info("server")
        return str(found["run_id"]).encode()


async def _rewrite_aof_once(redis: Redis) -> None:
    """Have a server that has just started write a new append-only file before anything is appended to the old one.

    If the old one was cut within a transaction, Redis 7.0 keeps the half that is left at its end, and carries it out at
    its next start: a record that was rolled back would take the index of one that was appended since.
    """
    with contextlib.suppress(RedisError):  # an owner without that right finds a fork, and nothing is lost
        found = await redis.info("persistence")
        if found.get("aof_enabled") and not found.get("aof_rewrites"):
            await execute(redis, "BGREWRITEAOF")
