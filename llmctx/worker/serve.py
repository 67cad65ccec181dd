"""The whole service of one process: every partition, memory limits, balancing, notary and position watch."""

import asyncio
import gc
import logging
from collections.abc import Callable
from typing import NamedTuple

from llmctx.pipeline import DecisionConfig
from llmctx.tasks import end
from llmctx.trail.log.entry import Entry
from llmctx.trail.proof.key import has_public_key_alone
from llmctx.trail.proof.notary_service import serve_notary
from llmctx.worker.balancing import Balancer
from llmctx.worker.broken_step import Breakdowns, dispensable, kept_going
from llmctx.worker.failures import FailureWatch
from llmctx.worker.home import TrailHome
from llmctx.worker.memory import MemoryWatch
from llmctx.worker.partition import Admission, serve_partition
from llmctx.worker.service_notice import Service
from llmctx.worker.watch import Watch

_log = logging.getLogger(__name__)

_GC_THRESHOLDS = (50_000, 20, 100)


class ServeOptions(NamedTuple):
    """What a service does besides settling ticks, and how much at once."""

    concurrency: int = 32
    """How many symbols of a partition are decided at the same time."""
    watch: bool = False
    """Whether to raise a tick when other code writes a position with a plain SET."""
    notary: bool = True
    """Whether to sign checkpoints."""
    service: Service | None = None
    """The service as its start and stop notices describe it; None for no notices."""
    tune_gc: bool = False
    """Whether to tune Python's garbage collector (see `tune_gc`); leave it off inside another application's process."""


async def serve(
    home: TrailHome,
    config: DecisionConfig,
    stop: asyncio.Event,
    options: ServeOptions = ServeOptions(),  # noqa: B008  frozen
    *,
    on_entry: Callable[[Entry], None] = lambda _: None,
) -> None:
    """Serve every partition until `stop` is set; then settle the ticks raised before it, and sign them.

    `on_entry` is called with each record.

    Raises what a partition or the notary ends with: InstanceError, ForkError, ServerError, KeyFileError,
    BrokenStepError.
    """
    on_entry = _watched(on_entry)
    if options.tune_gc:
        on_entry = _tuned_after_first(on_entry)
    memory, settled = MemoryWatch(home.redis), asyncio.Event()
    balancer = Balancer(home.redis, home.instance.partitions)
    with dispensable("Measuring the server's memory", "It is measured again in a moment"):
        await memory.check()  # before the first tick is taken
    with dispensable("Counting the workers", "They are counted again in a moment"):
        await balancer.beat()  # before the first partition is taken
    breakdowns = Breakdowns(home.instance.partitions)
    running = {"Watching the server's memory": memory.run, "Sharing the partitions with other workers": balancer.run}
    if options.watch:
        watch = Watch(home.redis, home.url, home.instance.partitions, config.rules.sections)
        running["Watching positions"] = watch.run
    beside = [asyncio.create_task(kept_going(what, run)) for what, run in running.items()]
    serving = [
        asyncio.create_task(
            serve_partition(
                home,
                partition,
                config,
                stop,
                admission=Admission(memory, balancer, breakdowns),
                concurrency=options.concurrency,
                service=options.service,
                on_entry=on_entry,
            )
        )
        for partition in range(home.instance.partitions)
    ]
    signing: list[asyncio.Task[None]] = []
    if options.notary:
        signing = [asyncio.create_task(_sign(home, settled))]
    try:
        await _until_done_or_failed(serving, signing)
        settled.set()
        await asyncio.gather(*signing)
    finally:
        await end(*beside, *serving, *signing)


async def _sign(home: TrailHome, settled: asyncio.Event) -> None:
    """Sign checkpoints, unless another process has the instance key; the worker records whoever signs."""
    if has_public_key_alone(home.state_dir, home.instance.id):
        _log.warning(
            f"{home.state_dir} has only the public key of the instance, so no checkpoint is signed here. Run `llmctx "
            "notary` where the private key is (docs/operations.md), and use --no-notary here"
        )
        return
    await serve_notary(home.redis, home.instance, home.state_dir, settled, waits=True)


async def _until_done_or_failed(serving: list[asyncio.Task[None]], signing: list[asyncio.Task[None]]) -> None:
    """Wait until every partition is done; raise at once what any task fails with."""
    while waiting := [task for task in serving if not task.done()]:
        watched = [*waiting, *(task for task in signing if not task.done())]
        done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    for task in serving:
        task.result()


def _watched(on_entry: Callable[[Entry], None]) -> Callable[[Entry], None]:
    """The same callback, behind a watch for calls that fail in a row."""
    failures = FailureWatch()

    def seen(entry: Entry) -> None:
        failures.add(entry)
        on_entry(entry)

    return seen


def tune_gc() -> None:
    """Exempt everything that lives now from garbage collection, and collect less often from here on.

    An idle worker holds over 100,000 tracked objects (modules, schemas, templates) that never become garbage, and a
    full collection stops the event loop for about 100 ms to look at them. This affects the whole process, so only a
    process that does nothing but serve should call it, once it is warmed up. Undo it with `gc.unfreeze()`.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def _tuned_after_first(on_entry: Callable[[Entry], None]) -> Callable[[Entry], None]:
    """The same callback; after the first record, when every module is loaded, it tunes the garbage collector."""
    tuned = False

    def seen(entry: Entry) -> None:
        nonlocal tuned
        on_entry(entry)
        if not tuned:
            tuned = True
            tune_gc()

    return seen
