"""Have a partition trimmed: here if it is free, otherwise by its owner."""

from typing import cast

from redis.exceptions import RedisError

from llmctx import clock
from llmctx.connection import pause
from llmctx.errors import ArchiveError, LeaseError, TrailError
from llmctx.schema.keys import ticks
from llmctx.trail.archive.archived_range import ArchivedRange
from llmctx.trail.log.lease import SEE_REDIS
from llmctx.trail.log.log import Log
from llmctx.trail.proof.checkpoint import origin_of
from llmctx.trail.proof.writer import Writer
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner

_TIMEOUT_S = 120.0
_POLL_S = 0.1


async def note_and_trim(home: TrailHome, partition: int, found: ArchivedRange, writer: Writer) -> int:
    """Append the notice that a range is archived and trim the log, or have its owner do so; returns how many records
    are gone.

    Raises ArchiveError if the owner refuses, LeaseError if it does not answer, TrailError if the server does not.
    """
    log, entry_id = Log(home.redis, partition), ""
    ends_s = clock.monotonic_s() + _TIMEOUT_S
    while True:
        try:
            async with Owner(home, partition) as owner:
                return await owner.archiving.archived(found)
        except LeaseError as error:
            if clock.monotonic_s() > ends_s:
                raise LeaseError(f"{error.what} It has not trimmed the log.", "Run `llmctx archive` again.") from error
        entry_id = entry_id or await _ask(home, partition, found, writer)
        for _ in range(20):
            if await log.first() >= found.after.size:
                return found.after.size - found.first
            if await _is_done(home, partition, entry_id):
                if await log.first() >= found.after.size:
                    return found.after.size - found.first
                raise ArchiveError(
                    f"The owner of partition {partition} did not trim records {found.first} to {found.after.size - 1}.",
                    "They are archived and stay in Redis; the owner's log says why.",
                    exit_code=3,
                )
            await pause(_POLL_S)


async def _ask(home: TrailHome, partition: int, found: ArchivedRange, writer: Writer) -> str:
    request = found.request(writer, origin_of(home.instance.id, partition))
    try:
        return cast("bytes", await home.redis.xadd(ticks(partition), request)).decode()  # type: ignore[arg-type]
    except RedisError as error:
        raise TrailError(f"The owner could not be asked to trim the log: {error}", SEE_REDIS) from error


async def _is_done(home: TrailHome, partition: int, entry_id: str) -> bool:
    """Whether the owner has taken the request out of the stream."""
    try:
        return not await home.redis.xrange(ticks(partition), entry_id, entry_id)
    except RedisError as error:
        raise TrailError(f"The tick stream could not be read: {error}", SEE_REDIS) from error
