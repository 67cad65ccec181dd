"""Check a record by itself, without its neighbours: its form and its evidence."""

from collections.abc import Mapping

from llmctx import canonical
from llmctx.trail.log.entry import Entry, promised_pieces
from llmctx.trail.log.leaf_schema import Fault, read_leaf
from llmctx.trail.log.unreadable import Unreadable


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
