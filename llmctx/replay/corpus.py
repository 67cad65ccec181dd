r"""A corpus: recorded decisions in a self-contained file, to be replayed and tested anywhere.

JSON Lines in RFC 8785 form, split at \n only: a line that names the format, the blobs (templates and schemas, each
once), then the records in the order given. Each record line ends with the digest of its own content, so any changed
byte is found; a record's pieces are also checked against the digests in its leaf.

    {"format":"llmctx-corpus/1"}
    {"blob":SHA256,"content":TEXT}
    {"index":N,"leaf":TEXT,"leaf_hash":HEX,"origin":TEXT,"partition":N,"pieces":{NAME:TEXT},"sha256":HEX}

Content or a piece that is not UTF-8 is written as {"base64": TEXT}.
"""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.decision.mandate.mandate import Mandate
from llmctx.errors import CorpusError, TemplateError
from llmctx.prompt.template import Template
from llmctx.trail.log.entry import Entry, named_blobs, promised_pieces
from llmctx.trail.log.packing import Pieces, textual, textual_pieces

FORMAT = "llmctx-corpus/1"

_RESTORE = "Restore the file from version control, or write it again with `llmctx corpus add`."


@dataclass(frozen=True, order=True)
class Place:
    """What identifies a record across trails."""

    origin: str
    """The trail it was recorded in: `llmctx/<instance>`; empty if unknown."""
    partition: int
    """Its partition."""
    index: int
    """Its index in the partition's log."""


class Recorded(Entry):
    """A record with the trail it comes from."""

    def __init__(
        self, leaf: bytes, pieces: Pieces | Callable[[], Pieces], *, index: int, partition: int = 0, origin: str = ""
    ) -> None:
        super().__init__(leaf, pieces, index=index, partition=partition)
        self.origin = origin
        """The trail it was recorded in: `llmctx/<instance>`; empty if unknown."""

    @classmethod
    def of(cls, entry: Entry, origin: str) -> "Recorded":
        """Return an entry together with its origin, unless it has one; what was parsed of it is not parsed again."""
        if isinstance(entry, cls):
            return entry
        made = cls(entry.leaf, lambda: entry.pieces, index=entry.index, partition=entry.partition, origin=origin)
        made.accept(entry.record)
        return made

    @property
    def place(self) -> Place:
        """What identifies it: origin, partition and index."""
        return Place(self.origin, self.partition, self.index)


class BlobCache(Mapping[str, bytes]):
    """Blobs by digest. It grows while records are read; each template in it is compiled once.

    Blobs are not checked when they are added, so that a changed one is reported with the record that uses it.
    """

    def __init__(self, blobs: Mapping[str, bytes] | None = None) -> None:
        self._blobs = dict(blobs or {})
        self._templates: dict[str, Template] = {}
        self._forms: dict[str, str] = {}
        self._mandates: dict[str, Mandate] = {}

    def __getitem__(self, digest: str) -> bytes:
        return self._blobs[digest]

    def __iter__(self) -> Iterator[str]:
        return iter(self._blobs)

    def __len__(self) -> int:
        return len(self._blobs)

    def add(self, digest: str, blob: bytes) -> None:
        """Keep a blob under the digest by which records name it."""
        self._blobs[digest] = blob

    def matches(self, digest: str) -> bool:
        """Return whether a blob is present and has its digest."""
        return digest in self._blobs and canonical.sha256(self._blobs[digest]) == digest

    def template(self, digest: str) -> Template:
        """Return the template with a digest.

        Raises TemplateError if the blob is missing, does not match its digest, or is no template.
        """
        if digest not in self._templates:
            if not self.matches(digest):
                state = "was changed" if digest in self._blobs else "is missing"
                raise TemplateError(f"the blob {digest} {state}", "Restore the blob from a backup.")
            self._templates[digest] = Template.from_bundle(self._blobs[digest])
        return self._templates[digest]

    def mandate(self, record: Mapping[str, Any]) -> Mandate | None:
        """Return the mandate under which a record was made; None if it names none.

        Raises ValueError if the blob is missing, was changed, or is malformed.
        """
        if "mandate" not in record:
            return None
        digest = record["mandate"]["sha256"]
        if digest not in self._mandates:
            if not self.matches(digest):
                raise ValueError(f"the blob {digest} {'was changed' if digest in self._blobs else 'is missing'}")
            self._mandates[digest] = Mandate.from_blob(self._blobs[digest])
        return self._mandates[digest]

    def form(self, digest: str | None) -> str:
        """Return the form of the answer that a request's blob says stood in its messages; empty if it names none.

        Raises ValueError if the blob was changed or is malformed.
        """
        if digest is None or digest not in self._blobs:
            return ""
        if digest not in self._forms:
            if not self.matches(digest):
                raise ValueError(f"the blob {digest} was changed")
            self._forms[digest] = str(canonical.loads(self._blobs[digest]).get("form", ""))
        return self._forms[digest]


