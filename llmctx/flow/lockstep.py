"""Lockstep: the feed waits for each decision before it writes the next bar, so a session is repeatable."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx import clock
from llmctx.connection.streams import read_stream
from llmctx.context.tick import Tick
from llmctx.errors import ServerError
from llmctx.publication import publication
from llmctx.schema.keys import decisions, partition_of
from llmctx.tasks import pause
from llmctx.trail.log.log import Log

_log = logging.getLogger(__name__)

_MIN_PAUSE_S, _MAX_PAUSE_S = 0.001, 0.02
_LOG_INTERVAL_S = 10.0


class Lockstep:
    """`await lockstep(tick)` returns once the tick is settled and its decision, if any, is published."""

    def __init__(self, redis: Redis, partitions: int) -> None:
        self._redis = redis
        self._logs = [Log(redis, partition) for partition in range(partitions)]

    async def __call__(self, tick: Tick) -> None:
        """Wait without a limit, and log from time to time that it is still waiting."""
        log = self._logs[partition_of(tick.symbol, len(self._logs))]
        index = await _poll(partial(_settled, log, tick), tick)
        entry = await log.entry(index)
        if entry is not None and publication(entry, len(self._logs)) is not None:
            await _poll(partial(self._published, log.partition, index), tick)

    async def _published(self, partition: int, index: int) -> int | None:
        try:
            found = await read_stream(self._redis, decisions(partition), f"{index}-1", f"{index}-1")
        except RedisError as error:
            raise ServerError(
                f"The published decisions could not be read: {error}", "See that Redis answers."
            ) from error
        return index if found else None


async def _settled(log: Log, tick: Tick) -> int | None:
    return (await log.settled([tick.id]))[0]


async def _poll(check: Callable[[], Awaitable[int | None]], tick: Tick) -> int:
    """Repeat a check until it returns an index."""
    pause_s, logged_s = _MIN_PAUSE_S, clock.monotonic_s()
    while (index := await check()) is None:
        await pause(pause_s)
        pause_s = min(pause_s * 1.5, _MAX_PAUSE_S)
        if clock.monotonic_s() - logged_s > _LOG_INTERVAL_S:
            logged_s = clock.monotonic_s()
            _log.warning(f"waiting for the decision on {tick.symbol}; is `llmctx run` running?")
    return index
