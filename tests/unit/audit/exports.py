"""Exports made by hand, from the formats in audit/README.md alone, and both verifiers to check them."""

import asyncio
import base64
import hashlib
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from llmctx.replay.verify import Expected
from llmctx.replay.verify_copy import check_copy, verify_part
from llmctx.trail.log.leaf_schema import Fault, FaultError
from llmctx.trail.proof.checkpoint import Key
from llmctx.trail.proof.receipt import read_receipt
from llmctx.trail.source.copies import open_copy
from tests.conftest import ROOT

INSTANCE = "house"
ORIGIN = f"llmctx/{INSTANCE}"
NAME = f"{ORIGIN}/0"
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
WRITER = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
START_MS = 1_700_000_000_000
STEP_MS = 1000
TEMPLATE = b"the source of a template"
DECISION = {
    "action": "hold", "confidence": "0.5", "reasoning": "r", "evidence": [], "invalidation": "i", "valid_for": 5,
}  # fmt: skip


def vkey(private: Ed25519PrivateKey = PRIVATE, name: str = ORIGIN) -> str:
    raw = b"\x01" + private.public_key().public_bytes_raw()
    return f"{name}+{_key_id(private, name).hex()}+{base64.b64encode(raw).decode()}"


def _key_id(private: Ed25519PrivateKey, name: str) -> bytes:
    raw = b"\x01" + private.public_key().public_bytes_raw()
    return hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]


def leaf_hash(leaf: str) -> bytes:
    return hashlib.sha256(b"\x00" + leaf.encode()).digest()


def tree_root(hashes: list[bytes]) -> bytes:
    if len(hashes) < 2:
        return hashes[0] if hashes else hashlib.sha256().digest()
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + tree_root(hashes[:split]) + tree_root(hashes[split:])).digest()


def path_of(hashes: list[bytes], index: int) -> list[bytes]:
    if len(hashes) == 1:
        return []
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    if index < split:
        return [*path_of(hashes[:split], index), tree_root(hashes[split:])]
    return [*path_of(hashes[split:], index - split), tree_root(hashes[:split])]


def note(
    size: int,
    root: bytes,
    time_ms: int | None,
    *more: str,
    private: Ed25519PrivateKey = PRIVATE,
    origin: str = NAME,
    name: str = ORIGIN,
) -> str:
    lines = [origin, str(size), base64.b64encode(root).decode()]
    lines += [] if time_ms is None else [f"time {time_ms}"]
    text = "".join(f"{line}\n" for line in (*lines, *more))
    signature = base64.b64encode(_key_id(private, name) + private.sign(text.encode())).decode()
    return f"{text}\n\N{EM DASH} {name} {signature}\n"


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Record(NamedTuple):
    """A record as an export has it."""

    leaf: str
    pieces: dict[str, Any]
    proof: str = ""

    def line(self, index: int) -> str:
        """Its line of evidence."""
        return canonical({"index": index, "pieces": self.pieces} | ({"proof": self.proof} if self.proof else {}))


def record(index: int, **changes: Any) -> Record:
    """A decision with all its evidence, one piece of it no UTF-8; made a second after the one before."""
    raw = {
        "snapshot": canonical({"at": index, "text": 'quoted "é" \x1b \u2028'}).encode(),
        "messages": canonical([{"role": "user", "content": f"number {index}\n"}]).encode(),
        "completion": b"\xff\xfe" + bytes([index]) * (index % 3 + 1),
    }
    document = {
        "v": 1, "kind": "decision", "tick": f"tick-{index}", "recorded_at_ms": START_MS + index * STEP_MS,
        "worker": "host:1", "attempts": 1, "code": "test", "verdict": {"action": "hold", "reason": "é\u2028"},
        "snapshot": {"sha256": hashlib.sha256(raw["snapshot"]).hexdigest(), "sections": {}},
        "prompt": {
            "template": "position", "version": 1, "template_sha256": hashlib.sha256(TEMPLATE).hexdigest(),
            "sha256": hashlib.sha256(raw["messages"]).hexdigest(),
        },
        "request": {}, "completion": {"outcome": "answered", "sha256": hashlib.sha256(raw["completion"]).hexdigest()},
        "decision": DECISION,
    }  # fmt: skip
    pieces: dict[str, Any] = {
        "snapshot": raw["snapshot"].decode(), "messages": raw["messages"].decode(),
        "completion": {"base64": base64.b64encode(raw["completion"]).decode()},
    }  # fmt: skip
    return Record(canonical(document | changes), pieces)


def bare(index: int, kind: str = "notice", **changes: Any) -> Record:
    document = {
        "v": 1, "kind": kind, "recorded_at_ms": START_MS + index * STEP_MS, "worker": "host:1", "attempts": 1,
        "code": "test", "verdict": {"action": "none", "reason": "made"},
    }  # fmt: skip
    return Record(canonical(document | changes), {})


def good() -> list[Record]:
    """Seven records: a notice, decisions, one of them with conflated ticks."""
    records = [bare(0), *(record(index) for index in range(1, 7))]
    records[3] = record(3, conflated=["tick-3a", "tick-3b"])
    return records


def notes_of(hashes: list[bytes], sizes: tuple[int, ...] = (3, 5, 7)) -> list[str]:
    """A checkpoint right after the last record of each size."""
    return [note(size, tree_root(hashes[:size]), START_MS + size * STEP_MS) for size in sizes]


