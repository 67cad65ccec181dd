"""Writer keys: each record is signed by its writer, whose key the instance key has enrolled in the trail.

A state directory has one writer key. Its signature over a record's leaf hash is the record's `proof`; a record with
`enrolment` enrols a key, and from the first one on every record needs a proof (audit/README.md states the rules).
"""

import base64
import math
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
from llmctx.trail.proof.rotation import Rotation, read_rotation

KEY_ID_BYTES = 4
"""How many bytes of a proof name its key."""
KEY_ID = re.compile("[0-9a-f]{8}")
"""The ID of a key in hex."""
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


def signer_of(signature: str) -> bytes:
    """The ID of the key that made a signature in base64; empty if that is malformed."""
    try:
        return canonical.from_base64(signature)[:KEY_ID_BYTES]
    except ValueError:
        return b""


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

    def __init__(self, origin: str, instance_key: Key | None, older: Sequence[Key] = ()) -> None:
        """`older` are the instance keys before this one, each trusted up to the notice that replaces it. Without the
        instance key, its signatures under enrolments are not checked.
        """
        self.origin = origin
        """The origin of the partition's checkpoints."""
        self._instance_key = instance_key
        self._older: dict[Key, float] = dict.fromkeys(older, math.inf)
        self.keys: dict[bytes, Key] = {}
        """The enrolled keys by their IDs."""
        self.retired: dict[bytes, int] = {}
        """The IDs of keys that were enrolled and are not any more, with the index of the record that retires each."""
        self.former: dict[bytes, Key] = {}
        """Those keys, where the records that enrolled them were checked."""
        self.since: int | None = None
        """The index from which on every record needs a proof; None if no key is enrolled yet."""

    def begin_after(self, writers: Sequence[Mapping[str, Any]]) -> Fault | None:
        """Take over what archived records enrolled (see `Base.writers`); the fault of the first bad enrolment."""
        for each in writers:
            try:
                fault = self._take_over(each, each["index"])
            except (KeyError, TypeError) as error:
                fault = Fault(0, "enrolment", "enrolments and rotations", f"{type(error).__name__}: {error}")
            if fault is not None:
                return fault
        return None

    def _take_over(self, record: Mapping[str, Any], index: int) -> Fault | None:
        rotation, enrolment = self._rotation(record, index), record.get("enrolment")
        if isinstance(rotation, Fault):
            return rotation
        if enrolment is not None:
            key = self._read(enrolment, index)
            if isinstance(key, Fault):
                return key
            self.since = index if self.since is None else self.since
            self._enrol(key, enrolment.get("retires", ""), index)
        self._rotate(rotation, index)
        return None

    @property
    def instance_keys(self) -> list[Key]:
        """The instance key, and before it those that it replaced."""
        return [*self._older, *([] if self._instance_key is None else [self._instance_key])]

    def needs_proof(self, index: int) -> bool:
        """Whether a record at this index needs a proof; before the first enrolment nobody can tell who wrote it."""
        return self.since is not None and index >= self.since

    def check(self, entry: Entry) -> Fault | None:
        """The fault of the next record's enrolment or proof; a good enrolment counts from this record on."""
        enrolment, index = entry.record.get("enrolment"), entry.index
        rotation = self._rotation(entry.record, index)
        if isinstance(rotation, Fault):
            return rotation
        key = None if enrolment is None else self._read(enrolment, index)
        if isinstance(key, Fault):
            return key
        since = index if self.since is None and key is not None else self.since
        if since is None or index < since:
            self._rotate(rotation, index)
            return Fault(index, "writer-proof", "no proof before a key is enrolled", "one") if entry.proof else None
        if (found := self._wrong_proof(entry, key)) is not None:
            return Fault(index, "writer-proof", "the proof of an enrolled writer key", found)
        self.since = since
        self._rotate(rotation, index)
        if enrolment is not None and key is not None:
            self._enrol(key, enrolment.get("retires", ""), index)
        return None

    def _enrol(self, key: Key, retires: str, index: int) -> None:
        self.enrol(key)
        if retires:
            self.retire(bytes.fromhex(retires), index)

    def enrol(self, key: Key) -> None:
        """Accept records by a key; by one that was retired, those before the record that retires it."""
        if key.id in self.retired:
            self.former[key.id] = key
        else:
            self.keys = self.keys | {key.id: key}

    def retire(self, key_id: bytes, index: int) -> None:
        """Accept nothing by a key from this index on, nor its enrolment, which anybody could repeat."""
        self.retired.setdefault(key_id, index)
        if key_id in self.keys:
            self.former[key_id] = self.keys[key_id]
        self.keys = {each: key for each, key in self.keys.items() if each != key_id}

    def _rotation(self, record: Mapping[str, Any], index: int) -> Rotation | Fault | None:
        """The rotation of the instance key that a record states, None if it states none."""
        if "rotation" not in record:
            return None
        try:
            rotation = read_rotation(record["rotation"])
        except CheckpointError as error:
            return Fault(index, "rotation", "two keys that have signed it", error.why)
        known = self._instance_keys(index)
        if known and rotation.old not in known:
            return Fault(index, "rotation", "the instance key that is replaced", rotation.old.text)
        return rotation

    def _rotate(self, rotation: Rotation | None, index: int) -> None:
        """Trust the new key of a rotation, and the old one for earlier records alone."""
        if rotation is not None:
            if rotation.old == self._instance_key:
                self._instance_key = rotation.new
            self._older[rotation.old] = index

    def _instance_keys(self, index: int) -> list[Key]:
        """The instance keys that may sign an enrolment in the record at an index."""
        current = [] if self._instance_key is None else [self._instance_key]
        return current + [key for key, replaced_at in self._older.items() if index <= replaced_at]

    def _wrong_proof(self, entry: Entry, enrolled: Key | None) -> str | None:
        """What is wrong with the proof of a record, which may itself enrol the key of its writer."""
        if not entry.proof:
            return "none"
        hashed = entry.digest
        if is_ours(entry.partition, entry.index, hashed):
            return None
        key_id = entry.proof[:KEY_ID_BYTES]
        key = enrolled if enrolled is not None and enrolled.id == key_id else self.keys.get(key_id)
        if key is None and entry.index < self.retired.get(key_id, 0):
            key = self.former.get(key_id)
        if key is None:
            return f"one by the unknown key {key_id.hex()}"
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
        retires, instance_keys = enrolment.get("retires", ""), self._instance_keys(index)
        if retires and (not KEY_ID.fullmatch(retires) or retires == key.id.hex()):
            return Fault(index, "enrolment", "the ID of another key to retire", retires[:80])
        if index >= self.retired.get(key.id, math.inf):
            return Fault(index, "enrolment", "a key that was not retired", key.id.hex())
        if key.id in self.keys and self.keys[key.id] != key:
            return Fault(index, "enrolment", f"one key with the ID {key.id.hex()}", "a second one")
        signer = next((each for each in instance_keys if each.id == signature[:KEY_ID_BYTES]), None)
        text = "" if signer is None else enrolment_text(signer.name, key.text, retires)
        if instance_keys and (signer is None or not signer.accepts(text, signature[KEY_ID_BYTES:])):
            return Fault(index, "enrolment", f"a signature of {instance_keys[0].text}", "one that does not match")
        return key
