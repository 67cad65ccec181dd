"""Whether statements about records are recorded once, and about existing records (audit/README.md, rules
`one-record-per-id` and `about`).
"""

from llmctx.trail.log.entry import Entry
from llmctx.trail.log.leaf_schema import Fault

_HASH_BYTES = 32


class SaidCheck:
    """Checks statements in the order of their records, against the leaf hashes before them."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        """The index of the record of each id."""
        self._first = 0
        self._hashes = bytearray()

    def begin_at(self, size: int) -> None:
        """Begin after the archived records, whose leaf hashes are not compared."""
        self._first, self._hashes = size, bytearray()

    def grow(self, hashed: bytes) -> None:
        """Take the leaf hash of the next record."""
        self._hashes += hashed

    def check(self, entry: Entry) -> Fault | None:
        """The fault if an id occurs again, or a record is about none before it."""
        for said in entry.said:
            first = self.ids.setdefault(said, entry.index)
            if first != entry.index:
                return Fault(entry.index, "one-record-per-id", f"id {said} only in record {first}", "it again")
        about = entry.record.get("about")
        if about is None:
            return None
        if not 0 <= (index := about["index"]) < entry.index:
            return Fault(entry.index, "about", f"a record below {entry.index}", str(index))
        start = _HASH_BYTES * (index - self._first)
        hashed = bytes(self._hashes[start : start + _HASH_BYTES]).hex() if start >= 0 else ""
        named = about.get("leaf_hash", "")
        if hashed and named and hashed != named:
            return Fault(entry.index, "about", f"the leaf hash {hashed} of record {index}", named)
        return None
