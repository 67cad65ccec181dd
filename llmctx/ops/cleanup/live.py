"""Cleanup of single live keys: those that never expire though they should, and those of positions that are closed."""

from llmctx import clock
from llmctx.connection.streams import read_stream_back
from llmctx.ops.cleanup.scope import Scope, Tally
from llmctx.schema import keys
from llmctx.schema.keys import BY_SECTION, FAMILIES

MIN_AGE_MS = 3_600_000
"""Anything younger may belong to a position that is just being opened."""
_CLOSED_READ = 10_000
_POSITION = BY_SECTION["position"]


async def expire_lasting(scope: Scope, tally: Tally) -> None:
    """Give each key that should expire, and does not, the TTL of its family; a plain SET removes it again."""
    for family in FAMILIES:
        if family.lifetime_s is None or family.section in scope.read_only:
            continue
        async for key, _ in scope.keys_of(family):
            if await scope.redis.ttl(key) != -1:
                continue
            size = await scope.redis.memory_usage(key)
            if not scope.apply or await scope.redis.expire(key, family.lifetime_s, nx=True):
                tally.add(key, size or 0)


async def remove_closed(scope: Scope, tally: Tally) -> None:
    """Remove monitoring and signals of positions that are closed.

    An exit signal without a position is about a closed one. Any other signal may open the next one, unless its symbol's
    position was closed after it. Where another system writes the positions, whether one is closed is unknown.
    """
    if "position" in scope.read_only:
        return
    closed_ms = await _closing_times(scope)
    for family in (BY_SECTION["monitoring"], BY_SECTION["signals"]):
        if family.section in scope.read_only:
            continue
        async for key, parts in scope.keys_of(family):
            value = await scope.read(key, family)
            if value is None or value.written_ms is None or value.written_ms > scope.now_ms - MIN_AGE_MS:
                continue
            about_closed = parts.get("signal_type", "exit") == "exit"
            if about_closed or value.written_ms <= closed_ms.get(parts["symbol"], -1):
                await scope.remove(tally, key, value.raw, _POSITION.key(parts["symbol"]))


async def _closing_times(scope: Scope) -> dict[str, int]:
    """When each symbol's position was last closed, as far as the paper broker noted it."""
    found: dict[str, int] = {}
    if await scope.redis.type(keys.CLOSED) != b"stream":
        return found
    for entry in await read_stream_back(scope.redis, keys.CLOSED, count=_CLOSED_READ):
        symbol = entry.fields.get(b"symbol", b"").decode(errors="replace")
        try:
            closed_ms = clock.to_ms(clock.parse_iso(entry.fields.get(b"exit_time", b"").decode()))
        except ValueError:
            continue
        found.setdefault(symbol, closed_ms)  # newest first
    return found
