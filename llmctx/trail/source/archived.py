"""The records of one partition of an archive, read as `Records` are."""

from collections.abc import AsyncIterator

from llmctx import canonical
from llmctx.trail.archive.reader import Archive
from llmctx.trail.log.entry import Entry
from llmctx.trail.source.source import CopiedRecords, source_errors


class ArchiveRecords(CopiedRecords[Archive]):
    """One partition of an archive. Every method raises TrailError if a file is not what its manifest says."""

    async def entry(self, index: int) -> Entry | None:
        """The record at an index, None if it is not here."""
        with source_errors(self._copy.name):
            return self._copy.entry(self._part, index)

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncIterator[Entry]:
        """The records of a range, in order."""
        with source_errors(self._copy.name):
            for entry in self._copy.entries(self._part, start=start, stop=stop):
                yield entry

    async def read_back(self, stop: int | None = None) -> AsyncIterator[Entry]:
        """The records below `stop` (None: all), newest first."""
        with source_errors(self._copy.name):
            for entry in self._copy.entries_back(self._part, self._end(stop)):
                yield entry

    async def read_back_of(self, symbol: str) -> AsyncIterator[Entry]:
        """A symbol's records, newest first."""
        named = b'"symbol":' + canonical.dumps(symbol)  # avoids reading the evidence of all others
        with source_errors(self._copy.name):
            for entry in self._copy.entries_back(self._part, self._part.size, named):
                if entry.record.get("symbol") == symbol:
                    yield entry
