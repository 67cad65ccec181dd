"""How several workers share the partitions of one trail: about the same number each.

Every worker says once a second that it is there. One that holds more than its share (partitions over workers, rounded
up) hands the surplus over: it finishes what it has begun, leaves the rest in the stream, and gives up the lease. One
that holds its share takes no more. The lease alone decides who owns a partition; this only decides who should.
"""

import asyncio
import logging
import uuid

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.connection import pause, server_ms
from llmctx.schema import keys

_log = logging.getLogger(__name__)

BEAT_S = 1.0
"""How often a worker says that it is there, in seconds."""
_GONE_MS = 5000


class Balancer:
    """One worker's part of the partitions."""

    def __init__(self, redis: Redis, partitions: int) -> None:
        self._redis = redis
        self._partitions = partitions
        self._worker = uuid.uuid4().hex
        self._share = partitions
        self._mine: dict[int, asyncio.Event] = {}

    async def run(self) -> None:
        """Say that this worker is there, count the others, and hand over what is too much; until it is cancelled."""
        try:
            while True:
                await self.beat()
                await pause(BEAT_S)
        finally:
            await asyncio.shield(self._leave())

    async def beat(self) -> None:
        """Once of it."""
        try:
            now_ms = await server_ms(self._redis)
            async with self._redis.pipeline(transaction=True) as both:
                both.zadd(keys.WORKERS, {self._worker: now_ms})
                both.zremrangebyscore(keys.WORKERS, "-inf", now_ms - _GONE_MS)
                both.zcard(keys.WORKERS)
                workers = (await both.execute())[-1]
        except RedisError:
            return  # while the server is away nothing changes hands
        share = -(-self._partitions // max(1, workers))
        if share != self._share:
            self._share = share
            _log.info(f"{workers} workers share {self._partitions} partitions, at most {share} each")
        for partition in sorted(self._mine)[self._share :]:
            self._mine[partition].set()

    async def _leave(self) -> None:
        try:
            await self._redis.zrem(keys.WORKERS, self._worker)
        except RedisError:
            return

    def take(self, partition: int) -> asyncio.Event | None:
        """Room for one more partition: what tells when it is to be handed over; None where there is no room."""
        if len(self._mine) >= self._share:
            return None
        return self._mine.setdefault(partition, asyncio.Event())

    def give_back(self, partition: int) -> None:
        """The partition is not held here any more, or could not be had."""
        self._mine.pop(partition, None)


async def either(one: asyncio.Event, other: asyncio.Event, both: asyncio.Event) -> None:
    """Set `both` as soon as one of the two is set."""
    waits = [asyncio.create_task(event.wait()) for event in (one, other)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        both.set()
    finally:
        for wait in waits:
            wait.cancel()
