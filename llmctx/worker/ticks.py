"""A partition's tick stream: first the ticks that were delivered before and never settled, then new ones.

If a reply is lost, its entries count as delivered although nobody saw them. So pending entries are read first, after a
start and after every reconnect, and the connection that reads must not repeat commands by itself.
"""

import logging
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from llmctx import clock
from llmctx.connection import server_ms
from llmctx.context.marks import read_confirmation
from llmctx.context.tick import Tick
from llmctx.errors import LlmctxError, TrailError
from llmctx.functions import ServerFunction
from llmctx.limits import MAX_TICK_ID_CHARS
from llmctx.schema import keys
from llmctx.schema.symbol import is_symbol
from llmctx.trail.log.lease import HELD, lease_key, redis_errors
from llmctx.worker.home import TICKS_KEPT_MS

_log = logging.getLogger(__name__)

_CONSUMER = "owner"
"""One name for whoever owns the partition: a new owner finds the old one's pending entries under it."""
_PAGE = 500
_MAX_AHEAD_MS = 86_400_000
_RENUMBER = ServerFunction(Path(__file__).with_name("renumber_ticks.lua"), after=[HELD])


_RawEntry = tuple[bytes, dict[bytes, bytes] | None]


class Delivery(NamedTuple):
    """One entry of the tick stream."""

    entry_id: str
    """Its id in the stream."""
    tick: Tick | None
    """The tick; None if the entry is malformed."""
    problem: str = ""
    """What is wrong with a malformed entry."""
    tick_id: str = ""
    """The tick id of a malformed entry, if it has one; of a dead letter the id of the entry."""
    kind: Literal["skipped", "dead_letter", "incident"] = "incident"
    """How a malformed entry is recorded: skipped if it has a tick id, a dead letter if that id cannot be used."""
    symbol: str = ""
    """The symbol of a dead letter, if it is one."""
    request: tuple[bytes, bytes] | None = None
    """A request to the owner and its signature, if it is one."""

    @property
    def settles(self) -> str:
        """The id under which it is settled; empty if it has none."""
        return self.tick_id if self.tick is None else self.tick.id


async def raise_tick(redis: Redis, partition: int, tick: Tick) -> str:
    """Raise a tick and return the id of its entry in the stream.

    Raises TrailError if the server does not answer.
    """
    try:
        return cast("bytes", await redis.xadd(keys.ticks(partition), tick.fields())).decode()
    except RedisError as error:
        raise TrailError(f"The tick {tick.id} could not be raised: {error}", "Check that Redis is running.") from error


async def renumber(redis: Redis, partition: int, owner: str) -> None:
    """Give ticks whose ids lie in the future other ids: after the last possible one nobody could raise a tick.

    `owner` must hold the lease. Raises TrailError if the server does not answer.
    """
    stream = keys.ticks(partition)
    with redis_errors("The tick stream could not be checked"):
        if not await redis.exists(stream):
            return
        last = (await redis.xinfo_stream(stream))["last-generated-id"]
        if int(last.partition(b"-")[0]) < await server_ms(redis) + _MAX_AHEAD_MS:
            return
        count = await _RENUMBER(
            redis, [lease_key(partition), stream, keys.ticks_made(partition)], [owner, keys.DECIDERS]
        )
    _log.error(
        f"{stream} had ids in the future, the last {last.decode()}; {count} entries have other ids now. "
        "Somebody else writes to it: see who may (docs/threat-model.md).",
        extra={"alert": "foreign", "subject": stream},
    )


