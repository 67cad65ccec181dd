"""Check a record by itself, its form and its evidence; and what is said of records in others."""

from collections.abc import Mapping

from llmctx import canonical
from llmctx.trail.log.entry import Entry, promised_pieces
from llmctx.trail.log.leaf_schema import Fault, read_leaf
from llmctx.trail.log.unreadable import Unreadable

_HASH_BYTES = 32


def not_read(index: int, problem: Unreadable) -> Fault:
    """The fault of a record that cannot be read."""
    return Fault(index, "record-form", "a record that can be read", problem.why)


def check_form(entry: Entry) -> Fault | None:
    """The fault in the form of a leaf, None if it has that of its kind; the entry then holds the parsed leaf."""
    found = read_leaf(entry.leaf, entry.index)
    if isinstance(found, Fault):
        problem = entry.unreadable
        return found if problem is None or problem.has_leaf else not_read(entry.index, problem)
    entry.accept(found)
    return None


def check_evidence(entry: Entry) -> Fault | None:
    """The fault in the evidence, None if it is exactly what the leaf promises."""
    promised = promised_pieces(entry.record)
    for piece in entry.erased:
        del promised[piece]
    if promised.keys() != entry.pieces.keys():
        return Fault(entry.index, "evidence-pieces", _names(promised), _names(entry.pieces))
    for piece, digest in promised.items():
        found = canonical.sha256(entry.pieces[piece])
        if found != digest:
            return Fault(entry.index, f"evidence-digest of {piece}", digest, found)
    return None


def _names(pieces: Mapping[str, object]) -> str:
    return ", ".join(sorted(pieces)) or "none"


class SaidCheck:
    """Checks that what others say of records is said once, and of a record that stands there, in the order of the
    records and against the leaf hashes before them (audit/README.md, rules `one-record-per-id` and `about`).
    """

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
