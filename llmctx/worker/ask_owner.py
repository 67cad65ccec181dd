"""Have a request fulfilled: here if the partition is free, otherwise by its owner."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

from redis.exceptions import RedisError

from llmctx import clock
from llmctx.connection import server_ms
from llmctx.errors import LeaseError, RequestError, TrailError
from llmctx.schema.keys import ticks
from llmctx.tasks import pause
from llmctx.trail.archive.archived_range import ArchivedRange
from llmctx.trail.log.lease import SEE_REDIS, redis_errors
from llmctx.trail.log.log import Log
from llmctx.trail.proof.checkpoint import origin_of
from llmctx.trail.proof.request import Request
from llmctx.trail.spool.spool import segment_files, spool_directory
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner
from llmctx.worker.requests import FORGET, NOTICE, fulfilled_at

_TIMEOUT_S = 120.0
_POLL_S = 0.1


async def note_and_trim(home: TrailHome, partition: int, found: ArchivedRange) -> int:
    """Have a notice appended that a range is archived, and the log trimmed; returns how many records were trimmed.

    Raises as `ask_owner` does.
    """
    log = Log(home.redis, partition)
    before = await log.first()

    async def is_trimmed() -> bool:
        return await log.first() >= found.after.size

    request = Request(what="trim", made_ms=found.made_ms, body=found.model_dump(mode="json"))
    await ask_owner(home, partition, request, is_trimmed)
    return max(0, found.after.size - before)


async def have_noted(home: TrailHome, partition: int, reason: str, fields: dict[str, Any]) -> int:
    """Have a notice appended to a partition; returns its index. `fields` are JSON without floats.

    Raises as `ask_owner` does.
    """
    with redis_errors():
        made_ms = await server_ms(home.redis)
    request = Request(what=NOTICE, made_ms=made_ms, body={"reason": reason, "fields": fields})
    log, index = Log(home.redis, partition), 0

    async def is_noted() -> bool:
        nonlocal index
        found = await fulfilled_at(log, request)
        index = found or 0
        return found is not None

    await ask_owner(home, partition, request, is_noted)
    await is_noted()
    return index


async def have_forgotten(home: TrailHome, partition: int, below: int) -> None:
    """Have archived records below an index removed from the spool in this state directory, if they are in it.

    Raises RequestError if the owner of the partition has another state directory, otherwise as `ask_owner` does.
    """
    with redis_errors():
        made_ms = await server_ms(home.redis)
    request = Request(what=FORGET, made_ms=made_ms, body={"below": below})
    directory = spool_directory(home.state_dir, home.instance.id, partition)

    async def is_forgotten() -> bool:
        return all(segment.start >= below for segment in segment_files(directory))

    if not await is_forgotten():
        await ask_owner(home, partition, request, is_forgotten)


async def ask_owner(
    home: TrailHome,
    partition: int,
    request: Request,
    is_done: Callable[[], Awaitable[bool]],
    *,
    own: Callable[[TrailHome, int], AbstractAsyncContextManager[Owner]] = Owner,
) -> None:
    """Have a request fulfilled, and wait until `is_done`. `own` holds a partition that is free.

    Raises RequestError if the owner refuses, LeaseError if it does not answer, TrailError if the server does not.
    """
    entry_id = ""
    ends_s = clock.monotonic_s() + _TIMEOUT_S
    while True:
        try:
            async with own(home, partition) as owner:
                return await owner.requests.fulfil(request)
        except LeaseError as error:
            if clock.monotonic_s() > ends_s:
                raise LeaseError(f"{error.what} It has not answered.", "Run the command again.") from error
        entry_id = entry_id or await _ask(home, partition, request)
        for _ in range(20):
            if await is_done():
                return None
            if await _is_answered(home, partition, entry_id):
                if await is_done():
                    return None
                raise RequestError(
                    f"The owner of partition {partition} refused the request for a {request.what}.",
                    "The owner's log says why; nothing was lost.",
                )
            await pause(_POLL_S)


async def _ask(home: TrailHome, partition: int, request: Request) -> str:
    fields = request.fields(home.writer, origin_of(home.instance.id, partition))
    try:
        return cast("bytes", await home.redis.xadd(ticks(partition), fields)).decode()  # type: ignore[arg-type]
    except RedisError as error:
        raise TrailError(f"The owner of partition {partition} could not be asked: {error}", SEE_REDIS) from error


async def _is_answered(home: TrailHome, partition: int, entry_id: str) -> bool:
    """Whether the owner has taken the request out of the stream."""
    try:
        return not await home.redis.xrange(ticks(partition), entry_id, entry_id)
    except RedisError as error:
        raise TrailError(f"The tick stream could not be read: {error}", SEE_REDIS) from error
