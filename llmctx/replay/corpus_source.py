"""A corpus file as a source of records."""

from collections.abc import AsyncIterator
from pathlib import Path

from llmctx.errors import CorpusError
from llmctx.replay.corpus import BlobCache, Recorded, read_corpus
from llmctx.trail.source.source import Source


class CorpusRecords:
    """A corpus' records of one partition, in the order of the file. They may come from several trails."""

    def __init__(self, partition: int, entries: list[Recorded], blobs: BlobCache) -> None:
        self.partition = partition
        """The partition."""
        self._entries = entries
        self._blobs = blobs

    async def size(self) -> int:
        """One more than the highest index."""
        return max(entry.index for entry in self._entries) + 1

    async def count(self, start: int = 0, stop: int | None = None) -> int:
        """The number of records in a range of indices."""
        return len([entry async for entry in self.read(start, stop)])

    async def entry(self, index: int) -> Recorded | None:
        """The record at an index, None if there is none.

        Raises CorpusError if several trails have one there.
        """
        found = [entry async for entry in self.read(index, index + 1)]
        if len(found) > 1:
            trails = ", ".join(sorted(entry.origin or "an unknown trail" for entry in found))
            raise CorpusError(
                f"The corpus has {len(found)} records {self.partition}:{index}, of {trails}.",
                "Read it from one of these trails, or from an export.",
            )
        return found[0] if found else None

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncIterator[Recorded]:
        """The records of a range of indices."""
        for entry in self._entries:
            if start <= entry.index and (stop is None or entry.index < stop):
                yield entry

    async def read_back(self, stop: int | None = None) -> AsyncIterator[Recorded]:
        """The records below `stop` (None: all), newest first."""
        found = [entry async for entry in self.read(0, stop)]
        for entry in sorted(found, key=lambda one: (one.record["recorded_at_ms"], one.index), reverse=True):
            yield entry

    async def read_back_of(self, symbol: str) -> AsyncIterator[Recorded]:
        """A symbol's records, newest first."""
        async for entry in self.read_back():
            if entry.record.get("symbol") == symbol:
                yield entry

    async def blob(self, digest: str) -> bytes | None:
        """The blob with this digest, None if it is missing."""
        return self._blobs.get(digest)


def corpus_source(path: Path) -> Source:
    """A corpus file as a source.

    Raises CorpusError if the file is not a corpus or was changed.
    """
    corpus = read_corpus(path)
    by_partition: dict[int, list[Recorded]] = {}
    for entry in corpus.entries:
        by_partition.setdefault(entry.partition, []).append(entry)
    parts = [CorpusRecords(number, entries, corpus.blobs) for number, entries in sorted(by_partition.items())]
    return Source(f"the corpus {path}", "", parts, max(by_partition, default=0) + 1)