def enrolment(
    index: int, writer: Ed25519PrivateKey = WRITER, signer: Ed25519PrivateKey = PRIVATE, retires: str = ""
) -> dict[str, Any]:
    """What the record at an index says to enrol a writer key, and perhaps to retire another one."""
    key = vkey(writer, f"{ORIGIN}-writer")
    more = f"retires {retires}\n" if retires else ""
    text = f"llmctx-enrolment/1\n{ORIGIN}\n{key}\n{more}".encode()
    signature = base64.b64encode(_key_id(signer, ORIGIN) + signer.sign(text)).decode()
    return {"key": key, "from": index, "signature": signature} | ({"retires": retires} if retires else {})


def proven(found: Record, writer: Ed25519PrivateKey = WRITER, origin: str = NAME) -> Record:
    """The record with a writer's proof."""
    text = f"llmctx-writer/1\n{origin}\n{leaf_hash(found.leaf).hex()}\n".encode()
    proof = _key_id(writer, f"{ORIGIN}-writer") + writer.sign(text)
    return found._replace(proof=base64.b64encode(proof).decode())


class Made(NamedTuple):
    """What an export is made of; change it, and write it."""

    records: dict[int, Record]
    hashes: list[bytes]
    notes: list[str]
    known: bool = True
    size: int | None = None

    def write(self, folder: Path) -> Path:
        """The export's folder."""
        size = len(self.hashes) if self.size is None else self.size
        (folder / "0").mkdir(parents=True)
        (folder / "blobs").mkdir()
        (folder / "blobs" / hashlib.sha256(TEMPLATE).hexdigest()).write_bytes(TEMPLATE)
        part = {"partition": 0, "origin": NAME, "first": 0, "size": size}
        manifest = {"format": "llmctx-export/1", "origin": ORIGIN, "partitions": [part]}
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        (folder / "trail.pub").write_text(vkey() + "\n", encoding="utf-8")
        lines = {
            "leaves.jsonl": [found.leaf for _, found in sorted(self.records.items())],
            "evidence.jsonl": [found.line(index) for index, found in sorted(self.records.items())],
            "lost.jsonl": [
                canonical({"index": index, "leaf_hash": hashed.hex()})
                for index, hashed in enumerate(self.hashes)
                if index not in self.records
            ],
            "leaf-hashes": [hashed.hex() for hashed in self.hashes] if self.known else [],
        }
        for name, found in lines.items():
            if found or name.endswith(("leaves.jsonl", "evidence.jsonl")):
                (folder / "0" / name).write_bytes("".join(f"{line}\n" for line in found).encode())
        (folder / "0" / "checkpoints").write_bytes("\n".join(self.notes).encode())
        return folder


def made(records: list[Record] | None = None, sizes: tuple[int, ...] = (3, 5, 7), *, known: bool = True) -> Made:
    """An export with nothing wrong in it, as far as the records go."""
    records = good() if records is None else records
    hashes = [leaf_hash(found.leaf) for found in records]
    return Made(dict(enumerate(records)), hashes, notes_of(hashes, sizes), known)


def receipt(of: Made, index: int, size: int) -> dict[str, Any]:
    """The receipt of a record, made by hand."""
    hashes = of.hashes[:size]
    signed = note(size, tree_root(hashes), START_MS + size * STEP_MS)
    proof = [step.hex() for step in path_of(hashes, index)]
    return {
        "format": "llmctx-receipt/1", "origin": NAME, "index": index, "leaf": of.records[index].leaf, "size": size,
        "proof": proof, "checkpoint": signed,
    }  # fmt: skip


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit_verify", ROOT / "audit" / "verify.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


ALONE = _load()
"""audit/verify.py."""


def lossy(first: int = 2, last: int = 3, said: dict[str, object] | None = None) -> Made:
    """Records 2 and 3 lost, and an incident at 4 that says so."""
    records = good()
    incident = {"what": "lost", "first": first, "last": last} | (said or {})
    records[last + 1] = bare(last + 1, "incident", incident=incident)
    of = made(records)
    for index in range(first, last + 1):
        del of.records[index]
    return of


class Found(NamedTuple):
    """What a verifier says."""

    at: int | None = None
    rule: str | None = None
    losses: tuple[tuple[int, int], ...] = ()
    warnings: tuple[str, ...] = ()
    further: tuple[int, ...] = ()
    """The bad records after the first one, as far as the check went on."""


def by_audit(folder: Path, key: str | None = None, receipts: tuple[Path, ...] = (), origin: str = ORIGIN) -> Found:
    """What audit/verify.py says."""
    try:
        held = [ALONE.Receipt(path) for path in receipts]
        (report,) = ALONE.verify_export(folder, ALONE.Key(key or vkey()), origin, held)
    except ALONE.Fault as fault:
        further = tuple(each.fields["at"] for each in fault.further)
        return Found(fault.fields["at"], fault.fields["rule"].partition(" of ")[0], further=further)
    return Found(losses=tuple(report["losses"]), warnings=tuple(report["warnings"]))


def by_llmctx(folder: Path, key: str | None = None, receipts: tuple[Path, ...] = (), origin: str = ORIGIN) -> Found:
    """What llmctx says, without rebuilding: these records are of no real decision."""
    try:
        held = [read_receipt(path.read_bytes()) for path in receipts]
        expected = Expected(Key.read(key or vkey()), origin, held, rebuild=False)
        export = open_copy(str(folder))
        check_copy(export, expected)
        report = asyncio.run(verify_part(export, export.parts[0], expected))
    except FaultError as broken:
        return _found(broken.fault)
    further = tuple(fault.at for fault in report.further)
    return (
        _found(report.fault)._replace(further=further)
        if report.fault
        else Found(losses=report.losses, warnings=report.warnings)
    )


def _found(fault: Fault) -> Found:
    return Found(fault.at, fault.rule.partition(" of ")[0])


Verifier = Callable[..., Found]
Check = Callable[..., Found]
BOTH = (by_audit, by_llmctx)
"""Both verifiers."""
