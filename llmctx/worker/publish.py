"""Publishing decisions to the execution side: in the order of their index, each at least once.

The index identifies a decision. The stream refuses an index that is not higher than its last one, so publishing again
after a crash changes nothing; and publishing resumes after the last published decision, so none is left out.
"""

import asyncio
import logging
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.connection import read_stream_back
from llmctx.errors import LeaseError, TrailError, in_short
from llmctx.functions import ServerFunction
from llmctx.publication import publication
from llmctx.schema import keys
from llmctx.trail.log.entry import Entry, address
from llmctx.trail.log.lease import HELD, lease_key
from llmctx.trail.log.log import Log

_log = logging.getLogger(__name__)

KEPT = 1000
"""About how many decisions the stream keeps, so that a reader may be hours late. All of them are in the trail."""

_GAP_TIMEOUT_S = 0.5
_PUBLISH = ServerFunction(Path(__file__).with_name("publish.lua"), after=[HELD])


class Publisher:
    """Publishes one partition's records in order."""

    def __init__(self, redis: Redis, log: Log, partitions: int, owner: str) -> None:
        """`owner` must hold the lease; without it nothing is published."""
        self._redis = redis
        self._log = log
        self._partitions = partitions
        self._owner = owner
        self._next = 0
        self._last = -1
        self._waiting: dict[int, tuple[Entry, asyncio.Future[None]]] = {}
        self._turn = asyncio.Lock()

    async def resume(self) -> int:
        """Publish every durable decision after the last published one; return how many.

        Raises LeaseError if another owner has the partition, TrailError if the server does not answer.
        """
        async with self._turn:
            try:
                newest = await read_stream_back(self._redis, keys.decisions(self._log.partition), count=1)
                self._last = newest[0].number if newest else -1
                self._next = self._last + 1
                published = 0
                async for entry in self._log.read(self._next, await self._log.durable()):
                    published += await self._publish(entry)
                    self._next = entry.index + 1
            except RedisError as error:
                raise _publish_error(error) from error
            for index in [index for index in self._waiting if index < self._next]:
                self._finish(index)
            return published

    async def publish(self, entry: Entry) -> None:
        """Publish a record once everything before it is published; returns when it is out.

        Raises LeaseError if another owner has the partition, TrailError if the server does not answer; then `resume`
        continues from there.
        """
        if entry.index < self._next:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[entry.index] = (entry, done)
        async with self._turn:
            while self._next in self._waiting:
                ready, _ = self._waiting[self._next]
                try:
                    await self._publish(ready)
                except RedisError as error:
                    raise _publish_error(error) from error
                self._finish(self._next)
                self._next += 1
        while not done.done():
            await asyncio.wait([done], timeout=_GAP_TIMEOUT_S)
            if not done.done():
                await self.resume()  # another owner recorded what comes before: read it from the log

    def _finish(self, index: int) -> None:
        _, done = self._waiting.pop(index)
        if not done.done():
            done.set_result(None)

    async def _publish(self, entry: Entry) -> int:
        try:
            thesis = publication(entry, self._partitions)
        except Exception as error:  # noqa: BLE001  one record must not keep all later decisions from being published
            where = address(entry.index, entry.partition, self._partitions)
            _log.warning(f"Record {where} cannot be published ({in_short(error)}); see `llmctx show {where}`")
            return 0
        if thesis is None:
            return 0
        partition = entry.partition
        published: int = await _PUBLISH(
            self._redis,
            [
                keys.decisions(partition),
                keys.latest(partition, thesis.symbol),
                lease_key(partition),
                self._log.key("durable"),
            ],
            [entry.index, thesis.model_dump_json(), KEPT, self._owner, self._last],
        )
        self._last = max(self._last, entry.index)
        return published


def _publish_error(error: RedisError) -> TrailError:
    if str(error).startswith("LEASE"):
        return LeaseError(f"A decision was not published: {error}.", "The current owner publishes it.")
    return TrailError(f"A decision could not be published: {error}", "It is in the trail and is published later.")
