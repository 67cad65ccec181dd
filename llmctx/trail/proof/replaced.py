"""Whether the instance key of a state directory is the one that signed its trail.

A key file that somebody put in the place of another one signs nothing that anybody accepts. Nothing is signed with it
then, and it enrols nobody; records go on, with the proofs of their writer.
"""

from pathlib import Path
from typing import NamedTuple

from llmctx import clock
from llmctx.errors import AnchorError, CheckpointError, KeyFileError
from llmctx.trail.proof.anchor import Anchor, anchor_directory
from llmctx.trail.proof.checkpoint import Checkpoint, Key, is_signed_by, key_name_of, read_note, signers_of
from llmctx.trail.proof.key import key_file, load_from, public_file, read_public_key
from llmctx.trail.proof.writers_file import older_keys

_RUNBOOK = "docs/operations/runbooks.md, A key is lost"


class ReplacedKey(NamedTuple):
    """An instance key that is not the one that signed the trail."""

    file: Path
    """The file that holds it."""
    key_id: str
    """Its ID in hex."""
    signer: str
    """The ID of the key that signed the newest checkpoint."""
    partition: int
    newest: Checkpoint
    """The newest checkpoint of that partition."""
    signs: bool
    """Whether the private key beside it is the right one, so that checkpoints are still signed."""

    @property
    def what(self) -> str:
        """What is wrong, and since when records are unsigned."""
        key = f"The instance key {self.key_id} in {self.file} is not the one that signed this trail ({self.signer})."
        if self.signs:
            return f"{key} The private key beside it is, so records are signed, but nobody can verify them with that."
        since = clock.iso(self.newest.time_ms)
        unsigned = f"records of partition {self.partition} from {self.newest.size} on"
        return f"{key} No checkpoint signs {unsigned}, since {since}."

    @property
    def do(self) -> str:
        """What to do."""
        if self.signs:
            return f"Remove {self.file}: the public key is read from the private one then."
        return (
            f"Put back the key {self.signer} ({_RUNBOOK}). Records go on meanwhile and are signed then. Only `llmctx "
            "key --rotate` replaces a key; if it is elsewhere, run with --no-notary here."
        )

    @property
    def error(self) -> KeyFileError:
        """The error for whoever would sign with it."""
        return KeyFileError(self.what, self.do)


def replaced_key(state_dir: Path, instance: str, partition: int = 0) -> ReplacedKey | None:
    """The instance key of a state directory if it is not the one that signed the newest checkpoint in its anchor.

    None if it is, if there is no key or no anchor, or if a notice has replaced the key that signed.

    Raises KeyFileError if the public key or the file of writer keys cannot be read.
    """
    found = _newest(state_dir, instance, partition)
    if found is None:
        return None
    note, checkpoint = found
    private, public = _private_key(state_dir, instance), public_file(state_dir, instance)
    signs = private is not None and is_signed_by(note, private)
    file, key = public, read_public_key(state_dir, instance) if public.exists() else private
    if private is not None and not signs:
        file, key = key_file(state_dir, instance), private
    if key is None:
        return None
    if is_signed_by(note, key) or any(is_signed_by(note, each) for each in older_keys(state_dir, instance)):
        return None
    signer = next(
        (key_id.hex() for name, key_id in signers_of(note) if name == key_name_of(instance)), "of another name"
    )
    return ReplacedKey(file, key.id.hex(), signer, partition, checkpoint, signs)


def _private_key(state_dir: Path, instance: str) -> Key | None:
    """The public half of the private key; None if there is none that can be used, as its notary says."""
    try:
        return load_from(key_file(state_dir, instance), instance).key
    except KeyFileError:
        return None


def _newest(state_dir: Path, instance: str, partition: int) -> tuple[str, Checkpoint] | None:
    try:
        note = Anchor(anchor_directory(state_dir, instance, partition)).last_note()
        return None if note is None else (note, read_note(note))
    except (AnchorError, CheckpointError):
        return None  # `llmctx verify` names it


def refuse_replaced(state_dir: Path, instance: str, partition: int = 0) -> None:
    """Raise KeyFileError if the private key is not the one that signed the trail: nobody accepts what it signs."""
    found = replaced_key(state_dir, instance, partition)
    if found is not None and not found.signs:
        raise found.error


def refuse_new_key(state_dir: Path, instance: str, partition: int = 0) -> None:
    """Raise KeyFileError if there is no instance key here, though one has signed: a new one could vouch for nothing."""
    if key_file(state_dir, instance).exists() or public_file(state_dir, instance).exists():
        return
    if (found := _newest(state_dir, instance, partition)) is not None:
        signers = ", ".join(key_id.hex() for _, key_id in signers_of(found[0]))
        raise KeyFileError(
            f"{key_file(state_dir, instance)} is gone, though it has signed this trail (key {signers}).",
            f"Put it back from your copy ({_RUNBOOK}); no other one can vouch for what it signed.",
        )


def key_trouble(state_dir: Path, instance: str, partitions: int) -> KeyFileError | None:
    """What is wrong with the instance key of a state directory: it cannot be read, or did not sign the trail."""
    private = key_file(state_dir, instance)
    try:
        for partition in range(partitions):
            if (found := replaced_key(state_dir, instance, partition)) is not None:
                return found.error
        if private.exists():
            load_from(private, instance)
    except KeyFileError as error:
        return error
    return None
