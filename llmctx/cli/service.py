"""The whole service of one process: partitions, memory marks, notary, watch."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from redis.asyncio import Redis

from llmctx.connection import end
from llmctx.settings import Settings
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import Instance

if TYPE_CHECKING:
    from llmctx.worker.session import Asking


class Parts(NamedTuple):
    """What a service does beside deciding."""

    watch: bool = False
    """Whether it raises ticks for positions that other code writes."""
    notary: bool = True
    """Whether it signs."""


async def serve_all(
    redis: Redis,
    url: str,
    instance: Instance,
    settings: Settings,
    asking: "Asking",
    parts: Parts,
    stop: asyncio.Event,
    *,
    on_entry: Callable[[Entry], None],
) -> None:
    """Serve every partition until `stop` is set; then the notary covers what was settled last.

    Raises what a partition or the notary ends with: InstanceError, ForkError, ServerError.
    """
    from llmctx.trail.proof.notary_service import serve_notary
    from llmctx.worker.balancing import Sharing
    from llmctx.worker.memory import MemoryWatch
    from llmctx.worker.session import serve_partition
    from llmctx.worker.watch import Watch

    memory, settled = MemoryWatch(redis), asyncio.Event()
    await memory.judge()  # before the first tick is taken
    sharing = Sharing(redis, instance.partitions)
    await sharing.beat()  # before the first partition is
    beside = [asyncio.create_task(memory.run()), asyncio.create_task(sharing.run())]
    if parts.watch:
        beside.append(asyncio.create_task(Watch(redis, url, instance.partitions).run()))
    serving = [
        asyncio.create_task(
            serve_partition(
                redis, url, instance, partition, asking, stop, state_dir=settings.state_dir,
                concurrency=settings.concurrency, memory=memory, sharing=sharing,
                on_entry=on_entry,
            )
        )
        for partition in range(instance.partitions)
    ]  # fmt: skip
    signing: list[asyncio.Task[None]] = []
    if parts.notary:
        signing = [asyncio.create_task(serve_notary(redis, instance, settings.state_dir, settled))]
    try:
        await _until_done_or_failed(serving, signing)
        settled.set()
        await asyncio.gather(*signing)
    finally:
        await end(*beside, *serving, *signing)


async def _until_done_or_failed(serving: list[asyncio.Task[None]], signing: list[asyncio.Task[None]]) -> None:
    """Wait for those that serve; what one of all of them raises ends the wait."""
    while waiting := [task for task in serving if not task.done()]:
        watched = [*waiting, *(task for task in signing if not task.done())]
        done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    for task in serving:
        task.result()
