"""The memory watch: how much of the server's memory cannot expire, and whether there is room for more decisions.

Under volatile-lru the server evicts live keys to make room for the trail before it refuses an append, so ticks must
stop earlier. The memory that cannot expire is the memory in use minus the memory that can. The latter is the number of
keys with a TTL, which the server knows, times their mean size, which is sampled: a few hundred keys each time, in turn.
"""

import contextlib
import logging
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, RedisError

from llmctx.errors import ServerError
from llmctx.functions import ServerFunction
from llmctx.tasks import pause

_log = logging.getLogger(__name__)

WARNING_PERCENT = 70
"""Share of maxmemory that cannot expire from which a warning is logged."""
FULL_PERCENT = 85
"""Share of maxmemory that cannot expire from which no more ticks are taken."""
USED_PERCENT = 95
"""Share of maxmemory in use, live keys included, from which no more ticks are taken: the next record could make the
server evict live keys."""

_HYSTERESIS_PERCENT = 2
_INTERVAL_S = 0.5
_SAMPLE_KEYS = 500
_SAMPLE = ServerFunction(Path(__file__).with_name("memory.lua"), read_only=True)


class MemoryUse(NamedTuple):
    """How the server's memory is used, in bytes."""

    used: int
    """The memory in use."""
    limit: int
    """maxmemory; 0 if there is no limit."""
    lasting: int
    """The memory that cannot expire."""

    @property
    def used_percent(self) -> float:
        """Memory in use as a share of the limit; 0 without a limit."""
        return 100 * self.used / self.limit if self.limit else 0.0

    @property
    def lasting_percent(self) -> float:
        """Memory that cannot expire as a share of the limit; 0 without a limit."""
        return 100 * self.lasting / self.limit if self.limit else 0.0

    def is_full(self, margin_percent: int = 0) -> bool:
        """Whether there is no room for more decisions, judged at limits lowered by `margin_percent`."""
        return (
            self.lasting_percent >= FULL_PERCENT - margin_percent or self.used_percent >= USED_PERCENT - margin_percent
        )

    def __str__(self) -> str:
        return (
            f"{self.lasting_percent:.0f}% of maxmemory ({self.lasting / 2**20:.0f} of {self.limit / 2**20:.0f} MB) "
            f"cannot expire, {self.used_percent:.0f}% are in use"
        )


class MemoryWatch:
    """Checks a server's memory regularly."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._cursor = 0
        self._passes = [(0, 0), (0, 0)]
        self._warned = False
        self.has_room = True
        """Whether there is memory for more decisions."""

    async def measure(self) -> MemoryUse:
        """Measure memory now; the estimate of what can expire improves with every call.

        Raises redis.exceptions.RedisError if the server does not answer.
        """
        memory, keyspace = await self._redis.info("memory"), await self._redis.info("keyspace")
        used, limit = int(memory["used_memory"]), int(memory["maxmemory"])
        try:
            cursor, count, size = await _SAMPLE(self._redis, [], [self._cursor, _SAMPLE_KEYS])
        except (ServerError, OutOfMemoryError):
            # Nobody has loaded the function yet, and a full server refuses it: assume that nothing expires.
            cursor = count = size = 0
        counted, summed = self._passes[-1]
        self._passes[-1] = (counted + count, summed + size)
        self._cursor = int(cursor)
        if self._cursor == 0:
            self._passes = [self._passes[-1], (0, 0)]
        counted, summed = (sum(column) for column in zip(*self._passes, strict=True))
        expiring = sum(database["expires"] for database in keyspace.values())
        return MemoryUse(used, limit, max(0, used - round(expiring * summed / counted) if counted else used))

    async def run(self) -> None:
        """Check until cancelled; log when a limit is crossed and when there is room again."""
        while True:
            await self.check()
            await pause(_INTERVAL_S)

    async def check(self) -> None:
        """Check once. A server that does not answer changes nothing here; the tick loop logs it."""
        with contextlib.suppress(RedisError, OSError):
            self._update(await self.measure())

    def _update(self, memory: MemoryUse) -> None:
        if self.has_room and memory.is_full():
            self.has_room = False
            _log.warning(
                f"{memory}. No more ticks are taken, because the server would evict live keys for the trail. "
                "Raise maxmemory, or move to a larger server",
                extra={"alert": "memory", "subject": "full"},
            )
        elif not self.has_room and not memory.is_full(_HYSTERESIS_PERCENT):
            self.has_room = True
            _log.info(f"{memory}. There is room again; ticks are taken")
        warned = memory.lasting_percent >= WARNING_PERCENT
        if warned and not self._warned and self.has_room:
            _log.warning(
                f"{memory}. From {FULL_PERCENT}% no more ticks are taken: raise maxmemory, or move to a larger server",
                extra={"alert": "memory", "subject": "warning"},
            )
        self._warned = warned
