"""Read an export (audit/README.md describes every file). A malformed file breaks a rule, which the error names."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.errors import CheckpointError, ExportError
from llmctx.trail.export.writer import FORMAT
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.leaf_schema import Fault, FaultError
from llmctx.trail.proof.checkpoint import Key
from llmctx.trail.proof.erasure import Erasure, erased_at
from llmctx.trail.proof.merkle import HASH_BYTES
from llmctx.trail.proof.notes import leading_notes
from llmctx.trail.proof.rotation import key_chain


class Part(NamedTuple):
    """One partition of an export, as the manifest describes it."""

    partition: int
    """The partition."""
    origin: str
    """The origin of its checkpoints."""
    size: int
    """The number of records, lost ones included; one more than the last index."""
    first: int = 0
    """The index of its first record: 0, unless it was made from an archive that begins later."""
    subtrees: tuple[bytes, ...] = ()
    """The full subtrees of the tree over the records below `first`, the largest first."""
    writers: tuple[dict[str, Any], ...] = ()
    """What the records below `first` say about keys, as in the base of a log."""


class Export:
    """A folder that `llmctx export` wrote. Reading raises FaultError at the first file or line that breaks a rule."""

    def __init__(self, directory: Path) -> None:
        """Read the manifest.

        Raises ExportError if there is none, FaultError if it is malformed.
        """
        self.directory = directory
        """The folder."""
        manifest = directory / "manifest.json"
        if not manifest.is_file():
            raise ExportError(
                f"{directory} has no manifest.json, so it is not an export.", "Make one with `llmctx export DIR`."
            )
        self.origin, self.parts = _read_manifest(manifest.read_bytes())

    @property
    def name(self) -> str:
        """Its path, for messages."""
        return str(self.directory)

    @property
    def partitions(self) -> int:
        """How many partitions the trail has."""
        return len(self.parts)

    @property
    def key(self) -> Key:
        """The public key in the export, chosen by whoever made the export."""
        try:
            return Key.read((self.directory / "trail.pub").read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, CheckpointError) as error:
            raise FaultError(Fault(0, "key", "a vkey in trail.pub", str(error))) from error

    def key_chain(self, key: Key) -> tuple[Key, ...]:
        """The keys that signed this export one after the other, oldest first; the trusted `key` is one."""
        files = (self._path(part, "checkpoints") for part in self.parts)
        raw = (file.read_bytes() for file in files if file.is_file())
        return key_chain([note for each in raw for note in leading_notes(each)[0]], key)

    def notes(self, part: Part) -> tuple[list[str], str | None]:
        """The signed checkpoints of a partition up to the first damage, and the damaged text, None if there is none."""
        raw = self._read(part, "checkpoints")
        notes, end = leading_notes(raw)
        return notes, None if end == len(raw) else raw[end : end + 120].decode(errors="replace")

    def known(self, part: Part) -> list[bytes] | None:
        """The leaf hashes from the exporter's anchor, None if there is no such file."""
        if not self._path(part, "leaf-hashes").exists():
            return None
        lines = enumerate(self._lines(part, "leaf-hashes"))
        return [_read_hash(line.decode(errors="replace"), Fault(at, "leaf-hash", "", "")) for at, line in lines]

    def lost(self, part: Part) -> dict[int, bytes]:
        """The leaf hashes of lost records, by index.

        The index of a fault is one more than that of the line before.
        """
        if not self._path(part, "lost.jsonl").exists():
            return {}
        found: dict[int, bytes] = {}
        next_index = 0
        for line in self._lines(part, "lost.jsonl"):
            fault = Fault(next_index, "lost-hash", "", "")
            document = _read_object(line, fault, {"index", "leaf_hash"})
            index = document["index"]
            if type(index) is not int or index < next_index:
                raise FaultError(fault._replace(expected="growing indices", found=str(index)[:80]))
            found[index], next_index = _read_hash(document["leaf_hash"], fault), index + 1
        return found

    def entries(self, part: Part, lost: dict[int, bytes]) -> Iterator[Entry]:
        """The records of a partition in order."""
        evidence, erasures = self._lines(part, "evidence.jsonl"), self.erasures(part)
        index = part.first - 1
        for leaf in self._lines(part, "leaves.jsonl"):
            index = next(at for at in count(index + 1) if at not in lost)
            line = next(evidence, None)
            if line is None:
                raise FaultError(Fault(index, "lines", "a line of evidence", "none"))
            pieces, proof = read_evidence(line, index)
            erasable = erased_at(erasures, index)
            yield Entry(leaf, pieces, index=index, partition=part.partition, proof=proof, erasable=erasable)
        if (line := next(evidence, None)) is not None:
            raise FaultError(Fault(index + 1, "lines", "a leaf for each line of evidence", "one more line"))

    def erasures(self, part: Part) -> list[Erasure]:
        """What retention rules erased of a partition's records before they were exported."""
        found = []
        for line in self._lines(part, "erasures.jsonl") if self._path(part, "erasures.jsonl").exists() else ():
            try:
                found.append(Erasure.read(canonical.loads(line)))
            except (ValueError, TypeError) as error:
                raise FaultError(Fault(0, "erasure", "a signed statement of what was erased", str(error))) from error
        return found

    def blob(self, digest: str) -> bytes | None:
        """The blob with this digest, None if it is missing."""
        path = self.directory / "blobs" / digest
        return path.read_bytes() if digest.isalnum() and path.is_file() else None

    def check_blobs(self) -> None:
        """Check that every blob's file is named by its digest."""
        folder = self.directory / "blobs"
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            found = canonical.sha256(path.read_bytes()) if path.is_file() else "nothing"
            if path.name != found:
                raise FaultError(Fault(0, "blob-digest", path.name, found))

    def found_again(self, part: Part) -> Iterator[Entry]:
        """Lost records whose bytes were found again and attached, as evidence only.

        The index of a fault is one more than that of the line before.
        """
        next_index = 0
        if self._path(part, "found.jsonl").exists():
            for line in self._lines(part, "found.jsonl"):
                fault = Fault(next_index, "evidence-form", "an index that grows and a leaf's text", "")
                document = _read_object(line, fault, {"index", "leaf", "pieces"})
                index, leaf = document["index"], document["leaf"]
                if type(index) is not int or index < next_index or type(leaf) is not str:
                    raise FaultError(fault._replace(found=str(document)[:120]))
                pieces, next_index = _read_pieces(document["pieces"], next_index), index + 1
                yield Entry(leaf.encode(), pieces, index=index)

    def _path(self, part: Part, name: str) -> Path:
        return self.directory / str(part.partition) / name

    def _read(self, part: Part, name: str) -> bytes:
        try:
            return self._path(part, name).read_bytes()
        except OSError as error:
            raise FaultError(Fault(0, "lines", f"the file {part.partition}/{name}", str(error))) from error

    def _lines(self, part: Part, name: str) -> Iterator[bytes]:
        try:
            with self._path(part, name).open("rb", buffering=1 << 20) as file:
                for number, line in enumerate(file):  # binary mode splits at \n only
                    if not line.endswith(b"\n"):
                        raise FaultError(Fault(number, "lines", f"whole lines in {name}", "a last one without end"))
                    yield line[:-1]
        except OSError as error:
            raise FaultError(Fault(0, "lines", f"the file {part.partition}/{name}", str(error))) from error


