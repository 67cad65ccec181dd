"""One Parquet file of records, read in the order of their indices, forwards and back."""

from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any

from llmctx.trail.archive.columns import EVIDENCE, arrow
from llmctx.trail.log.leaf_schema import Fault, FaultError

if TYPE_CHECKING:
    import pyarrow as pa

ROW = {name: at for at, name in enumerate(EVIDENCE)}
"""The place of each column of the evidence in a row."""
_SLICE_ROWS = 100


class RecordsFile:
    """One Parquet file of records."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    @cached_property
    def _file(self) -> Any:
        arrow()
        from pyarrow import parquet  # noqa: PLC0415  an optional extra

        return parquet.ParquetFile(BytesIO(self._raw))

    @property
    def end(self) -> int:
        """One more than its last index; 0 if it is no Parquet file of records."""
        from pyarrow import ArrowException  # noqa: PLC0415  an optional extra

        try:
            metadata = self._file.metadata
            return int(metadata.row_group(metadata.num_row_groups - 1).column(0).statistics.max) + 1
        except (ArrowException, OSError, AttributeError, TypeError):
            return 0

    def tables(self, first: int, end: int) -> "Iterator[pa.Table]":
        """The evidence of the records with these indices, in order, a row group at a time."""
        arrow()
        from pyarrow import ArrowException  # noqa: PLC0415  an optional extra

        try:
            for group in range(self._file.num_row_groups):
                if self._overlaps(group, first, end):
                    rows = self._group(group)
                    indices = rows.column("index").to_pylist()
                    start, stop = bisect_left(indices, first), bisect_left(indices, end)
                    yield rows.slice(start, stop - start)
        except (ArrowException, OSError, KeyError) as error:
            raise _malformed(first, error) from error

    def rows_back(self, end: int, containing: bytes = b"") -> Iterator[tuple[Any, ...]]:
        """The evidence of the records below `end` whose leaf contains some bytes, newest first."""
        arrow()
        from pyarrow import ArrowException  # noqa: PLC0415  an optional extra

        try:
            for group in reversed(range(self._file.num_row_groups)):
                leaves = self._file.read_row_group(group, columns=["leaf"]).column(0).to_pylist()
                wanted = [leaf is not None and containing in leaf for leaf in leaves]
                if any(wanted):
                    yield from (row for row in _rows_back(self._group(group, wanted)) if row[0] < end)
        except (ArrowException, OSError, KeyError) as error:
            raise _malformed(0, error) from error

    def _group(self, group: int, wanted: list[bool] | None = None) -> "pa.Table":
        """The evidence of the records of a row group, or of those wanted, in order of their indices."""
        rows = self._file.read_row_group(group, columns=list(EVIDENCE), use_threads=False)  # each has a heap of its own
        if wanted is not None and not all(wanted):
            rows = rows.filter(arrow().array(wanted))
        indices = rows.column("index").to_pylist()
        # Only older files have their rows by symbol, and sorting copies all evidence.
        return rows if indices == sorted(indices) else rows.sort_by("index")

    def _overlaps(self, group: int, first: int, end: int) -> bool:
        found = self._file.metadata.row_group(group).column(0).statistics
        return found is None or not found.has_min_max or (found.min < end and found.max >= first)


def rows_of(table: "pa.Table") -> Iterator[tuple[Any, ...]]:
    """The rows of a table of evidence."""
    return zip(*(table.column(name).to_pylist() for name in EVIDENCE), strict=True)


def _rows_back(table: "pa.Table") -> Iterator[tuple[Any, ...]]:
    """The rows of a table of evidence, the last one first, a few at a time: as Python's values they take far more."""
    for stop in range(len(table), 0, -_SLICE_ROWS):
        start = max(0, stop - _SLICE_ROWS)
        yield from reversed(list(rows_of(table.slice(start, stop - start))))


def _malformed(at: int, error: Exception) -> FaultError:
    what = f"{type(error).__name__}: {error}"[:200]
    return FaultError(Fault(at, "lines", "a Parquet file with the columns of a segment", what))
