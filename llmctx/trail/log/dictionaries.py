"""When a partition's next compression dictionary is due, and the samples that it is trained on.

A dictionary is trained on the newest records, early and then ever more seldom: the first one saves most, and each one
stays in the log for ever. Measured on a real day (docs/adr/0007): 5.3 KB a record without one, 0.75 KB with one.
"""

from collections import deque

import zstandard

from llmctx.trail.log.packing import Dictionary

_FIRST = (8, 128, 1024)
_EVERY = 4096
_SAMPLES = 400
_FIRST_BYTES, _BYTES = 48 * 1024, 110 * 1024
# Long segments: records have long runs in common. With k given nothing is searched for, and 400 samples take 0.07 s.
_SEGMENT, _WINDOW = 4000, 8


class Trainer:
    """The newest records of a partition, as texts to train on."""

    def __init__(self, trained_at: int = -1) -> None:
        """`trained_at` is the log's size when the newest dictionary was trained, -1 where there is none."""
        self._samples: deque[bytes] = deque(maxlen=_SAMPLES)
        self._trained_at = trained_at

    def add(self, text: bytes) -> None:
        """Take the text of one more record."""
        self._samples.append(text)

    def due(self, size: int) -> bool:
        """Whether a log of this size deserves a new dictionary, and enough records are in hand to train it."""
        threshold = _threshold_below(size)
        return threshold > self._trained_at and len(self._samples) >= min(threshold, _SAMPLES) > 0

    def train(self, size: int) -> Dictionary | None:
        """A dictionary for a log of this size; None where the records have too little in common."""
        self._trained_at = size
        size_bytes = _FIRST_BYTES if size < _FIRST[1] else _BYTES
        try:
            made = zstandard.train_dictionary(size_bytes, list(self._samples), level=12, k=_SEGMENT, d=_WINDOW)
        except zstandard.ZstdError:
            return None
        return Dictionary(made.as_bytes())


def _threshold_below(size: int) -> int:
    """The largest size at or below this one at which a dictionary is due; 0 where there is none."""
    if size >= _FIRST[-1] + _EVERY:
        return size - (size - _FIRST[-1]) % _EVERY
    return max((first for first in _FIRST if first <= size), default=0)
