"""Private keys, in the state directory, readable by their owner only: one per instance, and one per state directory.

    STATE_DIR/keys/<instance>         PRIVATE+KEY+<name>+<key ID>+<base64 of 0x01 and the 32-byte seed>, mode 0600
    STATE_DIR/keys/<instance>.pub     the vkey, for verifiers
    STATE_DIR/keys/<instance>.next    the key that follows, while `llmctx key --rotate` is at work
    STATE_DIR/keys/<instance>-writer  the writer key of this state directory, in the same form, and its .pub

Source: golang.org/x/mod/sumdb/note uses this form for private keys.
"""

import base64
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from llmctx.errors import CheckpointError, KeyFileError
from llmctx.private_files import DIRECTORY_MODE, FILE_MODE, make_private_directory
from llmctx.trail.disk import sync_directory
from llmctx.trail.proof.checkpoint import ED25519, Checkpoint, Key, key_name_of, note_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_log = logging.getLogger(__name__)
_told: set[Path] = set()
"""The malformed files that were told of."""

_PREFIX = "PRIVATE+KEY+"
_OTHERS = 0o077
_RESTORE = "restore it from your copy (docs/operations.md): no other one can vouch for what it signed."


class SigningKey:
    """A private key that signs checkpoints."""

    def __init__(self, name: str, private: "Ed25519PrivateKey") -> None:
        self._private = private
        self.key = Key(name, private.public_key().public_bytes_raw())
        """The public key."""

    @classmethod
    def new(cls, name: str) -> Self:
        """Generate a key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415  it takes 10 ms

        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, text: str) -> Self:
        """Parse the text of a key file.

        Raises ValueError if it is malformed.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415  as above

        parts = text.strip().removeprefix(_PREFIX).split("+", 2)
        if not text.startswith(_PREFIX) or len(parts) != 3:  # noqa: PLR2004  name, key ID, seed
            raise ValueError("it is not a private key")
        name, key_id, encoded = parts
        raw = base64.b64decode(encoded, validate=True)
        if raw[:1] != ED25519:
            raise ValueError("it is not a private Ed25519 key")
        signing = cls(name, Ed25519PrivateKey.from_private_bytes(raw[1:]))
        if signing.key.id.hex() != key_id:
            raise ValueError(f"it says key ID {key_id}, but the key has {signing.key.id.hex()}")
        return signing

    @property
    def text(self) -> str:
        """The text of its key file."""
        seed = base64.b64encode(ED25519 + self._private.private_bytes_raw()).decode()
        return f"{_PREFIX}{self.key.name}+{self.key.id.hex()}+{seed}"

    def sign(self, checkpoint: Checkpoint) -> str:
        """Sign a checkpoint and return the signed note."""
        return note_of(checkpoint, self.key, self._private.sign(checkpoint.text.encode()))

    def sign_text(self, text: str) -> bytes:
        """Sign a text and return the key ID and the signature, 68 bytes."""
        return self.key.id + self._private.sign(text.encode())


def key_file(state_dir: Path, instance: str) -> Path:
    """The file of an instance's private key; the public key is beside it."""
    return state_dir / "keys" / instance


def public_file(state_dir: Path, instance: str) -> Path:
    """The file of an instance's vkey."""
    return state_dir / "keys" / f"{instance}.pub"


def make_key(state_dir: Path, instance: str) -> SigningKey:
    """Generate and store the key of an instance.

    Raises KeyFileError if there is one already, which is never overwritten, or if it cannot be written.
    """
    path = key_file(state_dir, instance)
    signing = SigningKey.new(key_name_of(instance))
    with disk_errors(path, "written"):
        make_private_directory(path.parent)
        path.parent.chmod(DIRECTORY_MODE)
        try:
            write_new(path, signing.text)
        except FileExistsError as error:
            raise KeyFileError(
                f"The key {path} exists already.",
                "It is never overwritten, because nobody could check what it signed any more. `llmctx key` shows it.",
                exit_code=2,
            ) from error
        public = public_file(state_dir, instance)
        public.unlink(missing_ok=True)
        write_new(public, signing.key.text)
    return signing


def load_key(state_dir: Path, instance: str) -> SigningKey:
    """Load the private key of an instance.

    Raises KeyFileError as `load_from` does, and while another key is about to replace it.
    """
    if next_file(state_dir, instance).exists():
        raise KeyFileError("A rotation of the instance key is not finished.", "Run `llmctx key --rotate` again.")
    return load_from(key_file(state_dir, instance), instance)


def load_from(path: Path, instance: str) -> SigningKey:
    """Load a private key of an instance from its file.

    Raises KeyFileError if it is missing or malformed, or if others may read it.
    """
    with disk_errors(path, "read"):
        try:
            mode = path.stat().st_mode
            text = path.read_bytes().decode(errors="replace")
        except FileNotFoundError as error:
            do = "Make one with `llmctx key --make`, or start `llmctx run`, which makes it."
            if path.with_name(f"{path.name}.pub").exists():
                do = (
                    "If this state directory has joined, do it where the private key is. If the key is lost, "
                    + _RESTORE
                )
            raise KeyFileError(f"There is no private key {path}.", do) from error
    if mode & _OTHERS:
        raise KeyFileError(
            f"Others may read the key {path} (mode {mode & 0o777:04o}).",
            f"Run `chmod 600 {path}`, and consider who may have read it.",
            exit_code=2,
        )
    try:
        signing = SigningKey.read(text)
    except ValueError as error:
        raise KeyFileError(f"The key {path} is malformed: {error}.", _remedy(path), exit_code=2) from error
    if signing.key.name != key_name_of(instance):
        raise KeyFileError(f"{path} holds the key of {signing.key.name}.", _remedy(path), exit_code=2)
    return signing


