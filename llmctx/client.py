"""The trading system's side of llmctx: raise ticks, await what became of them, follow the decisions, report effects.

It works in any process beside `llmctx run`, with any number of partitions, and needs neither the state directory nor
the model.

    async with open_client() as client:
        settled = await client.decide("AAPL")
        async for decision in client.follow():
            ...  # act on it, and say what came of it
            await client.report_effect(effect)
"""

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from redis.asyncio import Redis

from llmctx import canonical, clock
from llmctx.connection import open_redis
from llmctx.connection.streams import read_stream, read_stream_back
from llmctx.context.tick import Tick
from llmctx.errors import SchemaError, UnsettledError
from llmctx.limits import MAX_EFFECT_BYTES, MAX_TICK_ID_CHARS, MAX_VALUE_BYTES
from llmctx.publication import publication
from llmctx.schema import keys, values
from llmctx.schema.symbol import check_symbol
from llmctx.tasks import pause
from llmctx.trail.log.entry import address
from llmctx.trail.log.instance import Instance, require_instance
from llmctx.trail.log.lease import redis_errors
from llmctx.trail.log.log import Log
from llmctx.worker.ticks import raise_tick

_POLL_S = 0.05
_PAGE = 200


class Settled(NamedTuple):
    """The result of a tick."""

    address: str
    """The record that settled it: INDEX, or P:INDEX if there are several partitions."""
    kind: str
    """decision, failed, skipped, unasked or dead_letter."""
    reason: str
    """The reason for the verdict, or why the tick was skipped."""
    decision: values.Thesis | None
    """The published decision; None if there was no position to decide about."""


class Client:
    """Raises ticks and follows decisions; `open_client` makes one."""

    def __init__(self, redis: Redis, instance: Instance) -> None:
        self._redis = redis
        self._instance = instance

    async def raise_tick(self, symbol: str, *, cause: str = "client", tick_id: str | None = None) -> Tick:
        """Ask for a decision on a symbol and return the tick. Raising the same id again changes nothing.

        Raises SchemaError if the symbol is malformed or the id too long, TrailError if the server does not answer.
        """
        if len(tick_id or "") > MAX_TICK_ID_CHARS:
            what = f"The tick id has {len(tick_id or '')} characters, more than {MAX_TICK_ID_CHARS}."
            raise SchemaError(what, "Choose a shorter one.")
        tick = Tick(id=tick_id or f"client-{uuid.uuid4().hex}", symbol=symbol, cause=cause)
        await raise_tick(self._redis, self._partition(symbol), tick)
        return tick

    async def settled(self, tick: Tick, *, timeout_s: float = 90.0) -> Settled:
        """Wait until a tick is settled and may be acted on, and return its result.

        Raises UnsettledError if that takes longer than `timeout_s`; the tick stays raised. Raises TrailError if the
        server does not answer.
        """
        log = Log(self._redis, self._partition(tick.symbol))
        ends_s = clock.monotonic_s() + timeout_s
        while True:
            index = (await log.settled([tick.id]))[0]
            entry = None if index is None or index >= await log.durable() else await log.entry(index)
            if entry is not None and tick.id in entry.ticks:  # the map alone proves nothing: others may write to it
                decision = publication(entry, self._instance.partitions)
                return Settled(
                    address=address(entry.index, entry.partition, self._instance.partitions),
                    kind=entry.record["kind"],
                    reason=entry.record["verdict"]["reason"],
                    decision=decision if decision is not None and decision.action != "none" else None,
                )
            if clock.monotonic_s() > ends_s:
                raise UnsettledError(tick.id, timeout_s)
            await pause(_POLL_S)

    async def decide(self, symbol: str, *, cause: str = "client", timeout_s: float = 90.0) -> Settled:
        """Raise a tick for a symbol and wait until it is settled; raises as `raise_tick` and `settled` do."""
        return await self.settled(await self.raise_tick(symbol, cause=cause), timeout_s=timeout_s)

    async def follow(self, after: Mapping[int, int] | None = None) -> AsyncIterator[values.Thesis]:
        """Every decision as it is published, in order within a partition; never ends.

        `after` holds the last index that was seen of each partition, so that nothing is missed after a restart;
        partitions that are left out begin with what is published from now on. Whoever acts on decisions does so once
        an address. The action none tells of a tick for which there was no position. Entries that are no decisions are
        left out: `llmctx run` removes and reports them.

        Raises TrailError if the server does not answer.
        """
        seen = [await self._newest(partition) for partition in range(self._instance.partitions)]
        for partition, index in (after or {}).items():
            seen[partition] = index
        while True:
            for partition, last in enumerate(seen):
                first = "-" if last < 0 else f"({last}-1"
                with redis_errors():
                    page = await read_stream(self._redis, keys.decisions(partition), first, count=_PAGE)
                for entry in page:
                    if (decision := _read(entry.fields.get(b"decision", b""))) is not None:
                        yield decision
                    seen[partition] = entry.number
            await pause(_POLL_S)

    async def report_effect(self, effect: values.Effect) -> None:
        """Say what became of a decision: an order that was accepted or refused, each fill of it, its end.

        A fill that no decision asked for, such as a stop at the broker, is reported too, with no address and a reason.
        `llmctx run` records it once by its id, so whoever is not sure that it was reported reports it again. One that
        cannot be recorded (an address that no record has) becomes an incident.

        Raises SchemaError if the symbol is malformed or the effect too large, TrailError if the server does not answer.
        """
        stream, raw = keys.effects(self._partition(check_symbol(effect.symbol))), effect.model_dump_json().encode()
        if len(raw) > MAX_EFFECT_BYTES:
            what = f"The effect {effect.id} has {len(raw)} bytes, more than {MAX_EFFECT_BYTES}."
            raise SchemaError(what, "Shorten its texts and leave out what nobody reads.")
        with redis_errors(f"The effect {effect.id} could not be reported"):
            await self._redis.xadd(stream, {"effect": raw})

    async def _newest(self, partition: int) -> int:
        with redis_errors():
            found = await read_stream_back(self._redis, keys.decisions(partition), count=1)
        return found[0].number if found else -1

    def _partition(self, symbol: str) -> int:
        return keys.partition_of(symbol, self._instance.partitions)


@asynccontextmanager
async def open_client(redis_url: str = "redis://127.0.0.1:6379/0") -> AsyncIterator[Client]:
    """Connect to a trail.

    Raises ServerError if no usable server answers, TrailError if it has no trail yet.
    """
    async with open_redis(redis_url) as redis:
        yield Client(redis, await require_instance(redis))


def _read(text: bytes) -> values.Thesis | None:
    if len(text) > MAX_VALUE_BYTES:
        return None
    try:
        return values.Thesis.model_validate(canonical.loads(text))
    except ValueError:
        return None
