r"""A corpus: recorded decisions in a file, self-contained, to be replayed and tested anywhere.

JSON Lines in RFC 8785 form, split at \n only: a line that names the format, the blobs (templates and schemas, each
once), then the records in the order given. Each line ends in the digest of its own content, so no byte changes unseen;
a record's pieces are held to the digests in its leaf besides.

    {"format":"llmctx-corpus/1"}
    {"blob":SHA256,"content":TEXT}
    {"index":N,"leaf":TEXT,"leaf_hash":HEX,"origin":TEXT,"partition":N,"pieces":{NAME:TEXT},"sha256":HEX}

A content or piece that is no UTF-8 stands as {"base64": TEXT}.
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.errors import CorpusError, RecordError
from llmctx.trail.log.entry import PIECES, Entry, named_blobs
from llmctx.trail.log.packing import Pieces, textual

FORMAT = "llmctx-corpus/1"

_MEND = "Take the file from version control again, or make it anew with `llmctx corpus add`."


class Recorded(Entry):
    """A record with the trail it comes from."""

    def __init__(
        self, leaf: bytes, pieces: Pieces | Callable[[], Pieces], *, index: int, partition: int = 0, origin: str = ""
    ) -> None:
        super().__init__(leaf, pieces, index=index, partition=partition)
        self.origin = origin
        """The trail it was recorded in: `llmctx/<instance>`; empty where nobody knows."""

    @classmethod
    def of(cls, entry: Entry, origin: str) -> "Recorded":
        """An entry together with its origin; what was read of it is not read again."""
        made = cls(entry.leaf, lambda: entry.pieces, index=entry.index, partition=entry.partition, origin=origin)
        made.record = entry.record
        return made

    @property
    def place(self) -> tuple[str, int, int]:
        """What tells it from every other record: origin, partition, index."""
        return self.origin, self.partition, self.index


class Corpus(NamedTuple):
    """What a corpus file holds."""

    entries: list[Recorded]
    """The records, in the file's order."""
    blobs: dict[str, bytes]
    """What they name by digest: `rerun.Templates(blobs)` takes them."""


def read_corpus(path: Path) -> Corpus:
    """The records and blobs of a corpus file.

    Raises CorpusError where the file is no corpus, and where a line or a digest does not fit, naming line and digest.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise CorpusError(f"The corpus {path} cannot be read: {error}.", "Name a file that is there.") from error
    if lines.pop() != b"":
        raise _changed(path, len(lines) + 1, "the last line has no end")
    if not lines or lines[0] != _line({"format": FORMAT}):
        raise CorpusError(f"{path} is no corpus of {FORMAT}.", "`llmctx corpus add` writes one.")
    corpus = Corpus([], {})
    for number, line in enumerate(lines[1:], start=2):
        try:
            _read_line(line, corpus)
        except (ValueError, KeyError, TypeError, AttributeError, RecordError) as error:
            why = error.why if isinstance(error, RecordError) else str(error) or type(error).__name__
            raise _changed(path, number, why) from error
    return corpus


def write_corpus(path: Path, entries: Iterable[Recorded], blobs: Mapping[str, bytes]) -> None:
    """Write records with the blobs that they name; what the file held before is replaced, all of it or nothing.

    Raises CorpusError where a record lacks a blob or its own evidence, and where the file cannot be written.
    """
    kept = list(entries)
    lines = [_line({"format": FORMAT})]
    lines += [
        _blob_line(digest, blobs, path) for digest in sorted({d for entry in kept for d in named_blobs(entry.record)})
    ]
    lines += [_entry_line(entry, path) for entry in kept]
    draft = path.with_name(f"{path.name}.new")
    try:
        draft.write_bytes(b"".join(line + b"\n" for line in lines))
        draft.replace(path)
    except OSError as error:
        raise CorpusError(f"The corpus {path} cannot be written: {error}.", "Name a file that can be.") from error


def _read_line(line: bytes, corpus: Corpus) -> None:
    document = canonical.loads(line)
    if canonical.dumps(document) != line:
        raise ValueError("it is not in RFC 8785 form")
    if "blob" in document:
        content = _raw(document["content"])
        _expect("the blob", document["blob"], canonical.sha256(content))
        corpus.blobs[document["blob"]] = content
        return
    said = document.pop("sha256")
    _expect("the line", said, canonical.sha256(canonical.dumps(document)))
    pieces = {name: _raw(value) for name, value in document["pieces"].items()}
    entry = Recorded(
        document["leaf"].encode(),
        pieces,
        index=document["index"],
        partition=document["partition"],
        origin=document["origin"],
    )
    _expect("the leaf", document["leaf_hash"], entry.leaf_hash)
    _check_pieces(entry)
    for digest in named_blobs(entry.record):
        if digest not in corpus.blobs:
            raise ValueError(f"the blob {digest} does not stand above it")
    corpus.entries.append(entry)


def _check_pieces(entry: Entry) -> None:
    promised = {
        piece: entry.record[name]["sha256"]
        for piece, name in PIECES.items()
        if isinstance(entry.record.get(name), dict) and "sha256" in entry.record[name]
    }
    if promised.keys() != entry.pieces.keys():
        expected, found = ", ".join(sorted(promised)) or "none", ", ".join(sorted(entry.pieces)) or "none"
        raise ValueError(f"its leaf promises the pieces {expected}, it has {found}")
    for piece, digest in promised.items():
        _expect(f"the piece {piece}", digest, canonical.sha256(entry.pieces[piece]))


def _expect(what: str, said: Any, found: str) -> None:
    if said != found:
        raise ValueError(f"{what} should have the digest {said}, and has {found}")


def _blob_line(digest: str, blobs: Mapping[str, bytes], path: Path) -> bytes:
    blob = blobs.get(digest)
    if blob is None or canonical.sha256(blob) != digest:
        raise CorpusError(f"The blob {digest} is not at hand for {path}.", "`llmctx verify` tells what is missing.")
    return _line({"blob": digest, "content": textual(blob)})


def _entry_line(entry: Recorded, path: Path) -> bytes:
    try:
        _check_pieces(entry)
        document = {
            "index": entry.index,
            "leaf": entry.leaf.decode(),
            "leaf_hash": entry.leaf_hash,
            "origin": entry.origin,
            "partition": entry.partition,
            "pieces": {name: textual(raw) for name, raw in entry.pieces.items()},
        }
        return _line(document | {"sha256": canonical.sha256(canonical.dumps(document))})
    except ValueError as error:
        raise CorpusError(
            f"Record {entry.index} cannot go to {path}: {error}.", "`llmctx verify` names the first bad record."
        ) from error


def _line(document: dict[str, Any]) -> bytes:
    return canonical.dumps(document)


def _raw(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else base64.b64decode(value["base64"], validate=True)


def _changed(path: Path, number: int, why: str) -> CorpusError:
    return CorpusError(f"Line {number} of {path} was changed: {why}.", _MEND, exit_code=1)
