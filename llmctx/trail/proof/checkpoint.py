"""A checkpoint: the size and root of a partition's tree at one moment, as a C2SP signed note.

    llmctx/<instance>/<partition>        the origin
    1024                                 the number of leaves
    <base64 of the root>
    time 1746778530123                   when it was signed, in ms since 1970 (an extension line, so it is signed too)
    partitions 1                         the instance's number of partitions
    late-since 1746778400000             only if it covers records that waited for more than a minute

    — llmctx/<instance> <base64 of key ID and signature>

Source: C2SP signed-note and tlog-checkpoint (c2sp.org). Any other form is refused.
"""

import base64
import hashlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Self

from llmctx import canonical
from llmctx.canonical import MAX_SAFE_INTEGER
from llmctx.errors import CheckpointError
from llmctx.trail.log.instance import MAX_PARTITIONS
from llmctx.trail.proof.merkle import HASH_BYTES

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519 = b"\x01"
"""The C2SP signed-note signature type for Ed25519."""
_ID_BYTES, _SIGNATURE_BYTES = 4, 64
_TIME = "time "
LATE_SINCE = "late-since "
"""Prefix of the extension line with the time of the oldest record that waited too long for this checkpoint."""
_PARTITIONS = "partitions "
_DASH = "\N{EM DASH} "


def origin_of(instance: str, partition: int) -> str:
    """The checkpoint origin of a partition's log."""
    return f"llmctx/{instance}/{partition}"


def key_name_of(instance: str) -> str:
    """The name of the key that signs all partitions of an instance."""
    return f"llmctx/{instance}"


class Checkpoint(NamedTuple):
    """The content of a checkpoint."""

    origin: str
    """The name of the log."""
    size: int
    """The number of leaves."""
    root: bytes
    """The root hash, 32 bytes."""
    extensions: tuple[str, ...] = ()
    """Extension lines; they are signed too."""

    @classmethod
    def at(cls, origin: str, size: int, root: bytes, time_ms: int, partitions: int | None = None) -> Self:
        """A checkpoint with its time and, if given, the instance's number of partitions."""
        more = () if partitions is None else (f"{_PARTITIONS}{partitions}",)
        return cls(origin, size, root, (f"{_TIME}{time_ms}", *more))

    @property
    def text(self) -> str:
        """The signed text."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @property
    def time_ms(self) -> int:
        """When it was signed, in milliseconds since 1970.

        Raises CheckpointError unless exactly one line says so.
        """
        time_ms = self._time(_TIME)
        if time_ms is None:
            raise CheckpointError(f"it has 0 lines that begin with {_TIME!r}")
        return time_ms

    @property
    def late_since_ms(self) -> int | None:
        """Since when its records had waited, if it declares itself late.

        Raises CheckpointError if the line is malformed or repeated.
        """
        return self._time(LATE_SINCE)

    @property
    def partitions(self) -> int | None:
        """The instance's number of partitions, None if the checkpoint does not say.

        Raises CheckpointError if the line is malformed, repeated or out of range.
        """
        numbers = self._values(_PARTITIONS)
        if not numbers:
            return None
        number = _integer(numbers[0], "partitions")
        if len(numbers) > 1 or not 1 <= number <= MAX_PARTITIONS:
            raise CheckpointError(f"it needs one 'partitions' line with a number from 1 to {MAX_PARTITIONS}")
        return number

    def _time(self, prefix: str) -> int | None:
        times = self._values(prefix)
        if len(times) > 1:
            raise CheckpointError(f"it has {len(times)} lines that begin with {prefix!r}")
        return _integer(times[0], prefix.rstrip()) if times else None

    def _values(self, prefix: str) -> list[str]:
        return [line.removeprefix(prefix) for line in self.extensions if line.startswith(prefix)]


class Key(NamedTuple):
    """A public key. Its text form is NAME+KEYID+BASE64, the vkey of C2SP signed-note."""

    name: str
    """The key's name."""
    public: bytes
    """The Ed25519 public key, 32 bytes."""

    @classmethod
    def read(cls, text: str) -> Self:
        """Parse a vkey.

        Raises CheckpointError if it is malformed.
        """
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        raw = _decode(encoded, "the key")
        if not name or raw[:1] != ED25519 or len(raw) != 1 + HASH_BYTES:
            raise CheckpointError(f"{text.strip()!r} is not the vkey of an Ed25519 key")
        key = cls(name, raw[1:])
        if key_id != key.id.hex():
            raise CheckpointError(f"the vkey says key ID {key_id}, but its name and key give {key.id.hex()}")
        return key

    @property
    def id(self) -> bytes:
        """The key ID: the first four bytes of SHA-256 over name, newline, type and key."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:_ID_BYTES]

    @property
    def text(self) -> str:
        """The vkey."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"

    def accepts(self, text: str, signature: bytes) -> bool:
        """Whether the signature by this key over this text is valid."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  commands that verify nothing skip it

        try:
            _public_key(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


@lru_cache(16)
def _public_key(raw: bytes) -> "Ed25519PublicKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415  as above

    return Ed25519PublicKey.from_public_bytes(raw)


def note_of(checkpoint: Checkpoint, key: Key, signature: bytes) -> str:
    """The signed note: the checkpoint's text, a blank line, and the signature line."""
    return f"{checkpoint.text}\n{_DASH}{key.name} {base64.b64encode(key.id + signature).decode()}\n"


