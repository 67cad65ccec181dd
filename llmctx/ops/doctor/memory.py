"""Checks of the server's memory: how full it is, how long it will last, and what was evicted."""

from statistics import fmean

from llmctx.connection import server_ms
from llmctx.ops.doctor.finding import Finding, amber, green, red, unknown
from llmctx.ops.doctor.subject import Subject
from llmctx.trail.log.expiring import expiring_keys
from llmctx.trail.log.log import Log
from llmctx.worker.memory import FULL_PERCENT, WARNING_PERCENT
from llmctx.worker.status import first_since

OVERHEAD_BYTES = 311
"""What a record takes in Redis beside its packed value and proof: measured on Redis 7.0, less on Valkey 9."""
RED_DAYS, AMBER_DAYS = 7, 30
"""From so few days until full it is time to act, or to plan."""

_DAY_MS = 86_400_000
_MIN_SPAN_MS = 600_000
_MIN_LOOKUPS = 1000
_ROOM = "Raise maxmemory (`CONFIG SET maxmemory`, and in redis.conf), or move to a larger server."
_EVICTIONS = {
    "volatile-lru": "",
    "noeviction": "When the memory is full every write is refused, the collectors' too, while old live keys stay.",
}


async def eviction(subject: Subject) -> Finding:
    """What the server does when its memory is full; INFO tells that even users who may not read the configuration."""
    policy = str((await subject.info())["maxmemory_policy"])
    do = "Run `redis-cli CONFIG SET maxmemory-policy volatile-lru`, and write it in redis.conf."
    if policy.startswith("allkeys-"):
        return red(policy, "A full server evicts the trail and the positions.", do)
    consequence = _EVICTIONS.get(policy, "A full server may evict live keys that were just read, and keep idle ones.")
    return amber(policy, consequence, do) if consequence else green(policy)


async def memory(subject: Subject) -> Finding:
    """How much is in use, and how much of that cannot expire."""
    found = await subject.memory()
    if not found.limit:
        return red(
            f"{found.used / 2**20:.0f} MB in use without any maxmemory",
            "The server grows until the system kills it.",
            "Run `redis-cli CONFIG SET maxmemory 2gb`, and write it in redis.conf.",
        )
    if found.is_full():
        return red(str(found), "No tick is taken: the server would evict live keys for the trail.", _ROOM)
    if found.lasting_percent >= WARNING_PERCENT:
        return amber(str(found), f"From {FULL_PERCENT}% on no tick is taken.", _ROOM)
    return green(str(found))


async def days_until_full(subject: Subject) -> Finding:
    """For how many days the memory lasts at the rate of the last day: bytes a record times records a day."""
    found, instance = await subject.memory(), await subject.instance()
    recent = await subject.recent()
    if not found.limit or instance is None or not recent:
        return unknown("there is no maxmemory, or no record yet", "Ask again once it runs.")
    now_ms = await server_ms(subject.redis)
    per_day = 0.0
    for log in subject.logs(instance):
        per_day += await _per_day(log, now_ms)
    if not per_day:
        return unknown("the trail is younger than ten minutes, or idle for a day", "Ask again later.")
    size = fmean(len(entry.packed) + len(entry.proof) for entry in recent) + OVERHEAD_BYTES
    days = max(0.0, found.limit * FULL_PERCENT / 100 - found.lasting) / (size * per_day)
    what = f"{days:,.0f} days, at {per_day:,.0f} records a day of {size:,.0f} bytes"
    if days < AMBER_DAYS:
        finding = red if days < RED_DAYS else amber
        return finding(what, f"Then {FULL_PERCENT}% cannot expire, and no more tick is taken.", _ROOM)
    return green(what)


async def _per_day(log: Log, now_ms: int) -> float:
    """Records a day of one partition, over the last day or the trail's life if that is shorter."""
    size = await log.size()
    first = await first_since(log, size, now_ms - _DAY_MS)
    oldest = await log.entry(first)
    if oldest is None:
        return 0.0
    # Older records stand before the first one: the whole day is measured then, however late in it that one came.
    span_ms = _DAY_MS if first else now_ms - int(oldest.record.get("recorded_at_ms", now_ms))
    return (size - first) * _DAY_MS / span_ms if span_ms >= _MIN_SPAN_MS else 0.0


async def hits(subject: Subject) -> Finding:
    """How many of the looked-up keys were there."""
    info = await subject.info()
    found, missed = int(info["keyspace_hits"]), int(info["keyspace_misses"])
    share = 100 * found / (found + missed) if found + missed else 0.0
    what = f"{share:.0f}% of {found + missed:,} lookups since the server started"
    if found + missed < _MIN_LOOKUPS:
        return unknown(f"{found + missed:,} lookups so far, too few to judge by", "Ask again under load.")
    if found < missed:
        return amber(
            what,
            "Most sections that decisions ask for are missing: collectors are down, or keys expire too early.",
            "`llmctx keys` counts what is there; `llmctx cleanup` gives keys their TTL.",
        )
    return green(what)


async def evictions(subject: Subject) -> Finding:
    """Whether the server had to evict keys."""
    evicted = int((await subject.info())["evicted_keys"])
    if evicted:
        return amber(
            f"{evicted:,} keys since the server started",
            "Decisions were made without these live values.",
            f"{_ROOM} `redis-cli CONFIG RESETSTAT` restarts the count.",
        )
    return green("no key was evicted")


async def expiring_trail(subject: Subject) -> Finding:
    """Whether keys of the trail have a TTL."""
    found = await expiring_keys(subject.redis)
    if found:
        return red(
            f"{len(found)} keys of the trail have a TTL: {', '.join(found[:3])}",
            "They will be lost.",
            "Run `redis-cli PERSIST KEY` for each, and find out what set it: llmctx sets none.",
        )
    return green("no key of the trail has a TTL")
