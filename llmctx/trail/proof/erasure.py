"""An erasure: the statement that pieces of evidence of archived records were erased because their retention ended.

A writer of the trail signs it, and it lies beside the records. The leaf stays, and with it the digest of what was
erased.
"""

import base64
from collections.abc import Iterable, Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmctx import canonical
from llmctx.trail.log.leaf_schema import Fault
from llmctx.trail.proof.writer import KEY_ID_BYTES, Writer, WriterKeys

RULE = "erasure"


class Erasure(BaseModel):
    """Pieces that records of a range may lack."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: int = Field(ge=0)
    """The index of its first record."""
    end: int = Field(ge=1)
    """One more than the index of its last record."""
    pieces: tuple[str, ...]
    """The names of the pieces, sorted."""
    made_ms: int
    """When they were erased, in milliseconds since 1970."""
    proof: str = ""
    """Key ID and signature of a writer, in base64."""

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """The statement in a JSON object.

        Raises ValueError if it is malformed.
        """
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise ValueError(str(error).replace("\n", " ")[:160]) from error

    def signed(self, writer: Writer, origin: str) -> Self:
        """The same, signed by a writer of the partition with this origin."""
        return self.model_copy(update={"proof": base64.b64encode(writer.sign(self._text(origin))).decode()})

    def fault(self, writers: WriterKeys) -> Fault | None:
        """The fault if no writer of the trail signed it; a key that was retired later counts too."""
        try:
            raw = canonical.from_base64(self.proof)
        except ValueError:
            raw = b""
        key = (writers.former | writers.keys).get(raw[:KEY_ID_BYTES])
        if key is not None and key.accepts(self._text(writers.origin), raw[KEY_ID_BYTES:]):
            return None
        found = "one that does not match" if key is not None else "none"
        return Fault(self.first, RULE, "a signature of an enrolled writer under what was erased", found)

    def _text(self, origin: str) -> str:
        """The text that a writer signs."""
        pieces = ",".join(self.pieces)
        return f"llmctx-erasure/1\n{origin}\n{self.first} {self.end} {self.made_ms}\n{pieces}\n"


def erased_at(erasures: Iterable[Erasure], index: int) -> frozenset[str]:
    """The pieces that the record at an index may lack."""
    return frozenset(piece for each in erasures if each.first <= index < each.end for piece in each.pieces)
