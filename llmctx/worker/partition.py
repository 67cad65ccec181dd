"""One partition: own it, and serve it as long as it is ours."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from llmctx.assets import asset
from llmctx.connection import open_redis
from llmctx.decision.mandate.mandate import Mandate
from llmctx.decision.verdict import GuardPolicy
from llmctx.errors import BrokenStepError, ClockError, ForkError, InstanceError, KeyFileError, ServerError, TrailError
from llmctx.llm.client import EndpointClient
from llmctx.pipeline import DecisionConfig, Pipeline
from llmctx.prompt.template import load_template
from llmctx.tasks import end, pause
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.lease import Holder
from llmctx.trail.log.people import PEOPLE_KEY
from llmctx.worker.balancing import Balancer
from llmctx.worker.broken_step import Breakdowns, dispensable, kept_going, named_step
from llmctx.worker.budget import SharedBudget
from llmctx.worker.effects import EffectRecorder
from llmctx.worker.exposure import Reservations
from llmctx.worker.home import TrailHome, open_home
from llmctx.worker.mandate_notice import note_mandate
from llmctx.worker.memory import MemoryWatch
from llmctx.worker.owner import Owner
from llmctx.worker.service_notice import Service, note_prompts, note_start, note_stop
from llmctx.worker.settler import Settler
from llmctx.worker.ticks import TickStream
from llmctx.worker.trail_clock import TrailClock
from llmctx.worker.unconfirmed import remind

_log = logging.getLogger(__name__)

_RETRY_S = 1.0


class Admission(NamedTuple):
    """What decides whether a partition is held and its ticks are taken; one for all partitions of a process."""

    memory: MemoryWatch
    """Whether the server has memory for more decisions; run by its creator."""
    balancer: Balancer
    """Whether this worker should hold one more partition; whoever made it runs it."""
    breakdowns: Breakdowns
    """How often its partitions broke off."""


async def _named_mandate(home: TrailHome, mandate: Mandate) -> Mandate:
    """The mandate with whoever set it by id; without a name if the table of people cannot be used."""
    if not mandate.by:
        return mandate
    with dispensable(f"Finding who set the mandate in {PEOPLE_KEY}", "The mandate holds, and names nobody"):
        return mandate.set_by(await home.names.id_of(mandate.by))
    return mandate.set_by("")


@asynccontextmanager
async def own_partition(
    home: TrailHome, partition: int, config: DecisionConfig, *, wait: Callable[[Holder], bool] | None = None
) -> AsyncIterator[tuple[Owner, Pipeline]]:
    """Hold a partition from beginning to end; yields its owner and a pipeline that records through it.

    Raises LeaseError if another owner has it and `wait` is None, ForkError if Redis contradicts spool or anchor,
    ClockError if the rules name another clock than the trail has.
    """
    async with Owner(home, partition, wait=wait) as owner:
        trail_clock = TrailClock(home.redis, owner)
        with named_step(f"Finding the clock of partition {partition} in its newest records"):
            config = config._replace(rules=await trail_clock.open(config.rules))
        if config.policy.mandate is not None:
            mandate = await _named_mandate(home, config.policy.mandate)
            config = config._replace(policy=config.policy.model_copy(update={"mandate": mandate}))
            with dispensable("Noting which mandate holds", "It holds all the same, and each verdict names it"):
                await note_mandate(owner, mandate)
        pipeline = Pipeline(
            home.redis,
            config,
            owner.settle,
            partition=partition,
            worker=owner.label,
            memory=owner.memory,
            fix_clock=trail_clock.fix,
            budget=None if config.budget is None else SharedBudget(home.redis, config.budget),
            reserve=Reservations(home.redis, config.policy.mandate, config.rules.sections).reserve,
            people_sha256=owner.people.sha256,
        )
        owner.people.judge_again = pipeline.judge
        yield owner, pipeline


async def serve_partition(
    home: TrailHome,
    partition: int,
    config: DecisionConfig,
    stop: asyncio.Event,
    *,
    service: Service | None = None,
    admission: Admission | None = None,
    concurrency: int = 32,
    on_entry: Callable[[Entry], None] = lambda _: None,
) -> None:
    """Serve a partition until `stop` is set: wait for it, own it, and wait again once it is lost or handed over.

    With a `service` its start and its end are notices.

    What breaks off with an error that nobody foresaw is logged and tried again.

    Raises InstanceError if the server comes back as another one, ForkError if it contradicts spool or anchor,
    BrokenStepError if all partitions break off again and again.
    """
    waiting = _LeaseWait(partition)
    async with _admission_for(home, admission) as given:
        counted = _counted(given.breakdowns, partition, on_entry)
        while not stop.is_set():
            hand_over = given.balancer.take(partition)
            if hand_over is None:
                await pause(_RETRY_S)
                continue
            waiting.began = False
            try:
                with named_step(f"Serving partition {partition}"):
                    async with (
                        own_partition(home, partition, config, wait=waiting.is_worth_it) as (owner, pipeline),
                        open_redis(home.url, retries=0) as reader,
                    ):
                        waiting.seen.clear()
                        release = Reservations(home.redis, config.policy.mandate).release
                        effects = EffectRecorder(owner, home.instance.partitions, counted, release)
                        settler = Settler(
                            home.redis,
                            TickStream(reader, partition, home.ticks_kept_ms, effects.record),
                            owner,
                            pipeline,
                            memory=given.memory,
                            concurrency=concurrency,
                            on_entry=counted,
                        )
                        async with _beside(home, owner, config, service):
                            await settler.run(stop, hand_over)
            except (ClockError, InstanceError, ForkError, KeyFileError):
                raise
            except BrokenStepError as error:
                await given.breakdowns.add(partition, error)
            except (TrailError, ServerError) as error:
                if not waiting.began:
                    waiting.seen.clear()
                    given.breakdowns.tell(partition, error)
            finally:
                given.balancer.give_back(partition)
            if not stop.is_set():
                await pause(_RETRY_S)


def _counted(breakdowns: Breakdowns, partition: int, on_entry: Callable[[Entry], None]) -> Callable[[Entry], None]:
    """The same callback; with each record the partition is served again."""

    def seen(entry: Entry) -> None:
        breakdowns.settled(partition)
        on_entry(entry)

    return seen


@asynccontextmanager
async def _beside(
    home: TrailHome, owner: Owner, config: DecisionConfig, service: Service | None
) -> AsyncIterator[None]:
    """What goes on while ticks are settled: reminders of stops that wait, and the notices about a service."""
    partition = owner.partition
    reminding = partial(remind, home.redis, partition, home.instance.partitions, owner.memory)
    tasks = [asyncio.create_task(kept_going("Reminding of stops that wait", reminding))]
    try:
        if service is not None:
            refs = tuple(template.ref for template in config.prompts.templates)
            with dispensable("Noting that the service starts", "No notice says under which settings it runs"):
                await note_start(owner, service._replace(prompts=refs, people=owner.people.roles))
            watching = partial(note_prompts, owner, config.prompts, refs)
            tasks.append(asyncio.create_task(kept_going("Noting which prompts are asked with", watching)))
        yield
        if service is not None:
            with dispensable("Noting that the service stops", "No notice says so"):
                await note_stop(owner)
    finally:
        await end(*tasks)


class _LeaseWait:
    """Logs each holder of a partition once while we wait for it."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self.seen: set[str] = set()
        self.began = False

    def is_worth_it(self, holder: Holder) -> bool:
        """Always False: give up this attempt, so that the balancer is asked again before the next one."""
        self.began = True
        if holder.label not in self.seen:
            self.seen.add(holder.label)
            if holder.is_newer:
                _log.warning(str(holder.refusal(self._partition)))
            else:
                _log.info(f"partition {self._partition} is held by {holder.label}; waiting for it")
        return False


