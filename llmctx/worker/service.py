"""The service of one partition: reads its ticks, has many symbols decided at once, never one symbol twice at a time."""

import asyncio
from collections.abc import Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.context.tick import Tick
from llmctx.errors import ForkError, InstanceError, LeaseError, LlmctxError, SettledError, TrailError
from llmctx.pipeline import Pipeline
from llmctx.record import compose_unread
from llmctx.schema import keys
from llmctx.trail.entry import Entry
from llmctx.worker.owner import Owner
from llmctx.worker.queue import Batch, TickQueue, order
from llmctx.worker.ticks import Delivery, TickStream

MOST_ATTEMPTS = 5
"""A tick whose decision was started this often and never recorded ends as a dead letter."""

_BLOCK_MS = 500
_PAUSE_S = 0.5
_MOST_IN_HAND = 20_000


class Service:
    """Settles the ticks of a partition that an owner holds."""

    def __init__(
        self,
        redis: Redis,
        stream: TickStream,
        owner: Owner,
        pipeline: Pipeline,
        *,
        concurrency: int = 32,
        on_entry: Callable[[Entry], None] = lambda _: None,
        on_trouble: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`on_entry` is told each record, `on_trouble` what went wrong and is tried again."""
        self._redis = redis
        self._stream = stream
        self._owner = owner
        self._pipeline = pipeline
        self._concurrency = concurrency
        self._on_entry = on_entry
        self._on_trouble = on_trouble
        self._queue = TickQueue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reread = False

    async def run(self, stop: asyncio.Event) -> None:
        """Settle ticks until `stop` is set, then every tick that was raised before it.

        Raises LeaseError when the partition is another owner's now; its pending ticks are that owner's then.
        """
        try:
            while not stop.is_set():
                await self._serve(stop)
            await self._drain()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, stop: asyncio.Event) -> None:
        """Read pending ticks, then new ones, until stopped or until the connection breaks."""
        try:
            await self._owner.resume()
            await self._stream.open()
            await self._read_pending()
            while not stop.is_set() and not self._reread:
                self._check_lease()
                if len(self._queue) < _MOST_IN_HAND:
                    deliveries = await self._stream.new(_BLOCK_MS)
                    await self._accept(deliveries, redelivered=False)
                    if not deliveries and self._queue.empty:
                        await self._read_pending()  # what an owner that had lost its lease still read
                else:
                    await asyncio.sleep(_PAUSE_S)
        except (InstanceError, LeaseError, ForkError):
            raise
        except (RedisError, TrailError, OSError) as error:
            self._on_trouble(f"Redis is away ({_first_line(error)}); trying again")
            await asyncio.sleep(_PAUSE_S)

    async def _drain(self) -> None:
        """Settle what was raised before now, also where the stop came before anything was read."""
        try:
            await self._owner.resume()
            await self._stream.open()
            await self._read_pending()
            last = await self._stream.last_id()
            while (deliveries := await self._stream.new(None)) and order(deliveries[0].entry_id) <= order(last):
                await self._accept(deliveries, redelivered=False)
        except (InstanceError, LeaseError, ForkError):
            raise
        except (RedisError, TrailError, OSError) as error:
            self._on_trouble(f"Redis is away ({_first_line(error)}); unread ticks stay in the stream")
        while self._tasks:
            self._check_lease()
            await asyncio.wait(self._tasks, timeout=_PAUSE_S)

    def _check_lease(self) -> None:
        if self._owner.lost is not None:
            raise self._owner.lost

    async def _read_pending(self) -> None:
        self._reread = False
        after = "0"
        while deliveries := await self._stream.pending(after):
            await self._accept(deliveries, redelivered=True)
            after = deliveries[-1].entry_id

    async def _accept(self, deliveries: list[Delivery], *, redelivered: bool) -> None:
        fresh = [delivery for delivery in deliveries if not self._queue.holds(delivery.entry_id)]
        ticks = [delivery.tick.id for delivery in fresh if delivery.tick is not None]
        settled = dict(zip(ticks, await self._owner.log.settled(ticks), strict=True))
        for delivery in fresh:
            if delivery.tick is None:
                await self._settle_unusable(delivery)
            elif settled[delivery.tick.id] is not None:
                await self._discard(delivery.entry_id)  # raised twice, settled once
            else:
                self._queue.add(delivery.entry_id, delivery.tick, redelivered=redelivered)
        self._start()

    def _start(self) -> None:
        for batch in self._queue.take(self._concurrency - self._queue.busy):
            task = asyncio.create_task(self._settle(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _settle(self, batch: Batch) -> None:
        handed_in = len(batch.entry_ids)
        try:
            self._on_entry(await self._decide(batch))
            for entry_id in batch.entry_ids[handed_in:]:  # raised again while it was being decided
                await self._discard(entry_id)
        except (LeaseError, InstanceError, ForkError) as error:
            self._owner.lost = error
        except (LlmctxError, RedisError) as error:
            if not isinstance(error, SettledError):  # what is settled is sorted out when it is read again
                self._on_trouble(
                    f"{batch.tick.symbol}: {_first_line(error)}; its ticks stay pending and are read again"
                )
            await asyncio.sleep(_PAUSE_S)
            self._reread = True
        except Exception as error:  # noqa: BLE001  a poisonous tick must not end the service
            self._on_trouble(f"{batch.tick.symbol}, tick {batch.tick.id}: {type(error).__name__}: {error}")
            await asyncio.sleep(_PAUSE_S)
            self._reread = True
        finally:
            self._queue.done(batch)
            if self._owner.lost is None:
                self._start()

    async def _decide(self, batch: Batch) -> Entry:
        attempts = 1
        if batch.redelivered:
            attempts += await self._count_attempt(batch)
        conflated, entry_ids = tuple(batch.conflated), tuple(batch.entry_ids)
        if attempts > MOST_ATTEMPTS:
            reason = f"a decision was started {MOST_ATTEMPTS} times and never recorded"
            return await self._bury(batch.tick, reason, conflated, entry_ids)
        return await self._pipeline.decide(batch.tick, conflated=conflated, entry_ids=entry_ids, attempts=attempts)

    async def _count_attempt(self, batch: Batch) -> int:
        """How often a decision was started before for the tick of a batch that suffered most.

        The delivery count cannot be used: it also counts mere readings of the pending list. Every tick is counted,
        because newer ones would otherwise hide one that makes each decision fail.
        """
        key = keys.attempts(self._owner.partition)
        async with self._redis.pipeline(transaction=False) as counting:
            for tick_id in (batch.tick.id, *batch.conflated):
                counting.hincrby(key, tick_id, 1)
            return int(max(await counting.execute()))

    async def _bury(self, tick: Tick, reason: str, conflated: tuple[str, ...], entry_ids: tuple[str, ...]) -> Entry:
        circumstances = (await self._owner.circumstances())._replace(conflated=conflated, attempts=MOST_ATTEMPTS)
        return await self._owner.settle(compose_unread("dead_letter", tick, reason, circumstances), entry_ids)

    async def _settle_unusable(self, delivery: Delivery) -> None:
        """An entry that is no tick is an incident, or skipped under the tick id that it has."""
        circumstances = await self._owner.circumstances()
        tick = None
        if delivery.tick_id:
            tick = Tick.model_construct(id=delivery.tick_id, symbol="", cause="unknown")
        kind = "skipped" if tick else "incident"
        draft = compose_unread(kind, tick, delivery.problem, circumstances)
        self._on_entry(await self._owner.settle(draft, (delivery.entry_id,)))

    async def _discard(self, entry_id: str) -> None:
        stream = keys.ticks(self._owner.partition)
        async with self._redis.pipeline(transaction=True) as both:
            both.xack(stream, keys.DECIDERS, entry_id)
            both.xdel(stream, entry_id)
            await both.execute()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
