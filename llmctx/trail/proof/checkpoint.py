"""A checkpoint: size and root of a partition's tree at one moment, as a C2SP signed note.

    llmctx/<instance>/<partition>        the origin
    1024                                 how many leaves
    <base64 of the root>
    time 1746778530123                   when it was signed, in ms since 1970; an extension line, so it is signed too
    partitions 1                         how many partitions the instance has
    late-since 1746778400000             only where it covers records that had waited for more than a minute

    — llmctx/<instance> <base64 of key id and signature>

Source: C2SP signed-note and tlog-checkpoint (c2sp.org). What does not have exactly this form is no checkpoint.
"""

import base64
import binascii
import codecs
import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple, Self

from llmctx.canonical import MAX_SAFE_INTEGER
from llmctx.errors import CheckpointError
from llmctx.trail.log.instance import MAX_PARTITIONS
from llmctx.trail.proof.merkle import HASH_BYTES

ED25519 = b"\x01"
"""The signature type of C2SP signed-note that is used here."""
_ID_BYTES, _SIGNATURE_BYTES = 4, 64
_TIME = "time "
LATE_SINCE = "late-since "
"""How the line begins that says since when records had waited for this checkpoint."""
_PARTITIONS = "partitions "
_TORN_BYTES = 1024
_DASH = "\N{EM DASH} "
_NOTE = re.compile(rb"(?:[^\n]+\n)+\n(?:\xe2\x80\x94 [^\n]+\n)+")
_TORN = re.compile(rb"(?:[^\n]+\n)*(?:[^\n]*|\n[^\n]*)")


def origin_of(instance: str, partition: int) -> str:
    """The name of one partition's log."""
    return f"llmctx/{instance}/{partition}"


def key_name_of(instance: str) -> str:
    """The name of the key that signs every partition of an instance."""
    return f"llmctx/{instance}"


class Checkpoint(NamedTuple):
    """What a checkpoint says."""

    origin: str
    """Whose tree."""
    size: int
    """How many leaves it has."""
    root: bytes
    """Its root, 32 bytes."""
    extensions: tuple[str, ...] = ()
    """Further lines, signed with the rest."""

    @classmethod
    def at(cls, origin: str, size: int, root: bytes, time_ms: int, partitions: int | None = None) -> Self:
        """A checkpoint that says when it was made, and how many partitions the instance has."""
        more = () if partitions is None else (f"{_PARTITIONS}{partitions}",)
        return cls(origin, size, root, (f"{_TIME}{time_ms}", *more))

    @property
    def text(self) -> str:
        """The text that is signed."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @property
    def time_ms(self) -> int:
        """When it says it was made, in milliseconds since 1970.

        Raises CheckpointError where it does not say so in exactly one line.
        """
        said = self._said(_TIME)
        if len(said) != 1:
            raise CheckpointError(f"it has {len(said)} lines that begin with 'time '")
        return _whole(said[0], "time")

    @property
    def late_since_ms(self) -> int | None:
        """Since when records had waited for it, where it says that it came late.

        Raises CheckpointError where it says so in another form.
        """
        said = self._said(LATE_SINCE)
        if len(said) > 1:
            raise CheckpointError(f"it has {len(said)} lines that begin with 'late-since '")
        return _whole(said[0], "late-since") if said else None

    @property
    def partitions(self) -> int | None:
        """How many partitions it says that its instance has, None where it does not say so.

        Raises CheckpointError where it says so in another form.
        """
        said = self._said(_PARTITIONS)
        number = _whole(said[0], "partitions") if said else None
        if len(said) > 1 or number == 0 or (number or 0) > MAX_PARTITIONS:
            raise CheckpointError("it does not say once that it has from 1 to 1024 partitions")
        return number

    def _said(self, begin: str) -> list[str]:
        return [line.removeprefix(begin) for line in self.extensions if line.startswith(begin)]


class Key(NamedTuple):
    """A public key as a verifier is given it: NAME+KEYID+BASE64, the vkey of C2SP signed-note."""

    name: str
    """Whose key it is."""
    public: bytes
    """The Ed25519 public key, 32 bytes."""

    @classmethod
    def read(cls, text: str) -> Self:
        """The key that a vkey names.

        Raises CheckpointError where the text is none.
        """
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        raw = _decode(encoded, "the key")
        if not name or raw[:1] != ED25519 or len(raw) != 1 + HASH_BYTES:
            raise CheckpointError(f"{text.strip()!r} is no vkey of an Ed25519 key")
        key = cls(name, raw[1:])
        if key_id != key.id.hex():
            raise CheckpointError(f"the vkey says key id {key_id}, its name and key give {key.id.hex()}")
        return key

    @property
    def id(self) -> bytes:
        """The first four bytes of SHA-256 over name, newline, type and key."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:_ID_BYTES]

    @property
    def text(self) -> str:
        """The vkey."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"

    def accepts(self, text: str, signature: bytes) -> bool:
        """Whether this key signed exactly this text."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  reading Redis alone needs no cryptography
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


