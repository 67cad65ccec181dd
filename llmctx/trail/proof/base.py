"""Whether the base of a log is genuine: signed by the instance key, and not written into Redis by somebody else."""

from collections.abc import Sequence

from llmctx.errors import CheckpointError
from llmctx.trail.log.base import Base
from llmctx.trail.log.leaf_schema import Fault
from llmctx.trail.log.log import Log
from llmctx.trail.proof.checkpoint import Checkpoint, Key, open_note, read_note
from llmctx.trail.proof.merkle import CompactRange

RULE = "base"


def tree_of(base: Base) -> CompactRange:
    """The tree over all records that were trimmed.

    Raises ValueError if the subtrees are not those of a tree of this size.
    """
    return CompactRange.resume(base.size, base.subtrees)


def open_by_any(note: str, keys: Sequence[Key], origin: str) -> Checkpoint:
    """The checkpoint in a note that one of the keys has signed: the instance key, or one that it replaced.

    Raises CheckpointError if none has, or if it is malformed or of another origin.
    """
    for key in keys[:-1]:
        try:
            return open_note(note, key, origin)
        except CheckpointError:
            continue
    return open_note(note, keys[-1], origin)


def check_base(base: Base, keys: Sequence[Key], origin: str) -> Fault | None:
    """The fault of a base, None if it is genuine: its checkpoint is signed over exactly what was trimmed.

    Without keys the signature is not checked.
    """
    if not base.size:
        return None
    try:
        signed = open_by_any(base.note, keys, origin) if keys else read_note(base.note)
        tree = tree_of(base)
    except CheckpointError as error:
        return Fault(base.size, RULE, f"a checkpoint of {origin} over {base.size} records", error.why)
    except ValueError as error:
        return Fault(base.size, RULE, f"the subtrees of a tree of {base.size} leaves", str(error))
    if signed.size != base.size or signed.root != tree.root():
        found = f"size {signed.size} and root {signed.root.hex()}"
        return Fault(base.size, RULE, f"a checkpoint over {base.size} records with root {tree.root().hex()}", found)
    return None


async def genuine_base(log: Log, key: Key, origin: str) -> Base:
    """The base of a log if this key signed it, and otherwise an empty one.

    Raises TrailError if the server does not answer.
    """
    try:
        base = await log.base()
    except ValueError:
        return Base()
    return base if check_base(base, [key], origin) is None else Base()
