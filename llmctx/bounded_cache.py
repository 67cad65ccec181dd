"""A cache that is bounded in bytes as well as in entries, so that a service can run for months."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Keeps the newest entries; the oldest go first, used or not, so that a hit costs one look-up."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        # In a plain dict, finding the oldest entry takes the longer the more were removed before it.
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()
        self.size_bytes = 0
        """How many bytes the entries take, by the sizes they were put in with."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The value of a key; None if it is not here."""
        found = self._entries.get(key)
        return None if found is None else found[0]

    def drop(self, key: K) -> None:
        """Drop the entry of a key, if it is here."""
        with self._lock:
            if key in self._entries:
                self.size_bytes -= self._entries.pop(key)[1]

    def put(self, key: K, value: V, size_bytes: int) -> None:
        """Keep a value of about this size, and drop the oldest entries if there are too many."""
        with self._lock:
            if key in self._entries:
                self.size_bytes -= self._entries.pop(key)[1]
            self._entries[key] = (value, size_bytes)
            self.size_bytes += size_bytes
            while self.size_bytes > self._max_bytes or len(self._entries) > self._max_entries:
                self.size_bytes -= self._entries.popitem(last=False)[1][1]
