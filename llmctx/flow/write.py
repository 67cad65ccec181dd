"""A write: every change of one bar or headline, collected for write.lua, which applies them at once. Pure."""

import itertools
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Self

import msgpack

from llmctx import clock
from llmctx.flow.bars import Bar
from llmctx.functions import Argument
from llmctx.schema import keys
from llmctx.schema.keys import Family


class Write:
    """Every change of one bar or headline."""

    def __init__(
        self,
        symbol: str,
        partition: int,
        run: str,
        *,
        bar: Bar | None = None,
        bar_before: Bar | None = None,
        seen: str = "",
        corrects: Bar | None = None,
    ) -> None:
        """`bar_before` is the bar the server must have before this one; `seen` is the last decision of the partition
        that the writer has read (empty: return no decisions); `corrects` takes the place of a stored bar, while `bar`
        is the newest one.
        """
        self.symbol = symbol
        ids = ["" if one is None else bar_id(one) for one in (bar, bar_before)]
        self._head = [*ids, run, seen, "" if corrects is None else bar_id(corrects)]
        self._places: dict[str, int] = {}
        self._known: list[bytes] = []
        self._operations: list[list[Any]] = []
        self._place(keys.bars(symbol))
        self._place(keys.decisions(partition))

    def guard(self, key: str, known: bytes) -> Self:
        """Write nothing unless the key holds `known` (empty: no key). Add guards before any other operation."""
        self._place(key)
        self._known.append(known)
        return self

    def set(self, family: Family, value: bytes, *, signal_type: str = "") -> None:
        """Set a live key with its family's lifetime, and announce it."""
        self._add("set", family.key(self.symbol, signal_type), family.lifetime_s or 0, value)

    def keep_value(self, key: str, value: bytes) -> None:
        """Set a private key that never expires, without announcing it."""
        self._add("put", key, value)

    def delete(self, family: Family, *, signal_type: str = "") -> None:
        """Delete a live key, and announce it."""
        self._add("del", family.key(self.symbol, signal_type))

    def append(self, stream: str, fields: Mapping[str, str], *, max_entries: int = 0, entry_id: str = "*") -> None:
        """Add an entry to a stream, which is capped at about `max_entries`; 0 means no cap."""
        self._add("add", stream, max_entries, entry_id, *itertools.chain.from_iterable(fields.items()))

    def replace(self, stream: str, bar: Bar, fields: Mapping[str, str]) -> None:
        """Put other fields into the entry of a bar that is not the newest one."""
        self._add("replace", stream, clock.to_ms(bar.start), *itertools.chain.from_iterable(fields.items()))

    def keep_member(self, key: str, score: int, member: bytes, *, lowest: int) -> None:
        """Add a member to a sorted set, and remove members below the lowest score."""
        self._add("keep", key, score, member, lowest)

    def rank(
        self, score: Decimal, end_ms: int, change_pct: Decimal, candidate: bytes, *, oldest_ms: int, max_ranked: int
    ) -> None:
        """Put the symbol into the ranking, and write candidates:ranked from it."""
        family = keys.BY_SECTION["candidates"]
        places = self._place(keys.SCREENED), self._place(family.key())
        numbers = str(score), end_ms, str(change_pct), candidate, oldest_ms, max_ranked
        self._add("rank", keys.SCORES, *places, self.symbol, *numbers, family.lifetime_s or 0)

    def _add(self, operation: str, key: str, *arguments: Any) -> None:
        self._operations.append([operation, self._place(key), *arguments])

    def _place(self, key: str) -> int:
        return self._places.setdefault(key, len(self._places) + 1)

    def call(self) -> tuple[list[str], list[Argument]]:
        """The keys and arguments of write.lua."""
        packed: bytes = msgpack.packb([*self._head, self._known, self._operations], use_bin_type=False)
        return list(self._places), [packed]


def bar_id(bar: Bar) -> str:
    """A bar's id in the bars stream, from its start."""
    return f"{clock.to_ms(bar.start)}-0"
