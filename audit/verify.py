#!/usr/bin/env python3
"""Verify an export of an llmctx trail, or one receipt, by the rules of the README beside this file.

    python verify.py DIR --key VKEY [--origin ORIGIN] [--receipt-held FILE ...]
    python verify.py --receipt FILE --key VKEY [--origin ORIGIN]

It needs Python >= 3.11 and the package `cryptography`. It imports nothing of llmctx and follows the README alone, so
that somebody who trusts neither can read it in one sitting.

Exit codes: 0 verified, or intact with losses that are accounted for; 1 a rule is broken, and the first fault is
printed, with every further record that cannot be read; 2 there is nothing to check, or it cannot be read.
"""

import argparse
import base64
import binascii
import hashlib
import io
import json
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError as missing:
    print(f"error: signatures cannot be checked ({missing}). Run: python -m pip install cryptography", file=sys.stderr)
    sys.exit(2)

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 200
MAX_PARTITIONS = 1024
BOUND_MS, GAP_MS = 120_000, 180_000
SETTLES = {
    "decision": True, "skipped": True, "failed": True, "unasked": True, "dead_letter": True, "incident": False,
    "notice": False,
}  # fmt: skip
SAID = ("effect", "approval", "override", "annotation")  # what others say of a decision: with an id, without a tick
SETTLES |= dict.fromkeys(SAID, False)
ALWAYS = {"recorded_at_ms": int, "worker": str, "attempts": int, "code": str, "verdict": dict}
SOMETIMES = {
    "symbol": str, "cause": str, "as_of_ms": int, "timings_ms": dict, "snapshot": dict, "prompt": dict,
    "request": dict, "completion": dict, "decision": dict, "confirmation": dict, "incident": dict,
    "grounding": dict, "reasked": dict, "standing": dict, "clock": str, "enrolment": dict, "rotation": dict,
    "archived": dict, "maintenance": dict, "requested": str, "erased": dict, "hold": dict,
    "name_erased": dict,
    "id": str, "about": dict, "effect": dict, "person": dict, "position": dict, "service": dict,
    "approved": dict, "people_sha256": str,
    "mandate": dict, "control": dict,
}  # fmt: skip
TYPES = ALWAYS | SOMETIMES
DIGESTS = {"snapshot": "snapshot", "prompt": "messages", "completion": "completion", "incident": "foreign"}
BLOBS = {"prompt": "template_sha256", "request": "schema_sha256", "snapshot": "mapping_sha256", "mandate": "sha256"}
WITHIN: dict[str, dict[str, type]] = {
    "snapshot": {"sha256": str, "sections": dict},
    "prompt": {"template": str, "version": int, "template_sha256": str, "sha256": str},
    "completion": {"outcome": str},
    "decision": {
        "action": str, "confidence": str, "reasoning": str, "evidence": list, "invalidation": str, "valid_for": int,
    },
    "verdict": {"action": str, "reason": str},
    "standing": {"address": str, "leaf_hash": str, "action": str},
    "confirmation": {"by": str, "why": str, "last": str, "price_at": str, "entry_time": str},
    "archived": {"first": int, "end": int, "manifest": str, "where": str},
    "mandate": {"sha256": str},
    "control": {"act": str, "by": str, "why": str},
    "erased": {"first": int, "end": int, "pieces": list, "manifest": str},
    "hold": {"id": str, "act": str, "by": str, "why": str},
    "name_erased": {"id": str, "by": str, "why": str},
    "incident": {"what": str},
    "enrolment": {"key": str, "from": int, "signature": str},
    "rotation": {"old": str, "new": str, "old_signature": str, "new_signature": str},
    "about": {"index": int},
    "effect": {"status": str},
    "person": {"by": str, "why": str},
    "approved": {"action": str},
    "service": {"event": str},
}  # fmt: skip
FURTHER = {
    "decision": ("snapshot", "prompt", "request", "completion", "decision"),
    "unasked": ("snapshot", "standing"),
    "effect": ("id", "symbol", "effect"),
} | dict.fromkeys(SAID[1:], ("id", "about", "person"))
HASHES = (*((name, "sha256") for name in DIGESTS), *BLOBS.items(), ("standing", "leaf_hash"), ("about", "leaf_hash"))
ONLY_IN = {
    "standing": ("unasked",), "enrolment": ("notice", "incident"), "rotation": ("notice",), "id": SAID,
    "incident": ("incident",), "approved": ("approval",),
}  # fmt: skip
INSIDE = [(name, tuple(fields.items())) for name, fields in WITHIN.items()]
ZEROS = "0" * 64
is_hex = re.compile("[0-9a-f]{64}").fullmatch


class Fault(Exception):  # noqa: N818  it is the finding of a check, and ends it
    """The first place where something breaks a rule, and the records after it that cannot be read."""

    def __init__(self, at: int, rule: str, expected: object, found: object) -> None:
        super().__init__()
        self.further: list[Fault] = []
        self.fields = {"at": at, "rule": rule, "expected": str(expected), "found": str(found)}

    def __str__(self) -> str:
        where = "partition {partition}, " if "partition" in self.fields else ""
        return (where + "record {at} breaks {rule}: expected {expected}, found {found}").format(**self.fields)


# JSON in RFC 8785 form ------------------------------------------------------------------------------------------------


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not an integer")


_decode = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse).raw_decode
_DIGITS = bytes(ord("0") if chr(code) in "123456789" else code for code in range(256))
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def read_json(raw: bytes, *, numbers: bool = True) -> Any:
    """Parse JSON in RFC 8785 form.

    Anything that JSON allows to vary (white space, escapes, order, duplicate names) does not serialise to the same
    bytes again. `numbers` is False for evidence, whose form has room for neither long numbers nor deep nesting.

    Raises ValueError for any other bytes.
    """
    try:
        value = _decode(raw.decode())[0]
        if _encode(value).encode() != raw:
            raise ValueError("it is not in RFC 8785 form")
        if numbers and raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
            _check_depth(value)
        if not raw.isascii() or (numbers and b"0" * 16 in raw.translate(_DIGITS)):
            _check_scalars(value)  # it may contain a name that is not ASCII, or a long number
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def read_any_json(raw: bytes) -> Any:
    """Parse one JSON text in any form, for manifests and receipts.

    Raises ValueError for duplicate names, NaN, a byte order mark, lone surrogates, and bytes that are not UTF-8.
    """
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
        _check_depth(value)
        _encode(value).encode()  # a lone surrogate has no UTF-8
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("it has a duplicate name")
    return found


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [each for each in level if isinstance(each, dict | list)]
        if not level:
            return
        level = [item for each in level for item in (each.values() if isinstance(each, dict) else each)]
    raise ValueError(f"it is nested deeper than {MAX_DEPTH}")


def _check_scalars(value: Any) -> None:
    """Names must be ASCII (RFC 8785 sorts by UTF-16 units, Python by code points); integers at most 2^53 - 1."""
    if isinstance(value, dict):
        if not all(name.isascii() for name in value):
            raise ValueError("a name is not ASCII")
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _check_scalars(item)
    elif type(value) is int and not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise ValueError(f"{value} is above 2^53 - 1")


