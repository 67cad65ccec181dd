"""The settler of one partition: reads its ticks and decides many symbols at once, never one symbol twice at a time."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from llmctx import clock, log_context
from llmctx.context.tick import Tick
from llmctx.errors import (
    ForkError,
    InstanceError,
    LeaseError,
    LlmctxError,
    SettledError,
    SnapshotError,
    TrailError,
    in_short,
)
from llmctx.killpoint import reached
from llmctx.llm.body_room import holding_bodies
from llmctx.pipeline import Pipeline
from llmctx.schema import keys
from llmctx.tasks import end, pause
from llmctx.trail.log.entry import Entry
from llmctx.worker.balancing import set_when_either
from llmctx.worker.confirmation import confirm
from llmctx.worker.memory import MemoryWatch
from llmctx.worker.owner import Owner
from llmctx.worker.queue import Batch, TickQueue, order
from llmctx.worker.ticks import Delivery, TickStream
from llmctx.worker.unusable import or_pending, settle_dead_letter, settle_unusable

_log = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
"""How often a decision is started for a tick; if none was recorded by then, the tick ends as a dead letter."""

_BLOCK_MS = 500
_PAUSE_S = 0.5
_MAX_QUEUED = 20_000
_DRAIN_TIMEOUT_S = 90.0


class Settler:
    """Settles the ticks of a partition that an owner holds."""

    def __init__(
        self,
        redis: Redis,
        stream: TickStream,
        owner: Owner,
        pipeline: Pipeline,
        *,
        memory: MemoryWatch,
        concurrency: int = 32,
        on_entry: Callable[[Entry], None] = lambda _: None,
    ) -> None:
        """No tick is taken while `memory` has no room. `on_entry` is called with each record."""
        self._redis = redis
        self._stream = stream
        self._owner = owner
        self._pipeline = pipeline
        self._memory = memory
        self._concurrency = concurrency
        self._on_entry = on_entry
        self._queue = TickQueue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reread = False
        self._leaving = False
        self._ended = 0

    async def run(self, stop: asyncio.Event, hand_over: asyncio.Event | None = None) -> None:
        """Settle ticks until `stop` is set, and then every tick that was raised before it.

        If `hand_over` is set first, only decisions that have begun are finished; another worker settles the rest.

        Raises LeaseError if another owner has the partition now; that owner settles its pending ticks.
        """
        ending = asyncio.Event()
        forwarding = asyncio.create_task(set_when_either(stop, hand_over or asyncio.Event(), ending))
        try:
            while not ending.is_set():
                await self._serve(ending)
            if stop.is_set():
                await self._drain()
            else:
                self._leaving = True
                await self._finish()
        finally:
            await end(forwarding, *self._tasks)

    async def _serve(self, stop: asyncio.Event) -> None:
        """Read pending ticks, then new ones, until `stop` is set or the connection breaks."""
        try:
            await self._owner.resume()
            await self._stream.open()
            while not self._memory.has_room and not stop.is_set():
                self._check_lease()
                await pause(_PAUSE_S)
            if not stop.is_set():
                await self._read_pending()
            while not stop.is_set() and not self._reread:
                self._check_lease()
                if self._memory.has_room and len(self._queue) < _MAX_QUEUED:
                    deliveries = await self._stream.new(_BLOCK_MS)
                    reached("read")
                    await self._accept(deliveries, redelivered=False)
                    if not deliveries and self._queue.empty:
                        await self._stream.recover()
                        await self._read_pending()  # an owner that lost its lease may have read some already
                else:
                    await pause(_PAUSE_S)
        except (InstanceError, LeaseError, ForkError):
            raise
        except (RedisError, SnapshotError, TrailError, OSError) as error:
            _log.warning(f"{_trouble(error)}; trying again")
            await pause(_PAUSE_S)

    async def _drain(self) -> None:
        """Settle every tick that was raised before now, even if nothing was read before the stop."""
        try:
            await self._owner.resume()
            await self._stream.open()
            if self._memory.has_room:
                await self._read_pending()
            last = await self._stream.last_id()
            while self._memory.has_room and (deliveries := await self._stream.new(None)):
                if order(deliveries[0].entry_id) > order(last):
                    break
                await self._accept(deliveries, redelivered=False)
        except (InstanceError, LeaseError, ForkError):
            raise
        except (RedisError, SnapshotError, TrailError, OSError) as error:
            _log.warning(f"{_trouble(error)}; unread ticks stay in the stream")
        await self._finish()
        for _ in range(MAX_ATTEMPTS):
            if not self._reread or self._tasks:
                return
            with contextlib.suppress(RedisError, TrailError, OSError):  # unsettled entries are tried again
                await self._owner.resume()
                await self._read_pending()
            await self._finish()

    async def _finish(self) -> None:
        """Wait until the decisions that have begun are settled, or until none makes progress."""
        progress_s, ended = clock.monotonic_s(), self._ended
        while self._tasks and clock.monotonic_s() - progress_s < _DRAIN_TIMEOUT_S:
            self._check_lease()
            await asyncio.wait(self._tasks, timeout=_PAUSE_S)
            if self._ended != ended:  # their number may stay constant: waiting ones replace those that end
                progress_s, ended = clock.monotonic_s(), self._ended
        if self._tasks:
            _log.warning(f"{len(self._tasks)} decisions do not finish; the next run settles their ticks")

    def _check_lease(self) -> None:
        if self._owner.tenure.lost is not None:
            raise self._owner.tenure.lost

    async def _read_pending(self) -> None:
        self._reread = False
        after = "0"
        while deliveries := await self._stream.pending(after):
            await self._accept(deliveries, redelivered=True)
            after = deliveries[-1].entry_id

    async def _accept(self, deliveries: list[Delivery], *, redelivered: bool) -> None:
        fresh = [delivery for delivery in deliveries if not self._queue.holds(delivery.entry_id)]
        settled = await self._owner.ticks.settled({delivery.settles for delivery in fresh if delivery.settles})
        for delivery in fresh:
            if delivery.request is not None:
                self._spawn(self._fulfil(delivery.entry_id, *delivery.request))
            elif delivery.settles in settled:
                await self._owner.discard((delivery.entry_id,))  # raised twice, settled already
            elif delivery.tick is None:
                await self._settle_unusable(delivery)
            else:
                problem = await confirm(delivery.tick, self._pipeline, self._owner)
                if problem:
                    await self._settle_unusable(delivery.unusable(problem))
                else:
                    self._queue.add(delivery.entry_id, delivery.tick, redelivered=redelivered)
        self._start()

    def _start(self) -> None:
        if self._leaving:
            return
        for batch in self._queue.take(self._concurrency - self._queue.busy):
            self._spawn(self._settle(batch))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fulfil(self, entry_id: str, request: bytes, proof: bytes) -> None:
        """Do what an authorised person asks; no tick waits for it."""
        try:
            await self._owner.requests.on_entry(request, proof)
        except (LeaseError, InstanceError, ForkError) as error:
            self._owner.tenure.lost = error
            return
        except Exception as error:  # noqa: BLE001  whoever asked is told that it was refused
            why = _first_line(error) if isinstance(error, LlmctxError) else in_short(error)
            _log.warning(f"A request was refused: {why}")
        await self._owner.discard((entry_id,))

    async def _settle(self, batch: Batch) -> None:
        log_context.put(tick=batch.tick.id, symbol=batch.tick.symbol)
        taken = len(batch.entry_ids)
        try:
            await self._decide(batch)
            await self._owner.discard(tuple(batch.entry_ids[taken:]))  # the same tick raised again meanwhile
        except (LeaseError, InstanceError, ForkError) as error:
            self._owner.tenure.lost = error
        except (LlmctxError, RedisError) as error:
            if not isinstance(error, SettledError):  # the next reading of pending ticks finds it settled
                _log.warning(f"{batch.tick.symbol}: {_first_line(error)}; its ticks stay pending and are read again")
            await pause(_PAUSE_S)
            self._reread = True
        except Exception as error:  # noqa: BLE001  one poisonous tick must not stop the service
            _log.warning(f"{batch.tick.symbol}, tick {batch.tick.id}: {type(error).__name__}: {error}")
            await pause(_PAUSE_S)
            self._reread = True
        finally:
            self._ended += 1
            self._queue.done(batch)
            if self._owner.tenure.lost is None:
                self._start()

    async def _decide(self, batch: Batch) -> None:
        """Settle a batch: ticks that were tried too often as dead letters, the rest by one decision."""
        counts = await self._count_attempts(batch) if batch.redelivered else {}
        spent = batch.only(lambda tick_id: counts.get(tick_id, 0) >= MAX_ATTEMPTS)
        rest = batch if spent is None else batch.only(lambda tick_id: counts.get(tick_id, 0) < MAX_ATTEMPTS)
        if spent is not None:
            self._on_entry(await self._bury(spent))
        if rest is not None:
            conflated, entry_ids = tuple(rest.conflated), tuple(rest.entry_ids)
            attempts = 1 + max((counts.get(tick_id, 0) for tick_id in (rest.tick.id, *conflated)), default=0)
            reached("started")
            async with self._owner.memory.turn(rest.tick.symbol):
                with holding_bodies():
                    entry = await self._pipeline.decide(
                        rest.tick, conflated=conflated, entry_ids=entry_ids, attempts=attempts
                    )
            self._on_entry(entry)

    async def _count_attempts(self, batch: Batch) -> dict[str, int]:
        """Count this attempt, and return how many were made for each tick id, this one included.

        The delivery count cannot be used, because reading the pending list raises it too. Every tick is counted,
        because newer ticks would otherwise hide one that makes every decision fail.
        """
        key, ticks = keys.attempts(self._owner.partition), (batch.tick.id, *batch.conflated)
        async with self._redis.pipeline(transaction=False) as counting:
            for tick_id in ticks:
                counting.hincrby(key, tick_id, 1)
            return dict(zip(ticks, map(int, await counting.execute()), strict=True))

    async def _bury(self, spent: Batch) -> Entry:
        reason = f"a decision was started {MAX_ATTEMPTS} times and never recorded"
        metadata = (await self._owner.metadata())._replace(conflated=tuple(spent.conflated), attempts=MAX_ATTEMPTS)
        return await settle_dead_letter(
            self._owner, self._pipeline, spent.tick, reason, metadata, tuple(spent.entry_ids)
        )

    async def _settle_unusable(self, delivery: Delivery) -> None:
        entry = await or_pending(partial(self._record, delivery), f"Tick entry {delivery.entry_id}")
        if entry is not None:
            self._on_entry(entry)

    async def _record(self, delivery: Delivery) -> Entry:
        """Record a malformed tick entry; a dead letter with a symbol carries the guardrails' verdict."""
        tick, entry_id = None, delivery.entry_id
        if delivery.tick_id:
            tick = Tick.model_construct(id=delivery.tick_id, symbol=delivery.symbol, cause="unknown")
        if tick is None or not delivery.symbol:
            return await settle_unusable(self._owner, delivery.kind, tick, delivery.problem, entry_id)
        metadata = await self._owner.metadata()
        return await settle_dead_letter(self._owner, self._pipeline, tick, delivery.problem, metadata, (entry_id,))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _trouble(error: Exception) -> str:
    is_reply = isinstance(error, ResponseError) or isinstance(error.__cause__, ResponseError)
    return f"{'Redis refused a command' if is_reply else 'Redis does not answer'} ({_first_line(error)})"