@asynccontextmanager
async def _admission_for(home: TrailHome, given: Admission | None) -> AsyncIterator[Admission]:
    """The given admission, or by default a memory watch that runs meanwhile and a share of every partition."""
    if given is not None:
        yield given
        return
    memory = MemoryWatch(home.redis)
    await memory.check()  # before the first tick is taken
    watching = asyncio.create_task(memory.run())
    try:
        yield Admission(memory, Balancer(home.redis, home.instance.partitions), Breakdowns())
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
    """Open a pipeline for code that makes its own decisions: `await pipeline.decide(Tick(...))`.

    It holds the trail's only partition until it is closed. If `llmctx run` is running, raise ticks instead.

    Raises ServerError, InstanceError, LeaseError or TemplateError if one of its parts cannot be opened.
    """
    template = load_template(prompts or asset("prompts"), prompt, state_dir)
    client = EndpointClient(base_url, api_key, model, timeout_s=timeout_s)
    try:
        async with open_home(redis_url, state_dir) as home:
            if home.instance.partitions != 1:
                raise TrailError(
                    f"The trail has {home.instance.partitions} partitions, but open_pipeline holds only one.",
                    "Run `llmctx run` and raise ticks on their streams.",
                )
            async with own_partition(
                home, 0, DecisionConfig(template, client, policy=GuardPolicy(mandate=Mandate()))
            ) as (_, pipeline):
                yield pipeline
    finally:
        await client.aclose()