def from_base64(text: str) -> bytes:
    """Decode canonical base64. Raises ValueError for any other text."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise ValueError(f"{text!r} is not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise ValueError(f"{text!r} is not canonical base64")
    return raw


def from_hex(text: Any) -> bytes:
    """Decode 64 lower-case hex digits. Raises ValueError for anything else."""
    if not isinstance(text, str) or not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError(f"{text!r} is not a hash")
    return bytes.fromhex(text)


# The tree of RFC 6962 -------------------------------------------------------------------------------------------------


def hash_leaf(leaf: bytes) -> bytes:
    """SHA-256 of 0x00 and the leaf."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """SHA-256 of 0x01 and both children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A growing tree, kept as the roots of its complete subtrees with their sizes, from left to right."""

    def __init__(self, size: int = 0, subtrees: Sequence[bytes] = ()) -> None:
        """`subtrees` are those of a tree of this size."""
        self.size = size
        sizes = [1 << bit for bit in range(size.bit_length() - 1, -1, -1) if size >> bit & 1]
        self._complete = list(zip(sizes, subtrees, strict=True))

    def add(self, hashed: bytes) -> None:
        """Append a leaf hash."""
        size = 1
        while self._complete and self._complete[-1][0] == size:
            hashed = hash_node(self._complete.pop()[1], hashed)
            size *= 2
        self._complete.append((size, hashed))
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree so far."""
        if not self._complete:
            return hashlib.sha256(b"").digest()
        root = self._complete[-1][1]
        for _, left in self._complete[-2::-1]:
            root = hash_node(left, root)
        return root


def root_by_proof(hashed: bytes, index: int, size: int, proof: list[bytes]) -> bytes | None:
    """The root to which an inclusion proof leads, None if the proof has the wrong length.

    The tree is split at the largest power of two below its size, and each part again, down to the leaf. A proof names
    the other part at each split, bottom up.
    """
    turns = []
    while size > 1:
        left = 1 << ((size - 1).bit_length() - 1)
        turns.append(index >= left)
        index, size = (index - left, size - left) if index >= left else (index, left)
    if len(turns) != len(proof):
        return None
    for is_right, sibling in zip(reversed(turns), proof, strict=True):
        hashed = hash_node(sibling, hashed) if is_right else hash_node(hashed, sibling)
    return hashed


# Keys and signed notes ------------------------------------------------------------------------------------------------


class Key:
    """A vkey: NAME+KEYID+BASE64."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        name, key_id, encoded = self.text.split("+", 2)
        raw = from_base64(encoded)
        self.name, self.id = name, hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
        if raw[:1] != b"\x01" or self.id.hex() != key_id or not name:
            raise ValueError("it is not the vkey of an Ed25519 key, or its key ID is wrong")
        self._public = Ed25519PublicKey.from_public_bytes(raw[1:])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def signs(self, text: str, signed: bytes) -> bool:
        """Whether these are this key's ID and its valid signature over this text."""
        return signed[:4] == self.id and self.verifies(text, signed[4:])

    def verifies(self, text: str, signature: bytes) -> bool:
        """Whether the signature by this key over this text is valid."""
        try:
            self._public.verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


class Checkpoint(NamedTuple):
    """The content of a signed note."""

    origin: str
    size: int
    root: bytes
    time_ms: int
    late_since_ms: int | None
    partitions: int | None
    rotation: tuple[Key, Key] | None


NOTE = re.compile(
    r"(?P<text>(?P<origin>[^\n]+)\n(?P<size>0|[1-9][0-9]{0,15})\n(?P<root>[^\n]+)\n(?P<more>(?:[^\n]+\n)*))"
    r"\n(?P<signatures>(?:\u2014 [^\n]+\n)+)"
)


def read_checkpoint(note: "re.Match[str]", at: int, keys: list[Key], origin: str, partitions: int | None) -> Checkpoint:
    """Read the checkpoint in a matched note and check every rule that needs this note alone.

    One of the keys must have signed it. `partitions` is the export's number of partitions, None if it is unknown.
    """
    try:
        note[0].encode()  # fails if the file was not UTF-8
        root, size = from_base64(note["root"]), int(note["size"])
        more = note["more"].split("\n")[:-1]
        times = [_read_integer(line[5:]) for line in more if line.startswith("time ")]
        late = [_read_integer(line[11:]) for line in more if line.startswith("late-since ")]
        counts = [_read_integer(line[11:]) for line in more if line.startswith("partitions ")]
        rotations = [read_rotation(*line[9:].split(" ")) for line in more if line.startswith("rotation ")]
        signatures = [_read_signature(line) for line in note["signatures"][:-1].split("\n")]
    except (ValueError, TypeError) as error:
        raise Fault(at, "note-grammar", "a signed checkpoint", error) from error
    if (
        len(root) != 32
        or size > MAX_INTEGER
        or len(times) != 1
        or len(late) > 1
        or len(counts) > 1
        or len(rotations) > 1
        or not all(1 <= count <= MAX_PARTITIONS for count in counts)
        or re.search(r"[\x00-\x09\x0b-\x1f]", note[0])
    ):
        raise Fault(at, "note-grammar", "a root of 32 bytes, one time, no control characters", repr(note[0])[:200])
    if note["origin"] != origin:
        raise Fault(at, "origin", origin, note["origin"])
    signers = [key for key in keys if any((name, key_id) == (key.name, key.id) for name, key_id, _ in signatures)]
    key = signers[0] if signers else keys[-1]
    ours = [signature for name, key_id, signature in signatures if (name, key_id) == (key.name, key.id)]
    if not ours or not all(key.verifies(note["text"], signature) for signature in ours):
        raise Fault(at, "signature", f"a signature of {key.text}", "one that does not match" if ours else "none")
    if counts and partitions not in (None, counts[0]):
        raise Fault(at, "partitions", f"{counts[0]} partitions, as a checkpoint says", partitions)
    return Checkpoint(
        origin=origin,
        size=size,
        root=root,
        time_ms=times[0],
        late_since_ms=late[0] if late else None,
        partitions=counts[0] if counts else None,
        rotation=rotations[0] if rotations else None,
    )


def read_rotation(old: str, new: str) -> tuple[Key, Key]:
    """Read the vkeys of two instance keys, of which the second replaces the first."""
    keys = Key(old), Key(new)
    if keys[0].name != keys[1].name or keys[0].id == keys[1].id:
        raise ValueError("a rotation needs two keys with one name")
    return keys


def handover(note: "re.Match[str]") -> tuple[Key, Key] | None:
    """The two keys of a note that says that one replaces the other, if both have signed it."""
    stated = re.search(r"^rotation (\S+) (\S+)$", note["more"], re.MULTILINE)
    try:
        keys = read_rotation(stated[1], stated[2]) if stated else None
        for key in keys or ():
            read_checkpoint(note, 0, [key], note["origin"], None)
    except (ValueError, Fault):
        return None
    return keys