def _read_manifest(raw: bytes) -> tuple[str, list[Part]]:
    try:
        document = canonical.shallow(raw)
        origin = document["origin"]
        listed: list[dict[str, Any]] = document["partitions"]
        parts = [_read_part(part) for part in listed]
        good = (
            document["format"] == FORMAT
            and type(listed) is list
            and all(type(part[name]) is int for part in listed for name in ("partition", "first", "size"))
            and [part.partition for part in parts] == list(range(len(parts)))
            and all(0 <= part.first <= part.size and len(part.subtrees) == part.first.bit_count() for part in parts)
            and all(part.origin == f"{origin}/{part.partition}" for part in parts)
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FaultError(Fault(0, "manifest", f"a manifest of {FORMAT}", f"{type(error).__name__}: {error}")) from error
    if not good or not parts:
        raise FaultError(Fault(0, "manifest", f"a manifest of {FORMAT}, partitions in order", str(document)[:200]))
    return origin, parts


def _read_part(part: dict[str, Any]) -> Part:
    subtrees = tuple(_read_hash(text, Fault(0, "manifest", "", "")) for text in part.get("subtrees", ()))
    return Part(
        partition=part["partition"],
        origin=part["origin"],
        size=part["size"],
        first=part["first"],
        subtrees=subtrees,
        writers=tuple(part.get("writers", ())),
    )


def _read_object(line: bytes, fault: Fault, names: set[str], optional: str = "") -> dict[str, Any]:
    """Parse a line: one JSON object in RFC 8785 form with exactly these names, and perhaps the optional one.

    Raises FaultError if it is anything else.
    """
    try:
        document = canonical.loads(line)
    except ValueError as error:
        expected = "one JSON text without duplicate names"
        raise FaultError(fault._replace(expected=expected, found=str(error))) from error
    if (
        not isinstance(document, dict)
        or document.keys() - {optional} != names
        or not canonical.is_form_of(document, line)
    ):
        expected = f"an object of {', '.join(sorted(names))} in RFC 8785 form"
        raise FaultError(fault._replace(expected=expected, found=line[:120].decode(errors="replace")))
    return document


def read_evidence(line: bytes, index: int) -> tuple[dict[str, bytes], bytes]:
    """Pieces and proof of a line of evidence.

    Raises FaultError if it is malformed or belongs to another index.
    """
    document = _read_object(line, Fault(index, "evidence-form", "", ""), {"index", "pieces"}, "proof")
    pieces, proof = _read_pieces(document["pieces"], index), _read_proof(document.get("proof", ""), index)
    if document["index"] != index or type(document["index"]) is not int:
        raise FaultError(Fault(index, "contiguity", f"index {index}", f"index {document['index']}"))
    return pieces, proof


def _read_proof(text: Any, index: int) -> bytes:
    """The bytes of a proof."""
    try:
        return canonical.from_base64(text)
    except (ValueError, TypeError) as error:
        raise FaultError(Fault(index, "evidence-form", "a proof in canonical base64", str(text)[:120])) from error


def _read_pieces(pieces: Any, index: int) -> dict[str, bytes]:
    try:
        return {name: value.encode() if type(value) is str else _from_base64(value) for name, value in pieces.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        expected = 'pieces that are texts or {"base64": ...}'
        raise FaultError(Fault(index, "evidence-form", expected, f"{type(error).__name__}: {error}")) from error


def _from_base64(value: dict[str, str]) -> bytes:
    (_,) = value.values()
    raw = canonical.from_base64(value["base64"])
    try:
        raw.decode()
    except UnicodeDecodeError:
        return raw
    raise ValueError("base64 of bytes that are UTF-8")


def _read_hash(text: Any, fault: Fault) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except (ValueError, TypeError):
        raw = b""
    if len(raw) != HASH_BYTES or raw.hex() != text:
        raise FaultError(fault._replace(expected="64 hex digits in lower case", found=str(text)[:80]))
    return raw
