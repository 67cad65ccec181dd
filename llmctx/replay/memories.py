"""What packages would remember under another setting, rebuilt from the records before each of them."""

from collections.abc import Iterable, Mapping

from llmctx.context.memory import NOTHING, MemoryLength
from llmctx.context.package import build_package
from llmctx.context.remember import memory_after, said_in
from llmctx.context.snapshot import RawSection, Snapshot
from llmctx.errors import ReplayError
from llmctx.publication import thesis_of
from llmctx.replay.corpus import Place, Recorded
from llmctx.schema.keys import optional_sections

Memories = Mapping[Place, bytes | None]
"""The memory section of each package; None for no section."""


def memories(
    entries: Iterable[Recorded], blobs: Mapping[str, bytes], length: MemoryLength
) -> dict[Place, bytes | None]:
    """The memory before each record. `entries` are all records with a package, each partition's in order.

    Raises ReplayError if the evidence of a record cannot be used.
    """
    found: dict[Place, bytes | None] = {}
    known: dict[str, bytes] = {}
    for entry in entries:
        if length == "off":
            found[entry.place] = None
            continue
        symbol = str(entry.record.get("symbol"))
        found[entry.place] = known.get(symbol, NOTHING)
        try:
            snapshot = with_memory(Snapshot.from_evidence(entry.pieces["snapshot"], blobs), found[entry.place])
            package = build_package(snapshot)
            if package.refusal is None:
                said = said_in(entry.record, usable=thesis_of(entry, 1) is not None)
                known[symbol] = memory_after(package, said, length)
        except (KeyError, ValueError, TypeError, ArithmeticError) as error:
            raise ReplayError(
                f"What was known before record {entry.index} cannot be told: {error}.",
                "Run `llmctx verify` to find out more.",
            ) from error
    return found


def with_memory(snapshot: Snapshot, memory: bytes | None) -> Snapshot:
    """The snapshot with this memory section, or without one."""
    sections = {name: section for name, section in snapshot.sections.items() if name != "memory"}
    if memory is not None:
        sections["memory"] = RawSection(optional_sections(snapshot.symbol, snapshot.partition)["memory"], memory)
    return snapshot.model_copy(update={"sections": sections, "remembered": None})
