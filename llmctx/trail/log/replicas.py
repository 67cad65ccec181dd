"""Replicas that must have a record before it is durable, if any: then a failover cannot forget what was published."""

import logging

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.errors import TrailError
from llmctx.trail.log.lease import SEE_REDIS

_log = logging.getLogger(__name__)

_TIMEOUT_MS = 1000


class Replicas:
    """How many replicas of the server must have what its log holds."""

    def __init__(self, redis: Redis, key: str, count: int) -> None:
        """`key` is written before each wait: WAIT counts from the connection's own last write, which comes after ours.

        With a `count` of 0 nothing is waited for.
        """
        self._redis = redis
        self._key = key
        self._count = count
        self._short = False

    async def have(self, size: int) -> None:
        """Return once enough replicas have the first `size` records of the log.

        Raises TrailError if they do not within a second, or if the server does not answer.
        """
        if not self._count:
            return
        try:
            async with self._redis.pipeline(transaction=False) as both:
                both.set(self._key, size)
                both.execute_command("WAIT", self._count, _TIMEOUT_MS)
                having = int((await both.execute())[-1])
        except RedisError as error:
            raise TrailError(f"The replicas could not be asked: {error}", SEE_REDIS) from error
        if having >= self._count:
            self._short = False
            return
        what = f"{having} of {self._count} replicas have the newest records; nothing is published until enough have."
        if not self._short:
            self._short = True
            _log.warning(f"{what} See that they run and are connected, or lower LLMCTX_REPLICAS")
        raise TrailError(what, "See that the replicas run and are connected, or lower LLMCTX_REPLICAS.")
