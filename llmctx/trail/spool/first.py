"""Where a log in Redis begins, if Redis can be believed about that."""

import contextlib
import logging
from collections.abc import Callable

from redis.asyncio import Redis
from redis.exceptions import WatchError

from llmctx.trail.log.base import Base
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.lease import redis_errors
from llmctx.trail.log.log import Log
from llmctx.trail.proof.base import check_base
from llmctx.trail.proof.roster import Roster

_log = logging.getLogger(__name__)


async def genuine_first(redis: Redis, log: Log, roster: Roster, spooled: Callable[[int], Entry | None]) -> int:
    """The index at which a log begins; a base that nobody of ours has written is removed, and what is kept of archived
    records if there is no base. The caller holds the lease.

    `spooled` gives the record at an index in the spool.

    Raises TrailError if the server does not answer.
    """
    base = Base()
    try:
        base = await log.base()
        # Without the key that signed it, the notice of our writers has to tell (below).
        fault = check_base(base, () if roster.replaced is not None else roster.instance_keys, roster.origin)
        wrong = None if fault is None else f"expected {fault.expected}, found {fault.found}"
    except ValueError as error:
        wrong = f"it is malformed: {error}"
    if wrong is None and base.size and not await _is_noted(base, log, roster, spooled):
        wrong = f"no notice says that records below {base.size} are archived"
    if wrong is None and base.size:
        return base.size
    if wrong is not None:
        with redis_errors("A forged base could not be removed"):
            async with redis.pipeline(transaction=True) as both:
                both.delete(log.key("base"))
                both.hincrby(log.key("repairs"), "base", 1)
                await both.execute()
        _log.error(
            f"{log.key('base')} is not ours ({wrong}) and is removed. Somebody else writes to it: see who may "
            "(docs/threat-model.md), and run `llmctx verify`."
        )
    await _drop_kept(redis, log)
    return 0


async def _drop_kept(redis: Redis, log: Log) -> None:
    """Drop the kept copies of archived records, unless the log was archived meanwhile."""
    with redis_errors("Kept records could not be dropped"), contextlib.suppress(WatchError):
        async with redis.pipeline(transaction=True) as both:
            await both.watch(log.key("base"))
            if not await both.exists(log.key("base")):
                both.multi()  # type: ignore[no-untyped-call]  # untyped in redis-py
                both.delete(log.key("kept"))
                await both.execute()


async def _is_noted(base: Base, log: Log, roster: Roster, spooled: Callable[[int], Entry | None]) -> bool:
    """Whether a notice of our writers agrees with the base; the base's checkpoint is public and proves no archive."""
    for entry in (await log.entry(base.notice), spooled(base.notice)):
        archived = {} if entry is None else entry.record.get("archived", {})
        is_said = (archived.get("end"), archived.get("manifest")) == (base.size, base.manifest)
        if entry is not None and is_said and roster.check(entry) is None:
            return True
    return False
