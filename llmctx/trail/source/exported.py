"""The records of one partition of an export, each found by its index without reading those before it."""

import os
from array import array
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple
from weakref import finalize

from llmctx import canonical
from llmctx.trail.export.reader import Export, read_evidence
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.leaf_schema import Fault, FaultError
from llmctx.trail.proof.erasure import Erasure, erased_at
from llmctx.trail.source.source import CopiedRecords, source_errors


class ExportRecords(CopiedRecords[Export]):
    """One partition of an export, without the records' proofs; verification reads it line by line instead.

    Every method raises TrailError if the lines of the files do not belong together.
    """

    async def entry(self, index: int) -> Entry | None:
        """The record at an index, None if there is none."""
        with source_errors(self._copy.name):
            line = bisect_left(self._lines.indices, index)
            if line == len(self._lines.indices) or self._lines.indices[line] != index:
                return None
            return self._at(line)

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncIterator[Entry]:
        """The records of a range, in order."""
        with source_errors(self._copy.name):
            for line in self._range(start, stop):
                yield self._at(line)

    async def read_back(self, stop: int | None = None) -> AsyncIterator[Entry]:
        """The records below `stop` (None: all), newest first."""
        with source_errors(self._copy.name):
            for line in reversed(self._range(0, stop)):
                yield self._at(line)

    async def read_back_of(self, symbol: str) -> AsyncIterator[Entry]:
        """A symbol's records, newest first."""
        named = b'"symbol":' + canonical.dumps(symbol)  # avoids parsing all others
        with source_errors(self._copy.name):
            for line in reversed(self._range(0, None)):
                if named in self._lines.leaves.line(line) and (found := self._at(line)).record.get("symbol") == symbol:
                    yield found

    def _range(self, start: int, stop: int | None) -> range:
        """The numbers of the lines that hold the records of a range."""
        indices = self._lines.indices
        end = len(indices) if stop is None else bisect_left(indices, max(stop, 0))
        return range(bisect_left(indices, start), end)

    def _at(self, line: int) -> Entry:
        lines, index = self._lines, self._lines.indices[line]
        evidence = lines.evidence.line(line)
        pieces = partial(_pieces, evidence, index)
        erasable = erased_at(self._erasures, index)
        return Entry(lines.leaves.line(line), pieces, index=index, partition=self.partition, erasable=erasable)

    @cached_property
    def _erasures(self) -> list[Erasure]:
        return self._copy.erasures(self._part)

    @cached_property
    def _lines(self) -> "_Lines":
        lost = self._copy.lost(self._part)
        folder = self._copy.directory / str(self._part.partition)
        leaves, evidence = _LineFile(folder / "leaves.jsonl"), _LineFile(folder / "evidence.jsonl")
        if len(leaves) != len(evidence):
            raise FaultError(Fault(len(leaves), "lines", f"{len(leaves)} lines of evidence", f"{len(evidence)}"))
        all_indices = range(self._part.first, self._part.first + len(leaves) + len(lost))
        indices: Sequence[int] = [index for index in all_indices if index not in lost] if lost else all_indices
        return _Lines(leaves, evidence, indices)


class _Lines(NamedTuple):
    """The files of a partition."""

    leaves: "_LineFile"
    """One leaf on each line."""
    evidence: "_LineFile"
    """Its evidence, on the line with the same number."""
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


def _pieces(line: bytes, index: int) -> dict[str, bytes]:
    try:
        return read_evidence(line, index)[0]
    except FaultError as error:
        raise ValueError(str(error.fault)) from error
