"""A tick: a symbol whose position changed, with an id chosen by whoever raised it."""

import uuid
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from llmctx import canonical
from llmctx.context.marks import Mark
from llmctx.limits import MAX_CAUSE_CHARS, MAX_TICK_ID_CHARS, cut
from llmctx.schema.symbol import check_symbol


class Tick(BaseModel):
    """One request for a decision. It is settled exactly once, even if it is delivered twice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(max_length=MAX_TICK_ID_CHARS)
    """Chosen by whoever raised it; unique, because it carries the run id."""
    symbol: str
    """The symbol whose position changed."""
    cause: str = "manual"
    """Why a decision is requested: position_changed, manual, ...; a longer text is cut."""

    confirmation: Mark | None = None
    """The price that a person confirms before the decision; None if nobody does."""

    @field_validator("symbol")
    @classmethod
    def _valid_symbol(cls, symbol: str) -> str:
        return check_symbol(symbol)

    @field_validator("cause")
    @classmethod
    def _short_cause(cls, cause: str) -> str:
        return cut(cause, MAX_CAUSE_CHARS)

    @classmethod
    def by_hand(cls, symbol: str) -> "Tick":
        """A tick raised by a person, or by code without a run id."""
        return cls(id=f"hand-{uuid.uuid4().hex}", symbol=symbol)

    def fields(self) -> dict[Any, Any]:
        """The tick as an entry of the tick stream."""
        fields: dict[Any, Any] = {"id": self.id, "symbol": self.symbol, "cause": self.cause}
        if self.confirmation is not None:
            fields["confirmation"] = canonical.dumps(self.confirmation.document())
        return fields
