"""Where a log in Redis begins, if what Redis says of it can be believed."""

import logging

from redis.asyncio import Redis

from llmctx.trail.log.lease import redis_errors
from llmctx.trail.log.log import Log
from llmctx.trail.proof.base import check_base
from llmctx.trail.proof.roster import Roster

_log = logging.getLogger(__name__)


async def genuine_first(redis: Redis, log: Log, roster: Roster) -> int:
    """The index at which a log begins; a base that the instance key has not signed is removed. The caller holds the
    lease.

    Raises TrailError if the server does not answer.
    """
    try:
        base = await log.base()
        fault = check_base(base, roster.instance_key, roster.origin)
        wrong = None if fault is None else f"expected {fault.expected}, found {fault.found}"
    except ValueError as error:
        wrong = f"it is malformed: {error}"
    if wrong is None:
        return base.size
    with redis_errors("A forged base could not be removed"):
        async with redis.pipeline(transaction=True) as both:
            both.delete(log.key("base"))
            both.hincrby(log.key("repairs"), "base", 1)
            await both.execute()
    _log.error(
        f"{log.key('base')} is not what the instance key signed ({wrong}) and is removed. Somebody else writes to it: "
        "see who may (docs/threat-model.md), and run `llmctx verify`."
    )
    return 0
