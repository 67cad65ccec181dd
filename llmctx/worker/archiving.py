"""Record in a trail that records were archived, and only then trim them from Redis: the work of a partition's owner."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from redis.asyncio import Redis

from llmctx.errors import RequestError, TrailError
from llmctx.functions import Argument, ServerFunction
from llmctx.killpoint import reached
from llmctx.trail.archive.archived_range import ArchivedRange
from llmctx.trail.archive.ticks import ArchivedTicks
from llmctx.trail.log.lease import HELD, lease_key, redis_errors
from llmctx.trail.log.log import Log
from llmctx.trail.proof.base import check_base
from llmctx.trail.proof.request import Request
from llmctx.trail.proof.roster import Roster
from llmctx.worker.requests import Note, notice_at

_log = logging.getLogger(__name__)

_FORGET = ServerFunction(Path(HELD).with_name("forget.lua"), after=[HELD])


class Archiving:
    """What a partition's owner does about archived records."""

    def __init__(
        self,
        redis: Redis,
        log: Log,
        owner: str,
        roster: Callable[[], Roster],
        note: Note,
        ticks_kept_ms: int,
    ) -> None:
        """`owner` must hold the lease, `roster` has the writers now enrolled, `note` appends a notice.

        The ticks of archived records stay in the map for `ticks_kept_ms`; ticks older than that are not decided either
        (ticks.py).
        """
        self._redis = redis
        self._log = log
        self._owner = owner
        self._roster = roster
        self._note = note
        self._ticks_kept_ms = ticks_kept_ms
        self.ticks = ArchivedTicks(redis, log, self._roster)
        """Which ticks archived records settled."""

    async def trim(self, request: Request) -> None:
        """Append the notice that a range is archived, unless it exists, and trim the log, if it begins there.

        Raises LeaseError if another owner has the partition, RequestError or TrailError if the range is malformed, does
        not begin where the log does, or its checkpoint is not signed.
        """
        try:
            found = ArchivedRange.model_validate(request.body)
        except ValidationError as error:
            raise RequestError(f"The archived range is malformed: {error}", "Use one version of llmctx.") from error
        base = found.after
        first = await self._log.first()
        if first >= base.size:
            return
        roster = self._roster()
        fault = check_base(base, roster.instance_keys, roster.origin)
        if fault is not None or first != found.first:
            why = str(fault) if fault is not None else f"the log begins at {first}, not at {found.first}"
            raise TrailError(
                f"Records {found.first} to {base.size - 1} were not trimmed: {why}.", "Run `llmctx archive` again."
            )
        notice = await notice_at(
            self._log, found.made_ms, lambda record: record.get("archived", {}).get("manifest") == base.manifest
        )
        if notice is None:
            last, where = base.size - 1, base.where
            archived: dict[str, Any] = {"first": first, "end": base.size, "manifest": base.manifest, "where": where}
            notice = await self._note(f"records {first} to {last} are archived in {where}", archived=archived)
        reached("noticed")
        await self._log.trim(first, base._replace(notice=notice), found.stays, self._owner)
        reached("trimmed")
        await self._forget(found.made_ms - self._ticks_kept_ms)
        _log.info(f"Records {first} to {base.size - 1} of partition {self._log.partition} are archived and trimmed.")

    async def _forget(self, before_ms: int) -> int:
        """Remove the ticks of segments archived before a time from the map; returns how many were removed.

        Raises TrailError if the server does not answer or another owner has the partition.
        """
        old = [segment for segment in await self.ticks.segments() if segment.made_ms < before_ms]
        if not old:
            return 0
        below, forgotten = min(max(each.end for each in old), await self._log.first()), 0
        done: list[Argument] = [segment.field for segment in old]
        # The archived ticks go with the last map; until then they are found again.
        for ids, last in (("effects", ()), ("ticks", done)):
            names = [lease_key(self._log.partition), self._log.key(ids), self._log.key("archived")]
            cursor = b""
            while cursor != b"0":
                with redis_errors("Old ticks could not be forgotten"):
                    cursor, count = await _FORGET(self._redis, names, [self._owner, cursor or b"0", below, *last])
                forgotten += int(count)
        return forgotten
