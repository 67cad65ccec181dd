"""Whether the base of a log is genuine: what the instance key signed, and not what somebody wrote into Redis."""

from llmctx.errors import CheckpointError
from llmctx.trail.log.base import Base
from llmctx.trail.log.leaf_schema import Fault
from llmctx.trail.proof.checkpoint import Key, open_note, read_note
from llmctx.trail.proof.merkle import CompactRange

RULE = "base"


def tree_of(base: Base) -> CompactRange:
    """The tree over all records that were trimmed.

    Raises ValueError if the subtrees are not those of a tree of this size.
    """
    return CompactRange.resume(base.size, base.subtrees)


def check_base(base: Base, key: Key | None, origin: str) -> Fault | None:
    """The fault of a base, None if it is genuine: its checkpoint is signed over exactly what was trimmed.

    Without a key the signature is not checked.
    """
    if not base.size:
        return None
    try:
        signed = read_note(base.note) if key is None else open_note(base.note, key, origin)
        tree = tree_of(base)
    except CheckpointError as error:
        return Fault(base.size, RULE, f"a checkpoint of {origin} over {base.size} records", error.why)
    except ValueError as error:
        return Fault(base.size, RULE, f"the subtrees of a tree of {base.size} leaves", str(error))
    if signed.size != base.size or signed.root != tree.root():
        found = f"size {signed.size} and root {signed.root.hex()}"
        return Fault(base.size, RULE, f"a checkpoint over {base.size} records with root {tree.root().hex()}", found)
    return None
