"""Where recorded decisions are taken from: the trail in Redis, an export, a corpus file. Nothing is written there."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

from llmctx.errors import CorpusError
from llmctx.replay.corpus import Recorded, read_corpus
from llmctx.replay.selection import Selection
from llmctx.trail.export.reader import Export
from llmctx.trail.log.entry import Entry, named_blobs
from llmctx.trail.log.log import Log
from llmctx.trail.proof.fault import FaultError


class Source(Protocol):
    """What can be replayed."""

    name: str
    """What it is, for a reader."""
    blobs: dict[str, bytes]
    """What the records given out so far name by digest."""

    def all(self, selection: Selection) -> AsyncIterator[Recorded]:
        """Every record that is meant, in order, limit aside; its blobs are there before it."""
        ...

    async def count(self, selection: Selection) -> int:
        """How many records that are at most, for a progress bar."""
        ...


async def select(source: Source, selection: Selection) -> AsyncIterator[Recorded]:
    """The records that are meant, at most as many as are wanted."""
    count = 0
    async for entry in source.all(selection):
        if selection.wants(entry):
            yield entry
            count += 1
            if count == selection.limit:
                return


class CorpusSource:
    """A corpus file."""

    def __init__(self, path: Path) -> None:
        """Raises CorpusError where the file is no corpus, or was changed."""
        corpus = read_corpus(path)
        self.name = f"the corpus {path}"
        self.blobs = corpus.blobs
        self._entries = corpus.entries

    async def all(self, selection: Selection) -> AsyncIterator[Recorded]:  # noqa: ARG002  all of it is at hand
        """Every record."""
        for entry in self._entries:
            yield entry

    async def count(self, selection: Selection) -> int:
        """How many records that are."""
        return sum(selection.wants(entry) for entry in self._entries)


class LogSource:
    """The trail in Redis."""

    def __init__(self, logs: Sequence[Log], origin: str) -> None:
        self.name = f"the trail {origin}"
        self.blobs: dict[str, bytes] = {}
        self._logs = logs
        self._origin = origin

    async def all(self, selection: Selection) -> AsyncIterator[Recorded]:
        """The records of the index range; TrailError where the server does not answer."""
        stop = _stop(selection)
        for log in self._logs:
            if selection.partition not in (None, log.partition):
                continue
            async for entry in log.read(selection.first, stop):
                if selection.wants(entry):
                    for digest in named_blobs(entry.record):
                        if digest not in self.blobs and (blob := await log.blob(digest)) is not None:
                            self.blobs[digest] = blob
                    yield Recorded.of(entry, self._origin)

    async def count(self, selection: Selection) -> int:
        """How many records the index range has."""
        sizes = [await log.size() for log in self._logs if selection.partition in (None, log.partition)]
        return sum(len(range(size)[selection.first : _stop(selection)]) for size in sizes)


class ExportSource:
    """A folder that `llmctx export` wrote. Its proof is `llmctx verify`; here each record answers for itself."""

    def __init__(self, directory: Path) -> None:
        """Raises ExportError where the folder is no export, CorpusError where it has another form."""
        self.name = f"the export {directory}"
        self.blobs: dict[str, bytes] = {}
        try:
            self._export = Export(directory)
        except FaultError as broken:
            raise _broken(directory, broken) from broken

    async def all(self, selection: Selection) -> AsyncIterator[Recorded]:
        """The records in order; CorpusError at the first line of another form."""
        export = self._export
        try:
            for part in export.parts:
                for entry in export.entries(part, export.lost(part)):
                    if selection.wants(entry):
                        self._fetch_blobs(entry)
                        yield Recorded.of(entry, export.origin)
        except FaultError as broken:
            raise _broken(export.directory, broken) from broken

    async def count(self, selection: Selection) -> int:
        """How many records the index range has."""
        return sum(len(range(part.size)[selection.first : _stop(selection)]) for part in self._export.parts)

    def _fetch_blobs(self, entry: Entry) -> None:
        for digest in named_blobs(entry.record):
            if digest not in self.blobs and (blob := self._export.blob(digest)) is not None:
                self.blobs[digest] = blob


def _stop(selection: Selection) -> int | None:
    return None if selection.last is None else selection.last + 1


def _broken(directory: Path, broken: FaultError) -> CorpusError:
    return CorpusError(
        f"{directory} cannot be replayed: {broken.fault}.", f"`llmctx verify {directory}` tells more.", exit_code=1
    )
