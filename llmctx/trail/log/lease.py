"""The lease of a partition: who may append to its log, and until when, by the server's clock."""

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from llmctx.connection import server_ms
from llmctx.errors import LeaseError, LlmctxError, NewerFormatError, TrailError, UnreadableRecordError
from llmctx.functions import ServerFunction
from llmctx.limits import MAX_NAME_CHARS
from llmctx.trail.log.index import index_of
from llmctx.version import VERSION

RECORD_FORMAT = 2
"""The format of the records that an owner appends: 1 is llmctx 0.1.0; in 2 `code` names the rules that made a record.
It grows when an older version could not continue the log. The lease keeps the newest one and refuses older owners."""
LEASE_MS = 10_000
"""How long a lease lasts unless it is renewed."""

SEE_REDIS = "Check that Redis answers: `llmctx status`."
"""What to do if Redis does not answer."""
HELD = Path(__file__).with_name("held.lua")
"""The Lua check in front of every function that only the lease's holder may call."""
GROUPS = Path(__file__).with_name("groups.lua")
"""The Lua in front of every function that recreates a stream: consumer groups keep their position."""
_LEASE = ServerFunction(Path(__file__).with_name("lease.lua"))


@contextmanager
def redis_errors(what: str = "The trail could not be read") -> Iterator[None]:
    """Turn the client's exceptions into TrailError; `what` says what failed."""
    try:
        yield
    except RedisError as error:
        raise TrailError(f"{what}: {error}", SEE_REDIS) from error


@contextmanager
def of_another_type() -> Iterator[None]:
    """Leave the block if a key holds a value of another type: whoever can write to Redis can put one there."""
    try:
        yield
    except ResponseError as error:
        if not str(error).startswith("WRONGTYPE"):
            raise


def is_server_trouble(error: Exception) -> bool:
    """Whether an error is the server's or the disk's, so that the same work may succeed later."""
    return isinstance(error, (LlmctxError, RedisError, OSError)) and not isinstance(error, UnreadableRecordError)


class Holder(NamedTuple):
    """The holder of a lease."""

    owner: str
    """The owner's uuid."""
    label: str
    """Its host and process, for people to read."""
    until_ms: int
    """When the lease ends unless it is renewed, in the server's milliseconds; in the past if nobody holds it now."""
    format: int = RECORD_FORMAT
    """The record format that it writes."""
    version: str = VERSION
    """Its version of llmctx."""

    @property
    def is_newer(self) -> bool:
        """Whether it writes a format that this version cannot continue."""
        return self.format > RECORD_FORMAT

    def refusal(self, partition: int) -> TrailError:
        """The error for an owner of this version that was refused the partition."""
        if self.is_newer:
            return NewerFormatError(partition, self.format, self.version, RECORD_FORMAT)
        return LeaseError(
            f"Partition {partition} is held by {self.label}.", "Stop that process, or wait ten seconds if it has died."
        )


class Lease:
    """One owner's claim on one partition. Every method raises TrailError if the server does not answer."""

    def __init__(self, redis: Redis, partition: int, *, length_ms: int = LEASE_MS) -> None:
        self._redis = redis
        self._key = lease_key(partition)
        self._length_ms = length_ms
        self.owner = uuid.uuid4().hex
        """A fresh uuid, so that a process that resumes after losing its lease is another owner."""
        self.label = f"{socket.gethostname()[:MAX_NAME_CHARS]}:{os.getpid()}"
        """Its host and process, for people to read."""

    async def take(self) -> Holder | None:
        """Take or renew the lease: None if it is ours now, otherwise its holder.

        A holder that `is_newer` refuses this version even after its lease has ended, because its format stays.
        """
        return await self._call(self._length_ms)

    async def give_up(self) -> None:
        """Give up the lease, so that the next owner can take it at once; it also expires by itself."""
        await self._call(0)

    async def _call(self, length_ms: int) -> Holder | None:
        with redis_errors(f"The lease {self._key} could not be taken"):
            args = (self.owner, length_ms, self.label, RECORD_FORMAT, VERSION)
            ours, until_ms, *holder = await _LEASE(self._redis, [self._key], args)
        if ours:
            return None
        owner, label, record_format, version = holder
        return Holder(
            owner=owner.decode(errors="replace"),
            label=label.decode(errors="replace"),
            until_ms=until_ms,
            format=record_format,
            version=version.decode(errors="replace"),
        )


def partition_key(partition: int | str, name: str) -> str:
    """The key with this name among those of a partition's trail; `*` stands for every partition in a pattern."""
    return f"audit:{{{partition}}}:{name}"


def lease_key(partition: int) -> str:
    """The key of a partition's lease."""
    return partition_key(partition, "lease")


async def newest_format(redis: Redis, partition: int) -> int:
    """The newest record format that any owner of a partition has written; the lease keeps it."""
    with redis_errors():
        found = await redis.hget(lease_key(partition), "format")
    return 1 if found is None else max(1, index_of(cast("bytes", found)))


async def read_holder(redis: Redis, partition: int) -> Holder | None:
    """The holder of a partition's lease, None if it is free."""
    now_ms = await server_ms(redis)
    fields: dict[bytes, bytes] = {}
    with of_another_type():  # nobody holds it then; the next owner removes it
        fields = cast("dict[bytes, bytes]", await redis.hgetall(lease_key(partition)))
    ends_ms = index_of(fields.get(b"ends_ms", fields.get(b"until_ms", b"0")))
    if ends_ms < now_ms:
        return None
    label = fields.get(b"worker", fields.get(b"label", b""))  # an owner of 0.1.0 names itself in `label`
    return Holder(
        owner=fields.get(b"owner", b"").decode(errors="replace"),
        label=label.decode(errors="replace"),
        until_ms=ends_ms,
        format=max(1, index_of(fields.get(b"format", b"1"))),
        version=fields.get(b"version", b"0.1.0").decode(errors="replace"),
    )
