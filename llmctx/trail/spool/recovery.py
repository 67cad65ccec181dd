"""What keeps a partition's records beyond Redis: its spool, compared with log and anchor and made whole with them."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from redis.asyncio import Redis

from llmctx.connection import end
from llmctx.errors import ForkError, TrailError
from llmctx.trail.log.blobs import door
from llmctx.trail.log.dictionaries import Trainer
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import Instance
from llmctx.trail.log.lease import Lease
from llmctx.trail.log.log import Log
from llmctx.trail.proof.anchor import Anchor, anchor_directory
from llmctx.trail.spool.comparison import Comparison, Outcome
from llmctx.trail.spool.spool import Segment, SpoolIndex, spool_directory
from llmctx.trail.spool.spooler import Spooler

_COPIED_AT_ONCE = 500


class Keeping:
    """One owner's keeping of one partition."""

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
        """Begin a segment, compare and refill; `advance` tells Redis how much is durable.

        Gives the range that nobody has any more; its incident belongs behind it. The lease is ours.

        Raises ForkError, LeaseError, SpoolError, TrailError; nothing is to be appended then.
        """
        run_id, self._advance = await self._server_run_id(), advance
        index, segment = await self._begin_segment()
        self._spooler = Spooler(
            self._directory,
            segment,
            self._log,
            advance,
            anchored=lambda: self._anchor.size,
        )
        outcome = await self._compare(index)
        await self._copy(outcome)
        self._log.known = outcome.size if outcome.lost is None else outcome.lost[0]
        self._spooler.start(outcome.size)
        await self._spooler.prune()
        if outcome.lost is None and outcome.size:
            await advance(outcome.size)
        self._log.run_id = run_id
        self._log.dictionary, trained_at = await self._log.blobs.newest_dictionary()
        self._log.trainer = Trainer(trained_at)
        return outcome.lost

    async def _begin_segment(self) -> tuple[SpoolIndex, Segment]:
        while True:
            index = await asyncio.to_thread(SpoolIndex, self._directory)
            # Confirmed between looking and making: who lost the lease meanwhile finds the number taken, or stops here.
            if (holder := await self._lease.take()) is not None:
                raise holder.refusal(self._log.partition)
            with contextlib.suppress(FileExistsError):
                return index, await asyncio.to_thread(Segment, self._directory, index.next_number, index.size)

    async def _compare(self, index: SpoolIndex) -> Outcome:
        try:
            comparison = Comparison(self._redis, self._log, index, self._anchor)
            return await comparison.run(self._lease.owner)
        except ForkError as error:
            self._fork = error
            raise

    async def _copy(self, outcome: Outcome) -> None:
        assert self._spooler is not None
        for first in range(0, len(outcome.uncopied), _COPIED_AT_ONCE):
            wanted = outcome.uncopied[first : first + _COPIED_AT_ONCE]
            entries = [entry async for entry in self._log.read(wanted[0], wanted[-1] + 1)]
            await self._spooler.copy([entry for entry in entries if entry.index in set(wanted)])

    async def compare_again(self) -> tuple[int, int] | None:
        """Compare once more where the server is another process than before, or where it has forgotten something.

        Gives the range that nobody has any more, None where all is well.

        Raises ForkError, LeaseError, SpoolError, TrailError.
        """
        assert self._spooler is not None
        async with self._turn:
            if self._fork is not None:
                raise self._fork
            run_id = await self._server_run_id()
            if run_id == self._log.run_id and await self._log.size() >= self._log.known:
                return None
            await self._spooler.flush()  # what waits for the disk is the newest that anybody knows
            outcome = await self._compare(await asyncio.to_thread(SpoolIndex, self._directory))
            await self._copy(outcome)
            if outcome.lost is not None:
                self._log.known = outcome.lost[0]
            if self._advance is not None and self._spooler.durable:
                await self._advance(self._spooler.durable)
            self._log.run_id = run_id
            return outcome.lost

    async def add(self, entry: Entry) -> None:
        """Done when the record is on the disk and durable.

        Raises LeaseError when the partition is another's meanwhile.
        """
        assert self._spooler is not None
        await self._spooler.add(entry)

    async def check(self) -> None:
        """See that no other owner has begun to write since.

        Raises LeaseError where one has, SpoolError where the disk does not answer.
        """
        if self._spooler is not None:
            await self._spooler.check()

    async def improve(self, size: int) -> None:
        """Train a new dictionary where a log of this size deserves one; nobody waits for it."""
        trainer = self._log.trainer
        if trainer is not None and trainer.due(size) and (self._training is None or self._training.done()):
            self._training = asyncio.create_task(self._train(size))

    async def _train(self, size: int) -> None:
        with contextlib.suppress(TrailError):  # the old dictionary does as well
            await self._log.improve(size)

    async def close(self) -> None:
        """Stop; what waits stays in the log, where the next owner finds it."""
        if self._training is not None:
            await end(self._training)
        if self._spooler is not None:
            await self._spooler.close()

    async def _server_run_id(self) -> bytes:
        with door("could not ask the server who it is"):
            found = await self._redis.info("server")
        return str(found["run_id"]).encode()
