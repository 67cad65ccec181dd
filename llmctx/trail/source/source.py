"""A source: one place that records are read from, whatever keeps them. All that only reads the trail takes one."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from redis.asyncio import Redis

from llmctx.errors import TrailError
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import Instance
from llmctx.trail.log.leaf_schema import FaultError
from llmctx.trail.log.reader import LogReader
from llmctx.trail.proof.checkpoint import key_name_of


class Records(Protocol):
    """One partition's records, read only.

    Every method raises a LlmctxError if the source does not answer or is malformed; what is wrong with one record is a
    value of its entry. Lost records are absent.
    """

    @property
    def partition(self) -> int:
        """The partition."""
        ...

    async def size(self) -> int:
        """One more than the last index."""
        ...

    async def count(self, start: int = 0, stop: int | None = None) -> int:
        """An upper bound of the number of records in a range, for a progress bar."""
        ...

    async def entry(self, index: int) -> Entry | None:
        """The record at an index, None if there is none."""
        ...

    def read(self, start: int = 0, stop: int | None = None) -> AsyncIterator[Entry]:
        """The records from `start` up to but not including `stop` (None: the end), in order."""
        ...

    def read_back(self, stop: int | None = None) -> AsyncIterator[Entry]:
        """The records below `stop` (None: all), newest first."""
        ...

    def read_back_of(self, symbol: str) -> AsyncIterator[Entry]:
        """A symbol's records, newest first."""
        ...

    async def blob(self, digest: str) -> bytes | None:
        """The blob with this digest, None if it is missing."""
        ...


class Source(NamedTuple):
    """A place that records are read from."""

    name: str
    """What it is, for messages."""
    origin: str
    """The trail that it holds records of: llmctx/<instance>; empty if they may come from several."""
    parts: Sequence[Records]
    """Its partitions, in order."""
    partitions: int
    """The number of partitions that addresses tell apart; of some it may hold nothing."""


@contextmanager
def source_errors(name: str) -> Iterator[None]:
    """Turn the fault of a malformed file into a TrailError that names the source."""
    try:
        yield
    except FaultError as broken:
        raise TrailError(
            f"{name} cannot be read: {broken.fault}.",
            f"Run `llmctx verify --from {name}` to find out more.",
            exit_code=1,
        ) from broken


def log_source(redis: Redis, instance: Instance) -> Source:
    """The trail in Redis."""
    parts = [LogReader(redis, partition) for partition in range(instance.partitions)]
    origin = key_name_of(instance.id)
    return Source(f"the trail {origin}", origin, parts, instance.partitions)
