"""A tick: a symbol whose position changed, with an id that its raiser chose."""

import uuid
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from llmctx.schema.keys import check_symbol


class Tick(BaseModel):
    """One request for a decision. It is settled exactly once, whatever is delivered twice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """Chosen by its raiser, unique for ever; carries the raiser's run id."""
    symbol: str
    """Whose position changed."""
    cause: str = "manual"
    """Why a decision is asked for: position_changed, manual, ..."""

    @field_validator("symbol")
    @classmethod
    def _known_form(cls, symbol: str) -> str:
        return check_symbol(symbol)

    @classmethod
    def by_hand(cls, symbol: str) -> "Tick":
        """A tick for one symbol, raised by a person or by code that keeps no run of its own."""
        return cls(id=f"hand-{uuid.uuid4().hex}", symbol=symbol)

    def fields(self) -> dict[Any, Any]:
        """The tick as an entry of the tick stream."""
        return {"id": self.id, "symbol": self.symbol, "cause": self.cause}
