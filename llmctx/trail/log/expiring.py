"""Trail keys that something else gave a TTL, so that they will be lost."""

from redis.asyncio import Redis

from llmctx.trail.log.entry import BLOBS
from llmctx.trail.log.instance import INSTANCE_KEY, read_instance
from llmctx.trail.log.lease import redis_errors
from llmctx.trail.log.log import Log
from llmctx.trail.log.people import PEOPLE_KEY

_FIXED = ("log", "ticks", "durable", "checkpoint", "dictionaries")
_NEWEST = 10


async def expiring_keys(redis: Redis) -> list[str]:
    """The keys of the trail that have a TTL: those that every partition has, and those that its newest records name.

    The trail's own keys are asked for one by one: a scan would read through every other key of the server. Leases are
    left out, because they end by themselves.

    Raises TrailError if the server does not answer or holds an unknown format.
    """
    instance = await read_instance(redis)
    if instance is None:
        return []
    keys = [INSTANCE_KEY, PEOPLE_KEY]
    for partition in range(instance.partitions):
        keys += await _keys_of(Log(redis, partition))
    with redis_errors("The lifetimes of keys could not be read"):
        async with redis.pipeline(transaction=False) as reading:
            for key in keys:
                reading.pttl(key)
            ttls = await reading.execute()
    return sorted(key for key, ttl in zip(keys, ttls, strict=True) if ttl >= 0)


async def _keys_of(log: Log) -> list[str]:
    keys = {log.key(name) for name in _FIXED} | {log.blobs.key(digest) for digest in await log.blobs.dictionaries()}
    async for entry in log.read(max(0, await log.size() - _NEWEST)):
        record = entry.record
        if "symbol" in record:
            keys.add(log.key(f"symbol:{record['symbol']}"))
        keys |= {log.blobs.key(record[name][field]) for name, field in BLOBS if field in record.get(name, {})}
    return sorted(keys)
