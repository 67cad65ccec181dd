"""Recovery: one owner's spool of a partition, and the log refilled from it at the start and after a server restart."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from redis.asyncio import Redis

from llmctx.connection import end
from llmctx.errors import ForkError, TrailError
from llmctx.trail.log.blobs import redis_errors
from llmctx.trail.log.dictionary import Trainer
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import Instance
from llmctx.trail.log.lease import Lease
from llmctx.trail.log.log import Log
from llmctx.trail.proof.anchor import Anchor, anchor_directory
from llmctx.trail.spool.comparison import Comparison, ComparisonResult
from llmctx.trail.spool.segment import Segment
from llmctx.trail.spool.spool import Spool, spool_directory
from llmctx.trail.spool.spooler import Spooler

_COPY_BATCH = 500


class Recovery:
    """Keeps one partition's records beyond Redis, for the holder of its lease."""

    def __init__(self, redis: Redis, log: Log, lease: Lease, instance: Instance, state_dir: Path) -> None:
        self._redis = redis
        self._log = log
        self._lease = lease
        self._directory = spool_directory(state_dir, instance.id, log.partition)
        self._anchor = Anchor(anchor_directory(state_dir, instance.id, log.partition))
        self._spooler: Spooler | None = None
        self._advance: Callable[[int], Awaitable[None]] | None = None
        self._turn = asyncio.Lock()
        self._fork: ForkError | None = None
        self._training: asyncio.Task[None] | None = None

    async def open(self, advance: Callable[[int], Awaitable[None]]) -> tuple[int, int] | None:
        """Begin a segment, compare log, spool and anchor, and refill the log. The caller holds the lease.

        `advance` tells Redis how many records are durable. Returns the range that nobody holds any more; the caller
        appends its incident.

        Raises ForkError, LeaseError, SpoolError or TrailError; the caller must not append then.
        """
        run_id, self._advance = await self._server_run_id(), advance
        spool, segment = await self._begin_segment()
        self._spooler = Spooler(self._directory, segment, self._log, advance, anchored=lambda: self._anchor.size)
        result = await self._compare(spool)
        await self._copy(result)
        self._log.known = result.size if result.lost is None else result.lost[0]
        self._spooler.start(result.size)
        await self._spooler.prune()
        if result.lost is None and result.size:
            await advance(result.size)
        self._log.run_id = run_id
        self._log.dictionary, trained_at = await self._log.blobs.newest_dictionary()
        self._log.trainer = Trainer(trained_at)
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
            return await Comparison(self._redis, self._log, spool, self._anchor).run(self._lease.owner)
        except ForkError as error:
            self._fork = error
            raise

    async def _copy(self, result: ComparisonResult) -> None:
        assert self._spooler is not None
        for first in range(0, len(result.uncopied), _COPY_BATCH):
            wanted = result.uncopied[first : first + _COPY_BATCH]
            entries = [entry async for entry in self._log.read(wanted[0], wanted[-1] + 1)]
            await self._spooler.copy([entry for entry in entries if entry.index in set(wanted)])

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
            if run_id == self._log.run_id and await self._log.size() >= self._log.known:
                return None
            await self._spooler.flush()  # the records waiting for the disk are the newest that anybody holds
            result = await self._compare(await asyncio.to_thread(Spool, self._directory))
            await self._copy(result)
            if result.lost is not None:
                self._log.known = result.lost[0]
            if self._advance is not None and self._spooler.durable:
                await self._advance(self._spooler.durable)
            self._log.run_id = run_id
            return result.lost

    async def add(self, entry: Entry) -> None:
        """Put a record on the disk; returns when it is durable.

        Raises LeaseError if another owner has taken the partition.
        """
        assert self._spooler is not None
        await self._spooler.add(entry)

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
        with contextlib.suppress(TrailError):  # records go on with the old dictionary
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
