"""Keys of the trail that something else gave a TTL, and that will therefore be lost."""

from typing import cast

from redis.asyncio import Redis

_PAGE_KEYS = 5000


async def expiring_keys(redis: Redis) -> list[str]:
    """The keys of the trail that have a TTL, without the leases, which end by themselves.

    Raises redis.exceptions.RedisError if the server does not answer.
    """
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
