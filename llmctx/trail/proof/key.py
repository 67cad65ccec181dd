"""The notary's private key: one an instance, in the state directory, readable by nobody else.

    STATE_DIR/keys/<instance>       PRIVATE+KEY+<name>+<key id>+<base64 of 0x01 and the 32-byte seed>, mode 0600
    STATE_DIR/keys/<instance>.pub   the vkey, which is what verifiers are given

Source: golang.org/x/mod/sumdb/note writes private keys in this form.
"""

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from llmctx.errors import CheckpointError, KeyFileError
from llmctx.trail.proof.checkpoint import ED25519, Checkpoint, Key, key_name_of, note_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_PREFIX = "PRIVATE+KEY+"
_OTHERS = 0o077


class SigningKey:
    """A private key that signs checkpoints."""

    def __init__(self, name: str, private: "Ed25519PrivateKey") -> None:
        self._private = private
        self.key = Key(name, private.public_key().public_bytes_raw())
        """Its public half."""

    @classmethod
    def new(cls, name: str) -> Self:
        """A fresh key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415  10 ms

        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, text: str) -> Self:
        """The key that a key file holds.

        Raises ValueError where the text is none.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415  the same

        name, key_id, encoded = text.strip().removeprefix(_PREFIX).split("+", 2)
        raw = base64.b64decode(encoded, validate=True)
        if not text.startswith(_PREFIX) or raw[:1] != ED25519:
            raise ValueError("it does not begin as a private Ed25519 key does")
        signing = cls(name, Ed25519PrivateKey.from_private_bytes(raw[1:]))
        if signing.key.id.hex() != key_id:
            raise ValueError(f"it says key id {key_id}, but the key has {signing.key.id.hex()}")
        return signing

    @property
    def text(self) -> str:
        """What the key file holds."""
        seed = base64.b64encode(ED25519 + self._private.private_bytes_raw()).decode()
        return f"{_PREFIX}{self.key.name}+{self.key.id.hex()}+{seed}"

    def sign(self, checkpoint: Checkpoint) -> str:
        """The signed note of a checkpoint."""
        return note_of(checkpoint, self.key, self._private.sign(checkpoint.text.encode()))


def key_file(state_dir: Path, instance: str) -> Path:
    """Where the private key of an instance lies; the public one lies beside it."""
    return state_dir / "keys" / instance


def public_file(state_dir: Path, instance: str) -> Path:
    """Where the vkey of an instance lies."""
    return state_dir / "keys" / f"{instance}.pub"


def make_key(state_dir: Path, instance: str) -> SigningKey:
    """Make the key of an instance.

    Raises KeyFileError where there is one already (nothing is overwritten), or where it cannot be written.
    """
    path = key_file(state_dir, instance)
    signing = SigningKey.new(key_name_of(instance))
    with _door(path, "written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        try:
            _write_new(path, signing.text, 0o600)
        except FileExistsError as error:
            raise KeyFileError(
                f"{path} is there already.",
                "A key is never overwritten: what it signed could not be checked any more. `llmctx key` shows it.",
                exit_code=2,
            ) from error
        public = public_file(state_dir, instance)
        public.unlink(missing_ok=True)
        _write_new(public, signing.key.text, 0o644)
    return signing


def load_key(state_dir: Path, instance: str) -> SigningKey:
    """The private key of an instance.

    Raises KeyFileError where there is none, where others may read it, or where it is none.
    """
    path = key_file(state_dir, instance)
    with _door(path, "read"):
        try:
            mode = path.stat().st_mode
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise KeyFileError(
                f"There is no key {path}.", "Make it with `llmctx key --make`, or let `llmctx run` make it."
            ) from error
    if mode & _OTHERS:
        raise KeyFileError(
            f"Others may read the key {path} (mode {mode & 0o777:04o}).",
            f"Take that from them, and think about who may have read it: chmod 600 {path}",
            exit_code=2,
        )
    try:
        signing = SigningKey.read(text)
    except ValueError as error:
        raise KeyFileError(f"{path} is no key: {error}.", "Put it back from a backup.", exit_code=2) from error
    if signing.key.name != key_name_of(instance):
        raise KeyFileError(f"{path} is the key of {signing.key.name}.", "Put the right one back.", exit_code=2)
    return signing


def load_or_make_key(state_dir: Path, instance: str) -> SigningKey:
    """The private key of an instance, made where there is none.

    Raises KeyFileError as the two do.
    """
    if not key_file(state_dir, instance).exists():
        try:
            return make_key(state_dir, instance)
        except KeyFileError:
            if not key_file(state_dir, instance).exists():
                raise  # otherwise somebody else made it just now
    return load_key(state_dir, instance)


def read_public_key(state_dir: Path, instance: str) -> Key | None:
    """The public key of an instance, None where the state directory has none.

    Raises KeyFileError where the file holds no vkey.
    """
    path = public_file(state_dir, instance)
    with _door(path, "read"):
        try:
            return Key.read(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            private = key_file(state_dir, instance)
            return load_key(state_dir, instance).key if private.exists() else None
        except (CheckpointError, UnicodeDecodeError) as error:
            raise KeyFileError(f"{path} holds no vkey: {error}", "`llmctx key` shows the right one.") from error


def _write_new(path: Path, text: str, mode: int) -> None:
    """Make a file in one step, whole or not at all; never over another one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.write(file, f"{text}\n".encode())
        os.fsync(file)
        os.link(draft, path)
    finally:
        os.close(file)
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _door(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise KeyFileError(
            f"The key {path} could not be {what}: {error}.", "See who may use the folder, and that the disk has room."
        ) from error
