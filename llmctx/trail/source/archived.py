"""The records of one partition of an archive, read as `Records` are."""

from collections.abc import AsyncIterator

from llmctx import canonical
from llmctx.trail.archive.reader import Archive
from llmctx.trail.export.reader import Part
from llmctx.trail.log.entry import Entry
from llmctx.trail.source.source import source_errors


class ArchiveRecords:
    """One partition of an archive. Every method raises TrailError if a file is not what its manifest says."""

    def __init__(self, archive: Archive, part: Part) -> None:
        self._archive = archive
        self._part = part
        self.partition = part.partition
        """The partition."""

    async def size(self) -> int:
        """One more than the last archived index."""
        return self._part.size

    async def count(self, start: int = 0, stop: int | None = None) -> int:
        """The number of archived records in a range, lost ones included."""
        return len(range(max(start, self._part.first), self._end(stop)))

    async def entry(self, index: int) -> Entry | None:
        """The record at an index, None if it is not here."""
        with source_errors(self._archive.name):
            return self._archive.entry(self._part, index)

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncIterator[Entry]:
        """The records of a range, in order."""
        with source_errors(self._archive.name):
            for entry in self._archive.entries(self._part, start=start, stop=stop):
                yield entry

    async def read_back(self, stop: int | None = None) -> AsyncIterator[Entry]:
        """The records below `stop` (None: all), newest first."""
        with source_errors(self._archive.name):
            for entry in self._archive.entries_back(self._part, self._end(stop)):
                yield entry

    async def read_back_of(self, symbol: str) -> AsyncIterator[Entry]:
        """A symbol's records, newest first."""
        named = b'"symbol":' + canonical.dumps(symbol)  # avoids reading the evidence of all others
        with source_errors(self._archive.name):
            for entry in self._archive.entries_back(self._part, self._part.size, named):
                if entry.record.get("symbol") == symbol:
                    yield entry

    async def blob(self, digest: str) -> bytes | None:
        """The blob with this digest, None if it is missing."""
        return self._archive.blob(digest)

    def _end(self, stop: int | None) -> int:
        return self._part.size if stop is None else min(stop, self._part.size)
