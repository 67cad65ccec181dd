"""Alerts that no single log record shows: records that wait for a checkpoint, halts, and why a service ended."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx import clock
from llmctx.connection import server_ms
from llmctx.decision.halt import HALTED
from llmctx.errors import ForkError, LlmctxError
from llmctx.limits import MAX_DETAIL_CHARS, cut
from llmctx.ops.doctor.finding import Level
from llmctx.ops.doctor.trail import checkpoint_of
from llmctx.schema import keys
from llmctx.tasks import end, pause
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.log import Log
from llmctx.trail.log.people import NameTable, show_people
from llmctx.visible import visible
from llmctx.worker.controls import ALL, halted

_log = logging.getLogger(__name__)

_CHECKPOINTS_S, _HALTS_S = 30.0, 5.0
_AGAIN_S = 60.0
_FOLLOWS = "No new risk is taken and no model is asked; exits stay possible"


async def watch_checkpoints(redis: Redis, partitions: int) -> None:
    """Log each partition whose newest records wait too long for a checkpoint, every half minute until cancelled."""
    logs = [Log(redis, partition) for partition in range(partitions)]
    while True:
        await pause(_CHECKPOINTS_S)
        with contextlib.suppress(RedisError, LlmctxError):  # the service says so if the server is away
            now_ms = await server_ms(redis)
            for log in logs:
                finding = await checkpoint_of(log, now_ms)
                if finding.level is not Level.GREEN:
                    _log.warning(
                        f"Partition {log.partition}: the checkpoint is late: {finding.what}. {finding.do}",
                        extra={"alert": "unsigned", "subject": str(log.partition)},
                    )


@asynccontextmanager
async def telling_the_end() -> AsyncIterator[None]:
    """Log the error with which a service ends, and let it pass."""
    try:
        yield
    except ForkError as error:
        _log.error(f"The service has ended: {error.what} {error.do}", extra={"alert": "fork"})
        raise
    except LlmctxError as error:
        _log.error(f"The service has ended: {error.what} {error.do}", extra={"alert": "stopped"})
        raise


@asynccontextmanager
async def telling_halts(redis: Redis, names: NameTable) -> AsyncIterator[Callable[[Entry], None]]:
    """Log each halt while it lasts, once a minute, by the names in the table; yields the callback for each record."""
    watch = _HaltWatch(redis, names)
    task = asyncio.create_task(watch.run())
    try:
        yield watch.add
    finally:
        await end(task)


class _HaltWatch:
    """Looks for halt keys, whoever set them; a halt by the system's state shows only in the records."""

    def __init__(self, redis: Redis, names: NameTable) -> None:
        self._redis = redis
        self._names = names
        self._told: dict[str, float] = {}

    def add(self, entry: Entry) -> None:
        for guard in entry.record["verdict"].get("guards", ()):
            if guard["name"] == HALTED and not guard["detail"].startswith(keys.halt()):
                self._tell("system", guard["detail"])

    async def run(self) -> None:
        while True:
            with contextlib.suppress(RedisError, LlmctxError):  # the service says so if the server is away
                for name in await halted(self._redis):
                    key = keys.halt(None if name == ALL else name)
                    self._tell(name, f"{key} is set{await self._said(key)}")
            await pause(_HALTS_S)

    async def _said(self, key: str) -> str:
        """The value of a halt key: who set it and why, if `llmctx halt` did. Any value halts."""
        with contextlib.suppress(RedisError):
            said = cast("bytes | None", await self._redis.get(key))
            show_people(await self._names.rows())  # whoever halts may have been named only just now
            return "" if said is None else f": {cut(visible(said.decode(errors='replace')), MAX_DETAIL_CHARS)}"
        return ""

    def _tell(self, subject: str, what: str) -> None:
        now_s = clock.monotonic_s()
        if now_s - self._told.get(subject, -_AGAIN_S) >= _AGAIN_S:
            self._told[subject] = now_s
            _log.warning(f"{what}. {_FOLLOWS}", extra={"alert": "halt", "subject": subject})