def key_chain(raw: bytes, key: Key) -> list[Key]:
    """The instance keys that signed these notes one after the other, oldest first; the trusted key is one of them."""
    found = [handover(note) for note in NOTE.finditer(raw.decode(errors="replace")) if "rotation " in note["more"]]
    handovers, chain = [keys for keys in found if keys is not None], [key]
    for old, new in reversed(handovers):
        if new == chain[0] and old not in chain:
            chain.insert(0, old)
    for old, new in handovers:
        if old == chain[-1] and new not in chain:
            chain.append(new)
    return chain


def _read_integer(text: str) -> int:
    if not re.fullmatch(r"0|[1-9][0-9]{0,15}", text):
        raise ValueError(f"{text!r} is not a whole number")
    _check_scalars(int(text))
    return int(text)


def _read_signature(line: str) -> tuple[str, bytes, bytes]:
    found = re.fullmatch(r"\u2014 ([^\s+]+) (\S+)", line)
    raw = from_base64(found[2]) if found else b""
    if found is None or len(raw) <= 4:
        raise ValueError(f"{line!r} is not a signature line")
    return found[1], raw[:4], raw[4:]


def read_checkpoints(raw: bytes, key: Key, keys: list[Key], origin: str, partitions: int) -> list[Checkpoint]:
    """Read and check a partition's checkpoints, oldest first: all signed, sizes never fall, one root a size.

    `keys` are those of `key_chain` for the trusted key: each signs up to the checkpoint that the next one signs too.
    """
    checkpoints: list[Checkpoint] = []
    at, good = 0, 0
    text = raw.decode(errors="surrogateescape")  # a note that is not UTF-8 is reported in its turn
    while at < len(text):
        at += bool(checkpoints)
        found = NOTE.match(text, at)
        if found is None or (checkpoints and text[at - 1] != "\n"):
            raise Fault(good, "note-grammar", "signed checkpoints, one blank line between", repr(text[at : at + 120]))
        new, at = read_checkpoint(found, good, keys[:1], origin, partitions), found.end()
        if checkpoints and new.size < good:
            raise Fault(good, "checkpoint-order", f"a checkpoint over at least {good} records", f"one over {new.size}")
        if checkpoints and new.size == good and new.root != checkpoints[-1].root:
            expected = f"root {checkpoints[-1].root.hex()} over {good} records"
            raise Fault(good, "checkpoint-fork", expected, new.root.hex())
        checkpoints.append(new)
        good = new.size
        if keys[1:] and new.rotation == (keys[0], keys[1]) and handover(found):
            keys = keys[1:]
    if checkpoints and key in keys[1:]:
        raise Fault(good, "signature", f"a checkpoint signed by {key.text}", f"none but those of {keys[0].text}")
    return checkpoints


# Receipts -------------------------------------------------------------------------------------------------------------


class Receipt:
    """A receipt: a proof of one record, or only a leaf hash that somebody noted."""

    def __init__(self, path: Path) -> None:
        raw = path.read_bytes()
        try:
            self._read(read_any_json(raw))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Fault(0, "receipt-form", "a receipt", repr(error)) from error

    def _read(self, document: dict[str, Any]) -> None:
        self.is_proof = "format" in document
        self.leaf, self.note, self.origin, self.proof = b"", "", "", []
        if not self.is_proof:
            address = re.fullmatch(r"(?:(0|[1-9][0-9]*):)?(0|[1-9][0-9]*)", document["address"])
            if address is None:
                raise ValueError("its address is not INDEX or P:INDEX")
            self.at, self.partition, self.hashed = (
                int(address[2]),
                int(address[1] or 0),
                from_hex(document["leaf_hash"]),
            )
            return
        if document["format"] != "llmctx-receipt/1":
            raise ValueError(f"its format is {document['format']!r}")
        self.at, self.size, self.origin = document["index"], document["size"], document["origin"]
        self.leaf, self.note = document["leaf"].encode(), document["checkpoint"]
        named = re.fullmatch(r"[^\n]*/(0|[1-9][0-9]*)", self.origin)
        if named is None or not isinstance(self.note, str) or not isinstance(document["proof"], list):
            raise ValueError("origin, proof or checkpoint is malformed")
        if type(self.at) is not int or type(self.size) is not int or self.at < 0:
            raise ValueError("index or size is not an integer")
        self.partition, self.hashed = int(named[1]), hash_leaf(self.leaf)
        self.proof = [from_hex(step) for step in document["proof"]]

    def check(self, keys: list[Key], origin: str, partitions: int | None = None) -> Checkpoint:
        """Check the receipt by itself and return its checkpoint, which one of the keys must have signed."""
        if self.origin != origin:
            raise Fault(self.at, "origin", origin, self.origin)
        found = NOTE.fullmatch(self.note)
        if found is None:
            raise Fault(self.at, "note-grammar", "a signed checkpoint", repr(self.note)[:200])
        checkpoint = read_checkpoint(found, self.at, keys, origin, partitions)
        if self.size != checkpoint.size:
            raise Fault(0, "receipt-form", f"size {checkpoint.size}, as its checkpoint has", self.size)
        root = root_by_proof(self.hashed, self.at, self.size, self.proof) if self.at < self.size else None
        if root != checkpoint.root:
            raise Fault(
                self.at, "inclusion", f"a proof that leads to {checkpoint.root.hex()}", root.hex() if root else "none"
            )
        read_leaf(self.at, self.leaf)
        return checkpoint


# One partition --------------------------------------------------------------------------------------------------------


class Trust(NamedTuple):
    """What a check trusts."""

    key: Key
    """The key that was given from outside."""
    keys: list[Key]
    """The instance keys that followed one another, oldest first; the given one is among them."""
    partitions: int
    """The export's number of partitions."""


