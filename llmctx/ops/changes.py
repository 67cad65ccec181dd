"""Follow a symbol's package as it changes."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx import clock
from llmctx.context.facts import facts_of
from llmctx.context.package import Package, build_package
from llmctx.context.read_rules import ReadRules
from llmctx.context.reader import read_snapshot
from llmctx.errors import ServerError
from llmctx.schema.keys import UPDATES

_POLL_INTERVAL_S = 0.5
"""Collectors that write with a plain SET announce nothing, so the package is polled as well."""


class Change(NamedTuple):
    """A fact that changed."""

    path: str
    """Its path; the section's name if its status changed."""
    before: Any
    """The old value; None if there was none."""
    after: Any
    """The new value; None if it was removed."""


async def follow_package(
    redis: Redis, symbol: str, partition: int, rules: ReadRules, seconds: float | None = None
) -> AsyncIterator[tuple[Package, list[Change]]]:
    """Yield the package now, and again whenever a fact or a status changes, for `seconds` (None: without end).

    Raises SnapshotError or ServerError if the server does not answer.
    """
    ends_s = None if seconds is None else clock.monotonic_s() + seconds
    known: dict[str, Any] | None = None
    async with redis.pubsub() as channel:
        try:
            await channel.psubscribe(f"{UPDATES}*")
            while ends_s is None or clock.monotonic_s() < ends_s:
                package = build_package(await read_snapshot(redis, symbol, partition, rules))
                facts = _facts(package)
                changes = [] if known is None else _changes(known, facts)
                if known is None or changes:
                    known = facts
                    yield package, changes
                await channel.get_message(ignore_subscribe_messages=True, timeout=_POLL_INTERVAL_S)
                while await channel.get_message(ignore_subscribe_messages=True, timeout=0):
                    pass  # one read covers every update announced so far
        except (RedisError, TimeoutError) as error:
            raise ServerError(f"Updates cannot be followed: {error}", "See that Redis answers.") from error


def _facts(package: Package) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for section in package.sections.values():
        found[section.name] = str(section.status)
        found |= {fact.path: fact.value for fact in facts_of(section)}
    return found


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    paths = [*after, *(path for path in before if path not in after)]
    return [Change(path, before.get(path), after.get(path)) for path in paths if before.get(path) != after.get(path)]