class TickStream:
    """One partition's ticks, read as its owner."""

    def __init__(self, redis: Redis, partition: int, max_age_ms: int = TICKS_KEPT_MS) -> None:
        """`redis` must not retry: a repeated read would skip the entries that the first one was given. Ticks older than
        `max_age_ms` are skipped: which ticks were settled is forgotten this long after their records were archived.
        """
        self._max_age_ms = max_age_ms
        self._redis = redis
        self._key = keys.ticks(partition)

    async def open(self) -> None:
        """Create the consumer group if it is missing; it begins with the stream's first tick. Then `recover`."""
        try:
            await self._redis.xgroup_create(self._key, keys.DECIDERS, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
            await self.recover()

    async def recover(self) -> None:
        """Have the group deliver what it would pass over, and take what it gave to others than its owner.

        A server whose append-only file was cut within a transaction may bring back ticks, at a later restart, that are
        older than the last delivered one; and whoever can write to the stream can move the group, or read in its name.
        A tick that is neither pending nor newer sets the group back: what it delivers twice is recognised by its id.
        """
        async with self._redis.pipeline(transaction=True) as reads:
            reads.xlen(self._key)
            reads.xinfo_groups(self._key)
            reads.xinfo_consumers(self._key, keys.DECIDERS)
            count, groups, consumers = await reads.execute()
        for other in consumers:
            if other["pending"] and other["name"] != _CONSUMER.encode():
                await self._take_from(other["name"])
        (group,) = [each for each in groups if each["name"] == keys.DECIDERS.encode()]
        if count > group["pending"] + (group["lag"] or 0):  # None: the server does not know how many are newer
            await self._redis.xgroup_setid(self._key, keys.DECIDERS, "0")

    async def _take_from(self, other: bytes) -> None:
        """Take the ticks that were given to another consumer than the group's owner, some at a time."""
        found = await self._redis.xpending_range(self._key, keys.DECIDERS, "-", "+", _PAGE, consumername=other)
        ids: list[Any] = [each["message_id"] for each in found]
        if ids:
            await self._redis.xclaim(self._key, keys.DECIDERS, _CONSUMER, 0, ids, justid=True)
            _log.error(
                f"{self._key} had given {len(ids)} ticks to {other.decode(errors='replace')!r}; they are taken back. "
                "Somebody else reads as one of its group: see who may (docs/threat-model.md).",
                extra={"alert": "foreign", "subject": self._key},
            )

    async def pending(self, after: str) -> list[Delivery]:
        """Read entries after an id that were delivered before and are not settled; empty at the end."""
        return await self._read(after, None)

    async def new(self, block_ms: int | None) -> list[Delivery]:
        """Read entries that were never delivered; waits up to `block_ms` for the first, not at all if it is None."""
        return await self._read(">", block_ms)

    async def last_id(self) -> str:
        """The id of the newest tick ever raised."""
        found = await self._redis.xinfo_stream(self._key)
        last: bytes = found["last-generated-id"]
        return last.decode()

    async def _read(self, after: str, block_ms: int | None) -> list[Delivery]:
        answer = await self._redis.xreadgroup(keys.DECIDERS, _CONSUMER, {self._key: after}, count=_PAGE, block=block_ms)
        streams = cast("list[tuple[bytes, list[_RawEntry]]]", answer or [])
        found = [_request(entry) or _delivery(entry) for _, entries in streams for entry in entries]
        if found and _raised_ms(found[0]) < clock.now_ms() - self._max_age_ms:  # the first is the oldest
            return await self._without_old(found)
        return found

    async def _without_old(self, found: list[Delivery]) -> list[Delivery]:
        """The same, with what is too old by the server's time to be skipped; our own clock may be wrong."""
        before_ms = await server_ms(self._redis) - self._max_age_ms
        return [
            Delivery(each.entry_id, None, f"too old: raised {clock.iso(_raised_ms(each))}", each.tick.id, "skipped")
            if each.tick is not None and _raised_ms(each) < before_ms
            else each
            for each in found
        ]


def _raised_ms(delivery: Delivery) -> int:
    """When a tick was raised, by the id of its entry."""
    return int(delivery.entry_id.partition("-")[0])


def _request(entry: _RawEntry) -> Delivery | None:
    """A request to the owner; None if the entry is none."""
    fields = entry[1] or {}
    if b"request" not in fields:
        return None
    return Delivery(entry[0].decode(), None, request=(fields[b"request"], fields.get(b"proof", b"")))


def _delivery(entry: _RawEntry) -> Delivery:
    entry_id = entry[0].decode()
    if not entry[1]:
        return Delivery(entry_id, None, f"tick entry {entry_id} was trimmed from the stream before it was decided")
    fields = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in entry[1].items()}
    tick_id = fields.get("id", "")
    if (unusable := _unusable_id(entry[1].get(b"id", b""))) is not None:
        # Under another id it would be taken for another tick, so the entry's own id stands for it.
        symbol = fields.get("symbol", "")
        symbol = symbol if is_symbol(symbol) else ""
        return Delivery(entry_id, None, f"tick entry {entry_id}: {unusable}", entry_id, "dead_letter", symbol)
    kind: Literal["skipped", "incident"] = "skipped" if tick_id else "incident"
    try:
        raw = entry[1].get(b"confirmation")
        confirmation = None if raw is None else read_confirmation(raw)
        tick = Tick(
            id=tick_id, symbol=fields["symbol"], cause=fields.get("cause", "unknown"), confirmation=confirmation
        )
    except KeyError:
        return Delivery(entry_id, None, f"tick entry {entry_id} has no field 'symbol'", tick_id, kind)
    except LlmctxError as error:
        return Delivery(entry_id, None, f"tick entry {entry_id}: {error.what}", tick_id, kind)
    except ValidationError as error:
        return Delivery(entry_id, None, f"tick entry {entry_id}: {error.errors()[0]['msg']}", tick_id, kind)
    except ValueError as error:
        return Delivery(entry_id, None, f"tick entry {entry_id}: {error}", tick_id, kind)
    if not tick_id:
        return Delivery(entry_id, None, f"tick entry {entry_id} has no field 'id'")
    return Delivery(entry_id, tick)


def _unusable_id(tick_id: bytes) -> str | None:
    """Why a tick id cannot be used as it is; None if it can."""
    try:
        count = len(tick_id.decode())
    except UnicodeDecodeError:
        return "its id is not UTF-8"
    return f"its id has {count} characters, more than {MAX_TICK_ID_CHARS}" if count > MAX_TICK_ID_CHARS else None