def _remedy(path: Path) -> str:
    """What to do about a private key that cannot be used; a writer key need not be kept."""
    if path.name.endswith("-writer"):
        return (
            f"Move {path} and {path.name}.pub away: the next start makes a writer key, and the instance key enrols it."
        )
    return "Restore it from your copy (docs/operations/runbooks.md, A key is lost)."


def load_or_make_key(state_dir: Path, instance: str) -> SigningKey:
    """Load the private key of an instance, and make it if there is none.

    Raises KeyFileError as `load_key` and `make_key` do.
    """
    if not key_file(state_dir, instance).exists():
        try:
            return make_key(state_dir, instance)
        except KeyFileError:
            if not key_file(state_dir, instance).exists():
                raise  # otherwise another process has just made it
    return load_key(state_dir, instance)


def has_public_key_alone(state_dir: Path, instance: str) -> bool:
    """Whether a state directory has the public key of an instance without the private one: it joined, or lost it."""
    # The private file is written first, so it is not there if it is asked for last.
    return public_file(state_dir, instance).exists() and not key_file(state_dir, instance).exists()


def load_notary_key(state_dir: Path, instance: str) -> SigningKey:
    """Load the private key of an instance, and make it if the state directory knows no key of the instance at all.

    Raises KeyFileError if it has the public key alone: another private key could not vouch for what that one signed.
    It raises as `load_key` and `make_key` do, too.
    """
    if has_public_key_alone(state_dir, instance):
        raise KeyFileError(
            f"{state_dir} has the public key of instance {instance} alone, so no checkpoint is signed here.",
            "If this state directory has joined, run `llmctx notary` where the private key is, and `llmctx run` here "
            "with --no-notary. If the private key is lost, " + _RESTORE,
        )
    return load_or_make_key(state_dir, instance)


def read_public_key(state_dir: Path, instance: str) -> Key | None:
    """The public key of an instance, None if the state directory has none; if its file is malformed, that of the
    private key beside it.

    Raises KeyFileError if the file is malformed or cannot be read.
    """
    path = public_file(state_dir, instance)
    with disk_errors(path, "read"):
        try:
            return Key.read(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            private = key_file(state_dir, instance)
            return load_key(state_dir, instance).key if private.exists() else None
        except (CheckpointError, UnicodeDecodeError) as error:
            if key_file(state_dir, instance).exists():
                if path not in _told:
                    _told.add(path)
                    _log.warning(f"{path} does not hold a vkey, so it is read from the private key. Remove that file")
                return load_key(state_dir, instance).key
            raise KeyFileError(f"{path} does not hold a vkey: {error}", "`llmctx key` shows the right one.") from error


def next_file(state_dir: Path, instance: str) -> Path:
    """The file of the key that is to replace an instance's private key."""
    return state_dir / "keys" / f"{instance}.next"


def replace_public_key(state_dir: Path, instance: str, key: Key | None, *, over_private: bool = False) -> None:
    """Keep an instance's new public key; where its private key is, only `llmctx key --rotate` does.

    Raises KeyFileError if it cannot be written.
    """
    path = public_file(state_dir, instance)
    if key is None or (key_file(state_dir, instance).exists() and not over_private):
        return
    draft = path.with_name(f"{path.name}.new")
    with disk_errors(path, "written"):
        draft.unlink(missing_ok=True)
        write_new(draft, key.text)
        draft.replace(path)
        sync_directory(path.parent)


def write_public_key(state_dir: Path, instance: str, key: Key) -> None:
    """Keep the public key of an instance whose private key is elsewhere.

    Raises KeyFileError if another one is there, or if it cannot be written.
    """
    path = public_file(state_dir, instance)
    if (found := read_public_key(state_dir, instance)) is not None:
        if found != key:
            raise KeyFileError(f"{path} holds another key.", "`llmctx key` shows the right one.", exit_code=2)
        return
    with disk_errors(path, "written"):
        make_private_directory(path.parent)
        write_new(path, key.text)


def write_new(path: Path, text: str) -> None:
    """Create a file completely or not at all, readable only by its owner, and never over another one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        os.fchmod(file, FILE_MODE)
        os.write(file, f"{text}\n".encode())
        os.fsync(file)
        os.link(draft, path)
    finally:
        os.close(file)
        draft.unlink()
    sync_directory(path.parent)


@contextmanager
def disk_errors(path: Path, act: str) -> Iterator[None]:
    """Turn an OSError into a KeyFileError; `act` says what failed, as in "read"."""
    try:
        yield
    except OSError as error:
        raise KeyFileError(
            f"The key {path} could not be {act}: {error}.", "Check the folder's permissions and the free disk space."
        ) from error
