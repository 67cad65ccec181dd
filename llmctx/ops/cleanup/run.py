"""A whole cleanup, step by step: single live keys and the result files of old replays; `lists` has the other steps."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx import clock
from llmctx.connection.streams import read_stream_back
from llmctx.errors import ServerError
from llmctx.ops.cleanup.lists import remove_consumers, remove_stale, trim_streams
from llmctx.ops.cleanup.scope import Scope, Tally
from llmctx.replay.results import RESULTS
from llmctx.schema import keys
from llmctx.schema.keys import BY_SECTION, DAY_S, FAMILIES

REPLAYS_KEPT_DAYS = 30
"""How long the results of a replay are kept by default after their last write."""
_HEAD_BYTES = 4096
_MIN_AGE_MS = 3_600_000
"""Anything younger may belong to a position that is just being opened."""
_CLOSED_READ = 10_000
_POSITION = BY_SECTION["position"]


async def _expire_lasting(scope: Scope, tally: Tally) -> None:
    """Give each key that should expire, and does not, the TTL of its family; a plain SET removes it again."""
    for family in FAMILIES:
        if family.lifetime_s is None or family.section in scope.read_only:
            continue
        async for key, _ in scope.keys_of(family):
            if await scope.redis.ttl(key) != -1:
                continue
            size = await scope.redis.memory_usage(key)
            if not scope.apply or await scope.redis.expire(key, family.lifetime_s, nx=True):
                tally.add(key, size or 0)


async def _remove_closed(scope: Scope, tally: Tally) -> None:
    """Remove monitoring and signals of positions that are closed.

    An exit signal without a position is about a closed one. Any other signal may open the next one, unless its symbol's
    position was closed after it. Where another system writes the positions, whether one is closed is unknown.
    """
    if "position" in scope.read_only:
        return
    closed_ms = await _closing_times(scope)
    for family in (BY_SECTION["monitoring"], BY_SECTION["signals"]):
        if family.section in scope.read_only:
            continue
        async for key, parts in scope.keys_of(family):
            value = await scope.read(key, family)
            if value is None or value.written_ms is None or value.written_ms > scope.now_ms - _MIN_AGE_MS:
                continue
            about_closed = parts.get("signal_type", "exit") == "exit"
            if about_closed or value.written_ms <= closed_ms.get(parts["symbol"], -1):
                await scope.remove(tally, key, value.raw, _POSITION.key(parts["symbol"]))


async def _closing_times(scope: Scope) -> dict[str, int]:
    """When each symbol's position was last closed, as far as the paper broker noted it."""
    found: dict[str, int] = {}
    if await scope.redis.type(keys.CLOSED) != b"stream":
        return found
    for entry in await read_stream_back(scope.redis, keys.CLOSED, count=_CLOSED_READ):
        symbol = entry.fields.get(b"symbol", b"").decode(errors="replace")
        try:
            closed_ms = clock.to_ms(clock.parse_iso(entry.fields.get(b"exit_time", b"").decode()))
        except ValueError:
            continue
        found.setdefault(symbol, closed_ms)  # newest first
    return found


_STEPS = {
    "expire": _expire_lasting,
    "closed_positions": _remove_closed,
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
