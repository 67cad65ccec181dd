"""A session with the trail: everything that a decision needs, opened and closed together."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis

from llmctx.assets import asset
from llmctx.connection import end, open_redis, pause
from llmctx.context.snapshot import ReadRules
from llmctx.decision.guardrail import GuardPolicy
from llmctx.errors import ForkError, InstanceError, ServerError, TrailError
from llmctx.llm.client import EndpointClient
from llmctx.llm.completion import Completer
from llmctx.pipeline import Pipeline
from llmctx.prompt.template import Template, load_template
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import Instance, bind_instance
from llmctx.trail.log.lease import Holder
from llmctx.worker.balancing import Sharing
from llmctx.worker.memory import MemoryWatch
from llmctx.worker.owner import Owner
from llmctx.worker.service import Service
from llmctx.worker.ticks import TickStream

_log = logging.getLogger(__name__)

_LOOK_S = 1.0


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
) -> AsyncIterator[tuple[Owner, Pipeline]]:
    """A partition held from beginning to end, with its pipeline.

    Raises LeaseError where another owner has it and `wait` is None, ForkError where Redis contradicts spool or anchor.
    """
    async with Owner(redis, instance, state_dir, partition, wait=wait) as owner:
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
    memory: MemoryWatch | None = None,
    sharing: Sharing | None = None,
    on_entry: Callable[[Entry], None] = lambda _: None,
) -> None:
    """Serve a partition until `stop` is set: wait for it, own it, and wait again when it is lost or handed over.

    Raises InstanceError where the server comes back as another one, ForkError where it contradicts spool or anchor.
    """
    told: set[str] = set()
    waiting = False

    def held_by(holder: Holder) -> bool:
        nonlocal waiting
        waiting = True
        if holder.label not in told:
            told.add(holder.label)
            if holder.is_newer:
                _log.warning(str(holder.refusal(partition)))
            else:
                _log.info(f"partition {partition} is held by {holder.label}; waiting for it")
        return False

    sharing = sharing or Sharing(redis, instance.partitions)
    async with _watched(redis, memory) as watch:
        while not stop.is_set():
            turn = sharing.take(partition)
            if turn is None:
                await pause(_LOOK_S)
                continue
            waiting = False
            try:
                async with (
                    own(redis, instance, partition, asking, state_dir=state_dir, wait=held_by) as (
                        owner,
                        pipeline,
                    ),
                    open_redis(url, retries=0) as reader,
                ):
                    told.clear()
                    service = Service(
                        redis,
                        TickStream(reader, partition),
                        owner,
                        pipeline,
                        memory=watch,
                        concurrency=concurrency,
                        on_entry=on_entry,
                    )
                    await service.run(stop, turn)
            except (InstanceError, ForkError):
                raise
            except (TrailError, ServerError) as error:
                if not waiting:
                    told.clear()
                    _log.warning(f"{error.what}; trying again")
            finally:
                sharing.give_back(partition)
            if not stop.is_set():
                await pause(_LOOK_S)


@asynccontextmanager
async def _watched(redis: Redis, memory: MemoryWatch | None) -> AsyncIterator[MemoryWatch]:
    """The watch that is given, which its giver runs; otherwise one of our own."""
    if memory is not None:
        yield memory
        return
    watch = MemoryWatch(redis)
    await watch.judge()  # before the first tick is taken
    watching = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        await end(watching)


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
