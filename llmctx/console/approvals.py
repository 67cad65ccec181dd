"""What waits for a person: decisions that are done only once somebody approves them, until they expire."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from redis.exceptions import RedisError

from llmctx.connection import server_ms
from llmctx.console.story import Brief, brief_of
from llmctx.console.subject import Live
from llmctx.errors import RequestError, ServerError
from llmctx.held_symbols import held_symbols
from llmctx.limits import cut
from llmctx.publication import expires_ms
from llmctx.statement import Act
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.log import Log
from llmctx.worker.people import judge

_LONGEST_MS = 86_400_000
"""The longest time for which a decision may wait; the settings allow no longer one."""
_MAX_READ = 200
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
        """It as the API lists it."""
        levels = {name: self.levels.get(name) for name in _LEVELS}
        about = {"address": self.brief.address, "symbol": self.brief.symbol, "action": self.action}
        return about | levels | {"expires_at_ms": self.expires_ms, "reason": self.brief.reason}


async def read_waiting(live: Live) -> list[Waiting]:
    """What waits now, the first to expire first.

    Raises ServerError or TrailError if the server does not answer.
    """
    try:
        now_ms = await server_ms(live.redis)
        found = [one async for one in _read(live, now_ms)]
    except RedisError as error:
        raise ServerError(f"The server went away while it was asked: {error}.", "Load the page again.") from error
    return sorted(found, key=lambda one: one.expires_ms)


async def _read(live: Live, now_ms: int) -> AsyncIterator[Waiting]:
    partitions = live.instance.partitions
    for partition in range(partitions):
        log = Log(live.redis, partition)
        async for symbol in held_symbols(live.redis, log, partitions):
            read = 0
            async for entry in log.read_back_of(symbol):
                recorded_ms = entry.record.get("recorded_at_ms", now_ms)
                read += 1
                if read > _MAX_READ or recorded_ms < now_ms - _LONGEST_MS:
                    break
                if entry.record.get("symbol") == symbol and await _may_be_approved(log, entry, now_ms):
                    yield _waiting(entry, partitions, now_ms)


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
