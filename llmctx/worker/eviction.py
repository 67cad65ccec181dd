"""Whether the server keeps what it is given: its eviction policy, and keys of the trail that would expire."""

import logging
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.errors import ServerError

_log = logging.getLogger(__name__)

_PAGE_KEYS = 5000
_MAX_NAMED = 3


async def check_eviction(redis: Redis) -> None:
    """Refuse a server that may evict any key, and warn about keys of the trail that have a TTL.

    INFO names the policy to users who may not read the configuration.

    Raises ServerError for a policy of allkeys-*, or if the server does not answer.
    """
    try:
        policy = str((await redis.info("memory")).get("maxmemory_policy", ""))
        expiring = await _expiring(redis)
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


async def _expiring(redis: Redis) -> list[str]:
    """The keys of the trail that have a TTL, without the leases, which end by themselves."""
    found: set[str] = set()
    cursor = 0
    while True:
        cursor, page = await redis.scan(cursor, match="audit:*", count=_PAGE_KEYS)
        lasting = [key for key in cast("list[bytes]", page) if not key.endswith(b":lease")]
        async with redis.pipeline(transaction=False) as reading:
            for key in lasting:
                reading.pttl(key)
            ttls = await reading.execute()
        found |= {key.decode(errors="replace") for key, ttl in zip(lasting, ttls, strict=True) if ttl >= 0}
        if cursor == 0:
            return sorted(found)
