"""Whether the server keeps the trail: its eviction policy, and trail keys that would expire."""

import logging

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.errors import ServerError
from llmctx.trail.log.expiring import expiring_keys

_log = logging.getLogger(__name__)

_MAX_NAMED = 3


async def check_eviction(redis: Redis) -> None:
    """Refuse a server that may evict any key, and warn about keys of the trail that have a TTL.

    INFO names the policy to users who may not read the configuration.

    Raises ServerError for a policy of allkeys-*, or if the server does not answer.
    """
    try:
        policy = str((await redis.info("memory")).get("maxmemory_policy", ""))
        expiring = await expiring_keys(redis)
    except RedisError as error:
        raise ServerError(f"The server could not be checked: {error}.", "See that Redis answers.") from error
    if policy.startswith("allkeys-"):
        raise ServerError(
            f"The server's maxmemory-policy is {policy}: when its memory is full, it evicts the trail and the "
            "positions, which exist nowhere else in Redis.",
            "Run `redis-cli CONFIG SET maxmemory-policy volatile-lru`, and write it in redis.conf. Keys of other "
            "programs need a TTL to be evicted then; or give llmctx a server of its own.",
        )
    if expiring:
        named = ", ".join(expiring[:_MAX_NAMED]) + (", ..." if len(expiring) > _MAX_NAMED else "")
        _log.warning(
            f"{len(expiring)} keys of the trail have a TTL and will be lost: {named}. llmctx sets none. Run "
            "`redis-cli PERSIST KEY` for each, and find out what set it"
        )
