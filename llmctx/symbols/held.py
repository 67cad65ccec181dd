"""The symbols of a partition that may have a position now."""

from collections.abc import AsyncIterator

from redis.asyncio import Redis

from llmctx.schema import keys
from llmctx.schema.symbol import is_symbol
from llmctx.trail.log.log import Log

_POSITION = keys.BY_SECTION["position"]
_PAGE = 1000


async def held_symbols(redis: Redis, log: Log, partitions: int) -> AsyncIterator[str]:
    """The symbols with a position under the schema's key, then those whose newest record was read by a mapping.

    Where another system keeps its positions only the mapping knows, so each of its symbols counts as held. Raises
    RedisError or TrailError if the server does not answer.
    """
    seen = set[str]()
    async for key in redis.scan_iter(_POSITION.key("*"), count=_PAGE):
        symbol = key.decode(errors="replace").removeprefix(_POSITION.key(""))
        if is_symbol(symbol) and keys.partition_of(symbol, partitions) == log.partition:
            seen.add(symbol)
            yield symbol
    prefix = log.key("symbol:")
    async for key in redis.scan_iter(f"{prefix.replace('[', '?')}*", count=_PAGE):
        symbol = key.decode(errors="replace").removeprefix(prefix)
        if symbol not in seen and is_symbol(symbol) and await _is_mapped(log, symbol):
            yield symbol


async def _is_mapped(log: Log, symbol: str) -> bool:
    async for entry in log.read_back_of(symbol):
        snapshot = entry.record.get("snapshot")
        return isinstance(snapshot, dict) and "mapping_sha256" in snapshot
    return False
