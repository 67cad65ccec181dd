"""Legal holds: what may not be erased, whatever its age. They lie in the archive, beside what they protect.

    holds/ID.json            who holds which records, and why, signed by a writer
    holds/ID.released.json   who released it, and why, signed too

A file that no writer of the trail signed counts as a hold, and not as a release: nobody may have something erased by
forging either.
"""

import base64
import secrets
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from llmctx import canonical
from llmctx.errors import ArchiveError
from llmctx.trail.archive.place import Place
from llmctx.trail.proof.checkpoint import Key
from llmctx.trail.proof.writer import KEY_ID_BYTES, Writer

_FOLDER, _SUFFIX, _RELEASED = "holds", ".json", ".released.json"


class Hold(BaseModel):
    """Which records are held; None means any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """Its name."""
    by: str
    """Who holds them, or who released them."""
    why: str
    """Why."""
    made_ms: int
    """Since when, in milliseconds since 1970."""
    symbol: str | None = None
    """Records of this symbol; those without a symbol are held too."""
    since_ms: int | None = None
    """Records of this time or later."""
    until_ms: int | None = None
    """Records of a time before this one."""

    def holds(self, symbol: str | None, time_ms: int | None) -> bool:
        """Whether a record of this symbol and time is held; what is not known of a record speaks for the hold."""
        return (
            (self.symbol is None or symbol is None or symbol == self.symbol)
            and (self.since_ms is None or time_ms is None or time_ms >= self.since_ms)
            and (self.until_ms is None or time_ms is None or time_ms < self.until_ms)
        )


class _Signed(NamedTuple):
    """A file of holds."""

    hold: Hold
    is_signed: bool


class Holds:
    """The holds of one archive."""

    def __init__(self, place: Place, origin: str, keys: Callable[[], Mapping[bytes, Key]]) -> None:
        """`origin` is the instance, `keys` gives the writers' keys by their IDs."""
        self._place = place
        self._origin = origin
        self._keys = keys

    def add(self, hold: Hold, writer: Writer) -> None:
        """Store a hold.

        Raises ArchiveError if the place does not take it.
        """
        self._store(f"{_FOLDER}/{hold.id}{_SUFFIX}", hold, writer)

    def release(self, hold: Hold, writer: Writer) -> None:
        """Store that the hold with this id is released.

        Raises ArchiveError if there is no such hold, or it was released already.
        """
        if hold.id not in {each.id for each in self.active()}:
            raise ArchiveError(f"There is no hold {hold.id}.", "`llmctx hold` lists those that are in force.")
        self._store(f"{_FOLDER}/{hold.id}{_RELEASED}", hold, writer)

    def active(self) -> list[Hold]:
        """The holds that are in force, oldest first.

        Raises ArchiveError if one cannot be read.
        """
        files = {name: self._read(name) for name in self._place.names(_FOLDER)}
        released = {
            each.hold.id for name, each in files.items() if name.endswith(_RELEASED) and each.is_signed
        }  # fmt: skip
        held = [each.hold for name, each in files.items() if not name.endswith(_RELEASED)]
        return sorted((each for each in held if each.id not in released), key=lambda each: each.made_ms)

    def released_ms(self) -> int:
        """When a hold was last released, in milliseconds since 1970; 0 if none was."""
        names = [name for name in self._place.names(_FOLDER) if name.endswith(_RELEASED)]
        return max((self._read(name).hold.made_ms for name in names), default=0)

    def _store(self, name: str, hold: Hold, writer: Writer) -> None:
        raw = hold.model_dump(mode="json", exclude_none=True)
        proof = base64.b64encode(writer.sign(self._text(name, raw))).decode()
        if not self._place.put(name, canonical.dumps({"hold": raw, "proof": proof})):
            raise ArchiveError(f"{name} is there already.", "`llmctx hold` lists those that are in force.")

    def _read(self, name: str) -> _Signed:
        try:
            document = canonical.loads(self._place.read(name) or b"")
            hold, proof = Hold.model_validate(document["hold"]), canonical.from_base64(document["proof"])
        except (ValidationError, ValueError, KeyError, TypeError) as error:
            raise ArchiveError(
                f"{name} in {self._place.name} is malformed: {error}", "Restore it from a copy; nothing was erased."
            ) from error
        key = self._keys().get(proof[:KEY_ID_BYTES])
        text = self._text(name, document["hold"])
        return _Signed(hold, key is not None and key.accepts(text, proof[KEY_ID_BYTES:]))

    def _text(self, name: str, raw: Mapping[str, Any]) -> str:
        return f"llmctx-hold/1\n{self._origin}\n{name}\n{canonical.sha256(canonical.dumps(raw))}\n"


def new_id() -> str:
    """A name for a new hold."""
    return secrets.token_hex(4)
