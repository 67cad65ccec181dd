"""Have a partition trimmed: here if it is free, otherwise by its owner."""

from llmctx.errors import ArchiveError
from llmctx.trail.archive.archived_range import REQUEST, ArchivedRange
from llmctx.trail.log.log import Log
from llmctx.trail.proof.request import sign_request
from llmctx.trail.proof.writer import Writer
from llmctx.worker.home import TrailHome
from llmctx.worker.requests import ask_owner


async def note_and_trim(home: TrailHome, partition: int, found: ArchivedRange, writer: Writer) -> int:
    """Append the notice that a range is archived and trim the log, or have its owner do so; returns how many records
    are gone.

    Raises ArchiveError if the owner refuses, LeaseError if it does not answer, TrailError if the server does not.
    """
    log, end = Log(home.redis, partition), found.after.size

    async def trimmed() -> int | None:
        return end - found.first if await log.first() >= end else None

    entry = sign_request(REQUEST, found.model_dump(mode="json"), writer, home.instance.id, partition)
    removed = await ask_owner(home, partition, entry, lambda owner: owner.archiving.archived(found), trimmed)
    if removed is None:
        raise ArchiveError(
            f"The owner of partition {partition} did not trim records {found.first} to {end - 1}.",
            "They are archived and stay in Redis; the owner's log says why.",
            exit_code=3,
        )
    return removed
