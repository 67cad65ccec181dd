"""Write a trail into a folder that an auditor can verify alone (audit/README.md describes every file).

Only records that a checkpoint covers are exported. The manifest is written last: a folder without one is not an export.
"""

import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, Self

from llmctx import canonical
from llmctx.errors import ExportError
from llmctx.trail.log.entry import Entry, named_blobs
from llmctx.trail.log.packing import textual_pieces
from llmctx.trail.log.people import EXPORTED, PERSON_ID, Rows
from llmctx.trail.proof.anchor import Anchor
from llmctx.trail.proof.checkpoint import Key, read_note
from llmctx.trail.proof.erasure import Erasure
from llmctx.trail.proof.notes import join_notes

FORMAT = "llmctx-export/1"


@contextmanager
def export_errors(directory: Path) -> Iterator[None]:
    """Turn an OSError into an ExportError that names the folder."""
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"The export could not be written to {directory}: {error}.",
            "Free disk space there, or see its permissions. Without manifest.json it is no export: remove the folder "
            "and run it again.",
        ) from error


class Exported(NamedTuple):
    """What was exported of one partition."""

    partition: int
    """The partition."""
    size: int
    """The number of exported records, lost ones included."""
    lost: int
    """How many of them are lost."""
    uncovered: int
    """How many more records are left out because no checkpoint covers them yet."""
    unreadable: tuple[int, ...] = ()
    """The indices of records that cannot be read; their bytes are exported in a stand-in."""


class Exportable(Protocol):
    """The records of one partition, with the proofs of their writers."""

    @property
    def partition(self) -> int:
        """The partition."""
        ...

    async def size(self) -> int:
        """One more than the last index."""
        ...

    def read(self, start: int = 0, stop: int | None = None) -> AsyncIterator[Entry]:
        """The records of a range, in order."""
        ...

    async def blob(self, digest: str) -> bytes | None:
        """The blob with this digest, None if it is missing."""
        ...


class Proven(NamedTuple):
    """What proves the records of one partition."""

    notes: Sequence[str]
    """Its signed checkpoints."""
    hashes: Sequence[bytes]
    """The leaf hash of every record that they cover, from `first` on."""
    first: int = 0
    """The index of its first record."""
    more: Mapping[str, Any] = {}
    """The manifest's fields about the records before that: `subtrees` and `writers`."""
    erasures: Sequence[Erasure] = ()
    """What retention rules erased of the records."""

    @classmethod
    def by(cls, anchor: Anchor) -> Self:
        """What an anchor proves: everything from record 0 on that its newest checkpoint covers.

        Raises AnchorError if it cannot be read.
        """
        found = cls(anchor.checkpoints(), ())
        return found._replace(hashes=anchor.hashes(0, found.size))

    @property
    def size(self) -> int:
        """How many records the newest checkpoint covers."""
        return read_note(self.notes[-1]).size if self.notes else 0


