"""Stops that wait for a confirmation of their price: reminders while they wait, and their list for `llmctx status`."""

import contextlib
import logging
import uuid

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.context.tick import Tick
from llmctx.decision.stop import STOP_UNCONFIRMED
from llmctx.errors import TrailError
from llmctx.schema import keys
from llmctx.symbols.held import held_symbols
from llmctx.symbols.memory import SymbolMemory
from llmctx.tasks import pause
from llmctx.trail.log.log import Log

_log = logging.getLogger(__name__)

_INTERVAL_S = 60.0


async def remind(redis: Redis, partition: int, partitions: int, memory: SymbolMemory) -> None:
    """Log each stop that waits, every minute until cancelled, and raise a tick: a later price may confirm it."""
    with contextlib.suppress(RedisError, OSError, TrailError):
        await unconfirmed_stops(redis, partition, partitions, memory)
    while True:
        await pause(_INTERVAL_S)
        for symbol, why in sorted(memory.unconfirmed.items()):
            _log.warning(
                f"{symbol}: the stop still waits for a confirmation: {why}",
                extra={"alert": "unconfirmed_stop", "subject": symbol},
            )
            tick = Tick(id=f"unconfirmed-{uuid.uuid4().hex}", symbol=symbol, cause=STOP_UNCONFIRMED)
            with contextlib.suppress(RedisError, OSError):  # the settler says so if the server is away
                await redis.xadd(keys.ticks(partition), tick.fields())


async def unconfirmed_stops(redis: Redis, partition: int, partitions: int, memory: SymbolMemory) -> list[str]:
    """The symbols with a position whose newest record holds a stop that waits for confirmation.

    Raises TrailError if the server does not answer.
    """
    async for symbol in held_symbols(redis, Log(redis, partition), partitions):
        await memory.of(symbol)
    return sorted(memory.unconfirmed)
