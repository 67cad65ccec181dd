"""Sources of recorded decisions, read only: the trail in Redis, an export, a corpus file."""

import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

from llmctx.errors import CorpusError
from llmctx.replay.corpus import BlobCache, Recorded, read_corpus
from llmctx.replay.selection import Selection
from llmctx.trail.export.reader import Export
from llmctx.trail.log import unreadable
from llmctx.trail.log.entry import Entry, named_blobs
from llmctx.trail.log.leaf_schema import FaultError
from llmctx.trail.log.log import Log

_log = logging.getLogger(__name__)


class Source(Protocol):
    """A place to read recorded decisions from."""

    name: str
    """What it is, for messages."""
    blobs: BlobCache
    """The blobs named by the records read so far."""

    def read(self, selection: Selection) -> AsyncIterator[Recorded]:
        """Read records in order: at least those selected, regardless of the limit. Each one's blobs come first."""
        ...

    async def count(self, selection: Selection) -> int:
        """Return an upper bound of the number of records selected, for a progress bar."""
        ...


async def select(source: Source, selection: Selection) -> AsyncIterator[Recorded]:
    """Read the selected records, up to the limit."""
    count = 0
    async for entry in source.read(selection):
        if selection.includes(entry):
            yield entry
            count += 1
            if count == selection.limit:
                return


class CorpusSource:
    """A corpus file."""

    def __init__(self, path: Path) -> None:
        """Raises CorpusError if the file is not a corpus or was changed."""
        corpus = read_corpus(path)
        self.name = f"the corpus {path}"
        self.blobs = corpus.blobs
        self._entries = corpus.entries

    async def read(self, selection: Selection) -> AsyncIterator[Recorded]:  # noqa: ARG002  all is in memory
        """Read every record."""
        for entry in self._entries:
            yield entry

    async def count(self, selection: Selection) -> int:
        """Return the number of records selected, regardless of the limit."""
        return len([entry for entry in self._entries if selection.includes(entry)])


class LogSource:
    """The trail in Redis."""

    def __init__(self, logs: Sequence[Log], origin: str) -> None:
        self.name = f"the trail {origin}"
        self.blobs = BlobCache()
        self._logs = logs
        self._origin = origin

    async def read(self, selection: Selection) -> AsyncIterator[Recorded]:
        """Read the selected records.

        Raises TrailError if the server does not answer.
        """
        for log in self._logs:
            if selection.partition not in (None, log.partition):
                continue
            async for entry in log.read(selection.first, selection.stop):
                if _is_usable(entry, selection):
                    for digest in named_blobs(entry.record):
                        if digest not in self.blobs and (blob := await log.blobs.blob(digest)) is not None:
                            self.blobs.add(digest, blob)
                    yield Recorded.of(entry, self._origin)

    async def count(self, selection: Selection) -> int:
        """Return the number of records in the index range."""
        sizes = [await log.size() for log in self._logs if selection.partition in (None, log.partition)]
        return sum(len(range(size)[selection.first : selection.stop]) for size in sizes)


class ExportSource:
    """A folder that `llmctx export` wrote. Its records are not verified against the checkpoints here."""

    def __init__(self, directory: Path) -> None:
        """Raises ExportError if the folder is not an export, CorpusError if it is malformed."""
        self.name = f"the export {directory}"
        self.blobs = BlobCache()
        try:
            self._export = Export(directory)
        except FaultError as broken:
            raise _malformed(directory, broken) from broken

    async def read(self, selection: Selection) -> AsyncIterator[Recorded]:
        """Read the selected records in order.

        Raises CorpusError at the first malformed line.
        """
        export = self._export
        try:
            for part in export.parts:
                for entry in export.entries(part, export.lost(part)):
                    if _is_usable(entry, selection):
                        self._fetch_blobs(entry)
                        yield Recorded.of(entry, export.origin)
        except FaultError as broken:
            raise _malformed(export.directory, broken) from broken

    async def count(self, selection: Selection) -> int:
        """Return the number of records in the index range."""
        return sum(len(range(part.size)[selection.first : selection.stop]) for part in self._export.parts)

    def _fetch_blobs(self, entry: Entry) -> None:
        for digest in named_blobs(entry.record):
            if digest not in self.blobs and (blob := self._export.blob(digest)) is not None:
                self.blobs.add(digest, blob)


def _is_usable(entry: Entry, selection: Selection) -> bool:
    """Whether a record is selected and can be read; one that cannot is named and left out."""
    included = selection.includes(entry)
    if not included and (entry.record["kind"] != unreadable.KIND or not selection.spans(entry)):
        return False
    if entry.unreadable is not None:
        why = entry.unreadable.why
        _log.warning(f"Record {entry.index} of partition {entry.partition} cannot be read: {why}; it is left out")
        return False
    return included


def _malformed(directory: Path, broken: FaultError) -> CorpusError:
    return CorpusError(
        f"{directory} cannot be replayed: {broken.fault}.",
        f"Run `llmctx verify {directory}` to find out more.",
        exit_code=1,
    )
