"""Copies of a trail outside Redis, exports and archives: each can be read, and proven by its own checkpoints."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from llmctx.errors import ExportError, ReceiptError
from llmctx.trail.archive.place import open_place
from llmctx.trail.archive.reader import Archive, open_archive
from llmctx.trail.export.reader import Export, Part
from llmctx.trail.export.writer import Proven
from llmctx.trail.log.entry import Entry
from llmctx.trail.proof.erasure import Erasure
from llmctx.trail.proof.receipt import make_receipt
from llmctx.trail.source.archived import ArchiveRecords
from llmctx.trail.source.exported import ExportRecords
from llmctx.trail.source.source import CopiedRecords, Source, source_errors

Copy = Export | Archive
"""An export or an archive."""
_URL = re.compile("[a-z][a-z0-9]*://")


def is_copy(where: str) -> bool:
    """Whether a path or an address can name a copy rather than a file."""
    return _URL.match(where) is not None or Path(where).is_dir()


def open_copy(where: str) -> Copy:
    """The export in a folder, or the archive in a folder or an object store.

    Raises ExportError or ArchiveError if there is none, FaultError if an export's manifest is malformed.
    """
    if _URL.match(where):
        return open_archive(where)
    folder = Path(where)
    if (folder / "manifest.json").is_file():
        return Export(folder)
    if not any(name[0].isdigit() and name.endswith(".json") for name in open_place(where).names("")):
        raise ExportError(
            f"{where} is neither an export nor an archive.",
            "Name a folder that `llmctx export` made (manifest.json is written last) or that holds an archive.",
        )
    return open_archive(where)


def copy_source(where: str) -> Source:
    """A copy as a source. Its records are not verified against the checkpoints here.

    Raises ExportError or ArchiveError if there is none, TrailError if it is malformed.
    """
    with source_errors(where):
        copy = open_copy(where)
    if isinstance(copy, Archive):
        archived = [ArchiveRecords(copy, part) for part in copy.parts]
        return Source(f"the archive {copy.name}", copy.origin, archived, copy.partitions)
    exported = [ExportRecords(copy, part) for part in copy.parts]
    return Source(f"the export {copy.name}", copy.origin, exported, copy.partitions)


def newest_note(where: str, partition: int) -> str | None:
    """The newest checkpoint of a partition in a copy, None if it has none.

    Raises TrailError if the copy is malformed.
    """
    with source_errors(where):
        copy = open_copy(where)
        notes = [note for part in copy.parts if part.partition == partition for note in copy.notes(part)[0]]
    return notes[-1] if notes else None


class CopiedPart(CopiedRecords[Copy]):
    """One partition of a copy, with the proofs of its records, to be exported."""

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncIterator[Entry]:
        """The records of a range, in order."""
        for entry in self._copy.entries(self._part, self._copy.lost(self._part)):
            if start <= entry.index and (stop is None or entry.index < stop):
                yield entry

    def proven(self) -> Proven:
        """What the copy says proves its records.

        Raises FaultError if a file is not what it should be.
        """
        part = self._part
        if not part.size:
            return Proven((), ())
        notes, _ = self._copy.notes(part)
        hashes = leaf_hashes_of(self._copy, part)
        before = {"subtrees": [each.hex() for each in part.subtrees], "writers": list(part.writers)}
        return Proven(notes, hashes, part.first, before if part.first else {}, self._copy.erasures(part))


def copied_parts(copy: Copy) -> list[CopiedPart]:
    """Every partition of the trail that a copy belongs to; a partition without records in the copy is empty."""
    parts = {part.partition: part for part in copy.parts}
    empty = [Part(number, f"{copy.origin}/{number}", 0) for number in range(copy.partitions)]
    return [CopiedPart(copy, parts.get(each.partition, each)) for each in empty]


def erasures_in(where: str) -> dict[int, list[Erasure]]:
    """What retention rules erased of the records of each partition of a copy.

    Raises TrailError if there is none or it is malformed.
    """
    with source_errors(where):
        copy = open_copy(where)
        return {part.partition: copy.erasures(part) for part in copy.parts}


def leaf_hashes_of(copy: Copy, part: Part) -> list[bytes]:
    """The leaf hash of every record of a partition, from its first on.

    Raises FaultError if a file is not what it should be.
    """
    known = copy.known(part)
    if known is not None:
        return known
    lost = copy.lost(part)
    by_index = lost | {each.index: each.digest for each in copy.entries(part, lost)}
    return [by_index[index] for index in sorted(by_index)]


def receipt_of(where: str, entry: Entry) -> dict[str, Any]:
    """The receipt of a record in a copy.

    Raises ReceiptError if no checkpoint covers it, TrailError if the copy is malformed.
    """
    with source_errors(where):
        copy = open_copy(where)
        part = next(part for part in copy.parts if part.partition == entry.partition)
        notes, _ = copy.notes(part)
        hashes = leaf_hashes_of(copy, part)
    if not notes or part.first:
        raise ReceiptError(
            f"{where} has no checkpoint with all records below it.",
            "Make the receipt where the whole trail is, or export it again after a notary has signed.",
        )
    return make_receipt(entry.leaf, entry.index, hashes, notes[-1])
