"""Publishing decisions to the execution side: in the order of their index, each at least once.

The index identifies a decision. The stream refuses an index that is not higher than its last one, so publishing again
after a crash changes nothing; and publishing resumes after the last published decision, so none is left out. What
others write to the stream cannot stop that: it is removed, and the removal is logged and counted.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from llmctx.connection.streams import read_stream_back
from llmctx.errors import LeaseError, TrailError, in_short
from llmctx.functions import ServerFunction
from llmctx.publication import is_said_by, published_text
from llmctx.schema import keys
from llmctx.trail.log.entry import Entry, address
from llmctx.trail.log.lease import GROUPS, HELD, lease_key
from llmctx.trail.log.log import Log
from llmctx.trail.spool.recovery import Recovery

_log = logging.getLogger(__name__)

KEPT = 1000
"""About how many decisions the stream keeps, enough for a reader that is hours late. All of them are in the trail."""

_GAP_TIMEOUT_S = 0.5
_MAX_EXAMINED = 20_000
_PUBLISH = ServerFunction(Path(__file__).with_name("publish.lua"), after=[HELD])
_REPUBLISH = ServerFunction(Path(__file__).with_name("republish.lua"), after=[HELD, GROUPS])


class Publisher:
    """Publishes one partition's records in order."""

    def __init__(self, redis: Redis, log: Log, partitions: int, owner: str, recovery: Recovery | None = None) -> None:
        """`owner` must hold the lease; without it nothing is published. `recovery` knows which records are in
        the spool; without it, Redis is believed.
        """
        self._redis = redis
        self._log = log
        self._partitions = partitions
        self._owner = owner
        self._recovery = recovery
        self._next = 0
        self._last = -1
        self._waiting: dict[int, tuple[Entry, asyncio.Future[None]]] = {}
        self._turn = asyncio.Lock()

    async def resume(self) -> int:
        """Publish every durable decision after the last published one; return how many.

        If the last entry of the stream is not a decision of the trail, the stream is made again.

        Raises LeaseError if another owner has the partition, TrailError if the server does not answer.
        """
        async with self._turn:
            with _publish_errors():
                # Whatever was published was durable, even if the server has forgotten that.
                durable = max(await self._durable(), self._next)
                newest = await self._last_published(durable)
                self._last = -1 if newest is None else newest.index
                self._next = self._last + 1
                published = await (self._republish(durable) if newest is None else self._publish(newest))
                async for entry in self._log.read(self._next, durable):
                    published += await self._publish(entry)
                    self._next = max(self._next, entry.index + 1)
            self._finish_published()
            return published

    async def _durable(self) -> int:
        """How many records may be published; not what Redis says, because anybody who can write there can raise that
        number.
        """
        durable = await self._log.durable()
        return durable if self._recovery is None else min(durable, self._recovery.durable())

    async def _last_published(self, durable: int) -> Entry | None:
        """The record of the stream's last entry; None if there is no entry, or it does not match the trail."""
        stream = keys.decisions(self._log.partition)
        try:
            about, newest = await self._redis.xinfo_stream(stream), await read_stream_back(self._redis, stream, count=1)
        except ResponseError:
            return None  # no entry, or not a stream
        index = newest[0].number if newest else durable
        if index >= durable or f"{index}-1" != newest[0].id or newest[0].id.encode() != about["last-generated-id"]:
            return None
        entry = await self._log.entry(index)
        if entry is None or self._text(entry) is None:
            return None
        return entry if is_said_by(entry, self._partitions, newest[0].fields.get(b"decision", b"")) else None

    async def _republish(self, durable: int) -> int:
        """Recreate the stream from the newest durable decisions, without foreign entries; return how many these are.

        A reader that continues from the last id it has seen notices nothing.
        """
        partition = self._log.partition
        texts: list[tuple[int, str, bytes]] = []
        newest = -1
        async for entry in self._log.read_back(durable):
            newest = max(newest, entry.index)
            if (text := self._text(entry)) is not None:
                texts.append((entry.index, entry.record["symbol"], text))
            if len(texts) == KEPT or entry.index < durable - _MAX_EXAMINED:
                break
        texts.reverse()
        names = [keys.decisions(partition), keys.decisions_made(partition), lease_key(partition)]
        names += [self._log.key("repairs"), *(keys.latest(partition, symbol) for _, symbol, _ in texts)]
        args = [argument for index, _, text in texts for argument in (index, text)]
        foreign: int = await _REPUBLISH(self._redis, names, [self._owner, *args])
        if foreign:
            what = (
                "a value of another type" if foreign < 0 else f"{foreign} entries that are not decisions of the trail"
            )
            _log.error(
                f"{keys.decisions(partition)} held {what}. They were removed, the true decisions are published. "
                "Somebody else writes to it: see who may (docs/threat-model.md).",
                extra={"alert": "foreign", "subject": keys.decisions(partition)},
            )
        self._last = texts[-1][0] if texts else -1
        self._next = newest + 1  # a replica that was promoted may lack records that are already durable
        return len(texts)

    async def publish(self, entry: Entry) -> None:
        """Publish a record once everything before it is published; returns when it is out.

        Raises LeaseError if another owner has the partition, TrailError if the server does not answer; then `resume`
        continues from there.
        """
        if entry.index < self._next:
            return
        if entry.index not in self._waiting:  # a notice that finds its index taken waits for the record there
            self._waiting[entry.index] = (entry, asyncio.get_running_loop().create_future())
        done = self._waiting[entry.index][1]
        async with self._turn:
            while self._next in self._waiting:
                ready, _ = self._waiting[self._next]
                with _publish_errors():
                    await self._publish(ready)
                self._next = max(self._next, ready.index + 1)
                self._finish_published()
        while not done.done():
            await asyncio.wait([done], timeout=_GAP_TIMEOUT_S)
            if not done.done():
                await self.resume()  # another owner recorded the previous ones: read them from the log

    def _finish_published(self) -> None:
        for index in [index for index in self._waiting if index < self._next]:
            _, done = self._waiting.pop(index)
            if not done.done():
                done.set_result(None)

    def _text(self, entry: Entry) -> bytes | None:
        """The published form of a record; None if it has none."""
        where = address(entry.index, entry.partition, self._partitions)
        about = {"fields": {"index": f"{entry.partition}:{entry.index}"}}  # of another tick than this task's, maybe
        if self._recovery is not None and not self._recovery.vouches(entry):
            _log.error(
                f"Record {where} is not published: it is not the one in the spool; run `llmctx verify`", extra=about
            )
            return None
        if (problem := entry.unreadable) is not None:
            _log.warning(f"Record {where} is not published: {problem.why}; see `llmctx show {where}`", extra=about)
            return None
        try:
            return published_text(entry, self._partitions)
        except Exception as error:  # noqa: BLE001  one record must not keep all later decisions from being published
            _log.warning(
                f"Record {where} cannot be published ({in_short(error)}); see `llmctx show {where}`", extra=about
            )
            return None

    async def _publish(self, entry: Entry) -> int:
        text = self._text(entry)
        if text is None:
            return 0
        partition = entry.partition
        names = [keys.decisions(partition), keys.latest(partition, entry.record["symbol"])]
        names += [lease_key(partition), self._log.key("durable")]
        try:
            published: int = await _PUBLISH(self._redis, names, [entry.index, text, KEPT, self._owner, self._last])
        except ResponseError as error:
            if not str(error).startswith("FOREIGN"):
                raise
            published = await self._republish(await self._durable())
            if self._next <= entry.index:
                what = f"Record {entry.index} is not published: the server does not have it"
                raise TrailError(f"{what}.", "It is published once it is put back from the spool.") from error
            return published
        self._last = max(self._last, entry.index)
        return published


@contextmanager
def _publish_errors() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        if str(error).startswith("LEASE"):
            raise LeaseError(f"A decision was not published: {error}.", "The current owner publishes it.") from error
        what = f"A decision could not be published: {error}"
        raise TrailError(what, "It is in the trail and is published later.") from error
