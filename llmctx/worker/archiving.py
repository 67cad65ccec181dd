"""Say in a trail that records are archived, and only then trim them from Redis: what the owner of a partition does.

An archiver that does not own the partition asks the owner by a signed request (requests.py).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from llmctx.errors import TrailError
from llmctx.functions import Argument, ServerFunction
from llmctx.killpoint import reached
from llmctx.trail.archive.archived_range import ArchivedRange
from llmctx.trail.archive.ticks import ArchivedTicks
from llmctx.trail.log.base import Base
from llmctx.trail.log.lease import HELD, lease_key, redis_errors
from llmctx.trail.log.log import Log
from llmctx.trail.proof.base import check_base
from llmctx.trail.proof.roster import Roster

_log = logging.getLogger(__name__)

TICKS_KEPT_MS = 30 * 86_400_000
"""How long the ticks of archived records stay in the map; older ones are not decided either (ticks.py)."""
_MARGIN_MS = 60_000
_FORGET = ServerFunction(Path(HELD).with_name("forget.lua"), after=[HELD])


Note = Callable[..., Awaitable[int]]
"""Appends a notice with a reason and further fields; returns its index."""


class Archiving:
    """What the owner of a partition does about archived records."""

    def __init__(
        self,
        redis: Redis,
        log: Log,
        owner: str,
        roster: Callable[[], Roster],
        note: Note,
    ) -> None:
        """`owner` must hold the lease; `roster` gives the writers that are enrolled now, `note` appends a notice."""
        self._redis = redis
        self._log = log
        self._owner = owner
        self._roster = roster
        self._note = note
        self._turn = asyncio.Lock()
        self.ticks = ArchivedTicks(redis, log, self._roster)
        """What archived records settled."""

    async def archived(self, found: ArchivedRange) -> int:
        """Append the notice that a range is archived, unless it stands there, and trim the log.

        Returns how many records were trimmed; 0 if the log begins behind the range already.

        Raises LeaseError if another owner has the partition, TrailError if the range does not begin where the log does,
        or its checkpoint is not signed.
        """
        async with self._turn:  # the same request may be delivered again meanwhile
            return await self._archived(found)

    async def _archived(self, found: ArchivedRange) -> int:
        base = found.after
        first = await self._log.first()
        if first >= base.size:
            return 0
        roster = self._roster()
        fault = check_base(base, roster.instance_keys, roster.origin)
        if fault is not None or first != found.first:
            why = str(fault) if fault is not None else f"the log begins at {first}, not at {found.first}"
            raise TrailError(
                f"Records {found.first} to {base.size - 1} were not trimmed: {why}.", "Run `llmctx archive` again."
            )
        notice = await self._noted_at(base, found.made_ms)
        if notice is None:
            last, where = base.size - 1, base.where
            archived: dict[str, Any] = {"first": first, "end": base.size, "manifest": base.manifest, "where": where}
            notice = await self._note(f"records {first} to {last} are archived in {where}", archived=archived)
        reached("noticed")
        removed = await self._log.trim(first, base._replace(notice=notice), found.stays, self._owner)
        reached("trimmed")
        await self._forget(found.made_ms - TICKS_KEPT_MS)
        _log.info(f"Records {first} to {base.size - 1} of partition {self._log.partition} are archived and trimmed.")
        return removed

    async def _noted_at(self, base: Base, made_ms: int) -> int | None:
        """The index of our notice that says that this segment is archived; None if there is none. It is newer than the
        segment.
        """
        async for entry in self._log.read_back():
            record = entry.record
            if record.get("archived", {}).get("manifest") == base.manifest and self._log.vouches(entry):
                return entry.index
            if record.get("recorded_at_ms", made_ms) < made_ms - _MARGIN_MS:
                return None
        return None

    async def _forget(self, before_ms: int) -> int:
        """Take the ticks of segments that were archived before a time out of the map; returns how many.

        Raises TrailError if the server does not answer or another owner has the partition.
        """
        old = [segment for segment in await self.ticks.segments() if segment.made_ms < before_ms]
        if not old:
            return 0
        below, forgotten = min(max(each.end for each in old), await self._log.first()), 0
        done: list[Argument] = [segment.field for segment in old]
        # With the last map the archived ticks go too; until then they are found again.
        for ids, last in (("effects", ()), ("ticks", done)):
            names = [lease_key(self._log.partition), self._log.key(ids), self._log.key("archived")]
            cursor = b""
            while cursor != b"0":
                with redis_errors("Old ticks could not be forgotten"):
                    cursor, count = await _FORGET(self._redis, names, [self._owner, cursor or b"0", below, *last])
                forgotten += int(count)
        return forgotten
