"""The live keys in the server: count, age, size and malformed values of each family."""

from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.connection import server_ms
from llmctx.context.section_values import read_values
from llmctx.context.snapshot import as_of
from llmctx.context.staleness import Status
from llmctx.errors import ServerError
from llmctx.schema.keys import FAMILIES, Family
from llmctx.schema.mapping.sections import Sections
from llmctx.trail.log.instance import agreed

_MAX_REASONS = 10


class FamilyCount(NamedTuple):
    """The state of one key family."""

    section: str
    """Its section in a package."""
    pattern: str
    """Its key pattern."""
    keys: int
    """Number of keys."""
    newest_age_ms: int | None
    """Age of the newest value by its own timestamp, in milliseconds; None if no value has one."""
    invalid: int
    """Number of malformed values."""
    reasons: list[str]
    """What is wrong with the first ten of them."""
    memory_bytes: int
    """Memory they use in the server, in bytes."""


async def count_families(redis: Redis, sections: Sections | None = None) -> list[FamilyCount]:
    """Count every family of the schema, in its order, and custom sections, each where `sections` places it.

    Ages are measured against the clock that a package would use (server or bars). Raises ServerError if the server does
    not answer.
    """
    families = FAMILIES if sections is None else sections.families
    try:
        state = await _stored(redis, sections)
        now_ms, _ = as_of(state, await server_ms(redis), await agreed(redis, "clock"))
        return [await _count(redis, family, sections, now_ms) for family in families]
    except RedisError as error:
        raise ServerError(f"The keys could not be read: {error}", "See that Redis answers: `llmctx status`.") from error


async def _stored(redis: Redis, sections: Sections | None) -> bytes | None:
    """The bytes of system:state, or of the key mapped to it."""
    async for value in read_values(redis, "system", sections):
        return value.raw.raw
    return None


async def _count(redis: Redis, family: Family, sections: Sections | None, now_ms: int) -> FamilyCount:
    count, memory, invalid, newest = 0, 0, 0, None
    reasons: list[str] = []
    async for value in read_values(redis, family.section, sections):
        count, memory = count + 1, memory + value.memory_bytes
        content = value.content(sections)
        why = [content.reason] if content.status is Status.INVALID else [finding.reason for finding in content.unread]
        if why:
            invalid += 1
            if len(reasons) < _MAX_REASONS:
                reasons.append(f"{value.raw.key}: {why[0]}")
        if content.written_ms is not None:
            newest = content.written_ms if newest is None else max(newest, content.written_ms)
    return FamilyCount(
        section=family.section,
        pattern=family.pattern,
        keys=count,
        newest_age_ms=None if newest is None else max(0, now_ms - newest),
        invalid=invalid,
        reasons=reasons,
        memory_bytes=memory,
    )