class Exporter:
    """Writes one export."""

    def __init__(self, directory: Path, origin: str, key: Key, people: Rows | None = None) -> None:
        """`origin` is the instance: llmctx/INSTANCE. Only those `people` whom the records name are exported."""
        self._directory = directory
        self._origin = origin
        self._key = key
        self._parts: list[dict[str, Any]] = []
        self._blobs: set[str] = set()
        self._people = people or {}
        self._named: set[bytes] = set()

    def open(self) -> None:
        """Make the folder.

        Raises ExportError if it exists and is not empty.
        """
        if self._directory.exists() and (not self._directory.is_dir() or any(self._directory.iterdir())):
            raise ExportError(f"{self._directory} is not empty.", "Name a folder that does not exist yet.")
        (self._directory / "blobs").mkdir(parents=True)

    async def write(
        self, records: Exportable, proven: Proven, on_record: Callable[[], None] = lambda: None
    ) -> Exported:
        """Write one partition; `on_record` is called after each record.

        Raises ExportError if it has records but no checkpoint, TrailError if it cannot be read.
        """
        if not proven.notes and await records.size():
            raise ExportError(
                f"There is no checkpoint over partition {records.partition}.",
                "Name the notary's --state-dir, or let a notary sign first: `llmctx run` or `llmctx notary`.",
                exit_code=3,
            )
        folder, size = self._directory / str(records.partition), proven.size
        folder.mkdir()
        (folder / "checkpoints").write_bytes(join_notes(proven.notes))
        if proven.erasures:
            lines = [canonical.dumps(each.model_dump(mode="json")) + b"\n" for each in proven.erasures]
            (folder / "erasures.jsonl").write_bytes(b"".join(lines))
        with _Files(folder, proven.first, proven.hashes) as files:
            async for entry in records.read(proven.first, size):
                files.add(entry)
                self._find_people(*entry.kept[1].values(), entry.leaf)
                await self._keep_blobs(entry, records)
                on_record()
            files.add_lost(size)
        self._parts.append(
            {
                "partition": records.partition,
                "origin": f"{self._origin}/{records.partition}",
                "first": proven.first,
                "size": size,
                **proven.more,
            }
        )
        uncovered = max(0, await records.size() - size)
        return Exported(records.partition, size, files.lost, uncovered, tuple(files.unreadable))

    async def _keep_blobs(self, entry: Entry, records: Exportable) -> None:
        for digest in named_blobs(entry.record):
            if digest in self._blobs:
                continue
            self._blobs.add(digest)
            blob = await records.blob(digest)
            self._find_people(blob or b"")
            if blob is not None and digest.isalnum():  # it becomes a file name
                (self._directory / "blobs" / digest).write_bytes(blob)

    def _find_people(self, *texts: bytes) -> None:
        if self._people:
            self._named.update(*map(PERSON_ID.findall, texts))

    def close(self) -> None:
        """Write the people, the key, and the manifest, which completes the export."""
        lines = [self._people.get(person.decode(), "") for person in sorted(self._named)]
        if any(lines):
            (self._directory / EXPORTED).write_text("".join(f"{line}\n" for line in lines if line), encoding="utf-8")
        manifest = {"format": FORMAT, "origin": self._origin, "partitions": self._parts}
        (self._directory / "trail.pub").write_text(f"{self._key.text}\n", encoding="utf-8")
        draft = self._directory / "manifest.json.new"
        draft.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        draft.rename(self._directory / "manifest.json")


class _Files:
    """The files of one partition, written line by line."""

    def __init__(self, folder: Path, first: int, hashes: Sequence[bytes]) -> None:
        self._folder = folder
        self._first = self._next = first
        self._hashes = hashes
        self.lost = 0
        self.unreadable: list[int] = []

    def __enter__(self) -> Self:
        self._leaves, self._evidence = self._open("leaves.jsonl"), self._open("evidence.jsonl")
        self._lost: BinaryIO | None = None
        with self._open("leaf-hashes") as file:
            file.writelines(hashed.hex().encode() + b"\n" for hashed in self._hashes)
        return self

    def _open(self, name: str) -> BinaryIO:
        return (self._folder / name).open("wb")

    def __exit__(self, *_: object) -> None:
        for file in (self._leaves, self._evidence, self._lost):
            if file is not None:
                file.close()

    def add(self, entry: Entry) -> None:
        """Write one record; indices skipped before it are lost."""
        self.add_lost(entry.index)
        leaf, pieces = entry.kept
        self._leaves.write(leaf + b"\n")
        line = {"index": entry.index, "pieces": textual_pieces(pieces)}
        if entry.proof:
            line["proof"] = base64.b64encode(entry.proof).decode()
        self._evidence.write(canonical.dumps(line) + b"\n")
        self._next += 1
        if entry.unreadable is not None:
            self.unreadable.append(entry.index)

    def add_lost(self, stop: int) -> None:
        """Write the leaf hashes of the missing records below `stop`."""
        for index in range(self._next, stop):
            self._lost = self._lost or self._open("lost.jsonl")
            self._lost.write(
                canonical.dumps({"index": index, "leaf_hash": self._hashes[index - self._first].hex()}) + b"\n"
            )
            self.lost += 1
        self._next = stop
