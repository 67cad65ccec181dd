"""Entries of streams that others may write to, read as one of a consumer group, a bounded number of bytes at a time.

Whatever somebody puts into such a stream, neither the server nor the reader holds much of it at once: a function reads
one entry after the other and returns the beginnings of the fields that count. It cannot wait for entries, so a plain
command does, for a few of them; if it finds as many as it may, the function reads on.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis

from llmctx.functions import Argument, ServerFunction
from llmctx.schema.keys import DECIDERS
from llmctx.worker.tick_group import CONSUMER

RawEntry = tuple[bytes, dict[bytes, bytes] | None]
"""The id of an entry and its fields; None if it was deleted."""
_PAGE, _PAGE_BYTES, _AWAITED = 500, 4 * 2**20, 4
_READ = ServerFunction(Path(__file__).with_name("read_entries.lua"), allow_oom=True)


class EntryReader:
    """Reads streams as the owner of a partition."""

    def __init__(self, redis: Redis, fields: Mapping[str, Mapping[str, int]]) -> None:
        """`fields` has for each stream the fields that count, each with the largest size in bytes that it may have; of
        a larger one a byte more than that is returned. `redis` must not retry.
        """
        self._redis = redis
        self._fields: dict[str, tuple[Argument, ...]] = {
            key: (len(caps), *(each for name, cap in caps.items() for each in (name, cap + 1)))
            for key, caps in fields.items()
        }
        self._may_be_more = True

    async def read(self, wanted: Mapping[str, str], block_ms: int | None) -> dict[str, list[RawEntry]]:
        """The next entries of each stream after an id, or `>` for what nobody was given; none at the end.

        Waits up to `block_ms` for the first, not at all if it is None. Raises RedisError if the server does not answer.
        """
        if block_ms is None or self._may_be_more:
            found = await self._read_now(wanted)
            self._may_be_more = any(len(entries) >= _AWAITED for entries in found.values())
            if block_ms is None or any(found.values()):
                return found
        answer = await self._redis.xreadgroup(
            DECIDERS, CONSUMER, cast("Any", dict(wanted)), count=_AWAITED, block=block_ms
        )
        found = {name.decode(): entries for name, entries in cast("list[tuple[bytes, list[RawEntry]]]", answer or [])}
        self._may_be_more = any(len(entries) == _AWAITED for entries in found.values())
        return found

    async def _read_now(self, wanted: Mapping[str, str]) -> dict[str, list[RawEntry]]:
        places: list[Argument] = []
        for key, after in wanted.items():
            places += (after, *self._fields[key])
        found = await _READ(self._redis, list(wanted), [DECIDERS, CONSUMER, _PAGE, _PAGE_BYTES, *places])
        return {
            key: [
                (entry_id, None if fields is None else dict(zip(fields[::2], fields[1::2], strict=True)))
                for entry_id, fields in entries
            ]
            for key, entries in zip(wanted, found, strict=True)
        }
