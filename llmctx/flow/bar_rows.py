"""The rows of a file of bars: CSV, packed by gzip or zip or not at all, or Parquet.

Numbers leave here with a decimal point and no separators. Where cells are separated by a comma, a comma inside a number
separates thousands; elsewhere it is the decimal comma.
"""

import csv
import gzip
import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, BinaryIO, cast

from llmctx.errors import FeedError

_DELIMITERS = (",", ";", "\t")
_THOUSANDS = re.compile(r"-?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"-?([0-9]+|[0-9]{1,3}(\.[0-9]{3})+),[0-9]+", re.ASCII)
_DOTTED_THOUSANDS = re.compile(r"-?[0-9]{1,3}(\.[0-9]{3})+", re.ASCII)
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
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
            io.BufferedReader(cast("io.RawIOBase", plain)) as buffered,
            io.TextIOWrapper(buffered, encoding=_encoding(buffered.peek(2)), newline="") as text,
        ):
            first = text.readline()
            if first.lstrip()[:1] in ("{", "["):
                raise FeedError(f"{path} is JSON, not CSV.", "Pipe it as JSON Lines: llmctx feed - < FILE.")
            delimiter = max(_DELIMITERS, key=first.count)
            rows = csv.reader(chain([first], text), delimiter=delimiter)
            plainly = _with_points if delimiter == "," else _without_decimal_commas
            yield from ((rows.line_num, plainly(row)) for row in rows if any(map(str.strip, row)))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zipfile.BadZipFile) as error:
        raise FeedError(f"{path} cannot be read: {error}.", _DO) from error


def _encoding(begins: bytes) -> str:
    return "utf-16" if begins[:2] in _UTF_16 else "utf-8-sig"


def _with_points(row: list[str]) -> list[str]:
    """The row without thousands separators and dollar signs: $1,234.50 is 1234.50."""
    return [_plain(cell) if "," in cell or "$" in cell else cell for cell in row]


def _plain(cell: str) -> str:
    bare = cell.strip().removeprefix("$")
    if _THOUSANDS.fullmatch(bare):
        return bare.replace(",", "")
    return bare if bare.replace(".", "", 1).isdecimal() else cell


def _without_decimal_commas(row: list[str]) -> list[str]:
    """The row with decimal points for decimal commas, by which its dots are known to separate thousands."""
    if not any("," in cell and _DECIMAL_COMMA.fullmatch(cell.strip()) for cell in row):
        return row
    return [
        cell.replace(".", "").replace(",", ".")
        if _DECIMAL_COMMA.fullmatch(cell.strip()) or _DOTTED_THOUSANDS.fullmatch(cell.strip())
        else cell
        for cell in row
    ]


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
