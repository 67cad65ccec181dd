"""The rows of a file of bars: CSV, packed by gzip or zip or not at all, or Parquet."""

import csv
import gzip
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, BinaryIO, cast

from llmctx.errors import FeedError

_DELIMITERS = (",", ";", "\t")
_DO = "Name a CSV file of bars, packed by gzip or zip or not at all, or a Parquet file."


def rows_of(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a file that are not blank, with their lines from 1 on.

    Raises FeedError if it cannot be read.
    """
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            yield from enumerate(_parquet_rows(path), start=1)
            return
        with (
            path.open("rb") as raw,
            _unpacked(raw) as plain,
            io.TextIOWrapper(plain, encoding="utf-8-sig", newline="") as text,
        ):
            first = text.readline()
            rows = csv.reader(chain([first], text), delimiter=max(_DELIMITERS, key=first.count))
            yield from ((rows.line_num, row) for row in rows if row)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zipfile.BadZipFile) as error:
        raise FeedError(f"{path} cannot be read: {error}.", _DO) from error


@contextmanager
def _unpacked(raw: BinaryIO) -> Iterator[IO[bytes]]:
    """The bytes of a file that may be packed: by gzip, or as the only file of a zip archive."""
    begins = raw.read(4)
    raw.seek(0)
    if begins[:2] == b"\x1f\x8b":
        with gzip.open(raw) as plain:
            yield cast("IO[bytes]", plain)
    elif begins == b"PK\x03\x04":
        with zipfile.ZipFile(raw) as archive:
            if len(archive.namelist()) != 1:
                raise OSError(f"the archive holds {len(archive.namelist())} files; unpack it and name one")
            with archive.open(archive.namelist()[0]) as plain:
                yield plain
    else:
        yield raw


def _parquet_rows(path: Path) -> Iterator[list[str]]:
    try:
        from pyarrow import ArrowException, parquet  # noqa: PLC0415  an optional extra
    except ImportError as error:
        raise FeedError(
            f"{path} is a Parquet file.", "Install what reads it: pip install 'llmctx[archive]'."
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            yield list(file.schema_arrow.names)
            for batch in file.iter_batches():
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    yield ["" if value is None else _text(value) for value in values]
    except ArrowException as error:
        raise FeedError(f"{path} cannot be read: {error}.", _DO) from error


def _text(value: object) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
