"""A source: one place that records are read from, whatever stores them. Every mere reader of the trail takes one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from llmctx.errors import TrailError
from llmctx.trail.log.leaf_schema import FaultError
from llmctx.trail.log.records import Records

if TYPE_CHECKING:
    from llmctx.trail.archive.reader import Archive
    from llmctx.trail.export.reader import Export, Part

AnyCopy = TypeVar("AnyCopy", bound="Export | Archive")


class CopiedRecords(Generic[AnyCopy]):
    """One partition of a copy."""

    def __init__(self, copy: AnyCopy, part: "Part") -> None:
        self._copy = copy
        self._part = part
        self.partition = part.partition
        """The partition."""

    async def size(self) -> int:
        """One more than the last index."""
        return self._part.size

    async def count(self, start: int = 0, stop: int | None = None) -> int:
        """The number of records in a range, lost ones included."""
        return len(range(max(start, self._part.first), self._end(stop)))

    async def blob(self, digest: str) -> bytes | None:
        """The blob with this digest, None if it is missing."""
        return self._copy.blob(digest)

    def _end(self, stop: int | None) -> int:
        return self._part.size if stop is None else min(stop, self._part.size)


class Source(NamedTuple):
    """A place that records are read from."""

    name: str
    """Its name, for messages."""
    origin: str
    """The trail that it holds records of: llmctx/<instance>; empty if they may come from several."""
    parts: Sequence[Records]
    """Its partitions, in order."""
    partitions: int
    """The number of partitions that addresses distinguish; the source may lack records of some."""


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
