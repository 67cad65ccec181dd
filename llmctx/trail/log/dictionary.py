"""Compression dictionaries: what earlier records have in common, and when the next one is trained.

A dictionary is trained on the newest records, early at first and then ever more rarely: the first one saves most, and
each one stays in the log for ever. Measured (docs/adr/0007): 5.3 KB a record without a dictionary, 0.75 KB with one.
"""

from collections import deque
from functools import cached_property

import zstandard

from llmctx import canonical

LEVEL = 12
"""The zstd level at which records are compressed."""
REFERENCE_BYTES = 8
"""How many bytes of a dictionary's SHA-256 an entry holds; all zero if it needs no dictionary."""

_FIRST_SIZES = (8, 128, 1024)
_EVERY = 4096
_MAX_SAMPLES, _MAX_SAMPLE_BYTES = 400, 32 * 1024
_FIRST_BYTES, _BYTES = 48 * 1024, 110 * 1024
# Records share long runs, hence long segments. With k given zstd searches for nothing: 400 samples take 0.07 s.
_SEGMENT, _WINDOW = 4000, 8


class Dictionary:
    """A zstd dictionary; kept as a blob under its digest."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        """The exact bytes that are kept."""

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of its content, in hex."""
        return canonical.sha256(self.content)

    @cached_property
    def reference(self) -> bytes:
        """The first bytes of its digest, by which an entry names it."""
        return bytes.fromhex(self.digest)[:REFERENCE_BYTES]

    @cached_property
    def compressor(self) -> zstandard.ZstdCompressor:
        """A compressor that uses it; built once, because that takes milliseconds."""
        parameters = zstandard.ZstdCompressionParameters.from_level(LEVEL, write_dict_id=False)
        prepared = zstandard.ZstdCompressionDict(self.content)
        prepared.precompute_compress(compression_params=parameters)
        return zstandard.ZstdCompressor(dict_data=prepared, compression_params=parameters)

    @property
    def is_usable(self) -> bool:
        """Whether records can be compressed with it; zstd refuses some contents."""
        try:
            return self.compressor is not None
        except zstandard.ZstdError:
            return False

    def drop_compressor(self) -> None:
        """Free the compressor, about a megabyte, once nothing more is compressed with this dictionary."""
        self.__dict__.pop("compressor", None)

    @cached_property
    def decompressor(self) -> zstandard.ZstdDecompressor:
        """A decompressor that uses it; built once."""
        return zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(self.content))


class Trainer:
    """Collects the newest records of a partition and trains dictionaries on them."""

    def __init__(self, trained_at: int = -1) -> None:
        """`trained_at` is the log's size when the newest dictionary was trained; -1 if there is none."""
        self._samples: deque[bytes] = deque(maxlen=_MAX_SAMPLES)
        self._trained_at = trained_at

    def add(self, text: bytes, size: int) -> None:
        """Keep the text of the newest record of a log of this size, if the next dictionary will be trained on it: of a
        large one only beginning and end, where the package and the leaf are.
        """
        if _threshold_below(size + _MAX_SAMPLES) > self._trained_at:
            half = _MAX_SAMPLE_BYTES // 2
            self._samples.append(text if len(text) <= _MAX_SAMPLE_BYTES else text[:half] + text[-half:])
        else:
            self._samples.clear()  # megabytes that are not needed for thousands of records

    def due(self, size: int) -> bool:
        """Whether a log of this size needs a new dictionary and enough samples have been collected."""
        threshold = _threshold_below(size)
        return threshold > self._trained_at and len(self._samples) >= min(threshold, _MAX_SAMPLES) > 0

    def train(self, size: int) -> Dictionary | None:
        """Train a dictionary for a log of this size; None if the records have too little in common."""
        samples, self._trained_at = tuple(self._samples), size
        size_bytes = _FIRST_BYTES if size < _FIRST_SIZES[1] else _BYTES
        try:
            trained = zstandard.train_dictionary(size_bytes, list(samples), level=LEVEL, k=_SEGMENT, d=_WINDOW)
        except zstandard.ZstdError:
            return None
        return Dictionary(trained.as_bytes())


def _threshold_below(size: int) -> int:
    """The largest size, at or below this one, at which a dictionary is due; 0 if there is none."""
    if size >= _FIRST_SIZES[-1] + _EVERY:
        return size - (size - _FIRST_SIZES[-1]) % _EVERY
    return max((first for first in _FIRST_SIZES if first <= size), default=0)
