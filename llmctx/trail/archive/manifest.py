"""The manifest of a segment: a range of records that were archived together, with what proves them.

    P/YYYY-MM-DD-FIRST.parquet   the records of a partition from index FIRST on (columns.py has its columns)
    P/FIRST.notes                the signed checkpoints over them, as an anchor stores them
    P/FIRST.json                 the manifest; written last, so a segment without one does not count
    P/...-eN.parquet, -eN.json   the same after the Nth erasure; the manifest before stays, its records are deleted
    blobs/SHA256                 the blobs that records name, once each

FIRST has twelve digits. Segments follow each other without a gap: a segment ends where a checkpoint's tree does, and
the next one begins there. No name is written twice, so a range cannot be archived in two ways.
"""

import re
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from llmctx import canonical, clock
from llmctx.errors import ArchiveError, CheckpointError
from llmctx.trail.proof.checkpoint import Checkpoint, read_note
from llmctx.trail.proof.erasure import Erasure

Format = Literal["llmctx-archive/1"]
FORMAT: Format = "llmctx-archive/1"
SUFFIX = ".json"
_DIGITS = 12
_REVISION = re.compile(r"-e\d+$")


class StoredFile(BaseModel):
    """One file of a segment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Its path in the archive."""
    size_bytes: int
    """Its size."""
    sha256: str
    """The digest of its bytes."""

    @classmethod
    def of(cls, name: str, raw: bytes) -> Self:
        """What the manifest says of a file with this content."""
        return cls(name=name, size_bytes=len(raw), sha256=canonical.sha256(raw))


class Enrolled(BaseModel):
    """What a record below the segment's end says of keys: it enrols a writer's, or replaces the instance key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int
    """The index of that record."""
    enrolment: dict[str, Any] | None = None
    """Its field `enrolment`, which the instance key has signed."""
    rotation: dict[str, Any] | None = None
    """Its field `rotation`, which both keys have signed."""


class Manifest(BaseModel):
    """What a segment holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Format = FORMAT
    """The format's name."""
    origin: str
    """The instance: llmctx/INSTANCE."""
    partition: int
    """The partition."""
    partitions: int
    """How many partitions the trail has."""
    first: int
    """The index of its first record."""
    end: int
    """One more than the index of its last record; the size of its checkpoint's tree."""
    lost: int
    """How many of the records are lost; the rows of these have a leaf hash and no leaf."""
    unreadable: int
    """How many of the records cannot be read."""
    made_ms: int
    """When it was archived, in milliseconds of the server's time."""
    version: str
    """The version of llmctx that archived it."""
    records: StoredFile
    """The Parquet file."""
    notes: StoredFile
    """The file of signed checkpoints."""
    checkpoint: str
    """The signed checkpoint over all records below `end`."""
    frontier: tuple[str, ...]
    """The full subtrees of the tree over all records below `first`, the largest first, in hex."""
    key: str
    """The instance's public key (vkey); whoever made the archive chose it."""
    writers: tuple[Enrolled, ...]
    """The writer keys enrolled and the instance keys replaced below `end`, in the order of their records."""
    blobs: tuple[str, ...]
    """The digests of all blobs that its records name."""
    revision: int | None = None
    """How many times pieces of its records were erased; None if never."""
    replaces: str | None = None
    """The digest of the manifest before the last erasure."""
    erased: tuple[Erasure, ...] | None = None
    """What was erased, and by whom that is signed."""

    @classmethod
    def read(cls, raw: bytes, where: str) -> Self:
        """Parse a manifest.

        Raises ArchiveError if it is malformed.
        """
        try:
            return cls.model_validate_json(raw)
        except ValidationError as error:
            why = error.errors()[0]["msg"]
            raise ArchiveError(f"{where} is malformed: {why}.", "Restore it from a copy.", exit_code=1) from error

    @model_validator(mode="after")
    def _fits(self) -> Self:
        try:
            size = self.tree.size
        except CheckpointError as error:
            raise ValueError(f"its checkpoint is malformed: {error.why}") from error
        if not 0 <= self.first < self.end == size or not 0 <= self.partition < self.partitions:
            raise ValueError("its range is not that of its checkpoint")
        return self

    @property
    def tree(self) -> Checkpoint:
        """The content of its checkpoint, without checking the signature."""
        return read_note(self.checkpoint)

    @property
    def raw(self) -> bytes:
        """Its bytes: canonical JSON."""
        return canonical.dumps(self.model_dump(mode="json", exclude_none=True))

    @property
    def name(self) -> str:
        """Its own path in the archive."""
        return manifest_name(self.partition, self.first, self.revision or 0)


def manifest_name(partition: int, first: int, revision: int = 0) -> str:
    """The path of the manifest of a segment."""
    return f"{partition}/{first:0{_DIGITS}}{revised(revision)}{SUFFIX}"


def revised(revision: int) -> str:
    """What the names of a segment's files end with, before their suffix, after so many erasures."""
    return f"-e{revision}" if revision else ""


def unrevised(stem: str) -> str:
    """The name of a segment's file, without its suffix, as it was before any erasure."""
    return _REVISION.sub("", stem)


def notes_name(partition: int, first: int) -> str:
    """The path of the checkpoints of a segment."""
    return f"{partition}/{first:0{_DIGITS}}.notes"


def records_name(partition: int, first: int, recorded_ms: int) -> str:
    """The path of the records of a segment whose first record was made at this time."""
    return f"{partition}/{clock.iso(recorded_ms)[:10]}-{first:0{_DIGITS}}.parquet"


def blob_name(digest: str) -> str:
    """The path of a blob."""
    return f"blobs/{digest}"
