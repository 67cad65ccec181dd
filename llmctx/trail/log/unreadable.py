"""Unreadable records: what no reader can use. Each is named, keeps its index and its bytes, and all others are read.

A record is unreadable if its entry has other fields than a record's or an id of another form, if its frame cannot be
unpacked, if its leaf has not the form of a record, or if its evidence cannot be unpacked (`Entry.unreadable` decides).
It reads as a record of kind `unreadable` whose verdict says why. If there is no leaf, a stand-in takes its place: one
JSON text that holds the entry's fields as they are, so that its hash is the same for every reader and after a refill.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.trail.log.leaf_schema import malformed
from llmctx.trail.log.packing import textual

KIND = "unreadable"
"""The kind under which an unreadable record is listed; no written record has it."""
TO_DO = "Nothing else is affected. `llmctx verify` checks all other records; docs/operations.md says what to do."
"""What to do about an unreadable record."""


class Unreadable(NamedTuple):
    """Why a record cannot be read."""

    why: str
    """The reason, without a full stop."""
    has_leaf: bool = True
    """Whether its leaf is available; otherwise the leaf is a stand-in."""
    may_return: bool = False
    """Whether it lacks something that may be restored, so that its leaf hash is still unknown."""

    @property
    def record(self) -> dict[str, Any]:
        """The record that stands for it in lists."""
        return {"kind": KIND, "verdict": {"action": "none", "reason": f"the record cannot be read: {self.why}"}}


def stand_in(fields: Mapping[bytes, bytes]) -> bytes:
    """The leaf that stands for an entry without one: its fields in RFC 8785 form."""
    listed = [[textual(name), textual(value)] for name, value in sorted(fields.items())]
    return canonical.dumps({"fields": listed, "kind": KIND, "v": 1})


def is_stand_in(leaf: bytes) -> bool:
    """Whether a leaf is a stand-in."""
    return leaf.startswith(b'{"fields":[') and leaf.endswith(b',"kind":"unreadable","v":1}')


def read_record(leaf: bytes) -> dict[str, Any] | Unreadable:
    """Parse a leaf; what is wrong with it if it has not the form of a record."""
    if is_stand_in(leaf):
        return Unreadable("only its entry's fields are kept", has_leaf=False)
    try:
        record = canonical.loads(leaf)
    except ValueError as error:
        return Unreadable(f"its leaf is not valid JSON: {error}")
    wrong = malformed(record)
    if wrong is None:
        return record  # type: ignore[no-any-return]  # only objects are well-formed
    return Unreadable(f"its leaf must have {wrong[0]}, not {wrong[1]}")
