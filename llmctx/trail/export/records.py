"""The records of one partition of an export, each found by its index without reading those before it."""

import os
from array import array
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple
from weakref import finalize

from llmctx import canonical
from llmctx.errors import ExportError, ReceiptError
from llmctx.trail.export.reader import Export, Part, read_evidence
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.leaf_schema import Fault, FaultError
from llmctx.trail.proof.receipt import make_receipt
from llmctx.trail.source.source import Source


class ExportRecords:
    """One partition of an export, without the records' proofs; verification reads it line by line instead.

    Every method raises ExportError if the lines of the files do not belong together.
    """

    def __init__(self, export: Export, part: Part) -> None:
        self._export = export
        self._part = part
        self.partition = part.partition
        """The partition."""

    async def size(self) -> int:
        """The number of records, lost ones included."""
        return self._part.size

    async def count(self, start: int = 0, stop: int | None = None) -> int:
        """The number of records in a range, lost ones included."""
        return len(range(self._part.size)[start:stop])

    async def entry(self, index: int) -> Entry | None:
        """The record at an index, None if there is none."""
        with _export_errors(self._export.directory):
            line = bisect_left(self._lines.indices, index)
            if line == len(self._lines.indices) or self._lines.indices[line] != index:
                return None
            return self._at(line)

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncIterator[Entry]:
        """The records of a range, in order."""
        with _export_errors(self._export.directory):
            for line in self._range(start, stop):
                yield self._at(line)

    async def read_back(self, stop: int | None = None) -> AsyncIterator[Entry]:
        """The records below `stop` (None: all), newest first."""
        with _export_errors(self._export.directory):
            for line in reversed(self._range(0, stop)):
                yield self._at(line)

    async def read_back_of(self, symbol: str) -> AsyncIterator[Entry]:
        """A symbol's records, newest first."""
        named = b'"symbol":' + canonical.dumps(symbol)  # spares parsing all others
        with _export_errors(self._export.directory):
            for line in reversed(self._range(0, None)):
                if named in self._lines.leaves.line(line) and (found := self._at(line)).record.get("symbol") == symbol:
                    yield found

    async def blob(self, digest: str) -> bytes | None:
        """The blob with this digest, None if it is missing."""
        return self._export.blob(digest)

    def _range(self, start: int, stop: int | None) -> range:
        """The numbers of the lines that hold the records of a range."""
        indices = self._lines.indices
        end = len(indices) if stop is None else bisect_left(indices, max(stop, 0))
        return range(bisect_left(indices, start), end)

    def _at(self, line: int) -> Entry:
        lines, index = self._lines, self._lines.indices[line]
        evidence = lines.evidence.line(line)
        pieces = partial(_pieces, evidence, index)
        return Entry(lines.leaves.line(line), pieces, index=index, partition=self.partition)

    @cached_property
    def _lines(self) -> "_Lines":
        lost = self._export.lost(self._part)
        folder = self._export.directory / str(self._part.partition)
        leaves, evidence = _LineFile(folder / "leaves.jsonl"), _LineFile(folder / "evidence.jsonl")
        if len(leaves) != len(evidence):
            raise FaultError(Fault(len(leaves), "lines", f"{len(leaves)} lines of evidence", f"{len(evidence)}"))
        total = len(leaves) + len(lost)
        indices: Sequence[int] = [index for index in range(total) if index not in lost] if lost else range(total)
        return _Lines(leaves, evidence, indices)


class _Lines(NamedTuple):
    """The files of a partition."""

    leaves: "_LineFile"
    """A leaf a line."""
    evidence: "_LineFile"
    """Its evidence, on the line of the same number."""
    indices: Sequence[int]
    """The index of the record on each line."""


class _LineFile:
    """A file of lines, each read by its number."""

    def __init__(self, path: Path) -> None:
        """Find where each line begins.

        Raises FaultError if there is no such file, or its last line has no end.
        """
        self._begins = array("Q", [0])
        at, line = 0, b"\n"
        try:
            with path.open("rb") as file:
                for line in file:  # binary mode splits at \n only
                    at += len(line)
                    self._begins.append(at)
            self._file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise FaultError(Fault(0, "lines", f"the file {path.parent.name}/{path.name}", str(error))) from error
        finalize(self, os.close, self._file)
        if not line.endswith(b"\n"):
            raise FaultError(Fault(len(self), "lines", f"whole lines in {path.name}", "a last one without end"))

    def __len__(self) -> int:
        return len(self._begins) - 1

    def line(self, number: int) -> bytes:
        """A line without its end."""
        begin, end = self._begins[number], self._begins[number + 1]
        return os.pread(self._file, end - begin - 1, begin)


def export_source(directory: Path) -> Source:
    """An export as a source. Its records are not verified against the checkpoints here.

    Raises ExportError if the folder is not an export or its manifest is malformed.
    """
    with _export_errors(directory):
        export = Export(directory)
    parts = [ExportRecords(export, part) for part in export.parts]
    return Source(f"the export {export.directory}", export.origin, parts)


def receipt_of(directory: Path, entry: Entry) -> dict[str, Any]:
    """The receipt of a record in an export.

    Raises ReceiptError if no checkpoint covers it, ExportError if the files are malformed.
    """
    with _export_errors(directory):
        export = Export(directory)
        part = export.parts[entry.partition]
        notes, _ = export.notes(part)
        hashes = export.known(part)
        if hashes is None:
            lost = export.lost(part)
            hashes_by_index = lost | {each.index: each.digest for each in export.entries(part, lost)}
            hashes = [hashes_by_index[index] for index in sorted(hashes_by_index)]
    if not notes:
        raise ReceiptError(f"{directory} has no checkpoint.", "Export the trail again after a notary has signed.")
    return make_receipt(entry.leaf, entry.index, hashes, notes[-1])


def _pieces(line: bytes, index: int) -> dict[str, bytes]:
    try:
        return read_evidence(line, index)[0]
    except FaultError as error:
        raise ValueError(str(error.fault)) from error


@contextmanager
def _export_errors(directory: Path) -> Iterator[None]:
    try:
        yield
    except FaultError as broken:
        raise ExportError(
            f"{directory} cannot be read: {broken.fault}.",
            f"Run `llmctx verify {directory}` to find out more.",
            exit_code=1,
        ) from broken