def note_of(checkpoint: Checkpoint, key: Key, signature: bytes) -> str:
    """The signed note: the checkpoint's text, a blank line, and the signature line."""
    return f"{checkpoint.text}\n{_DASH}{key.name} {base64.b64encode(key.id + signature).decode()}\n"


def read_note(note: str) -> Checkpoint:
    """What a signed note says, its grammar checked and its signatures not.

    Raises CheckpointError where it is no checkpoint.
    """
    return _parse(note)[0]


def open_note(note: str, key: Key, origin: str | None = None) -> Checkpoint:
    """What a signed note says, if the key signed it; signatures of other keys are passed over.

    Raises CheckpointError where it is no checkpoint, not signed by the key, or of another origin than that.
    """
    checkpoint, signatures = _parse(note)
    ours = [signature for name, key_id, signature in signatures if (name, key_id) == (key.name, key.id)]
    if not ours:
        names = ", ".join(f"{name} ({key_id.hex()})" for name, key_id, _ in signatures)
        raise CheckpointError(f"it is signed by {names}, not by {key.name} ({key.id.hex()})")
    if not all(key.accepts(checkpoint.text, signature) for signature in ours):
        raise CheckpointError(f"its signature by {key.name} does not fit its text")
    if origin not in (None, checkpoint.origin):
        raise CheckpointError(f"its origin is {checkpoint.origin}, not {origin}")
    return checkpoint


def _parse(note: str) -> tuple[Checkpoint, list[tuple[str, bytes, bytes]]]:
    if any(character < " " and character != "\n" for character in note):
        raise CheckpointError("it has a control character")
    text, blank, tail = note.rpartition("\n\n")
    if not blank or not tail.endswith("\n"):
        raise CheckpointError("it has no signature line behind a blank one")
    lines = text.split("\n")
    if len(lines) < 3 or not all(lines):  # noqa: PLR2004  origin, size, root
        raise CheckpointError("its text is not origin, size, root and further lines, none of them empty")
    origin, size, encoded, *extensions = lines
    root = _decode(encoded, "the root")
    if len(root) != HASH_BYTES:
        raise CheckpointError(f"its root has {len(root)} bytes")
    return Checkpoint(origin, _whole(size, "size"), root, tuple(extensions)), [
        _signature(line) for line in tail[:-1].split("\n")
    ]


def _signature(line: str) -> tuple[str, bytes, bytes]:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space or not name or "+" in name or any(c.isspace() for c in name):
        raise CheckpointError(f"{line!r} is no signature line")
    raw = _decode(encoded, "a signature")
    if len(raw) <= _ID_BYTES:
        raise CheckpointError("a signature is too short")
    return name, raw[:_ID_BYTES], raw[_ID_BYTES:]


def _decode(text: str, what: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CheckpointError(f"{what} is no base64") from error
    if base64.b64encode(raw).decode() != text:
        raise CheckpointError(f"{what} is base64 in another than its one form")
    return raw


def _whole(text: str, what: str) -> int:
    if not re.fullmatch(r"0|[1-9][0-9]{0,15}", text) or int(text) > MAX_SAFE_INTEGER:
        raise CheckpointError(f"its {what} {text!r} is no whole number below 2^53")
    return int(text)


def join_notes(notes: Iterable[str]) -> bytes:
    """Signed notes with one blank line between, as anchors and exports keep them."""
    return "\n".join(notes).encode()


def leading_notes(raw: bytes) -> tuple[list[str], int]:
    """The signed notes with which a file begins, up to the first damage, and how many of its bytes they take."""
    notes: list[str] = []
    end = at = 0
    while (at > end or not notes) and (found := _NOTE.match(raw, at)):
        try:
            notes.append(found.group().decode())
        except UnicodeDecodeError:
            break
        end = found.end()
        at = end + raw.startswith(b"\n", end)
    return notes, end


def split_notes(raw: bytes) -> tuple[list[str], int]:
    """The signed notes of a file, and how many of its bytes they take; what follows may be torn.

    Raises CheckpointError where what follows is more than one note that was cut off.
    """
    notes: list[str] = []
    end = at = 0
    while found := _NOTE.match(raw, at):
        notes.append(_decoded(found.group(), len(notes)))
        end = found.end()
        at = end + raw.startswith(b"\n", end)
    separated = at > end or not notes
    if end < len(raw) and not (separated and _TORN.fullmatch(raw, at) and _is_text(raw[at:])):
        raise CheckpointError(f"the file of checkpoints is damaged behind byte {end}, note {len(notes)}")
    return notes, end


def _is_text(torn: bytes) -> bool:
    """Whether this can be the beginning of a note; zeros at its end are what a power cut leaves."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(torn.rstrip(b"\0"))
    except UnicodeDecodeError:
        return False
    return len(torn) <= _TORN_BYTES and not any(character < " " and character != "\n" for character in text)


def _decoded(raw: bytes, number: int) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise CheckpointError(f"note {number} is no UTF-8") from error
