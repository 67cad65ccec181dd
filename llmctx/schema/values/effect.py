"""What the execution side says became of a decision."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from llmctx.limits import MAX_ADDRESS_CHARS, MAX_EFFECT_ID_CHARS
from llmctx.schema.fields import Number, Positive, Timestamp
from llmctx.schema.values.live_value import LiveValue, unit

Status = Literal["accepted", "rejected", "partially_filled", "filled", "cancelled", "ignored"]
FILLS = ("partially_filled", "filled")
"""The statuses that say that shares changed hands."""
UNDONE = ("rejected", "cancelled", "ignored")
"""The statuses after which an order is not carried out, or no further."""
ENDS = ("filled", *UNDONE)
"""The statuses after which nothing more comes of an order."""
_OF_A_FILL = ("side", "quantity", "price")
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def _since_1970(moment: datetime) -> datetime:
    """A time that a record can have; execution systems write 0001-01-01 where they have none."""
    if moment < _EARLIEST:
        raise PydanticCustomError("too_early", "must not lie before 1970")
    return moment


def _as_schema(schema: dict[str, Any]) -> None:
    """Say in the JSON Schema too that a fill has a side, a quantity and a price."""
    needed = {"required": list(_OF_A_FILL), "properties": {name: {"not": {"type": "null"}} for name in _OF_A_FILL}}
    schema["if"] = {"properties": {"status": {"enum": list(FILLS)}}}
    schema["then"] = needed


class Effect(LiveValue):
    """`effects:{p}`: one thing that happened to an order, in the field `effect` of an entry."""

    model_config = ConfigDict(json_schema_extra=_as_schema)

    id: Annotated[str, StringConstraints(min_length=1, max_length=MAX_EFFECT_ID_CHARS)]
    """Chosen by the execution side; the same id is recorded once, however often it is reported."""
    symbol: str
    """The symbol traded."""
    status: Status
    """What happened: to the order as a whole, or one fill of it."""
    at: Annotated[Timestamp, AfterValidator(_since_1970)]
    """When it happened."""
    address: Annotated[str, StringConstraints(max_length=MAX_ADDRESS_CHARS)] | None = None
    """The decision that was acted on, as it was published; null if there was none."""
    side: Literal["buy", "sell"] | None = None
    """What was done; needed for a fill."""
    quantity: Positive | None = unit("shares", None)
    """Shares of this fill, not the sum so far; needed for a fill."""
    price: Positive | None = unit("price", None)
    """Price per share of this fill; needed for a fill."""
    fee: Number | None = unit("account currency", None)
    """What this fill cost; negative for a rebate."""
    order_id: str | None = None
    """The order at the broker."""
    reason: str | None = Field(None)
    """Why, if no decision says it: stop_hit, a broker's refusal, a person."""

    @model_validator(mode="after")
    def _fill_is_whole(self) -> Self:
        for name in _OF_A_FILL if self.status in FILLS else ():
            if getattr(self, name) is None:
                raise PydanticCustomError("fill", "{name}: a fill needs it", {"name": name})
        return self
