"""The roster: the writer keys of an instance as a state directory knows them, to judge a new record at once.

    STATE_DIR/keys/<instance>.writers   lines `PARTITION INDEX VKEY` (the record at INDEX enrols the key),
                                        `PARTITION INDEX KEYID retired` (the record at INDEX retires it),
                                        `PARTITION INDEX VKEY rotated` (it replaces this instance key), and
                                        `granted VKEY SIGNATURE [KEYID]` (the instance key has enrolled it, and retired
                                        another one; no record has yet)

Rule of order: a line stands in the file before the record that it names is appended. Lines are only added.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llmctx.trail.log.entry import Entry
from llmctx.trail.log.leaf_schema import Fault
from llmctx.trail.proof.checkpoint import Key, origin_of
from llmctx.trail.proof.key import key_file, load_from, read_public_key, replace_public_key
from llmctx.trail.proof.replaced import ReplacedKey, replaced_key
from llmctx.trail.proof.writer import WriterKeys, enrol, signer_of
from llmctx.trail.proof.writers_file import (
    GRANTED,
    RETIRED,
    ROTATED,
    append_line,
    enrolled_lines,
    read_lines,
    roster_file,
)


class Roster(WriterKeys):
    """One partition's enrolled keys: those in the file, and those that records enrol from then on."""

    def __init__(self, state_dir: Path, instance: str, partition: int) -> None:
        """Raises KeyFileError if a file cannot be read."""
        self.wrong_key = replaced_key(state_dir, instance, partition)
        """The instance key here if another one signed the trail."""
        is_right_beside = self.wrong_key is not None and self.wrong_key.signs
        key = load_from(key_file(state_dir, instance), instance).key if is_right_beside else None
        super().__init__(origin_of(instance, partition), key or read_public_key(state_dir, instance))
        self._state_dir, self._instance = state_dir, instance
        self._file = roster_file(state_dir, instance)
        self._partition = partition
        self._places: dict[bytes, int] = {}
        self._load()

    @property
    def replaced(self) -> ReplacedKey | None:
        """The instance key here if another one signed the trail whose signatures cannot be checked here."""
        return None if self.wrong_key is None or self.wrong_key.signs else self.wrong_key

    def place_of(self, key: Key) -> int | None:
        """The index of the record that enrols a key; None if no record does."""
        return self._places.get(key.id) if self.keys.get(key.id) == key else None

    def check(self, entry: Entry) -> Fault | None:
        """The fault of a new record's enrolment or proof; a good enrolment is kept in the file."""
        before, older = set(self.retired), dict(self._older)
        fault = super().check(entry)
        if fault is not None and self._load():  # another process may have met the enrolment first
            fault = super().check(entry)
        for key_id in self.retired.keys() - before:  # before the new key's line: a kill may come between the two
            append_line(self._file, f"{self._partition} {self.retired[key_id]} {key_id.hex()} {RETIRED}")
        for key in list(self.keys.values()):
            if key.id not in self._places:
                self.add(key, entry.index)
        for key, index in self._older.items():
            if older.get(key) != index:
                self.rotate(key, entry.index)
                replace_public_key(self._state_dir, self._instance, self._instance_key)
        return fault

    def add(self, key: Key, index: int, retires: str = "") -> None:
        """Note that the record at an index enrols a key, and perhaps retires another one.

        Raises KeyFileError if that cannot be written.
        """
        if retires:
            append_line(self._file, f"{self._partition} {index} {retires} {RETIRED}")
        append_line(self._file, f"{self._partition} {index} {key.text}")
        self._load()

    def rotate(self, old: Key, index: int) -> None:
        """Note that the record at an index replaces an instance key.

        Raises KeyFileError if that cannot be written.
        """
        append_line(self._file, f"{self._partition} {index} {old.text} {ROTATED}")
        self._load()

    def _read(self, enrolment: dict[str, Any], index: int) -> Key | Fault:
        if self.replaced is not None:
            known = next((key for key in self.keys.values() if key.text == enrolment["key"]), None)
            if known is None or self._places.get(known.id) != index:
                raise self.replaced.error  # a genuine record would be taken for a foreign one
            return known
        if self._instance_key is None:
            return Fault(index, "enrolment", "an instance key to check it with", "none in this state directory")
        return super()._read(enrolment, index)

    def _load(self) -> bool:
        """Read the file; whether it has a key that was unknown."""
        before = len(self._places)
        for place in read_lines(self._file):
            if place[3:] == [ROTATED]:
                key, is_here = Key.read(place[2]), place[0] == str(self._partition)
                self._older[key] = int(place[1]) if is_here else self._older.get(key, math.inf)
            elif place[0] == str(self._partition):
                if place[3:] == [RETIRED]:
                    self.retire(bytes.fromhex(place[2]), int(place[1]))
                    continue
                key, index = Key.read(place[2]), int(place[1])
                self.enrol(key)
                self._places[key.id] = index
                self.since = index if self.since is None else min(self.since, index)
        return len(self._places) > before


def granted_enrolment(state_dir: Path, instance: str, writer: Key) -> dict[str, str] | None:
    """The signed statement that enrols a writer key: the granted one, or a new one; None if neither is possible.

    A key that is not the one that signed the trail enrols nobody. Raises KeyFileError if a key cannot be used.
    """
    instance_key = read_public_key(state_dir, instance)
    for line in read_lines(roster_file(state_dir, instance)):
        is_valid = instance_key is not None and signer_of(line[2]) == instance_key.id  # not that of an older one
        if line[:2] == [GRANTED, writer.text] and is_valid:
            return {"key": writer.text, "signature": line[2]} | ({"retires": line[3]} if line[3:] else {})
    replaced = replaced_key(state_dir, instance)
    if not key_file(state_dir, instance).exists() or (replaced is not None and not replaced.signs):
        return None
    return {"key": writer.text, "signature": enrol(load_from(key_file(state_dir, instance), instance), writer)}


def grant(
    state_dir: Path, instance: str, writer: Key, signature: str, enrolled: Sequence[str], retires: str = ""
) -> None:
    """Keep the instance key's signature that enrols a writer key, and the lines about keys that are enrolled already.

    Raises KeyFileError if it cannot be written.
    """
    known = enrolled_lines(state_dir, instance)
    fresh = [line for line in enrolled if line not in known]
    for line in (*fresh, f"{GRANTED} {writer.text} {signature} {retires}".rstrip()):
        append_line(roster_file(state_dir, instance), line)
