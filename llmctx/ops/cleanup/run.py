"""A whole cleanup, step by step, and the result files of old replays."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx import clock
from llmctx.errors import ServerError
from llmctx.ops.cleanup.lists import remove_consumers, remove_stale, trim_streams
from llmctx.ops.cleanup.live import expire_lasting, remove_closed
from llmctx.ops.cleanup.scope import Scope, Tally
from llmctx.replay.results import RESULTS
from llmctx.schema.keys import DAY_S

REPLAYS_KEPT_DAYS = 30
"""How long the results of a replay are kept by default after their last write."""
_HEAD_BYTES = 4096
_STEPS = {
    "expire": expire_lasting,
    "closed_positions": remove_closed,
    "stale_lists": remove_stale,
    "streams": trim_streams,
    "consumers": remove_consumers,
}
STEPS = (*_STEPS, "replays")
"""The steps of a cleanup, in their order."""


class CleanupStep(NamedTuple):
    """What one step did, or would do."""

    step: str
    """Its name."""
    keys: int
    """How many keys it changed or removed."""
    items: int
    """How many entries, members, consumers or files it removed besides."""
    bytes: int
    """The memory that they use, or the disk space of files: freed at once, or when the new TTL ends."""
    names: list[str]
    """The first of them."""


async def clean_up(
    redis: Redis,
    partitions: int,
    state_dir: Path,
    *,
    apply: bool,
    replays_kept_days: int = REPLAYS_KEPT_DAYS,
    read_only: frozenset[str] = frozenset(),
) -> AsyncIterator[CleanupStep]:
    """Run every step and yield what it did; with `apply` False, what it would do.

    `read_only` names the sections that another system writes: none of their keys is changed. Raises ServerError if the
    server does not answer, OSError if a file cannot be removed.
    """
    try:
        scope = await Scope.of(redis, partitions, apply=apply, read_only=read_only)
        for name, step in _STEPS.items():
            tally = Tally()
            await step(scope, tally)
            yield _step_of(name, tally)
    except RedisError as error:
        raise ServerError(f"The live keys could not be cleaned up: {error}", "See that Redis answers.") from error
    yield _step_of("replays", _remove_replays(state_dir / "replays", replays_kept_days, apply=apply))


def _step_of(name: str, tally: Tally) -> CleanupStep:
    return CleanupStep(name, tally.keys, tally.items, tally.bytes, tally.names)


def _remove_replays(folder: Path, kept_days: int, *, apply: bool) -> Tally:
    """Remove old results files of replays from a folder; other files there stay."""
    tally = Tally()
    before_s = clock.now_ms() / 1000 - kept_days * DAY_S
    for path in sorted(folder.glob("*.jsonl")) if folder.is_dir() else []:
        status = path.stat()
        with path.open("rb") as file:
            is_results = RESULTS.matches(file.read(_HEAD_BYTES))
        if is_results and status.st_mtime < before_s:
            if apply:
                path.unlink()
            tally.add(str(path), status.st_size, items=1)
    return tally
