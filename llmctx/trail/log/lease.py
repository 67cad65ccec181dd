"""The lease of a partition: who may append to its log, until when, by the server's clock."""

import os
import socket
import uuid
from pathlib import Path
from typing import NamedTuple, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.connection import server_ms
from llmctx.errors import LeaseError, NewerFormatError, TrailError
from llmctx.functions import ServerFunction
from llmctx.version import VERSION

RECORD_FORMAT = 2
"""The format of what an owner appends. 1: llmctx 0.1.0. 2: `code` names the rules that made a record. It grows when an
older version could not continue the log: the lease keeps the newest one, and refuses older owners."""
LEASE_MS = 10_000
"""How long a lease lasts unless it is renewed."""

HELD = Path(__file__).with_name("held.lua")
"""The check that stands before the functions which only a lease's holder may call."""
_LEASE = ServerFunction(Path(__file__).with_name("lease.lua"))


class Holder(NamedTuple):
    """Whoever holds a lease."""

    owner: str
    """Its uuid."""
    label: str
    """What it says of itself: host and process."""
    until_ms: int
    """When the lease ends unless it is renewed, in the server's milliseconds; past where nobody holds it now."""
    format: int = RECORD_FORMAT
    """The record format that it writes."""
    version: str = VERSION
    """Its version of llmctx."""

    @property
    def is_newer(self) -> bool:
        """Whether it writes a format that this version cannot continue."""
        return self.format > RECORD_FORMAT

    def refusal(self, partition: int) -> TrailError:
        """Why an owner of this version may not have the partition."""
        if self.is_newer:
            return NewerFormatError(partition, self.format, self.version, RECORD_FORMAT)
        return LeaseError(
            f"Partition {partition} is held by {self.label}.",
            "Stop that process, or wait ten seconds if it has died.",
        )


class Lease:
    """One owner's claim on one partition."""

    def __init__(self, redis: Redis, partition: int, *, length_ms: int = LEASE_MS) -> None:
        self._redis = redis
        self._key = lease_key(partition)
        self._length_ms = length_ms
        self.owner = uuid.uuid4().hex
        """A fresh uuid: a process that comes back from the dead is another owner."""
        self.label = f"{socket.gethostname()}:{os.getpid()}"
        """What others are told of the owner."""

    async def take(self) -> Holder | None:
        """Take or renew the lease: None where it is ours now, otherwise who holds it.

        A holder that `is_newer` may have ended: its format stays, and keeps this version out.

        Raises TrailError when the server does not answer.
        """
        return await self._call(self._length_ms)

    async def give_up(self) -> None:
        """Let the next owner in at once.

        Raises TrailError when the server does not answer; the lease then ends by itself.
        """
        await self._call(0)

    async def _call(self, length_ms: int) -> Holder | None:
        try:
            told = (self.owner, length_ms, self.label, RECORD_FORMAT, VERSION)
            ours, until_ms, *holder = await _LEASE(self._redis, [self._key], told)
        except RedisError as error:
            raise TrailError(f"The lease {self._key} could not be asked for: {error}", SEE_REDIS) from error
        if ours:
            return None
        owner, label, record_format, version = holder
        return Holder(owner.decode(), label.decode(), until_ms, record_format, version.decode())


SEE_REDIS = "See that Redis answers: `llmctx status`."


def lease_key(partition: int) -> str:
    """The hash that holds a partition's lease."""
    return f"audit:{{{partition}}}:lease"


async def read_holder(redis: Redis, partition: int) -> Holder | None:
    """Whoever holds a partition's lease now, None where it is free."""
    now_ms = await server_ms(redis)
    held = cast("dict[bytes, bytes]", await redis.hgetall(lease_key(partition)))
    ends_ms = int(held.get(b"ends_ms", held.get(b"until_ms", 0)))
    if not held or ends_ms < now_ms:
        return None
    label = held.get(b"worker", held[b"label"])  # an owner of 0.1.0 names itself in `label`
    version = held.get(b"version", b"0.1.0")
    return Holder(held[b"owner"].decode(), label.decode(), ends_ms, int(held.get(b"format", 1)), version.decode())
