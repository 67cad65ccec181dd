"""What an owner repairs in the streams that it reads as a consumer group.

Whoever may write there can move the group, read in its name, or use up the ids.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from llmctx.connection import server_ms
from llmctx.functions import ServerFunction
from llmctx.schema import keys
from llmctx.trail.log.lease import HELD, lease_key, redis_errors

_log = logging.getLogger(__name__)

CONSUMER = "owner"
"""One name for every owner of the partition: a new owner finds the old one's pending entries under it."""
_PAGE = 500
_MAX_AHEAD_MS = 86_400_000
_LAST_IDS = ServerFunction(Path(__file__).with_name("last_ids.lua"), read_only=True)
_RENUMBER = ServerFunction(Path(__file__).with_name("renumber.lua"), after=[HELD])


async def recover(redis: Redis, stream: str) -> None:
    """Have the owner's group deliver what it would pass over, and take back what it gave to others.

    A server whose append-only file was cut within a transaction may bring back entries, at a later restart, that are
    older than the last delivered one. An entry that is neither pending nor newer sets the group back: what it delivers
    twice is recognised by its id.
    """
    async with redis.pipeline(transaction=True) as reads:
        reads.xlen(stream)
        reads.xinfo_groups(stream)
        reads.xinfo_consumers(stream, keys.DECIDERS)
        count, groups, consumers = await reads.execute()
    for other in consumers:
        if other["pending"] and other["name"] != CONSUMER.encode():
            await _take_back(redis, stream, other["name"])
    (group,) = [each for each in groups if each["name"] == keys.DECIDERS.encode()]
    if count > group["pending"] + (group["lag"] or 0):  # None: the server does not know how many are newer
        await redis.xgroup_setid(stream, keys.DECIDERS, "0")


async def _take_back(redis: Redis, stream: str, other: bytes) -> None:
    """Take over entries that were given to another consumer, in batches."""
    found = await redis.xpending_range(stream, keys.DECIDERS, "-", "+", _PAGE, consumername=other)
    ids: list[Any] = [each["message_id"] for each in found]
    if ids:
        await redis.xclaim(stream, keys.DECIDERS, CONSUMER, 0, ids, justid=True)
        _log.error(
            f"{stream} had given {len(ids)} entries to {other.decode(errors='replace')!r}; they are taken back. "
            "Somebody else reads as one of its group: see who may (docs/threat-model.md).",
            extra={"alert": "foreign", "subject": stream},
        )


async def renumber(redis: Redis, partition: int, owner: str) -> None:
    """Give ticks and effects with ids in the future other ids, because after the last possible one nobody could add
    any.

    `owner` must hold the lease. Raises TrailError if the server does not answer.
    """
    made = {
        keys.ticks(partition): keys.ticks_made(partition),
        keys.effects(partition): keys.effects_made(partition),
    }
    with redis_errors("The streams of ticks and effects could not be checked"):
        last = dict(zip(made, await last_ids(redis, list(made)), strict=True))
        limit_ms = await server_ms(redis) + _MAX_AHEAD_MS
        for stream, newest in last.items():
            if newest and int(newest.partition("-")[0]) >= limit_ms:
                names = [lease_key(partition), stream, made[stream]]
                _report(stream, newest, await _RENUMBER(redis, names, [owner, keys.DECIDERS]))


async def last_ids(redis: Redis, streams: Sequence[str]) -> list[str]:
    """The newest id that each stream ever had; empty if it is not there.

    Raises redis.exceptions.RedisError if the server does not answer, or a key holds another type.
    """
    return [last.decode() for last in await _LAST_IDS(redis, streams, [])]


def _report(stream: str, last: str, count: int) -> None:
    _log.error(
        f"{stream} had ids in the future, the last {last}; {count} entries have other ids now. "
        "Somebody else writes to it: see who may (docs/threat-model.md).",
        extra={"alert": "foreign", "subject": stream},
    )
