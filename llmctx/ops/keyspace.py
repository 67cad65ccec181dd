"""The live keys as they stand: how many of each family, how old, how large, and which cannot be used."""

from collections.abc import AsyncIterator, Iterable
from typing import Any, NamedTuple, cast

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx import canonical, clock
from llmctx.connection import server_ms
from llmctx.context.content import explain
from llmctx.context.snapshot import as_of
from llmctx.context.staleness import written_at
from llmctx.errors import ServerError
from llmctx.schema.keys import BY_SECTION, FAMILIES, Family

_PAGE = 200
_REASONS_KEPT = 10


class FamilyCount(NamedTuple):
    """One key family as it stands."""

    section: str
    """Its section in a package."""
    pattern: str
    """Its keys."""
    keys: int
    """How many there are."""
    newest_age_ms: int | None
    """How old the newest is by its own timestamp, in milliseconds; None where none carries one."""
    invalid: int
    """How many cannot be used."""
    reasons: list[str]
    """Why, for the first ten of them."""
    memory_bytes: int
    """What they take in the server."""


async def count_families(redis: Redis) -> list[FamilyCount]:
    """Every family of the schema, in its order.

    Ages are judged by the clock that a package would be judged by (DESIGN.md, Clock).

    Raises ServerError when the server does not answer.
    """
    try:
        state = cast("bytes | None", await redis.get(BY_SECTION["system"].key()))
        now_ms, _ = as_of(state, await server_ms(redis))
        return [await _count(redis, family, now_ms) for family in FAMILIES]
    except RedisError as error:
        raise ServerError(f"The keys could not be read: {error}", "See that Redis answers: `llmctx status`.") from error


async def _count(redis: Redis, family: Family, now_ms: int) -> FamilyCount:
    count, memory, invalid, newest = 0, 0, 0, None
    reasons: list[str] = []
    async for page in _pages(redis, family):
        for key, size, found in await _read(redis, page):
            count, memory = count + 1, memory + size
            written_ms, why = _judge(family, found)
            if why is not None:
                invalid += 1
                reasons += [f"{key}: {why}"] if len(reasons) < _REASONS_KEPT else []
            elif written_ms is not None:
                newest = written_ms if newest is None else max(newest, written_ms)
    age = None if newest is None else max(0, now_ms - newest)
    return FamilyCount(family.section, family.pattern, count, age, invalid, reasons, memory)


async def _pages(redis: Redis, family: Family) -> AsyncIterator[list[bytes]]:
    page: list[bytes] = []
    seen: set[bytes] = set()  # a scan may name a key twice
    async for key in redis.scan_iter(family.key("*", "*"), count=1000):
        if key not in seen:
            seen.add(key)
            page.append(key)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page


async def _read(redis: Redis, page: list[bytes]) -> Iterable[tuple[str, int, Any]]:
    """Each key with its memory and its value; an error stands where the value cannot be read."""
    async with redis.pipeline(transaction=False) as reading:
        for key in page:
            reading.memory_usage(key)
            reading.get(key)
        answers = await reading.execute(raise_on_error=False)
    sizes, values = answers[::2], answers[1::2]
    rows = zip(page, sizes, values, strict=True)
    return [(key.decode(errors="replace"), int(size or 0), value) for key, size, value in rows if value is not None]


def _judge(family: Family, found: Any) -> tuple[int | None, str | None]:
    """When a value was written, in ms, or why it cannot be used."""
    if isinstance(found, Exception):
        return None, "is no string"
    try:
        value = family.model.model_validate(canonical.loads(found))
    except ValidationError as error:
        return None, explain(error)
    except ValueError as error:
        return None, f"not usable JSON: {error}"
    written = written_at(value)
    return None if written is None else clock.to_ms(written), None
