"""One decision now: made here if the partition is free, otherwise by its owner."""

from llmctx import clock
from llmctx.context.marks import Mark
from llmctx.context.tick import Tick
from llmctx.errors import LeaseError
from llmctx.pipeline import DecisionConfig
from llmctx.schema.keys import partition_of
from llmctx.tasks import pause
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.log import Log
from llmctx.worker.home import TrailHome
from llmctx.worker.partition import own_partition
from llmctx.worker.ticks import raise_tick


async def decide_once(
    home: TrailHome,
    symbol: str,
    config: DecisionConfig,
    *,
    confirmation: Mark | None = None,
    timeout_s: float = 90.0,
    only_here: tuple[str, ...] = (),
) -> Entry:
    """Decide on a symbol now and return the record: here if the partition is free, otherwise through its owner.

    With a `confirmation` its price is believed first, and a notice says who confirmed it. `only_here` names options
    that an owner would ignore.

    Raises LeaseError if the owner has not settled the tick within `timeout_s`; the tick then stays raised. Raises it
    too if there is an owner and `only_here` names options; then no tick is raised.
    """
    tick = Tick.by_hand(symbol)
    if confirmation is not None:
        tick = tick.model_copy(update={"cause": "price_confirmed", "confirmation": confirmation})
    partition = partition_of(symbol, home.instance.partitions)
    log = Log(home.redis, partition)
    entry_id: str | None = None
    ends_s = clock.monotonic_s() + timeout_s
    while True:
        try:
            async with own_partition(home, partition, config) as (owner, pipeline):
                if confirmation is not None:
                    await pipeline.confirm(tick, await owner.metadata())
                return await pipeline.decide(tick, entry_ids=(entry_id,) if entry_id else ())
        except LeaseError as error:
            if only_here:
                raise LeaseError(
                    f"{error.what} It decides with its own settings and would ignore {', '.join(only_here)}.",
                    "Leave these options out, or stop the service first.",
                ) from error
            if clock.monotonic_s() > ends_s:
                raise LeaseError(
                    f"{error.what} It has not settled the tick {tick.id} within {timeout_s:g} s.",
                    "The tick stays raised; `llmctx status` shows the backlog.",
                ) from error
        if entry_id is None:
            entry_id = await raise_tick(home.redis, partition, tick)
        # The owner may settle the tick, or die and leave the lease to us: check for both.
        for _ in range(20):
            index = (await log.settled([tick.id]))[0]
            if index is not None:
                entry = await log.entry(index)
                assert entry is not None
                return entry
            await pause(0.05)
