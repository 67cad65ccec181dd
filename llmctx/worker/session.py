"""A session with the trail: everything that a decision needs, opened and closed together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx import clock
from llmctx.assets import asset
from llmctx.connection import open_redis
from llmctx.context.snapshot import ReadRules
from llmctx.context.tick import Tick
from llmctx.decision.guardrail import GuardPolicy
from llmctx.errors import ForkError, InstanceError, LeaseError, ServerError, TrailError
from llmctx.llm.client import EndpointClient
from llmctx.llm.completion import Completer
from llmctx.pipeline import Pipeline
from llmctx.prompt.template import Template, load_template
from llmctx.schema.keys import partition_of, ticks
from llmctx.trail.entry import Entry
from llmctx.trail.instance import Instance, bind_instance
from llmctx.trail.lease import Holder
from llmctx.trail.log import Log
from llmctx.worker.owner import Owner
from llmctx.worker.service import Service
from llmctx.worker.ticks import TickStream


class Asking(NamedTuple):
    """How decisions are asked for."""

    template: Template
    """The prompt."""
    completer: Completer
    """Who answers it."""
    rules: ReadRules = ReadRules()
    """What is read, and the limits."""
    policy: GuardPolicy = GuardPolicy()
    """The guardrails."""


def pipeline_of(redis: Redis, owner: Owner, asking: Asking) -> Pipeline:
    """The pipeline whose records an owner settles."""
    return Pipeline(
        redis,
        partition=owner.partition,
        template=asking.template,
        completer=asking.completer,
        settle=owner.settle,
        rules=asking.rules,
        policy=asking.policy,
        worker=owner.label,
    )


@asynccontextmanager
async def own(
    redis: Redis,
    instance: Instance,
    partition: int,
    asking: Asking,
    *,
    state_dir: Path,
    wait: Callable[[Holder], bool] | None = None,
    on_trouble: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[tuple[Owner, Pipeline]]:
    """A partition held from beginning to end, with its pipeline.

    Raises LeaseError where another owner has it and `wait` is None, ForkError where Redis contradicts spool or anchor.
    """
    async with Owner(redis, instance, state_dir, partition, wait=wait, on_trouble=on_trouble) as owner:
        yield owner, pipeline_of(redis, owner, asking)


async def serve_partition(
    redis: Redis,
    url: str,
    instance: Instance,
    partition: int,
    asking: Asking,
    stop: asyncio.Event,
    *,
    state_dir: Path,
    concurrency: int = 32,
    on_entry: Callable[[Entry], None] = lambda _: None,
    on_trouble: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve a partition until `stop` is set: wait for it, own it, and wait again when it is lost.

    Raises ServerError where the server is not there at the start, InstanceError where it comes back as another one,
    ForkError where it contradicts spool or anchor.
    """

    def wait(holder: Holder) -> bool:
        if holder.label not in told:
            told.add(holder.label)
            on_trouble(f"partition {partition} is held by {holder.label}; waiting for it")
        return not stop.is_set()

    told: set[str] = set()
    served = False
    while not stop.is_set():
        try:
            async with (
                own(redis, instance, partition, asking, state_dir=state_dir, wait=wait, on_trouble=on_trouble) as (
                    owner,
                    pipeline,
                ),
                open_redis(url, retries=0) as reader,
            ):
                served = True
                stream = TickStream(reader, partition)
                service = Service(
                    redis,
                    stream,
                    owner,
                    pipeline,
                    concurrency=concurrency,
                    on_entry=on_entry,
                    on_trouble=on_trouble,
                )
                await service.run(stop)
        except (InstanceError, ForkError):
            raise
        except (TrailError, ServerError) as error:
            if isinstance(error, ServerError) and not served:
                raise
            told.clear()
            on_trouble(f"{error.what}; trying again")
            await asyncio.sleep(1)


@asynccontextmanager
async def open_pipeline(
    redis_url: str = "redis://127.0.0.1:6379/0",
    *,
    model: str,
    base_url: str | None = None,
    api_key: str = "none",
    prompt: str = "position",
    prompts: Path | None = None,
    state_dir: Path = Path("var"),
    timeout_s: float = 60.0,
) -> AsyncIterator[Pipeline]:
    """A pipeline of one's own, for code that decides by itself: `await pipeline.decide(Tick(...))`.

    It holds the trail's only partition until the end; beside a running `llmctx run` raise ticks instead.

    Raises ServerError, InstanceError, LeaseError and TemplateError where one of its parts cannot be had.
    """
    template = load_template(prompts or asset("prompts"), prompt)
    client = EndpointClient(base_url, api_key, model, timeout_s=timeout_s)
    try:
        async with open_redis(redis_url) as redis:
            instance, _ = await bind_instance(redis, state_dir)
            if instance.partitions != 1:
                raise TrailError(
                    f"The trail has {instance.partitions} partitions, and a pipeline of one's own holds one.",
                    "Run `llmctx run` and raise ticks on their streams.",
                )
            async with own(redis, instance, 0, Asking(template, client), state_dir=state_dir) as (_, pipeline):
                yield pipeline
    finally:
        await client.aclose()


async def decide_once(
    redis: Redis, instance: Instance, symbol: str, asking: Asking, *, state_dir: Path, timeout_s: float = 90.0
) -> Entry:
    """The record of one decision: made here where the partition is free, otherwise by its owner.

    Raises LeaseError when the owner has not settled it in time; the tick stays raised then.
    """
    tick = Tick.by_hand(symbol)
    partition = partition_of(symbol, instance.partitions)
    log = Log(redis, partition)
    entry_id: str | None = None
    ends_s = clock.monotonic_s() + timeout_s
    while True:
        try:
            async with own(redis, instance, partition, asking, state_dir=state_dir) as (_, pipeline):
                return await pipeline.decide(tick, entry_ids=(entry_id,) if entry_id else ())
        except LeaseError as error:
            if clock.monotonic_s() > ends_s:
                raise LeaseError(
                    f"{error.what} It has not settled the tick {tick.id} within {timeout_s:g} s.",
                    "It stays raised; see `llmctx status`.",
                ) from error
        if entry_id is None:
            entry_id = await _raise_tick(redis, partition, tick)
        # the owner may settle it, or die and leave the lease to us: look for both
        for _ in range(20):
            index = (await log.settled([tick.id]))[0]
            if index is not None:
                entry = await log.entry(index)
                assert entry is not None
                return entry
            await asyncio.sleep(0.05)


async def _raise_tick(redis: Redis, partition: int, tick: Tick) -> str:
    try:
        return cast("bytes", await redis.xadd(ticks(partition), tick.fields())).decode()
    except RedisError as error:
        raise TrailError(f"The tick {tick.id} could not be raised: {error}", "See that Redis answers.") from error
