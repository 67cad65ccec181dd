"""The position watch: raises a tick when other code writes a position with a plain SET.

A key's notification only prompts a check. A tick is raised if the newest record of the symbol was made on another
position than the current one and no tick of the symbol is queued, because then nothing else would cause a decision. So
a feed that raises its own ticks gets none twice, and a rescan finds changes whose notification was missed.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx import canonical
from llmctx.connection import open_redis
from llmctx.connection.streams import StreamEntry, pages_of_stream, read_stream
from llmctx.context.reader import read_raw
from llmctx.context.tick import Tick
from llmctx.errors import LlmctxError, ServerError
from llmctx.schema import keys
from llmctx.schema.mapping.sections import HASH, STRING, Sections
from llmctx.tasks import end, pause
from llmctx.trail.log.log import Log

_log = logging.getLogger(__name__)

CAUSE = "position_written"
"""The cause of the ticks that are raised here."""

_CHECK_S = 0.1
_RETRY_S = 0.5
_RESCAN_S = 30.0
_PAGE = 1000
_MAX_EXAMINED = 5
_WRITTEN = (b"set", b"hset", b"hdel", b"hincrby", b"hincrbyfloat")
_POSITION = keys.BY_SECTION["position"]


async def check_notifications(redis: Redis, written: str = "$") -> None:
    """Check that the server sends notifications when keys are written: `$` for strings, `h` for hashes.

    Raises ServerError with the setting to change if it does not.
    """
    try:
        found = await redis.config_get("notify-keyspace-events")
    except RedisError:
        return  # the configuration may not be read: trust that it is set
    flags = found.get("notify-keyspace-events", "")
    flags = flags.decode() if isinstance(flags, bytes) else str(flags)
    if "K" not in flags or not {written, "A"} & set(flags):
        raise ServerError(
            f"The server sends no notifications for written keys (notify-keyspace-events is {flags!r}).",
            f"Run `redis-cli CONFIG SET notify-keyspace-events K{written}`, or write "
            f"`notify-keyspace-events K{written}` in redis.conf.",
        )


class Watch:
    """Watches the positions of one server."""

    def __init__(self, redis: Redis, url: str, partitions: int, sections: Sections | None = None) -> None:
        """`sections` says where positions are if not under the schema's key.

        Raises ServerError if they are fields of one hash, whose notifications do not tell them apart.
        """
        rule = None if sections is None else sections.rule_of("position")
        self._family = _POSITION if sections is None else sections.family("position")
        self._is_hash = rule is not None and rule.kind == "hash"
        if rule is not None and rule.field is not None:
            raise ServerError(
                f"The positions in {self._family.pattern} cannot be watched: they are fields of one hash.",
                "Run without --watch, and raise ticks with `llmctx.open_client`.",
            )
        self._redis = redis
        self._url = url
        self._logs = [Log(redis, partition) for partition in range(partitions)]
        self._pattern = self._family.key("*")
        self._to_check: set[str] = set()
        self._refused: set[str] = set()
        self.raised = 0
        """How many ticks were raised."""

    async def run(self) -> None:
        """Watch until cancelled; every position is checked after each reconnect."""
        told = ""
        while True:
            try:
                await self._listen()
            except (RedisError, OSError, LlmctxError) as error:
                why = str(error).partition("\n")[0]
                if why != told:
                    told = why
                    _log.warning(f"positions are not watched ({why}); trying again")
            await pause(_RETRY_S)

    async def _listen(self) -> None:
        # A client that reconnects by itself would hide that notifications were missed.
        async with open_redis(self._url, retries=0) as redis:
            await check_notifications(redis, "h" if self._is_hash else "$")
            database = redis.connection_pool.connection_kwargs.get("db", 0)
            channel = f"__keyspace@{database}__:"
            async with redis.pubsub(ignore_subscribe_messages=True) as heard:
                await heard.psubscribe(f"{channel}{self._pattern}")
                await _first_to_end(self._hear(heard, len(channel)), self._check_regularly())

    async def _hear(self, heard: Any, skipped: int) -> None:
        while True:
            message = await heard.get_message(timeout=1.0)
            if message is not None and message["data"] in _WRITTEN:
                self._note(message["channel"].decode(errors="replace")[skipped:])

    async def _check_regularly(self) -> None:
        while True:
            await self._rescan()
            for _ in range(round(_RESCAN_S / _CHECK_S)):
                await self._check()
                await pause(_CHECK_S)

    async def _rescan(self) -> None:
        async for key in self._redis.scan_iter(self._pattern, count=_PAGE):
            self._note(key.decode(errors="replace"))

    def _note(self, key: str) -> None:
        """Remember to check the position under a key."""
        parts = self._family.parts_of(key)
        if parts is not None:
            self._to_check.add(parts["symbol"])
        elif key not in self._refused:
            self._refused.add(key)
            _log.warning(f"The key {key!r} names no symbol; its position is not watched")

    async def _check(self) -> None:
        """Check the symbols that were notified; what is written from now on is notified again.

        The order matters: first the position, then the queued ticks, then the newest record. So a tick that was raised
        together with its position is seen, because a tick that is no longer queued has its record.
        """
        told, self._to_check = self._to_check, set()
        positions = {symbol: await self._position(symbol) for symbol in told}
        if not any(positions.values()):
            return
        waiting: set[str] = set()
        for log in self._logs:
            waiting |= await self._symbols_queued(log.partition)
        self._to_check |= told & waiting
        for symbol, position in positions.items():
            if position is not None and symbol not in waiting:
                await self._raise_if_unseen(symbol, position)

    async def _position(self, symbol: str) -> bytes | None:
        (found,) = await read_raw(self._redis, [self._family.key(symbol)], HASH if self._is_hash else STRING)
        return found.raw if found.unread is None else found.unread.encode()

    async def _symbols_queued(self, partition: int) -> set[str]:
        """The symbols of ticks that are not settled; their decision may or may not see the position."""

        async def fetch(first: str, count: int) -> list[StreamEntry]:
            return await read_stream(self._redis, keys.ticks(partition), first, count=count)

        found: set[str] = set()
        async for page in pages_of_stream(fetch, "-", _PAGE):
            found |= {entry.fields.get(b"symbol", b"").decode(errors="replace") for entry in page}
        return found

    async def _raise_if_unseen(self, symbol: str, position: bytes) -> None:
        log = self._logs[keys.partition_of(symbol, len(self._logs))]
        index, seen = await self._last_seen(log, symbol)
        if seen == position:
            return
        digest = canonical.sha256(position)[:16]
        # Several watchers choose the same id, so the tick is settled once.
        tick = Tick(id=f"watch:{symbol}:{digest}:{index}", symbol=symbol, cause=CAUSE)
        await self._redis.xadd(keys.ticks(log.partition), tick.fields())
        self.raised += 1

    async def _last_seen(self, log: Log, symbol: str) -> tuple[int, bytes | None]:
        """The index of the symbol's newest record, and the position it was made on."""
        newest, looked = -1, 0
        async for entry in log.read_back_of(symbol):
            newest, looked = max(newest, entry.index), looked + 1
            if "tick" in entry.record and "snapshot" in entry.pieces:  # an approval is not about today's position
                return newest, _position_in(entry.pieces["snapshot"])
            if looked == _MAX_EXAMINED:
                break
        return newest, None


async def _first_to_end(*steps: Coroutine[Any, Any, None]) -> None:
    """Run coroutines side by side until one fails; then stop all of them and raise its error."""
    tasks = [asyncio.create_task(step) for step in steps]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await end(*tasks)


def _position_in(snapshot: bytes) -> bytes | None:
    """The position in a record's snapshot; None if it has none or an unreadable one, so that a tick is raised."""
    try:
        text = canonical.loads(snapshot)["sections"].get("position")
        return None if text is None else str(text).encode()
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
