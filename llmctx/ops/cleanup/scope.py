"""What every step of a cleanup works with: the server, its clock, and a tally."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple, cast

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from llmctx import canonical, clock
from llmctx.connection import server_ms
from llmctx.context.section_values import pages_of
from llmctx.context.snapshot import as_of
from llmctx.context.staleness import written_at
from llmctx.functions import ServerFunction
from llmctx.schema.keys import BY_SECTION, Family

MAX_NAMED = 5
"""How many keys a report names."""
_REMOVE = ServerFunction(Path(__file__).with_name("remove.lua"))


class Tally:
    """Counts what one step does."""

    def __init__(self) -> None:
        self.keys = 0
        """How many keys it changed or removed."""
        self.items = 0
        """How many entries, members, consumers or files it removed besides."""
        self.bytes = 0
        """The memory, or disk space, that they take."""
        self.names: list[str] = []
        """The first of them."""

    def add(self, name: str, size: int, *, items: int = 0) -> None:
        """Count a key or, with `items`, what was removed from it."""
        self.keys += 0 if items else 1
        self.items += items
        self.bytes += size
        if len(self.names) < MAX_NAMED:
            self.names.append(name)


class Value(NamedTuple):
    """A live key's value."""

    raw: bytes
    """The bytes as read."""
    written_ms: int | None
    """When it was written, by its own timestamp; None if it has none or is malformed (`llmctx keys` reports that)."""


class Scope:
    """One cleanup of one server. Every method raises RedisError if the server does not answer."""

    def __init__(
        self, redis: Redis, partitions: int, now_ms: int, *, apply: bool, read_only: frozenset[str] = frozenset()
    ) -> None:
        self.redis = redis
        """The server."""
        self.partitions = partitions
        """How many partitions its trail has."""
        self.now_ms = now_ms
        """The time by the clock that a package would use (server or bars)."""
        self.apply = apply
        """Whether anything is changed; otherwise it is only counted."""
        self.read_only = read_only
        """The sections that another system writes, whose keys are left alone."""

    @classmethod
    async def of(
        cls, redis: Redis, partitions: int, *, apply: bool, read_only: frozenset[str] = frozenset()
    ) -> "Scope":
        """The scope of a cleanup that begins now."""
        state = cast("bytes | None", await redis.get(BY_SECTION["system"].key()))
        now_ms, _ = as_of(state, await server_ms(redis))
        return cls(redis, partitions, now_ms, apply=apply, read_only=read_only)

    async def keys_of(self, family: Family) -> AsyncIterator[tuple[str, dict[str, str]]]:
        """A family's keys, each with its symbol and signal type; names that only look like one are left out."""
        async for page in pages_of(self.redis, family.key("*", "*")):
            for key in page:
                name = key.decode(errors="replace")
                if (parts := family.parts_of(name)) is not None:
                    yield name, parts

    async def read(self, key: str, family: Family) -> Value | None:
        """A key's value, None if it is missing or not a string."""
        try:
            raw = cast("bytes | None", await self.redis.get(key))
        except ResponseError:  # another type
            return None
        if raw is None:
            return None
        try:
            written = written_at(family.model.model_validate(canonical.loads(raw)))
        except (ValidationError, ValueError):
            return Value(raw, None)
        return Value(raw, None if written is None else clock.to_ms(written))

    async def remove(self, tally: Tally, key: str, raw: bytes, *absent: str) -> None:
        """Remove a key that still holds the bytes read, unless the key in `absent` exists."""
        if self.apply:
            size = await _REMOVE(self.redis, [key, *absent], [raw])
        else:
            size = 0 if absent and await self.redis.exists(*absent) else await self.redis.memory_usage(key)
        if size:
            tally.add(key, size)
