"""A partition's tick stream: first the ticks that were delivered before and never settled, then new ones.

Effects are read by the same command, so they cost nothing while none comes, and what was reported before a tick was
raised is recorded before it is decided.

If a reply is lost, its entries count as delivered although nobody saw them. So pending entries are read first, after a
start and after every reconnect, and the connection that reads must not repeat commands by itself.
"""

from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple, cast

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from llmctx import clock
from llmctx.connection import server_ms
from llmctx.connection.streams import StreamEntry
from llmctx.context.marks import read_confirmation
from llmctx.context.tick import Tick
from llmctx.errors import LlmctxError, TrailError, in_short
from llmctx.limits import (
    MAX_CAUSE_CHARS,
    MAX_CONFIRMATION_BYTES,
    MAX_EFFECT_BYTES,
    MAX_NAME_CHARS,
    MAX_REQUEST_BYTES,
    MAX_SYMBOL_CHARS,
    MAX_TICK_ID_CHARS,
)
from llmctx.schema import keys
from llmctx.schema.symbol import is_symbol
from llmctx.worker.entry_reader import EntryReader, RawEntry
from llmctx.worker.home import TICKS_KEPT_MS
from llmctx.worker.tick_group import last_ids, recover

_MAX_UTF8_BYTES = 4
"""Of one character."""
_FIELDS = {
    "id": _MAX_UTF8_BYTES * MAX_TICK_ID_CHARS,
    "symbol": _MAX_UTF8_BYTES * MAX_SYMBOL_CHARS,
    "cause": _MAX_UTF8_BYTES * MAX_CAUSE_CHARS,
    "confirmation": MAX_CONFIRMATION_BYTES,
    "request": MAX_REQUEST_BYTES,
    "proof": MAX_NAME_CHARS,
}
"""The fields of an entry that count, each with its largest size in bytes."""

Record = Callable[[list[StreamEntry]], Awaitable[None]]
"""Records entries of the stream of effects."""


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
    """How a malformed entry is recorded: skipped if its tick id is usable, otherwise as a dead letter."""
    symbol: str = ""
    """The symbol of a dead letter, if it is one."""
    request: tuple[bytes, bytes] | None = None
    """A request to the owner and its signature, if it is one."""

    def unusable(self, problem: str) -> "Delivery":
        """The same entry as a dead letter of its tick."""
        tick = self.tick
        assert tick is not None
        return self._replace(tick=None, problem=problem, tick_id=tick.id, kind="dead_letter", symbol=tick.symbol)

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


class TickStream:
    """One partition's ticks, read as its owner."""

    def __init__(
        self, redis: Redis, partition: int, max_age_ms: int = TICKS_KEPT_MS, record: Record | None = None
    ) -> None:
        """`redis` must not retry: a repeated read would skip the entries that the first one was given. Ticks older than
        `max_age_ms` are skipped: which ticks were settled is forgotten this long after their records were archived.
        Effects that are read with the ticks are handed to `record`; without it none are read.
        """
        self._max_age_ms = max_age_ms
        self._redis = redis
        self._key = keys.ticks(partition)
        self._effects = keys.effects(partition)
        self._record = record
        self._reader = EntryReader(redis, {self._key: _FIELDS, self._effects: {"effect": MAX_EFFECT_BYTES}})

    async def open(self) -> None:
        """Create the consumer groups if they are missing; they begin with the first entry. Then `recover`."""
        for key in self._streams:
            try:
                await self._redis.xgroup_create(key, keys.DECIDERS, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise
                await recover(self._redis, key)

    async def recover(self) -> None:
        """Have the groups deliver what they would skip, and take back what they gave to others."""
        for key in self._streams:
            await recover(self._redis, key)

    @property
    def _streams(self) -> tuple[str, ...]:
        return (self._key,) if self._record is None else (self._effects, self._key)

    async def pending(self, after: str) -> list[Delivery]:
        """Read entries after an id that were delivered before and are not settled; empty at the end."""
        return await self._read(after, "0", None)

    async def new(self, block_ms: int | None) -> list[Delivery]:
        """Read entries that were never delivered; waits up to `block_ms` for the first, not at all if it is None."""
        return await self._read(">", ">", block_ms)

    async def last_id(self) -> str:
        """The id of the newest tick ever raised."""
        (last,) = await last_ids(self._redis, [self._key])
        return last

    async def _read(self, after: str, effects_after: str, block_ms: int | None) -> list[Delivery]:
        """Ticks after an id, once the effects that came with them are recorded; empty if only effects came.

        Raises what recording raises; both are read again then, among those that were delivered before.
        """
        wanted = {self._key: after} if self._record is None else {self._effects: effects_after, self._key: after}
        read = await self._reader.read(wanted, block_ms)
        effects = [StreamEntry(entry_id.decode(), fields or {}) for entry_id, fields in read.get(self._effects, ())]
        if effects and self._record is not None:
            await self._record(effects)
        ticks = await self._ticks_in(read.get(self._key, []))
        if effects and not ticks and block_ms is None:
            later = ">" if effects_after == ">" else effects[-1].id
            return await self._read(after, later, None)  # there may be more
        return ticks

    async def _ticks_in(self, entries: list[RawEntry]) -> list[Delivery]:
        found = [_read(entry) for entry in entries]
        if found and _raised_ms(found[0]) < clock.now_ms() - self._max_age_ms:  # the first is the oldest
            return await self._without_old(found)
        return found

    async def _without_old(self, found: list[Delivery]) -> list[Delivery]:
        """The same, with ticks that are too old by the server's time marked as skipped; our own clock may be wrong."""
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


def _read(entry: RawEntry) -> Delivery:
    try:
        return _request(entry) or _delivery(entry)
    except Exception as error:  # noqa: BLE001  one entry must not keep all others waiting
        entry_id = entry[0].decode()
        return Delivery(entry_id, None, f"tick entry {entry_id} cannot be read: {in_short(error)}")


def _request(entry: RawEntry) -> Delivery | None:
    """A request to the owner; None if the entry is none."""
    fields = entry[1] or {}
    if b"request" not in fields:
        return None
    return Delivery(entry[0].decode(), None, request=(fields[b"request"], fields.get(b"proof", b"")))


def _delivery(entry: RawEntry) -> Delivery:
    entry_id = entry[0].decode()
    if entry[1] is None:
        return Delivery(entry_id, None, f"tick entry {entry_id} was trimmed from the stream before it was decided")
    fields = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in entry[1].items()}
    tick_id = fields.get("id", "")
    if (unusable := _unusable_id(entry[1].get(b"id", b""))) is not None:
        # Another id would name another tick, so the entry's own id stands in.
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
    too_long = f"its id has more than {MAX_TICK_ID_CHARS} characters"
    if len(tick_id) > _FIELDS["id"]:  # cut where it was read, maybe within a character
        return too_long
    try:
        return too_long if len(tick_id.decode()) > MAX_TICK_ID_CHARS else None
    except UnicodeDecodeError:
        return "its id is not UTF-8"