class Corpus(NamedTuple):
    """The content of a corpus file."""

    entries: list[Recorded]
    """The records, in file order."""
    blobs: BlobCache
    """The templates and schemas that they name."""


def read_corpus(path: Path) -> Corpus:
    """Read the records and blobs of a corpus file.

    Raises CorpusError if the file is not a corpus, or if a line or digest does not match; the message names both.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise CorpusError(f"The corpus {path} cannot be read: {error}.", "Check the path.") from error
    if lines.pop() != b"":
        raise _changed(path, len(lines) + 1, "the last line is incomplete")
    if not lines or lines[0] != canonical.dumps({"format": FORMAT}):
        raise CorpusError(f"{path} is not a corpus in the format {FORMAT}.", "Write one with `llmctx corpus add`.")
    corpus = Corpus([], BlobCache())
    for number, line in enumerate(lines[1:], start=2):
        try:
            _read_line(line, corpus)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _changed(path, number, str(error) or type(error).__name__) from error
    return corpus


def write_corpus(path: Path, entries: Iterable[Recorded], blobs: Mapping[str, bytes]) -> None:
    """Write records with the blobs that they name, replacing the file atomically.

    Raises CorpusError if a blob or evidence is missing or does not match its digest, or the file cannot be written.
    """
    kept = list(entries)
    lines = [canonical.dumps({"format": FORMAT})]
    lines += [
        _blob_line(digest, blobs, path) for digest in sorted({d for entry in kept for d in named_blobs(entry.record)})
    ]
    lines += [_entry_line(entry, path) for entry in kept]
    draft = path.with_name(f"{path.name}.new")
    try:
        draft.write_bytes(b"".join(line + b"\n" for line in lines))
        draft.replace(path)
    except OSError as error:
        raise CorpusError(
            f"The corpus {path} cannot be written: {error}.", "Check its folder and permissions."
        ) from error


def _read_line(line: bytes, corpus: Corpus) -> None:
    document = canonical.loads(line)
    if canonical.dumps(document) != line:
        raise ValueError("it is not in RFC 8785 form")
    if "blob" in document:
        content = _raw(document["content"])
        _expect("the blob", document["blob"], canonical.sha256(content))
        corpus.blobs.add(document["blob"], content)
        return
    expected = document.pop("sha256")
    _expect("the line", expected, canonical.sha256(canonical.dumps(document)))
    pieces = {name: _raw(value) for name, value in document["pieces"].items()}
    entry = Recorded(
        document["leaf"].encode(),
        pieces,
        index=document["index"],
        partition=document["partition"],
        origin=document["origin"],
    )
    _expect("the leaf", document["leaf_hash"], entry.leaf_hash)
    if entry.unreadable is not None:
        raise ValueError(entry.unreadable.why)
    _check_pieces(entry)
    for digest in named_blobs(entry.record):
        if digest not in corpus.blobs:
            raise ValueError(f"the blob {digest} is missing above it")
    corpus.entries.append(entry)


def _check_pieces(entry: Entry) -> None:
    named = promised_pieces(entry.record)
    if named.keys() != entry.pieces.keys():
        expected, found = ", ".join(sorted(named)) or "none", ", ".join(sorted(entry.pieces)) or "none"
        raise ValueError(f"its leaf names the pieces {expected}, but it has {found}")
    for piece, digest in named.items():
        _expect(f"the piece {piece}", digest, canonical.sha256(entry.pieces[piece]))


def _expect(what: str, expected: Any, found: str) -> None:
    if expected != found:
        raise ValueError(f"{what} should have the digest {expected}, but has {found}")


def _blob_line(digest: str, blobs: Mapping[str, bytes], path: Path) -> bytes:
    blob = blobs.get(digest)
    if blob is None or canonical.sha256(blob) != digest:
        raise CorpusError(
            f"The blob {digest} for {path} is missing or was changed.", "Run `llmctx verify` to find out more."
        )
    return canonical.dumps({"blob": digest, "content": textual(blob)})


def _entry_line(entry: Recorded, path: Path) -> bytes:
    try:
        _check_pieces(entry)
        document = {
            "index": entry.index,
            "leaf": entry.leaf.decode(),
            "leaf_hash": entry.leaf_hash,
            "origin": entry.origin,
            "partition": entry.partition,
            "pieces": textual_pieces(entry.pieces),
        }
        return canonical.dumps(document | {"sha256": canonical.sha256(canonical.dumps(document))})
    except ValueError as error:
        raise CorpusError(
            f"Record {entry.index} cannot be added to {path}: {error}.",
            "Run `llmctx verify` to find the first bad record.",
        ) from error


def _raw(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else base64.b64decode(value["base64"], validate=True)


def _changed(path: Path, number: int, why: str) -> CorpusError:
    return CorpusError(f"Line {number} of {path} was changed: {why}.", _RESTORE, exit_code=1)