def read_note(note: str) -> Checkpoint:
    """The checkpoint in a signed note, without checking its signatures.

    Raises CheckpointError if it is malformed.
    """
    return _parse(note)[0]


def open_note(note: str, key: Key, origin: str | None = None) -> Checkpoint:
    """The checkpoint in a signed note, if the key signed it; signatures by other keys are ignored.

    Raises CheckpointError if it is malformed, not signed by the key, or of another origin than `origin`.
    """
    checkpoint, signatures = _parse(note)
    ours = [signature for name, key_id, signature in signatures if (name, key_id) == (key.name, key.id)]
    if not ours:
        names = ", ".join(f"{name} ({key_id.hex()})" for name, key_id, _ in signatures)
        raise CheckpointError(f"it is signed by {names}, not by {key.name} ({key.id.hex()})")
    if not all(key.accepts(checkpoint.text, signature) for signature in ours):
        raise CheckpointError(f"its signature by {key.name} does not match its text")
    if origin not in (None, checkpoint.origin):
        raise CheckpointError(f"its origin is {checkpoint.origin}, not {origin}")
    return checkpoint


def is_signed_by(note: str, key: Key) -> bool:
    """Whether a well-formed note has a signature line of a key, valid or not."""
    return (key.name, key.id) in signers_of(note)


def signers_of(note: str) -> list[tuple[str, bytes]]:
    """The names and IDs of the keys that have a signature line in a well-formed note."""
    return [(name, key_id) for name, key_id, _ in _parse(note)[1]]


def _parse(note: str) -> tuple[Checkpoint, list[tuple[str, bytes, bytes]]]:
    if any(character < " " and character != "\n" for character in note):
        raise CheckpointError("it has a control character")
    text, blank, tail = note.rpartition("\n\n")
    if not blank or not tail.endswith("\n"):
        raise CheckpointError("it has no signature line after a blank line")
    lines = text.split("\n")
    if len(lines) < 3 or not all(lines):  # noqa: PLR2004  origin, size, root
        raise CheckpointError("its text needs origin, size and root, and no empty line")
    origin, size, encoded, *extensions = lines
    root = _decode(encoded, "the root")
    if len(root) != HASH_BYTES:
        raise CheckpointError(f"its root has {len(root)} bytes")
    return Checkpoint(origin, _integer(size, "size"), root, tuple(extensions)), [
        _signature(line) for line in tail[:-1].split("\n")
    ]


def _signature(line: str) -> tuple[str, bytes, bytes]:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space or not name or "+" in name or any(c.isspace() for c in name):
        raise CheckpointError(f"{line!r} is not a signature line")
    raw = _decode(encoded, "a signature")
    if len(raw) <= _ID_BYTES:
        raise CheckpointError("a signature is too short")
    return name, raw[:_ID_BYTES], raw[_ID_BYTES:]


def _decode(text: str, what: str) -> bytes:
    try:
        return canonical.from_base64(text)
    except ValueError as error:
        raise CheckpointError(f"{what} is {error}") from error


def _integer(text: str, what: str) -> int:
    if not re.fullmatch(r"0|[1-9][0-9]{0,15}", text) or int(text) > MAX_SAFE_INTEGER:
        raise CheckpointError(f"its {what} {text!r} is not a whole number below 2^53")
    return int(text)
