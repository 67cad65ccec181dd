"""What an archive must give back of its records, as digests: leaves, evidence, proofs, and which records are lost."""

import hashlib
from typing import TYPE_CHECKING

from llmctx.trail.log.entry import PIECES

if TYPE_CHECKING:
    import pyarrow as pa

_OF_LEAVES = ("leaf", "proof")
_ABSENT = -1
"""The length that stands for a column in which a record has nothing."""


class ContentDigest:
    """A digest over the records of a range, column by column, so that no record is taken apart for it.

    The sums are over the bytes of a column and over their lengths, in the order of the indices: how the rows are
    grouped does not matter. Leaf hashes of unreadable records are not in it; the tree proves them.
    """

    def __init__(self) -> None:
        self._indices = hashlib.sha256()
        self._sums = {name: (hashlib.sha256(), hashlib.sha256()) for name in (*_OF_LEAVES, *PIECES)}

    def add(self, rows: "pa.Table") -> None:
        """Take in further records, in the order of their indices; the lost ones among them are left out."""
        if rows.column("leaf").null_count:
            rows = rows.filter(rows.column("leaf").is_valid())
        from pyarrow import compute  # noqa: PLC0415  an optional extra

        for chunk in rows.column("index").chunks:
            self._indices.update(_fixed(chunk, 8))
        for name, (lengths, content) in self._sums.items():
            for chunk in rows.column(name).chunks:
                lengths.update(_fixed(compute.binary_length(chunk).fill_null(_ABSENT), 4))
                content.update(_values(chunk))

    def value(self, *, with_evidence: bool = True) -> str:
        """The digest in hex, of everything or of all but the evidence."""
        names = self._sums if with_evidence else _OF_LEAVES
        sums = [self._indices, *(each for name in names for each in self._sums[name])]
        return hashlib.sha256(b"".join(each.digest() for each in sums)).hexdigest()


def _fixed(chunk: "pa.Array", width: int) -> memoryview:
    """The bytes of an array of integers."""
    return memoryview(chunk.buffers()[1])[chunk.offset * width :][: len(chunk) * width]


def _values(chunk: "pa.BinaryArray") -> memoryview:
    """The concatenated values of an array of bytes."""
    _, offsets, values = chunk.buffers()
    places = memoryview(offsets)[chunk.offset * 4 :][: len(chunk) * 4 + 4].cast("i") if len(chunk) else (0, 0)
    return memoryview(values or b"")[places[0] : places[-1]]
