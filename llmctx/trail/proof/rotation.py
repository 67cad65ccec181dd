"""The rotation of the instance key: the old key signs the new one in, and the new one signs that it follows the old.

Both keys sign a notice in each partition, over the text below, and the checkpoint that covers it, which has an
extension line `rotation OLD NEW`. From the next record and the next checkpoint on, the old key signs nothing any more.

    llmctx-rotation/1
    <vkey of the old key>
    <vkey of the new key>
"""

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from llmctx import canonical
from llmctx.errors import CheckpointError
from llmctx.trail.disk import sync_directory
from llmctx.trail.proof.checkpoint import Checkpoint, Key, key_name_of, open_note, read_note
from llmctx.trail.proof.key import (
    SigningKey,
    disk_errors,
    key_file,
    load_from,
    next_file,
    replace_public_key,
    write_new,
)

_LINE = "rotation "


class Rotation(NamedTuple):
    """One instance key that follows another."""

    old: Key
    """The key that signed until now."""
    new: Key
    """The key that signs from here on."""

    @property
    def text(self) -> str:
        """The text that both keys sign for the notice."""
        return f"llmctx-rotation/1\n{self.old.text}\n{self.new.text}\n"

    @property
    def line(self) -> str:
        """The extension line of the checkpoint that both keys sign."""
        return f"{_LINE}{self.old.text} {self.new.text}"

    @classmethod
    def read(cls, old: str, new: str) -> Self:
        """Parse two vkeys.

        Raises CheckpointError if one is malformed, or if they have different names or the same key ID.
        """
        read = cls(Key.read(old), Key.read(new))
        if read.old.name != read.new.name or read.old.id == read.new.id:
            raise CheckpointError("a rotation needs two keys with one name")
        return read


def signed_rotation(old: SigningKey, new: SigningKey) -> dict[str, str]:
    """The field `rotation` of a notice, signed by both keys."""
    text = Rotation(old.key, new.key).text
    signatures = {
        f"{which}_signature": base64.b64encode(signing.sign_text(text)).decode()
        for which, signing in (("old", old), ("new", new))
    }
    return {"old": old.key.text, "new": new.key.text} | signatures


def read_rotation(fields: Mapping[str, Any]) -> Rotation:
    """The rotation that a notice states.

    Raises CheckpointError if it is malformed or not signed by both keys.
    """
    read = Rotation.read(fields["old"], fields["new"])
    for which, key in (("old", read.old), ("new", read.new)):
        try:
            signature = canonical.from_base64(fields[f"{which}_signature"])
        except ValueError as error:
            raise CheckpointError(f"the signature of the {which} key is {error}") from error
        if signature[:4] != key.id or not key.accepts(read.text, signature[4:]):
            raise CheckpointError(f"the {which} key {key.id.hex()} has not signed it")
    return read


def rotation_of(checkpoint: Checkpoint) -> Rotation | None:
    """The rotation that a checkpoint states, None if it states none.

    Raises CheckpointError if the line is malformed or repeated.
    """
    stated = [line.removeprefix(_LINE).split(" ") for line in checkpoint.extensions if line.startswith(_LINE)]
    if not stated:
        return None
    if len(stated) > 1 or len(stated[0]) != 2:  # noqa: PLR2004  old and new
        raise CheckpointError("it needs one 'rotation' line with two vkeys")
    return Rotation.read(*stated[0])


def handover(note: str) -> Rotation | None:
    """The rotation of a note that both of its keys have signed; None of any other note."""
    try:
        found = rotation_of(read_note(note))
        if found is not None:
            open_note(note, found.old)
            open_note(note, found.new)
    except CheckpointError:
        return None
    return found


def key_chain(notes: Iterable[str], key: Key) -> tuple[Key, ...]:
    """The keys that signed a trail one after the other, oldest first, as its notes say; the trusted `key` is one."""
    stated = (note for note in notes if f"\n{_LINE}" in note)
    handovers = [found for found in map(handover, stated) if found is not None]
    chain = [key]
    for rotation in reversed(handovers):
        if rotation.new == chain[0] and rotation.old not in chain:
            chain.insert(0, rotation.old)
    for rotation in handovers:
        if rotation.old == chain[-1] and rotation.new not in chain:
            chain.append(rotation.new)
    return tuple(chain)


def next_key(state_dir: Path, instance: str) -> SigningKey:
    """The key that replaces the instance key, which is made unless an earlier rotation was cut short.

    Raises KeyFileError if it cannot be used.
    """
    path = next_file(state_dir, instance)
    if not path.exists():
        with disk_errors(path, "written"):
            write_new(path, SigningKey.new(key_name_of(instance)).text)
    return load_from(path, instance)


def finish_rotation(state_dir: Path, instance: str) -> None:
    """Put the new key in the place of the old one, which is gone then.

    Raises KeyFileError if that cannot be written.
    """
    path = next_file(state_dir, instance)
    replace_public_key(state_dir, instance, load_from(path, instance).key, over_private=True)
    with disk_errors(path, "written"):
        path.replace(key_file(state_dir, instance))
        sync_directory(path.parent)
