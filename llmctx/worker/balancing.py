"""Balancing: the workers of one trail hold about the same number of partitions each.

Every worker sends a heartbeat once a second. A worker's fair share is partitions over workers, rounded up. If it holds
more, it hands the surplus over: it finishes the decisions it has begun, leaves the rest in the stream, and gives up
the lease. A worker that holds its share takes no more. This only decides who should own a partition; the lease alone
decides who does.
"""

import asyncio
import logging
import uuid

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.connection import server_ms
from llmctx.schema import keys
from llmctx.tasks import pause

_log = logging.getLogger(__name__)

HEARTBEAT_S = 1.0
"""Seconds between two heartbeats of a worker."""
_EXPIRY_MS = 5000


class Balancer:
    """One worker's share of the partitions."""

    def __init__(self, redis: Redis, partitions: int) -> None:
        self._redis = redis
        self._partitions = partitions
        self._worker = uuid.uuid4().hex
        self._share = partitions
        self._held: dict[int, asyncio.Event] = {}

    async def run(self) -> None:
        """Send heartbeats and hand over surplus partitions until cancelled; then sign off."""
        try:
            while True:
                await self.beat()
                await pause(HEARTBEAT_S)
        finally:
            await asyncio.shield(self._leave())

    async def beat(self) -> None:
        """Send one heartbeat and hand over surplus partitions."""
        try:
            now_ms = await server_ms(self._redis)
            async with self._redis.pipeline(transaction=True) as commands:
                commands.zadd(keys.WORKERS, {self._worker: now_ms})
                commands.zremrangebyscore(keys.WORKERS, "-inf", now_ms - _EXPIRY_MS)
                commands.zcard(keys.WORKERS)
                workers = (await commands.execute())[-1]
        except RedisError:
            return  # nothing is handed over while the server is away
        share = -(-self._partitions // max(1, workers))
        if share != self._share:
            self._share = share
            _log.info(f"{workers} workers share {self._partitions} partitions, at most {share} each")
        for partition in sorted(self._held)[self._share :]:
            self._held[partition].set()

    async def _leave(self) -> None:
        try:
            await self._redis.zrem(keys.WORKERS, self._worker)
        except RedisError:
            return

    def take(self, partition: int) -> asyncio.Event | None:
        """Claim a partition: returns the event that tells when to hand it over, or None if the share is used up."""
        if len(self._held) >= self._share:
            return None
        return self._held.setdefault(partition, asyncio.Event())

    def give_back(self, partition: int) -> None:
        """Drop a claim: the partition is no longer held here, or its lease was refused."""
        self._held.pop(partition, None)


async def set_when_either(first: asyncio.Event, second: asyncio.Event, target: asyncio.Event) -> None:
    """Set `target` as soon as either event is set."""
    waits = [asyncio.create_task(event.wait()) for event in (first, second)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        target.set()
    finally:
        for wait in waits:
            wait.cancel()
