"""One partition's records, whatever stores them: the log in Redis, an export, an archive or a corpus."""

from collections.abc import AsyncIterator
from typing import Protocol

from llmctx.trail.log.entry import Entry


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
