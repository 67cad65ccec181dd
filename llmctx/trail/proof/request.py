"""A request to the owner of a partition, signed by an enrolled writer.

Only the owner appends to a partition. Other processes ask it through its tick stream to append or trim something, and
sign the request, because otherwise whoever can write to Redis could have records trimmed or notices appended.
"""

import secrets
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmctx import canonical
from llmctx.errors import RequestError
from llmctx.limits import MAX_DETAIL_CHARS, MAX_NAME_CHARS, MAX_REQUEST_BYTES, cut
from llmctx.trail.proof.writer import KEY_ID_BYTES, Writer, WriterKeys

_TOO_LARGE = f"The field `request` of an entry of the tick stream has more than {MAX_REQUEST_BYTES} bytes."


class Request(BaseModel):
    """What the owner of a partition is asked to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str = Field(max_length=MAX_NAME_CHARS)
    """The request's kind: the name of one of its handlers."""
    made_ms: int
    """When it was asked, in milliseconds of the server's time."""
    body: dict[str, Any]
    """What the handler needs: JSON without floats."""
    id: str = Field(default_factory=lambda: secrets.token_hex(8), max_length=MAX_NAME_CHARS)
    """Its unique id. A notice that fulfils it has it as `requested`, so it is fulfilled once."""

    @classmethod
    def opened(cls, raw: bytes, proof: bytes, writers: WriterKeys) -> Self:
        """The request in an entry of the tick stream.

        Raises RequestError if no enrolled writer signed it, or it is malformed.
        """
        if len(raw) > MAX_REQUEST_BYTES:
            raise RequestError(_TOO_LARGE, "See who may write to Redis: llmctx sends none that is larger.")
        key = writers.keys.get(proof[:KEY_ID_BYTES])
        if key is None or not key.accepts(_text(writers.origin, raw), proof[KEY_ID_BYTES:]):
            raise RequestError("It is not signed by an enrolled writer.", "See who may write to Redis.")
        try:
            return cls.model_validate_json(raw)
        except ValidationError as error:
            raise RequestError(f"It is malformed: {cut(str(error), MAX_DETAIL_CHARS)}", "Use one version.") from error

    def fields(self, writer: Writer, origin: str) -> dict[str, bytes]:
        """The entry of the tick stream that asks the owner of the partition of this origin.

        Raises RequestError if it is larger than the owner would read.
        """
        raw = canonical.dumps(self.model_dump(mode="json"))
        if len(raw) > MAX_REQUEST_BYTES:
            raise RequestError(_TOO_LARGE, "Ask for less at once.")
        return {"request": raw, "proof": writer.sign(_text(origin, raw))}


def _text(origin: str, raw: bytes) -> str:
    """The text that a writer signs."""
    return f"llmctx-request/1\n{origin}\n{canonical.sha256(raw)}\n"
