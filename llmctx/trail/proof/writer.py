"""Writer keys: each record is signed by its writer, whose key the instance key has enrolled in the trail.

A state directory has one writer key. Its signature over a record's leaf hash is the record's `proof`; a record with
`enrolment` enrols a key, and from the first one on every record needs a proof (audit/README.md states the rules).
"""

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llmctx import canonical
from llmctx.errors import CheckpointError
from llmctx.trail.log.appended import is_ours
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.leaf_schema import Fault
from llmctx.trail.proof.checkpoint import Key, origin_of
from llmctx.trail.proof.key import SigningKey, load_or_make_key
from llmctx.trail.proof.merkle import leaf_hash

KEY_ID_BYTES = 4
"""How many bytes of a proof name its key."""
_KEY_ID = re.compile("[0-9a-f]{8}")
_Enrolment = dict[str, Any]


def proof_text(origin: str, hashed: bytes) -> str:
    """The text that a writer signs for the record with this leaf hash."""
    return f"llmctx-writer/1\n{origin}\n{hashed.hex()}\n"


def enrolment_text(instance_key: str, vkey: str, retires: str = "") -> str:
    """The text that an instance key of this name signs to enrol a writer key, and to retire that of an ID."""
    return f"llmctx-enrolment/1\n{instance_key}\n{vkey}\n" + (f"retires {retires}\n" if retires else "")


def enrol(signing: SigningKey, writer: Key, retires: str = "") -> str:
    """Enrol a writer key with the instance key; returns key ID and signature in base64."""
    return base64.b64encode(signing.sign_text(enrolment_text(signing.key.name, writer.text, retires))).decode()


class Writer:
    """A state directory's writer key."""

    def __init__(self, instance: str, signing: SigningKey) -> None:
        self._instance = instance
        self._signing = signing
        self.key = signing.key
        """The public key."""

    def prove(self, partition: int, leaf: bytes) -> bytes:
        """The proof of a record: key ID and signature."""
        return self.sign(proof_text(origin_of(self._instance, partition), leaf_hash(leaf)))

    def sign(self, text: str) -> bytes:
        """Key ID and signature over a text."""
        return self._signing.sign_text(text)


def load_or_make_writer(state_dir: Path, instance: str) -> Writer:
    """The writer key of a state directory, made if there is none.

    Raises KeyFileError if it cannot be used.
    """
    return Writer(instance, load_or_make_key(state_dir, writer_name(instance)))


def writer_name(instance: str) -> str:
    """The name of a writer key: of its file, and in its vkey behind `llmctx/`."""
    return f"{instance}-writer"


class WriterKeys:
    """The writer keys that a partition's records have enrolled so far."""

    def __init__(self, origin: str, instance_key: Key | None) -> None:
        """Without the instance key, its signatures under enrolments are not checked."""
        self.origin = origin
        """The origin of the partition's checkpoints."""
        self.instance_key = instance_key
        """The instance's public key; None if it is unknown."""
        self.keys: dict[bytes, Key] = {}
        """The enrolled keys by their IDs."""
        self.retired: set[bytes] = set()
        """The IDs of keys that were enrolled and are not any more."""
        self.since: int | None = None
        """The index from which on every record needs a proof; None if no key is enrolled yet."""

    def begin_after(self, writers: Sequence[Mapping[str, Any]]) -> Fault | None:
        """Take over what archived records enrolled (see `Base.writers`); the fault of the first bad enrolment."""
        for each in writers:
            enrolment, index = each["enrolment"], each["index"]
            try:
                key = self._read(enrolment, index)
            except (KeyError, TypeError) as error:
                key = Fault(index, "enrolment", "a key and its signature", f"{type(error).__name__}: {error}")
            if isinstance(key, Fault):
                return key
            self.keys, self.since = self.keys | {key.id: key}, index if self.since is None else self.since
            if enrolment.get("retires"):
                self.retire(bytes.fromhex(enrolment["retires"]))
        return None

    def needs_proof(self, index: int) -> bool:
        """Whether a record at this index needs a proof; before the first enrolment nobody can tell who wrote it."""
        return self.since is not None and index >= self.since

    def check(self, entry: Entry) -> Fault | None:
        """The fault of the next record's enrolment or proof; a good enrolment counts from this record on."""
        enrolment, index = entry.record.get("enrolment"), entry.index
        keys, since = self.keys, self.since
        if enrolment is not None:
            key = self._read(enrolment, index)
            if isinstance(key, Fault):
                return key
            keys, since = keys | {key.id: key}, index if since is None else since
        if since is None or index < since:
            return Fault(index, "writer-proof", "no proof before a key is enrolled", "one") if entry.proof else None
        if (found := self._wrong_proof(entry, keys)) is not None:
            return Fault(index, "writer-proof", "the proof of an enrolled writer key", found)
        self.keys, self.since = keys, since
        if enrolment is not None and enrolment.get("retires"):
            self.retire(bytes.fromhex(enrolment["retires"]))
        return None

    def retire(self, key_id: bytes) -> None:
        """Accept nothing more by a key, nor its enrolment, which anybody could repeat."""
        self.retired.add(key_id)
        self.keys = {each: key for each, key in self.keys.items() if each != key_id}

    def _wrong_proof(self, entry: Entry, keys: dict[bytes, Key]) -> str | None:
        if not entry.proof:
            return "none"
        hashed = entry.digest
        if is_ours(entry.partition, entry.index, hashed):
            return None
        key = keys.get(entry.proof[:KEY_ID_BYTES])
        if key is None:
            return f"one by the unknown key {entry.proof[:KEY_ID_BYTES].hex()}"
        matches = key.accepts(proof_text(self.origin, hashed), entry.proof[KEY_ID_BYTES:])
        return None if matches else "a signature that does not match"

    def _read(self, enrolment: _Enrolment, index: int) -> Key | Fault:
        if enrolment["from"] != index:
            return Fault(index, "enrolment", f"from {index}, where it stands", str(enrolment["from"]))
        try:
            key = Key.read(enrolment["key"])
            signature = canonical.from_base64(enrolment["signature"])
        except (CheckpointError, ValueError) as error:
            return Fault(index, "enrolment", "a vkey and a signature in base64", str(error))
        instance_key, retires = self.instance_key, enrolment.get("retires", "")
        if retires and (not _KEY_ID.fullmatch(retires) or retires == key.id.hex()):
            return Fault(index, "enrolment", "the ID of another key to retire", retires[:80])
        if key.id in self.retired:
            return Fault(index, "enrolment", "a key that was not retired", key.id.hex())
        if key.id in self.keys and self.keys[key.id] != key:
            return Fault(index, "enrolment", f"one key with the ID {key.id.hex()}", "a second one")
        if instance_key is not None and not (
            signature[:KEY_ID_BYTES] == instance_key.id
            and instance_key.accepts(enrolment_text(instance_key.name, key.text, retires), signature[KEY_ID_BYTES:])
        ):
            return Fault(index, "enrolment", f"a signature of {instance_key.text}", "one that does not match")
        return key
