"""Have a person's statement recorded."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from llmctx.connection import server_ms
from llmctx.pipeline import DecisionConfig
from llmctx.statement import Act
from llmctx.trail.log.entry import address
from llmctx.trail.log.lease import redis_errors
from llmctx.trail.log.reader import LogReader
from llmctx.trail.proof.request import Request
from llmctx.worker.ask_owner import ask_owner
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner
from llmctx.worker.partition import own_partition
from llmctx.worker.people import REQUEST, check_name, judge


async def say(home: TrailHome, partition: int, act: Act, config: DecisionConfig | None = None) -> str:
    """Have the owner record a person's statement; returns the record's address.

    With a `config`, an approved decision can be judged here if nobody owns the partition. Raises RequestError if it is
    not allowed, LeaseError if the owner does not answer, TrailError if the server does not.
    """
    log = LogReader(home.redis, partition)
    with redis_errors():
        now_ms = await server_ms(home.redis)
    check_name(home.people, act)
    await judge(log, act, now_ms)
    request = Request(what=REQUEST, made_ms=now_ms, body=act.model_dump(mode="json"))

    async def found() -> int | None:
        index = (await log.said([request.id]))[0]
        return index if index is not None and 0 <= index < await log.durable() else None

    async def is_recorded() -> bool:
        return await found() is not None

    own = Owner if config is None else partial(_deciding, config)
    await ask_owner(home, partition, request, is_recorded, own=own)
    return address(await found() or 0, partition, home.instance.partitions)


@asynccontextmanager
async def _deciding(config: DecisionConfig, home: TrailHome, partition: int) -> AsyncIterator[Owner]:
    async with own_partition(home, partition, config) as (owner, _):
        yield owner
