"""The recorded decisions of a source, with the blobs that they name."""

import logging
from collections.abc import AsyncIterator

from llmctx.replay.corpus import BlobCache, Recorded
from llmctx.replay.selection import Selection
from llmctx.trail.log import unreadable
from llmctx.trail.log.entry import Entry, named_blobs
from llmctx.trail.log.records import Records
from llmctx.trail.source.source import Source

_log = logging.getLogger(__name__)


class Recordings:
    """The recorded decisions of a source. A record that cannot be read is named in a warning and left out."""

    def __init__(self, source: Source) -> None:
        self.name = source.name
        """The source's name, for messages."""
        self.blobs = BlobCache()
        """The blobs named by the records read so far."""
        self.erased = 0
        """How many records were selected but left out, because retention rules erased their evidence."""
        self._source = source

    async def select(self, selection: Selection) -> AsyncIterator[Recorded]:
        """Read the selected records in order, up to the limit. Each one's blobs come first.

        Raises what the source's records raise: TrailError, ExportError.
        """
        count, self.erased = 0, 0
        try:
            for part in self._parts(selection):
                async for entry in part.read(selection.first, selection.stop):
                    if not _is_usable(entry, selection):
                        continue
                    if entry.erased:
                        self.erased += 1
                        continue
                    await self._fetch_blobs(entry, part)
                    yield Recorded.of(entry, self._source.origin)
                    count += 1
                    if count == selection.limit:
                        return
        finally:
            if self.erased:
                _log.warning(f"Records left out because evidence of theirs was erased by rule: {self.erased:,}")

    async def count(self, selection: Selection) -> int:
        """Return an upper bound of the number of records selected, for a progress bar."""
        return sum([await part.count(selection.first, selection.stop) for part in self._parts(selection)])

    def _parts(self, selection: Selection) -> list[Records]:
        return [part for part in self._source.parts if selection.partition in (None, part.partition)]

    async def _fetch_blobs(self, entry: Entry, part: Records) -> None:
        for digest in named_blobs(entry.record):
            if digest not in self.blobs and (blob := await part.blob(digest)) is not None:
                self.blobs.add(digest, blob)


def _is_usable(entry: Entry, selection: Selection) -> bool:
    """Whether a record is selected and readable; an unreadable one is named in a warning and left out."""
    included = selection.includes(entry)
    if not included and (entry.record["kind"] != unreadable.KIND or not selection.spans(entry)):
        return False
    if entry.unreadable is not None:
        why = entry.unreadable.why
        _log.warning(f"Record {entry.index} of partition {entry.partition} cannot be read: {why}; it is left out")
        return False
    return included
