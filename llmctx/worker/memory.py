"""The memory marks: how much of the server's memory cannot expire, and whether there is room for more decisions.

Under volatile-lru the server evicts live keys to make room for the trail before it refuses an append, so it must never
come to that. What cannot expire is what is used less what may expire, and that is the number of keys with a TTL (the
server knows it) times their mean size (a few hundred are looked at each time, in turn).
"""

import contextlib
import logging
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.connection import pause
from llmctx.functions import ServerFunction

_log = logging.getLogger(__name__)

WARNING_PERCENT = 70
"""Share of maxmemory that cannot expire, from which on it is told."""
FULL_PERCENT = 85
"""From which on no more ticks are taken."""
USED_PERCENT = 95
"""Share of maxmemory in use, live keys included, from which on no more ticks are taken: one record more and the
server would begin to evict live keys."""

_EASED_PERCENT = 2
_PAUSE_S = 0.5
_LOOKED_AT = 500
_LOOK = ServerFunction(Path(__file__).with_name("memory.lua"), read_only=True)


class Memory(NamedTuple):
    """How the server's memory is used, in bytes."""

    used: int
    """All of it."""
    limit: int
    """maxmemory; 0 for none."""
    lasting: int
    """What cannot expire."""

    @property
    def used_percent(self) -> float:
        """Of the limit; 0 without one."""
        return 100 * self.used / self.limit if self.limit else 0.0

    @property
    def lasting_percent(self) -> float:
        """Of the limit; 0 without one."""
        return 100 * self.lasting / self.limit if self.limit else 0.0

    def is_full(self, eased: int = 0) -> bool:
        """Whether there is no room for more decisions; `eased` percent below the marks there is again."""
        return self.lasting_percent >= FULL_PERCENT - eased or self.used_percent >= USED_PERCENT - eased

    def __str__(self) -> str:
        return (
            f"{self.lasting_percent:.0f}% of maxmemory ({self.lasting / 2**20:.0f} of {self.limit / 2**20:.0f} MB) "
            f"cannot expire, {self.used_percent:.0f}% are in use"
        )


class MemoryWatch:
    """Looks at a server's memory again and again."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._cursor = 0
        self._passes = [(0, 0), (0, 0)]
        self._warned = False
        self.has_room = True
        """Whether ticks may be taken."""

    async def look(self) -> Memory:
        """How memory is used now; the mean size of what may expire gets better with every look.

        Raises redis.exceptions.RedisError when the server does not answer.
        """
        memory, keyspace = await self._redis.info("memory"), await self._redis.info("keyspace")
        used, limit = int(memory["used_memory"]), int(memory["maxmemory"])
        cursor, count, size = await _LOOK(self._redis, [], [self._cursor, _LOOKED_AT])
        counted, summed = self._passes[-1]
        self._passes[-1] = (counted + count, summed + size)
        self._cursor = int(cursor)
        if self._cursor == 0:
            self._passes = [self._passes[-1], (0, 0)]
        counted, summed = (sum(column) for column in zip(*self._passes, strict=True))
        expiring = sum(database["expires"] for database in keyspace.values())
        return Memory(used, limit, max(0, used - round(expiring * summed / counted) if counted else used))

    async def run(self) -> None:
        """Look for ever; say when a mark is passed, and when there is room again."""
        while True:
            await self.judge()
            await pause(_PAUSE_S)

    async def judge(self) -> None:
        """Look once. A server that is away is told by who reads ticks."""
        with contextlib.suppress(RedisError, OSError):
            self._judge(await self.look())

    def _judge(self, memory: Memory) -> None:
        if self.has_room and memory.is_full():
            self.has_room = False
            _log.warning(
                f"{memory}: no more ticks are taken, because the server would evict live keys for the trail. "
                "Raise maxmemory, or move to a larger server"
            )
        elif not self.has_room and not memory.is_full(_EASED_PERCENT):
            self.has_room = True
            _log.info(f"{memory}: there is room again, ticks are taken")
        warned = memory.lasting_percent >= WARNING_PERCENT
        if warned and not self._warned and self.has_room:
            _log.warning(
                f"{memory}: at {FULL_PERCENT}% no more ticks are taken. Raise maxmemory, or move to a larger server"
            )
        self._warned = warned
