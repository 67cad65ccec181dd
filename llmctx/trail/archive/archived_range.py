"""A range that is archived and proven: what the owner of a partition is told, so that it notes and trims it.

Whoever archives may not own the partition. Then the owner is asked through the tick stream, and a request is signed by
an enrolled writer, because whoever can write to Redis could otherwise have records removed that nobody archived.
"""

from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from llmctx import canonical
from llmctx.errors import TrailError
from llmctx.trail.log.base import Base
from llmctx.trail.proof.roster import Roster
from llmctx.trail.proof.writer import KEY_ID_BYTES, Writer


class ArchivedRange(BaseModel):
    """A range of records that is archived and proven."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: int
    """The index of its first record, where the log begins so far."""
    base: dict[str, str]
    """The base after it (`Base.fields`)."""
    made_ms: int
    """When it was archived, in milliseconds of the server's time."""
    stays: tuple[int, ...] = ()
    """The indices of archived records that stay readable in Redis."""

    @property
    def after(self) -> Base:
        """The base after it.

        Raises ValueError if it is malformed.
        """
        return Base.read({name.encode(): value.encode() for name, value in self.base.items()})

    @classmethod
    def opened(cls, raw: bytes, proof: bytes, roster: Roster) -> Self:
        """The range in a request.

        Raises TrailError if no enrolled writer signed it, or it is malformed.
        """
        key = roster.keys.get(proof[:KEY_ID_BYTES])
        if key is None or not key.accepts(_text(roster.origin, raw), proof[KEY_ID_BYTES:]):
            raise TrailError("A request to trim the log is not signed by an enrolled writer.", "See who may write.")
        try:
            return cls.model_validate_json(raw)
        except ValidationError as error:
            raise TrailError(
                f"A request to trim the log is malformed: {error}", "Use one version of llmctx."
            ) from error

    def request(self, writer: Writer, origin: str) -> dict[str, bytes]:
        """The entry of the tick stream that asks the owner."""
        raw = canonical.dumps(self.model_dump(mode="json"))
        return {"archived": raw, "proof": writer.sign(_text(origin, raw))}


def _text(origin: str, raw: bytes) -> str:
    """The text that a writer signs."""
    return f"llmctx-archive-request/1\n{origin}\n{canonical.sha256(raw)}\n"
