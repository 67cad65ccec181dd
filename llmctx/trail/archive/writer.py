"""Write the records of a segment as one Parquet file.

Rows stand in the order of their indices: a record is most like those of the same minute and the one before it of the
same symbol, and both are near. A row is stored as its difference from the row above.
"""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

from llmctx.trail.archive.columns import WORDS, arrow, schema, table, table_of_lost
from llmctx.trail.archive.content import ContentDigest
from llmctx.trail.log.entry import Entry

if TYPE_CHECKING:
    import pyarrow as pa

LEVEL = 8
"""The zstd level: 3 takes a third of the time and a quarter more space, 19 saves a tenth and takes 80 times as long."""
GROUP_ROWS = 2000
"""How many records a row group has."""
_PAGE_BYTES = 16 * 1024 * 1024
"""Records repeat each other, so a long page is a fifth smaller than a short one."""
_TEXTS = ("leaf", "snapshot", "messages", "completion")
"""The columns whose rows begin as the rows above them do."""


def open_parquet(file: BinaryIO, of: "pa.Schema") -> Any:
    """A writer of Parquet with this schema, compressed as an archive is.

    Raises ArchiveError if pyarrow is not installed.
    """
    arrow()
    from pyarrow import parquet  # noqa: PLC0415  an optional extra

    return parquet.ParquetWriter(
        file,
        of,
        compression="zstd",
        compression_level=LEVEL,
        use_dictionary=WORDS,
        column_encoding=dict.fromkeys(_TEXTS, "DELTA_BYTE_ARRAY"),
        data_page_size=_PAGE_BYTES,
        write_statistics=["index", "time", "recorded", *WORDS],
    )


class RecordsWriter:
    """Writes one Parquet file into memory; a segment is small enough for that."""

    def __init__(self, first: int, hashes: Mapping[int, bytes]) -> None:
        """`hashes` has the leaf hash of every record in the tree, by index.

        Raises ArchiveError if pyarrow is not installed.
        """
        self._hashes = hashes
        self._file = BytesIO()
        self._writer = open_parquet(self._file, schema())
        self._next = first
        self._waiting: list[Entry] = []
        self._tables: list[pa.Table] = []
        self._rows = 0
        # Hashing and compressing do not hold Python's lock: one group is stored while the next one is read.
        self._storing = ThreadPoolExecutor(1)
        self._unfinished: Future[None] | None = None
        self.digest = ContentDigest()
        """The digest of what it has stored."""
        self.lost = 0
        """How many records are lost so far."""
        self.unreadable = 0
        """How many records cannot be read so far."""

    def add(self, entry: Entry) -> None:
        """Write one record; indices skipped before it are lost."""
        self._add_lost(entry.index)
        if entry.unreadable is not None:
            self.unreadable += 1
        self._waiting.append(entry)
        self._next = entry.index + 1
        if len(self._waiting) == GROUP_ROWS:
            self._flush()

    def finish(self, end: int) -> bytes:
        """The file, with every record below `end`."""
        self._add_lost(end)
        self._flush()
        self._write_group()
        self._finish_group()
        self._storing.shutdown()
        self._writer.close()
        return self._file.getvalue()

    def _add_lost(self, stop: int) -> None:
        if self._next < stop:
            self._flush()
            self._put(table_of_lost({index: self._hashes[index] for index in range(self._next, stop)}))
            self.lost += stop - self._next
            self._next = stop

    def _flush(self) -> None:
        if self._waiting:
            odd = {entry.index: self._hashes[entry.index] for entry in self._waiting if entry.unreadable is not None}
            self._put(table(self._waiting, odd))
            self._waiting = []

    def _put(self, rows: "pa.Table") -> None:
        self._tables.append(rows)
        self._rows += len(rows)
        if self._rows >= GROUP_ROWS:
            self._write_group()

    def _write_group(self) -> None:
        if self._tables:
            self._finish_group()
            self._unfinished = self._storing.submit(self._store, arrow().concat_tables(self._tables))
            self._tables, self._rows = [], 0

    def _store(self, rows: "pa.Table") -> None:
        self.digest.add(rows)
        self._writer.write_table(rows)

    def _finish_group(self) -> None:
        if self._unfinished is not None:
            self._unfinished.result()
            self._unfinished = None
