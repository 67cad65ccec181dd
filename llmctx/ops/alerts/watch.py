"""Alerts that no single log record shows: records that wait for a checkpoint, and why a service ended."""

import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.connection import server_ms
from llmctx.errors import ForkError, LlmctxError
from llmctx.ops.doctor.finding import Level
from llmctx.ops.doctor.trail import checkpoint_of
from llmctx.tasks import pause
from llmctx.trail.log.log import Log

_log = logging.getLogger(__name__)

_INTERVAL_S = 30.0


async def watch_checkpoints(redis: Redis, partitions: int, *, interval_s: float = _INTERVAL_S) -> None:
    """Log each partition whose newest records wait too long for a checkpoint, every half minute until cancelled."""
    logs = [Log(redis, partition) for partition in range(partitions)]
    while True:
        await pause(interval_s)
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
