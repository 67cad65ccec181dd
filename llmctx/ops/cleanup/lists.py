"""Cleanup of lists, streams and consumer groups."""

from pathlib import Path
from typing import cast

from llmctx.context.section_values import pages_of
from llmctx.functions import ServerFunction
from llmctx.ops.cleanup.scope import Scope, Tally
from llmctx.schema import keys
from llmctx.schema.keys import BY_SECTION, DAY_S
from llmctx.trail.log.index import index_of

STALE_MS = 7 * DAY_S * 1000
"""After this time a consumer is dead, and a screened symbol or a headline stale."""
OVERLONG = 1.1
"""A stream is too long if it exceeds its maximum by this factor: a capped stream varies by less."""
_CONSUMERS = ServerFunction(Path(__file__).with_name("consumers.lua"))


async def remove_stale(scope: Scope, tally: Tally) -> None:
    """Remove a ranking that is older than its lifetime, and screened symbols and headlines of more than a week ago."""
    family = BY_SECTION["candidates"]
    value = None if family.section in scope.read_only else await scope.read(family.key(), family)
    oldest_ms = scope.now_ms - (family.lifetime_s or 0) * 1000
    if value is not None and value.written_ms is not None and value.written_ms < oldest_ms:
        await scope.remove(tally, family.key(), value.raw)
    await _remove_screened(scope, tally)
    async for page in pages_of(scope.redis, keys.news("*")):
        for key in page:
            await _remove_headlines(scope, tally, key.decode(errors="replace"))


async def _remove_screened(scope: Scope, tally: Tally) -> None:
    if await scope.redis.type(keys.SCREENED) != b"hash":
        return
    entries = cast("dict[bytes, bytes]", await scope.redis.hgetall(keys.SCREENED))
    ends_ms = {name: raw.partition(b" ")[0] for name, raw in entries.items()}
    stale = [name for name, ms in ends_ms.items() if 0 <= index_of(ms) < scope.now_ms - STALE_MS]
    if not stale:
        return
    if scope.apply:
        async with scope.redis.pipeline(transaction=True) as both:  # a bar that comes meanwhile writes its symbol anew
            both.hdel(keys.SCREENED, *stale)
            both.zrem(keys.SCORES, *stale)
            await both.execute()
    tally.add(keys.SCREENED, sum(len(name) + len(entries[name]) for name in stale), items=len(stale))


async def _remove_headlines(scope: Scope, tally: Tally, key: str) -> None:
    if await scope.redis.type(key) != b"zset":
        return
    oldest = f"({scope.now_ms - STALE_MS}"
    stale = cast("list[bytes]", await scope.redis.zrangebyscore(key, "-inf", oldest))
    if stale:
        if scope.apply:
            await scope.redis.zremrangebyscore(key, "-inf", oldest)
        tally.add(key, sum(map(len, stale)), items=len(stale))


async def trim_streams(scope: Scope, tally: Tally) -> None:
    """Trim streams of bars and of the paper broker that are longer than their maximum; ticks and decisions never."""
    for name in (keys.FILLS, keys.FUNDING, keys.CLOSED, keys.DAYS):
        await _trim(scope, tally, name, keys.MAX_HISTORY)
    async for page in pages_of(scope.redis, keys.bars("*")):
        for key in page:
            await _trim(scope, tally, key.decode(errors="replace"), keys.MAX_BARS)


async def _trim(scope: Scope, tally: Tally, key: str, longest: int) -> None:
    if await scope.redis.type(key) != b"stream":
        return
    length = await scope.redis.xlen(key)
    if length <= longest * OVERLONG:
        return
    before = await scope.redis.memory_usage(key, samples=0) or 0
    if scope.apply:
        removed = await scope.redis.xtrim(key, maxlen=longest, approximate=False)
        tally.add(key, before - (await scope.redis.memory_usage(key, samples=0) or 0), items=removed)
    else:
        tally.add(key, before * (length - longest) // length, items=length - longest)


async def remove_consumers(scope: Scope, tally: Tally) -> None:
    """Remove consumers that have been idle for a week and have nothing pending."""
    for partition in range(scope.partitions):
        for stream in (keys.ticks(partition), keys.effects(partition), keys.decisions(partition)):
            found = await _CONSUMERS(scope.redis, [stream], [STALE_MS, 1 if scope.apply else 0])
            for group, consumer in zip(found[::2], found[1::2], strict=True):
                name = f"{stream} {group.decode(errors='replace')} {consumer.decode(errors='replace')}"
                tally.add(name, len(group) + len(consumer), items=1)