class Partition:
    """Checks one partition of an export, record by record."""

    def __init__(self, export: Path, part: dict[str, Any], trust: Trust, held: list[Receipt]) -> None:
        """`held` are receipts of any partition."""
        self.export, self.folder, origin = export, export / str(part["partition"]), part["origin"]
        self.origin, self.writers, self.retired = origin, dict[bytes, Key](), set[str]()
        self.instance_keys = trust.keys
        self.replaced: dict[Key, int] = {}  # the index of the record that replaces an instance key
        partitions = trust.partitions
        self.size, self.first = part["size"], part["first"]
        self.tree = Tree(self.first, [from_hex(each) for each in part.get("subtrees", [])])
        self.next = self.vouched = self.late = 0  # the next checkpoint, the size of the last good one
        self.ticks: dict[str, int] = {}
        self.without_tick: dict[bytes, int] = {}
        self.all_writers: dict[bytes, Key] = {}  # those retired since included
        self.ids: dict[str, int] = {}  # the record of each id: what others say of a decision
        self.hashes = bytearray()  # the leaf hash of each record from `first` on
        self.unreadable: list[Fault] = []
        self.decisions: dict[int, bytes] = {}
        self.packages: dict[int, bytes] = {}
        self.prefix = "" if partitions == 1 else f"{part['partition']}:"
        self.losses: list[tuple[int, int]] = []
        self.incidents: list[int] = []
        self.blobs: set[str] = set()
        self.checkpoints: list[Checkpoint] = []
        self.held_leaves: dict[int, set[bytes]] = {}
        self.held_roots: dict[int, set[bytes]] = {}
        self.needed = 0
        for receipt in held:
            if receipt.partition == part["partition"]:
                self._hold(receipt, trust.keys, origin, partitions)
        raw = self._bytes("checkpoints")
        self.checkpoints = read_checkpoints(raw, trust.key, trust.keys, origin, partitions)
        if self.first:
            self.begin(part.get("writers", []))
        self._check_roots()
        self.lost = dict(self._hashes_of_lost())
        self.erasures, self.erased = list(self._erasures()), dict[str, int]()
        self.known = self._known()

    def begin(self, writers: list[dict[str, Any]]) -> None:
        """Begin behind records that are elsewhere, with what they say of keys."""
        self.next, self.vouched = sum(each.size < self.first for each in self.checkpoints), self.first
        below = [index for index in self.held_leaves if index < self.first]
        if below:
            raise Fault(below[0], "receipt", f"a record from {self.first} on, where this begins", below[0])
        try:
            for each in writers:
                self.rotation(each["index"], each)
                if "enrolment" in each:
                    key = self.enrolled(each["index"], each["enrolment"])
                    self.retired.add(each["enrolment"].get("retires", ""))
                    known = self.writers | {key.id: key}
                    self.writers = {id_: other for id_, other in known.items() if id_.hex() not in self.retired}
        except (KeyError, TypeError) as error:
            raise Fault(0, "enrolment", "enrolments and rotations", repr(error)) from error

    def _hold(self, receipt: Receipt, keys: list[Key], origin: str, partitions: int) -> None:
        """Remember a receipt that the trail must agree with; several for one index must all agree."""
        if receipt.is_proof and receipt.origin != origin:
            raise Fault(receipt.at, "receipt", f"a receipt of {origin}", receipt.origin)
        self.held_leaves.setdefault(receipt.at, set()).add(receipt.hashed)
        self.needed = max(self.needed, receipt.at + 1)
        if receipt.is_proof:
            checkpoint = receipt.check(keys, origin, partitions)
            self.held_roots.setdefault(checkpoint.size, set()).add(checkpoint.root)
            self.needed = max(self.needed, checkpoint.size)

    def check(self) -> dict[str, Any]:
        """Check everything and return a report; the check goes on after a record that cannot be read."""
        try:
            self.records()
            self.end()
        except Fault as fault:
            self.unreadable.append(fault)
        if self.unreadable:
            first, *further = sorted(self.unreadable, key=lambda fault: int(fault.fields["at"]))
            first.further = further
            raise first
        return {
            "records": self.tree.size - self.first - len(self.lost),
            "ticks": len(self.ticks), "checkpoints": len(self.checkpoints),
            "covered": self.vouched, "erased": self.erased,
            "losses": self.losses, "incidents": self.incidents, "warnings": self.warnings(),
        }  # fmt: skip

    def records(self) -> None:
        """Check every record in order."""
        evidence = self._lines("evidence.jsonl")
        for leaf in self._lines("leaves.jsonl"):
            index = self.tree.size
            while index in self.lost:
                index += 1
            line = next(evidence, None)
            if line is None:
                raise Fault(index, "lines", "a line of evidence", "none")
            self.record(index, leaf, line)
        if next(evidence, None) is not None:
            raise Fault(self.tree.size, "lines", "a leaf for each line of evidence", "one more line")

    def record(self, index: int, leaf: bytes, line: bytes) -> None:
        """Check the next record."""
        pieces, proof = read_evidence(index, line)
        if index == self.tree.size and (fault := self.not_read(index, leaf, pieces)) is not None:
            self.unreadable.append(fault)
            known = (self.known or [])[index - self.first : index - self.first + 1]
            self.grow(known[0] if known else hash_leaf(leaf))
            return
        record = read_leaf(index, leaf) if index == self.tree.size else self.behind_a_gap(index, leaf)
        self.incident(index, record)
        self.settle(index, record)
        self.evidence(index, record, pieces)
        self.said(index, record)
        hashed = hash_leaf(leaf)
        known = None if self.known is None else self.known[index - self.first : index - self.first + 1]
        if known and known[0] != hashed:
            raise Fault(index, "leaf-hash", known[0].hex(), hashed.hex())
        self.rotation(index, record)
        self.writer(index, record, hashed, proof)
        self.time(index, record["recorded_at_ms"])
        self.grow(hashed)
        self.keep_blobs(index, record)
        self.thesis(index, record, pieces.get("snapshot", b"null"))
        self.memory(index, record, pieces.get("snapshot", b"null"))
        self.packages[index] = _digest(hashed.hex(), str(record.get("symbol")))
        if record["kind"] == "decision":
            said = [record.get("symbol"), record["tick"], record["verdict"], record["decision"]]
            self.decisions[index] = _digest(hashed.hex(), *_words(*said))

    def not_read(self, index: int, leaf: bytes, pieces: dict[str, bytes]) -> Fault | None:
        """The fault of a record that cannot be read, None if it can, whatever else is wrong with it."""
        try:
            record = read_leaf(index, leaf)
            if self.lacking(index, record, pieces):
                self.evidence(index, record, pieces)
        except Fault as fault:
            try:
                form(index, record := read_any_json(leaf))
            except (Fault, ValueError):
                return fault
            return fault if self.lacking(index, record, pieces) else None
        return None

    def grow(self, hashed: bytes) -> None:
        """Append the next leaf hash and check the roots that were signed at this size."""
        index = self.tree.size
        for held in self.held_leaves.get(index, ()):
            if held != hashed:
                raise Fault(index, "receipt", f"the leaf hash {held.hex()} of a receipt", hashed.hex())
        self.tree.add(hashed)
        self.hashes += hashed
        self._check_roots()

    def _check_roots(self) -> None:
        while self.next < len(self.checkpoints) and self.checkpoints[self.next].size == self.tree.size:
            signed, found = self.checkpoints[self.next].root, self.tree.root()
            if signed != found:
                raise Fault(self.vouched, "root", f"{signed.hex()} over {self.tree.size} records", found.hex())
            self.next, self.vouched = self.next + 1, self.tree.size
        for held in self.held_roots.get(self.tree.size, ()):
            if held != self.tree.root():
                expected = f"the root {held.hex()} over {self.tree.size} records of a receipt"
                raise Fault(self.tree.size - 1, "receipt", expected, self.tree.root().hex())

    def behind_a_gap(self, index: int, leaf: bytes) -> dict[str, Any]:
        """Read the record after a gap; only an incident that declares the gap lost explains it."""
        first = self.tree.size
        try:
            record = read_leaf(index, leaf)
        except Fault as fault:
            raise Fault(first, "contiguity", f"index {first}", f"index {index}") from fault
        self.lose(index, record)
        return record

    def lose(self, index: int, record: dict[str, Any]) -> None:
        """Accept a gap if the incident after it declares exactly this gap."""
        first = self.tree.size
        declared = record.get("incident", {})
        if record["kind"] != "incident" or declared.get("what") != "lost":
            raise Fault(first, "contiguity", f"index {first}", f"index {index}")
        if (declared.get("first"), declared.get("last")) != (first, index - 1):
            raise Fault(first, "incident", f"an incident that names {first} to {index - 1}", str(declared)[:120])
        for each in range(first, index):
            self.grow(self.lost[each])
        self.losses.append((first, index - 1))

    def incident(self, index: int, record: dict[str, Any]) -> None:
        """An incident that declares a loss must follow it directly."""
        if record["kind"] != "incident":
            return
        declared = record.get("incident", {})
        declared_range = (declared.get("first"), declared.get("last"))
        if declared.get("what") == "lost" and (
            declared_range not in self.losses[-1:] or declared_range[1] != index - 1
        ):
            raise Fault(index, "incident", "a lost range that ends here", f"{declared_range[0]} to {declared_range[1]}")
        self.incidents.append(index)

    def settle(self, index: int, record: dict[str, Any]) -> None:
        """A tick must be settled by one record only."""
        conflated = record.get("conflated", [])
        ticks = ([record["tick"]] if "tick" in record else []) + (conflated if isinstance(conflated, list) else [None])
        if not all(isinstance(tick, str) for tick in ticks):
            raise Fault(index, "one-record-per-tick", "tick ids that are texts", str(ticks)[:120])
        settles = SETTLES[record["kind"]]
        if ("tick" in record) != settles or (ticks and not settles):
            raise Fault(
                index, "one-record-per-tick", f"{'a' if settles else 'no'} tick in a {record['kind']}", str(ticks)[:120]
            )
        for tick in ticks:
            if tick in self.ticks:
                raise Fault(index, "one-record-per-tick", f"tick {tick} only in record {self.ticks[tick]}", "it again")
            self.ticks[tick] = index

    def said(self, index: int, record: dict[str, Any]) -> None:
        """An id occurs once, and what is said of a record names an earlier one, with its leaf hash."""
        if "id" in record and self.ids.setdefault(record["id"], index) != index:
            raise Fault(index, "one-record-per-id", f"id {record['id']} only in {self.ids[record['id']]}", "it again")
        if "about" not in record:
            return
        at, named = record["about"]["index"], record["about"].get("leaf_hash")
        if not 0 <= at < index:
            raise Fault(index, "about", f"a record below {index}", at)
        at_byte = 32 * (at - self.first)
        if at_byte >= 0 and named not in (None, found := bytes(self.hashes[at_byte : at_byte + 32]).hex()):
            raise Fault(index, "about", f"the leaf hash {found} of record {at}", named)

    def promised(self, record: dict[str, Any]) -> dict[str, str]:
        """The digest of each piece of evidence that a leaf names."""
        parts = ((piece, record.get(name, {})) for name, piece in DIGESTS.items())
        return {piece: part["sha256"] for piece, part in parts if "sha256" in part}

    def evidence(self, index: int, record: dict[str, Any], pieces: dict[str, bytes]) -> None:
        """Every piece of evidence must have the digest that the leaf states."""
        promised = self.promised(record)
        for piece in promised.keys() - pieces.keys() - self.lacking(index, record, pieces):
            del promised[piece]
            self.erased[piece] = self.erased.get(piece, 0) + 1
        if promised.keys() != pieces.keys():
            raise Fault(index, "evidence-pieces", ", ".join(sorted(promised)), ", ".join(sorted(pieces)) or "none")
        for piece, digest in promised.items():
            found = hashlib.sha256(pieces[piece]).hexdigest()
            if found != digest:
                raise Fault(index, f"evidence-digest of {piece}", digest, found)

    def lacking(self, index: int, record: dict[str, Any], pieces: dict[str, bytes]) -> set[str]:
        """The pieces that a record names and lacks, but for those of which a statement says that they were erased."""
        lacking = self.promised(record).keys() - pieces.keys()
        if not lacking or not self.erasures:
            return lacking
        stated = [each["pieces"] for each in self.erasures if each["first"] <= index < each["end"]]
        return lacking - {piece for each in stated for piece in each}

    def check_erasures(self) -> None:
        """Every statement about what was erased must be signed by a writer of the trail."""
        for each in self.erasures:
            text = "llmctx-erasure/1\n{}\n{first} {end} {made_ms}\n{}\n".format(
                self.origin, ",".join(each["pieces"]), **each
            )
            try:
                signed = from_base64(each["proof"])
            except ValueError:
                signed = b""
            key = self.all_writers.get(signed[:4])
            if key is None or not key.signs(text, signed):
                at, found = each["first"], "none" if key is None else "one that does not match"
                raise Fault(at, "erasure", "a signature of an enrolled writer under what was erased", found)

    def rotation(self, index: int, record: dict[str, Any]) -> None:
        """A notice that replaces the instance key must be signed by the key that it replaces and by the new one."""
        if "rotation" not in record:
            return
        stated = record["rotation"]
        try:
            keys = read_rotation(stated["old"], stated["new"])
            signed = [from_base64(stated[name]) for name in ("old_signature", "new_signature")]
        except ValueError as error:
            raise Fault(index, "rotation", "two vkeys and two signatures in base64", error) from error
        text = f"llmctx-rotation/1\n{stated['old']}\n{stated['new']}\n"
        if not all(key.signs(text, each) for key, each in zip(keys, signed, strict=True)):
            raise Fault(index, "rotation", "two keys that have signed it", "a signature that does not match")
        if keys[0] not in self.signers(index):
            raise Fault(index, "rotation", "the instance key that is replaced", stated["old"])
        self.replaced[keys[0]] = index
        if keys[1] not in self.instance_keys:
            self.instance_keys = [*self.instance_keys, keys[1]]

    def signers(self, index: int) -> list[Key]:
        """The instance keys that may sign an enrolment in the record at an index."""
        return [key for key in self.instance_keys if index <= self.replaced.get(key, index)]

    def writer(self, index: int, record: dict[str, Any], hashed: bytes, proof: bytes) -> None:
        """From the first enrolment on, every record is signed by an enrolled writer key; before it none is."""
        writers = self.writers
        if "enrolment" in record:
            key = self.enrolled(index, record["enrolment"])
            writers = writers | {key.id: key}
        if not writers:
            if proof:
                raise Fault(index, "writer-proof", "no proof before a key is enrolled", "one")
            return
        signer = writers.get(proof[:4])
        if signer is None or not signer.signs(f"llmctx-writer/1\n{self.origin}\n{hashed.hex()}\n", proof):
            found = "none" if not proof else "an unknown key" if signer is None else "a signature that does not match"
            raise Fault(index, "writer-proof", "the proof of an enrolled writer key", found)
        if "tick" not in record and (first := self.without_tick.setdefault(hashed, index)) != index:
            raise Fault(index, "writer-proof", "a leaf that stands at one index", f"that of record {first}")
        self.retired.add(record.get("enrolment", {}).get("retires", ""))
        self.writers = {key_id: key for key_id, key in writers.items() if key_id.hex() not in self.retired}

    def enrolled(self, index: int, enrolment: dict[str, Any]) -> Key:
        """The writer key in an enrolment that the instance key has signed."""
        if enrolment["from"] != index:
            raise Fault(index, "enrolment", f"from {index}, where it stands", enrolment["from"])
        try:
            key, signature = Key(enrolment["key"]), from_base64(enrolment["signature"])
        except ValueError as error:
            raise Fault(index, "enrolment", "a vkey and a signature in base64", error) from error
        retires = enrolment.get("retires", "")
        if retires and (not re.fullmatch("[0-9a-f]{8}", retires) or retires == key.id.hex()):
            raise Fault(index, "enrolment", "the ID of another key to retire", retires[:80])
        if key.id.hex() in self.retired:
            raise Fault(index, "enrolment", "a key that was not retired", key.id.hex())
        if self.writers.get(key.id, key).text != key.text:
            raise Fault(index, "enrolment", f"one key with the ID {key.id.hex()}", "a second one")
        text = f"llmctx-enrolment/1\n{self.instance_keys[0].name}\n{key.text}\n" + (
            f"retires {retires}\n" if retires else ""
        )
        if not any(signer.signs(text, signature) for signer in self.signers(index)):
            raise Fault(index, "enrolment", "a signature of the instance key", "one that does not match")
        self.all_writers[key.id] = key
        return key

    def keep_blobs(self, index: int, record: dict[str, Any]) -> None:
        """Every blob that a leaf names must be present and match its digest."""
        for name, field in BLOBS.items():
            digest = record.get(name, {}).get(field)
            if digest is not None and digest not in self.blobs:
                check_blob(self.export, index, digest)
                self.blobs.add(digest)

    def memory(self, index: int, record: dict[str, Any], snapshot: bytes) -> None:
        """What a package remembers must name an earlier record on the same symbol by its leaf hash."""
        try:
            document = json.loads(snapshot) if b'"memory":' in snapshot else None
        except (ValueError, RecursionError):
            return
        if not isinstance(document, dict) or document.get("memory") is None:
            return
        try:
            address, leaf_hash = document["memory"]["address"], document["memory"]["leaf_hash"]
            at = address.removeprefix(self.prefix)
            found = _digest(leaf_hash, str(record.get("symbol")))
            if not at.isdecimal() or self.prefix + at != address or len(at) > len(str(index)) or int(at) >= index:
                raise ValueError(f"address {address}")  # noqa: TRY301  caught right here
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Fault(index, "memory", "an earlier record of this partition", error) from error
        if not self.is_lost(int(at)) and self.packages.get(int(at)) != found:
            raise Fault(index, "memory", f"record {address} on {record.get('symbol')}", "another one")

    def is_lost(self, index: int) -> bool:
        """Whether nobody can tell what an earlier record said."""
        lost = index < self.first or any(first <= index <= last for first, last in self.losses)
        return lost or any(fault.fields["at"] == index for fault in self.unreadable)

    def thesis(self, index: int, record: dict[str, Any], snapshot: bytes) -> None:
        """The thesis must be an earlier decision on the same symbol, as its record has it."""
        try:
            document = json.loads(snapshot)
        except (ValueError, RecursionError):
            return
        if not isinstance(document, dict) or document.get("thesis") is None:
            return
        try:
            address, leaf_hash = document["thesis"]["address"], document["thesis"]["leaf_hash"]
            at = address.removeprefix(self.prefix)
            said = json.loads(document["sections"]["thesis"])
            answer = {"action": said["decided"], **{name: said[name] for name in ("reasoning", "invalidation")}}
            found = _digest(leaf_hash, *_words(said["symbol"], said["tick"], said, answer))
            if not at.isdecimal() or self.prefix + at != address or said["symbol"] != record.get("symbol"):
                raise ValueError(f"address {address}")  # noqa: TRY301  caught right here
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Fault(index, "thesis", "an earlier decision and its record", error) from error
        lost = self.is_lost(int(at[:17]))
        if len(at) > len(str(index)) or int(at) >= index or (not lost and self.decisions.get(int(at)) != found):
            raise Fault(index, "thesis", f"the decision of record {address}", "another one")

    def time(self, index: int, recorded_ms: int) -> None:
        """The first checkpoint that covers a record must be near to it in time, or declare it late."""
        if self.next == len(self.checkpoints):
            return
        covering = self.checkpoints[self.next]
        if abs(covering.time_ms - recorded_ms) <= BOUND_MS:
            return
        late = covering.late_since_ms is not None and covering.late_since_ms <= recorded_ms < covering.time_ms
        earlier = (self.checkpoints[at].time_ms for at in reversed(range(self.next)))
        before_ms = next((each for each in earlier if each != covering.time_ms), None)  # not a part of the same one
        if not late or (before_ms is not None and before_ms > recorded_ms + BOUND_MS):
            found = f"recorded at {recorded_ms}, first covered at {covering.time_ms}"
            raise Fault(index, "late-signing", f"at most {BOUND_MS} ms between record and checkpoint", found)
        self.late += 1

    def end(self) -> None:
        """The records must end where checkpoints, manifest and receipts say."""
        self.check_erasures()
        size, signed = self.tree.size, self.checkpoints[-1].size if self.checkpoints else 0
        if signed > size:
            raise Fault(size, "tail", f"{signed} records, as the last checkpoint says", size)
        if signed < size:
            raise Fault(signed, "uncovered", "a checkpoint over every record", f"none above {signed}")
        if self.needed > size:
            raise Fault(size, "receipt", f"{self.needed} records, as a receipt says", size)
        if self.size != size:
            raise Fault(size, "manifest", f"{self.size} records, as the manifest says", size)
        if self.known is not None and self.first + len(self.known) != size:
            end = self.first + len(self.known)
            raise Fault(min(size, end), "leaf-hash", f"leaf hashes below {size}", f"below {end}")
        undeclared = self.lost.keys() - {index for first, last in self.losses for index in range(first, last + 1)}
        if undeclared:
            raise Fault(min(undeclared), "incident", "an incident that names every lost record", "none for this one")
        self.found_again()

    def found_again(self) -> None:
        """Records that were found again must be those that were lost."""
        if not (self.folder / "found.jsonl").exists():
            return
        before = -1
        for line in self._lines("found.jsonl"):
            try:
                document = read_json(line, numbers=False)
                index, leaf = document["index"], document["leaf"].encode()
                pieces = {name: _piece(value) for name, value in document["pieces"].items()}
                if type(index) is not int or index <= before or len(document) != 3:
                    raise TypeError("the index is not an integer, or does not grow")  # noqa: TRY301  caught right here
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise Fault(before + 1, "evidence-form", "an object of index, leaf, pieces", error) from error
            before = index
            if self.lost.get(index) != hash_leaf(leaf):
                raise Fault(index, "lost-hash", "the leaf hash of the lost record", hash_leaf(leaf).hex())
            record = read_leaf(index, leaf)
            self.evidence(index, record, pieces)
            self.keep_blobs(index, record)

    def warnings(self) -> list[str]:
        """What an auditor should know, though it breaks no rule."""
        times = [checkpoint.time_ms for checkpoint in self.checkpoints]
        spans = [later - earlier for earlier, later in pairwise(times)]
        gaps = [span for span in spans if span > GAP_MS]
        backward = [span for span in spans if span < 0]
        return [
            *([f"gaps between checkpoints: {len(gaps)}, the longest of {max(gaps)} ms"] if gaps else []),
            *(
                [f"{len(backward)} checkpoints are older than the one before them: a clock was set back"]
                if backward
                else []
            ),
            *([] if times else ["there is no checkpoint: nothing says that this partition is empty"]),
            *([f"{self.late} records were signed late, as their checkpoints declare"] if self.late else []),
        ]

    def _bytes(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise Fault(0, "lines", f"the file {self.folder.name}/{name}", error) from error

    def _lines(self, name: str) -> Iterator[bytes]:
        try:
            with (self.folder / name).open("rb", buffering=1 << 20) as file:
                for number, line in enumerate(file):  # binary mode splits at \n only
                    if line[-1:] != b"\n":
                        raise Fault(number, "lines", f"whole lines in {name}", "a last one without end")
                    yield line[:-1]
        except OSError as error:
            raise Fault(0, "lines", f"the file {self.folder.name}/{name}", error) from error

    def _hashes_of_lost(self) -> Iterator[tuple[int, bytes]]:
        if not (self.folder / "lost.jsonl").exists():
            return
        before = -1
        for line in self._lines("lost.jsonl"):
            try:
                document = read_json(line)
                index, hashed = document["index"], from_hex(document["leaf_hash"])
            except (ValueError, KeyError, TypeError) as error:
                raise Fault(before + 1, "lost-hash", "an object of index and leaf_hash", error) from error
            if type(index) is not int or index <= before or len(document) != 2:
                raise Fault(before + 1, "lost-hash", "growing indices", index)
            before = index
            yield index, hashed

    def _erasures(self) -> Iterator[dict[str, Any]]:
        if not (self.folder / "erasures.jsonl").exists():
            return
        for line in self._lines("erasures.jsonl"):
            try:
                document = read_json(line)
                good = all(type(document[name]) is int for name in ("first", "end", "made_ms"))
                good = good and all(type(piece) is str for piece in document["pieces"])
                if not good or type(document["proof"]) is not str or len(document) != 5:
                    raise TypeError("its fields")  # noqa: TRY301  caught right here
            except (ValueError, KeyError, TypeError) as error:
                raise Fault(0, "erasure", "a signed statement of what was erased", error) from error
            yield document

    def _known(self) -> list[bytes] | None:
        if not (self.folder / "leaf-hashes").exists():
            return None
        known: list[bytes] = []
        for line in self._lines("leaf-hashes"):
            try:
                known.append(from_hex(line.decode(errors="replace")))
            except ValueError as error:
                raise Fault(len(known), "leaf-hash", "64 hex digits in lower case", error) from error
        return known


def _words(symbol: Any, tick: Any, verdict: dict[str, Any], answer: dict[str, Any]) -> list[Any]:
    said = [answer[name] for name in ("action", "reasoning", "invalidation")]
    return [symbol, tick, verdict["action"], verdict["reason"], *said]


def _digest(*values: Any) -> bytes:
    return hashlib.sha256(json.dumps(values).encode()).digest()


def read_leaf(index: int, leaf: bytes) -> dict[str, Any]:
    """Parse a leaf and check its form."""
    try:
        record = read_json(leaf)
    except ValueError as error:
        raise Fault(index, "canonical-form", "JSON in RFC 8785 form", error) from error
    form(index, record)
    return record  # type: ignore[no-any-return]


def form(index: int, record: Any) -> None:
    """Check that a leaf has the required names, with the right JSON types, and the required fields inside."""
    if (
        not isinstance(record, dict)
        or type(record.get("v")) is not int
        or record["v"] != 1
        or not _known_kind(record.get("kind"))
    ):
        raise Fault(index, "record-form", 'an object with "v": 1 and a known kind', str(record)[:120])
    for name in (*ALWAYS, *FURTHER.get(record["kind"], ())):
        if name not in record:
            raise Fault(index, "record-form", f"{name} in a {record['kind']}", "nothing")
    for name, value in record.items():
        if type(value) is not TYPES.get(name, type(value)):
            raise Fault(index, "record-form", f"{name} as {TYPES[name].__name__}", repr(value)[:120])
    _form_inside(index, record)
    if record["attempts"] < 1 or min(record["recorded_at_ms"], record.get("as_of_ms", 0)) < 0:
        raise Fault(index, "record-form", "attempts from 1 on, times from 0 on", str(record)[:120])
    _form_of_incident(index, record)


def _form_inside(index: int, record: dict[str, Any]) -> None:
    for name, checks in INSIDE:
        section = record.get(name)
        if section is None:
            continue
        for field, kind in checks:
            if type(section.get(field)) is not kind:
                found = repr(section.get(field))[:120]
                raise Fault(index, "record-form", f"{name}.{field} as {kind.__name__}", found)
    for name, field in HASHES:
        digest = record[name].get(field, ZEROS) if name in record else ZEROS
        if digest is not ZEROS and (not isinstance(digest, str) or not is_hex(digest)):
            raise Fault(index, "record-form", f"{name}.{field} as 64 hex digits", repr(digest)[:120])


def _form_of_incident(index: int, record: dict[str, Any]) -> None:
    for field in ("answer_from", "tried"):
        if type(listed := record.get("completion", {}).get(field, [])) is not list:
            raise Fault(index, "record-form", f"completion.{field} as list", repr(listed)[:120])
    if type(record.get("enrolment", {}).get("retires", "")) is not str:
        raise Fault(index, "record-form", "enrolment.retires as str", repr(record["enrolment"]["retires"])[:120])
    for name, kinds in ONLY_IN.items():
        if name in record and record["kind"] not in kinds:
            raise Fault(index, "record-form", f"no {name} in a {record['kind']}", "one")
    if "incident" not in record:
        return
    declared = record["incident"]
    first, last = declared.get("first"), declared.get("last")
    if declared["what"] == "lost" and not (type(first) is int and type(last) is int and 0 <= first <= last):
        raise Fault(index, "record-form", "first and last of what is lost", str(declared)[:120])


def _known_kind(kind: Any) -> bool:
    return isinstance(kind, str) and kind in SETTLES


def read_evidence(index: int, line: bytes) -> tuple[dict[str, bytes], bytes]:
    """Parse a line of evidence: piece name -> exact bytes, and the proof, empty if there is none."""
    try:
        document = read_json(line, numbers=False)
        pieces = {name: _piece(value) for name, value in document["pieces"].items()}
        stated, proof = document["index"], from_base64(document["proof"]) if "proof" in document else b""
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Fault(index, "evidence-form", "an object of index and pieces in RFC 8785 form", error) from error
    if document.keys() - {"proof"} != {"index", "pieces"}:
        raise Fault(index, "evidence-form", "an object of index, pieces and perhaps proof", ", ".join(document))
    if type(stated) is not int or stated != index:
        raise Fault(index, "contiguity", f"index {index}", f"index {stated}")
    return pieces, proof


def _piece(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if value.keys() != {"base64"}:
        raise ValueError("a piece that is neither text nor base64")
    raw = from_base64(value["base64"])
    try:
        raw.decode()
    except UnicodeDecodeError:
        return raw
    raise ValueError("base64 of bytes that are UTF-8")


def check_blob(export: Path, index: int, digest: str) -> None:
    """Check that a blob is present and matches its digest."""
    path = export / "blobs" / digest
    found = hashlib.sha256(path.read_bytes()).hexdigest() if digest.isalnum() and path.is_file() else "nothing"
    if found != digest:
        raise Fault(index, "blob-digest", digest, found)


# The export -----------------------------------------------------------------------------------------------------------


def read_manifest(export: Path) -> list[dict[str, Any]]:
    """Read the manifest and return its partitions."""
    raw = (export / "manifest.json").read_bytes()
    try:
        manifest = read_any_json(raw)
        parts: list[dict[str, Any]] = manifest["partitions"]
        good = manifest["format"] == "llmctx-export/1" and isinstance(parts, list) and bool(parts)
        for number, part in enumerate(parts):
            good = good and all(type(part[name]) is int for name in ("partition", "first", "size"))
            good = good and part["partition"] == number and 0 <= part["first"] <= part["size"]
            good = good and len([from_hex(each) for each in part.get("subtrees", [])]) == part["first"].bit_count()
            good = good and part["origin"] == f"{manifest['origin']}/{number}"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Fault(0, "manifest", "a manifest of llmctx-export/1", repr(error)) from error
    if not good:
        raise Fault(0, "manifest", "a manifest of llmctx-export/1, partitions in order", raw[:200])
    return parts


def verify_export(export: Path, key: Key, origin: str, held: list[Receipt]) -> list[dict[str, Any]]:
    """Check every partition and return a report for each."""
    if not (export / "manifest.json").is_file():
        is_archive = next(export.glob("[0-9]*/*.parquet"), None) is not None
        what = (
            "no export but an archive; `llmctx export DIR --from` makes an export of it" if is_archive else "no export"
        )
        raise FileNotFoundError(f"{export} has no manifest.json, so it is {what}")
    parts = read_manifest(export)
    try:
        inside = (export / "trail.pub").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Fault(0, "key", key.text, error) from error
    files = [export / str(part["partition"]) / "checkpoints" for part in parts]
    trust = Trust(key, key_chain(b"\n".join(file.read_bytes() for file in files if file.is_file()), key), len(parts))
    if inside not in [each.text for each in trust.keys]:
        raise Fault(0, "key", key.text, inside)
    if parts[0]["origin"] != f"{origin}/0":
        raise Fault(0, "origin", f"{origin}/0", parts[0]["origin"])
    for path in sorted((export / "blobs").iterdir()) if (export / "blobs").is_dir() else []:
        check_blob(export, 0, path.name)
    for receipt in held:
        if receipt.partition >= len(parts):
            raise Fault(receipt.at, "receipt", f"a partition {receipt.partition}", f"{len(parts)} partitions")
    return [verify_part(export, part, trust, held) for part in parts]


def verify_part(export: Path, part: dict[str, Any], trust: Trust, held: list[Receipt]) -> dict[str, Any]:
    """Check one partition and return its report."""
    try:
        return {"partition": part["partition"], **Partition(export, part, trust, held).check()}
    except Fault as fault:
        for each in (fault, *fault.further):
            each.fields["partition"] = part["partition"]
        raise


def print_reports(reports: list[dict[str, Any]]) -> None:
    """Print the reports for people."""
    for report in reports:
        print(
            "partition {partition}: {records} records settle {ticks} ticks, {checkpoints} checkpoints".format(**report)
        )
        for piece, count in report["erased"].items():
            print(f"erased by rule: {piece} of {count} records; their digests are in the leaves")
        for first, last in report["losses"]:
            print(f"lost: records {first} to {last}; their leaf hashes are in the tree")
        if report["incidents"]:
            print(f"incidents at {', '.join(map(str, report['incidents']))}")
        for warning in report["warnings"]:
            print(f"warning: {warning}")
    print("intact, with losses" if any(report["losses"] for report in reports) else "verified")


def main() -> int:
    """Check what the command line names, print the result, and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # findings may contain any character
    parser = argparse.ArgumentParser(description="Verify an export of an llmctx trail, or one receipt.")
    parser.add_argument("export", metavar="DIR", nargs="?", type=Path, help="a folder that `llmctx export` wrote")
    parser.add_argument("--key", required=True, help="the notary's vkey, obtained independently of the export")
    parser.add_argument("--origin", help="llmctx/INSTANCE; default: the key's name")
    parser.add_argument(
        "--receipt-held", type=Path, action="append", default=[], help="a receipt that the export must agree with"
    )
    parser.add_argument("--receipt", type=Path, help="check only this receipt")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    if (options.export is None) == (options.receipt is None):
        parser.error("name either DIR or --receipt FILE")
    try:
        key = Key(options.key)
        origin = options.origin or key.name
        if options.receipt is not None:
            receipt = Receipt(options.receipt)
            if not receipt.is_proof:
                parser.error("this receipt has no proof; check it against an export with --receipt-held")
            receipt.check([key], f"{origin}/{receipt.partition}")
            print(
                json.dumps({"verdict": "verified", "index": receipt.at}) if options.json else f"verified: {receipt.at}"
            )
            return 0
        reports = verify_export(options.export, key, origin, [Receipt(path) for path in options.receipt_held])
    except Fault as fault:
        further = [each.fields for each in fault.further]
        if options.json:
            print(json.dumps({"verdict": "failed", "fault": fault.fields, "further": further}))
        else:
            print(f"FAILED: {fault}", *(f"also: {each}" for each in fault.further), sep="\n")
        return 1
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        losses = any(report["losses"] for report in reports)
        print(json.dumps({"verdict": "intact, with losses" if losses else "verified", "partitions": reports}))
    else:
        print_reports(reports)
    return 0


if __name__ == "__main__":
    sys.exit(main())
