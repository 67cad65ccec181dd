"""The live keys in the server: count, age, size and malformed values of each family."""

from collections.abc import AsyncIterator, Iterable
from typing import Any, NamedTuple, cast

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx import canonical, clock
from llmctx.connection import server_ms
from llmctx.context.snapshot import as_of
from llmctx.context.staleness import written_at
from llmctx.context.value import explain
from llmctx.errors import ServerError
from llmctx.schema.keys import BY_SECTION, FAMILIES, Family
from llmctx.trail.log.instance import agreed

_PAGE_KEYS = 200
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


async def count_families(redis: Redis) -> list[FamilyCount]:
    """Count every family of the schema, in its order.

    Ages are measured against the clock that a package would use (server or bars).

    Raises ServerError if the server does not answer.
    """
    try:
        state = cast("bytes | None", await redis.get(BY_SECTION["system"].key()))
        now_ms, _ = as_of(state, await server_ms(redis), await agreed(redis, "clock"))
        return [await _count(redis, family, now_ms) for family in FAMILIES]
    except RedisError as error:
        raise ServerError(f"The keys could not be read: {error}", "See that Redis answers: `llmctx status`.") from error


async def _count(redis: Redis, family: Family, now_ms: int) -> FamilyCount:
    count, memory, invalid, newest = 0, 0, 0, None
    reasons: list[str] = []
    async for page in pages_of(redis, family.key("*", "*")):
        for key, size, found in await _read(redis, page):
            count, memory = count + 1, memory + size
            written_ms, why = _judge(family, found)
            if why is not None:
                invalid += 1
                if len(reasons) < _MAX_REASONS:
                    reasons.append(f"{key}: {why}")
            elif written_ms is not None:
                newest = written_ms if newest is None else max(newest, written_ms)
    age = None if newest is None else max(0, now_ms - newest)
    return FamilyCount(
        section=family.section,
        pattern=family.pattern,
        keys=count,
        newest_age_ms=age,
        invalid=invalid,
        reasons=reasons,
        memory_bytes=memory,
    )


async def pages_of(redis: Redis, pattern: str) -> AsyncIterator[list[bytes]]:
    """The keys that match a pattern, each once, some at a time."""
    page: list[bytes] = []
    seen: set[bytes] = set()  # a scan may return a key twice
    async for key in redis.scan_iter(pattern, count=1000):
        if key not in seen:
            seen.add(key)
            page.append(key)
        if len(page) == _PAGE_KEYS:
            yield page
            page = []
    if page:
        yield page


async def _read(redis: Redis, page: list[bytes]) -> Iterable[tuple[str, int, Any]]:
    """Read the memory and value of each key; the value is the error if it cannot be read."""
    async with redis.pipeline(transaction=False) as reading:
        for key in page:
            reading.memory_usage(key)
            reading.get(key)
        answers = await reading.execute(raise_on_error=False)
    sizes, values = answers[::2], answers[1::2]
    rows = zip(page, sizes, values, strict=True)
    return [(key.decode(errors="replace"), int(size or 0), value) for key, size, value in rows if value is not None]


def _judge(family: Family, found: Any) -> tuple[int | None, str | None]:
    """When a value was written, in ms, or what is wrong with it."""
    if isinstance(found, Exception):
        return None, "is not a string"
    try:
        value = family.model.model_validate(canonical.loads(found))
    except ValidationError as error:
        return None, explain(error)
    except ValueError as error:
        return None, f"not usable JSON: {error}"
    written = written_at(value)
    return None if written is None else clock.to_ms(written), None
