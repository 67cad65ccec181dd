"""Decisions that wait for a person: they are done only once somebody approves them, until they expire."""

from typing import Any, NamedTuple

from redis.exceptions import RedisError

from llmctx.connection import server_ms
from llmctx.console.story import Brief, brief_of
from llmctx.console.subject import Live
from llmctx.errors import RequestError, ServerError
from llmctx.limits import cut
from llmctx.publication import expires_ms
from llmctx.statement import Act
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.log import Log
from llmctx.worker.people import judge
from llmctx.worker.status import first_since

_LONGEST_MS = 86_400_000
"""The longest time for which a decision may wait; the settings allow no longer one."""
_MAX_READ = 10_000
"""Records of a partition that the first reading looks at, the newest."""
_AWAITS = b'"awaits"'
_MAX_WORD = 24
_LEVELS = ("quantity", "stop_loss", "take_profit")


class Waiting(NamedTuple):
    """A decision that waits."""

    brief: Brief
    """Its record."""
    action: str
    """What would be done."""
    levels: dict[str, str]
    """With which quantity, stop and target."""
    expires_ms: int
    """Until when it may be approved, in milliseconds since 1970."""
    left_ms: int
    """How long that is from now on."""

    @property
    def fields(self) -> dict[str, Any]:
        """Its form in the API."""
        levels = {name: self.levels.get(name) for name in _LEVELS}
        about = {"address": self.brief.address, "symbol": self.brief.symbol, "action": self.action}
        return about | levels | {"expires_at_ms": self.expires_ms, "reason": self.brief.reason}


class WaitingReader:
    """Reads the waiting decisions of one live system.

    Each record is read once; those that may wait are remembered until they expire.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self._read: dict[int, int] = {}
        self._candidates: dict[int, dict[int, Entry]] = {}

    async def read(self) -> list[Waiting]:
        """What waits now, the first to expire first.

        Raises ServerError or TrailError if the server does not answer.
        """
        live = self._live
        partitions = live.instance.partitions
        try:
            now_ms = await server_ms(live.redis)
            found: list[Waiting] = []
            for log in (Log(live.redis, partition) for partition in range(partitions)):
                found += [
                    _waiting(entry, partitions, now_ms)
                    for entry in await self._unexpired(log, now_ms)
                    if await _may_be_approved(log, entry, now_ms)
                ]
        except RedisError as error:
            raise ServerError(f"The server went away while it was asked: {error}.", "Load the page again.") from error
        return sorted(found, key=lambda one: one.expires_ms)

    async def _unexpired(self, log: Log, now_ms: int) -> list[Entry]:
        """The records of a partition that wait for an approval and have not expired, oldest first."""
        known, size = self._candidates.setdefault(log.partition, {}), await log.size()
        start = self._read.get(log.partition)
        if start is None or start > size:  # first reading, or another trail
            known.clear()
            start = max(await first_since(log, size, now_ms - _LONGEST_MS), size - _MAX_READ)
        async for entry in log.read(start, size):
            if _AWAITS in entry.leaf and expires_ms(entry.record) is not None:
                known[entry.index] = entry
        self._read[log.partition] = max(size, self._read.get(log.partition, 0))
        for index in [index for index, entry in known.items() if (expires_ms(entry.record) or 0) < now_ms]:
            known.pop(index, None)
        return list(known.values())


async def _may_be_approved(log: Log, entry: Entry, now_ms: int) -> bool:
    """Whether it waits and may still be approved, by the rule that `llmctx approve` follows."""
    if expires_ms(entry.record) is None:
        return False
    try:
        await judge(log, Act(kind="approval", index=entry.index, by="-", why="-"), now_ms)
    except RequestError:
        return False
    return True


def _waiting(entry: Entry, partitions: int, now_ms: int) -> Waiting:
    awaits = entry.record["verdict"]["awaits"]
    until_ms = expires_ms(entry.record) or now_ms
    levels = {name: cut(str(awaits[name]), _MAX_WORD) for name in _LEVELS if awaits.get(name) is not None}
    return Waiting(
        brief_of(entry, partitions), cut(str(awaits["action"]), _MAX_WORD), levels, until_ms, until_ms - now_ms
    )
