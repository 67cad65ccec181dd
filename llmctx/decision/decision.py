"""A decision: the model's answer, in the one form that is accepted."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from llmctx.llm.output import OutputSchema
from llmctx.schema.fields import Number, Positive, parse_number

_MAX_MINUTES = 100_000


class Action(StrEnum):
    """What may be decided about an open position."""

    HOLD = "hold"
    """Leave it as it is."""
    EXIT = "exit"
    """Close all of it."""
    REDUCE = "reduce"
    """Close a part of it."""
    ADD = "add"
    """Enlarge it in its own direction."""
    ADJUST_STOPS = "adjust_stops"
    """Move the stop, the target or both."""


def _share(value: Decimal) -> Decimal:
    if not 0 <= value <= 1:
        raise PydanticCustomError("share", "must lie between 0 and 1")
    return value


def _minutes(value: Any) -> int:
    """Minutes as an int; 30.0 counts as 30."""
    if type(value) not in (int, Decimal) or not 0 <= value <= _MAX_MINUTES or value != int(value):
        raise PydanticCustomError("minutes", "must be a whole number of minutes from 0 to 100000")
    return int(value)


def _shown(value: Any) -> Any:
    """A fact's value as text; a number is accepted too, because the prompt shows both alike."""
    return format(parse_number(value), "f") if type(value) in (int, Decimal) else value


def _said(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("empty", "must not be empty")
    return value


Said = Annotated[str, AfterValidator(_said)]
Confidence = Annotated[Number, AfterValidator(_share), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})]
Minutes = Annotated[
    int, PlainValidator(_minutes), WithJsonSchema({"type": "integer", "minimum": 0, "maximum": _MAX_MINUTES})
]
Amount = Annotated[Positive, WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]


def _text(description: str, longest: int, *, empty: bool = False) -> Any:
    """A text whose length is bounded only in the schema: a longer one is cut, not refused."""
    return Field(description=description, json_schema_extra={"minLength": 0 if empty else 1, "maxLength": longest})


class Evidence(BaseModel):
    """One fact that carried the decision."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Said = _text("The fact's path, exactly as shown; not empty.", 160)
    value: Annotated[str, BeforeValidator(_shown)] = _text(
        "The fact's value, exactly as shown, without quotes and unit.", 160, empty=True
    )
    reading: str = _text("What it means for this position, in a few words.", 160, empty=True)


class Decision(BaseModel):
    """One answer about one position."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Action = Field(description="What to do.")
    quantity: Amount | None = Field(
        description="Shares to close or add, above 0: required for reduce and add, otherwise null."
    )
    stop_loss: Amount | None = Field(
        description="The new stop, above 0, for adjust_stops, which needs a stop or a target; null leaves it."
    )
    take_profit: Amount | None = Field(description="The new target, above 0, for adjust_stops; null leaves it.")
    confidence: Confidence = Field(description="From 0 to 1, how sure you are that the action is right.")
    reasoning: Said = _text("Two to five sentences from the facts to the action; not empty.", 1000)
    evidence: list[Evidence] = Field(
        description="The facts that carried the decision, 1 to 8 of them.",
        json_schema_extra={"minItems": 1, "maxItems": 8},
    )
    invalidation: Said = _text("What would prove this decision wrong; not empty.", 300)
    valid_for: Minutes = Field(
        description="For how many minutes it should be taken to hold: a whole number from 0 to 100000."
    )

    @model_validator(mode="after")
    def _complete(self) -> "Decision":
        if self.action in (Action.REDUCE, Action.ADD) and self.quantity is None:
            raise PydanticCustomError("incomplete", "{action} needs a quantity", {"action": self.action.value})
        if self.action is Action.ADJUST_STOPS and self.stop_loss is None and self.take_profit is None:
            raise PydanticCustomError("incomplete", "adjust_stops needs a stop_loss or a take_profit")
        if not self.evidence:
            raise PydanticCustomError("incomplete", "evidence must name at least one fact")
        return self


def _bounded_schema() -> dict[str, Any]:
    """The schema with every bound: every property is required, and no others are allowed."""
    schema = Decision.model_json_schema()
    definitions = schema.pop("$defs")

    def inlined(node: Any) -> Any:
        # A reference may have no other keyword beside it there, so its target is inlined.
        if isinstance(node, list):
            return [inlined(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            node = definitions[node["$ref"].rpartition("/")[2]] | {k: v for k, v in node.items() if k != "$ref"}
        if "properties" in node:
            node = node | {"properties": {name: inlined(item) for name, item in node["properties"].items()}}
        return {
            name: item if name == "properties" else inlined(item)
            for name, item in node.items()
            if name != "title" and not (name == "description" and "properties" in node)
        }

    bounded: dict[str, Any] = inlined(schema)
    return bounded


_EXAMPLE = {
    "action": "hold",
    "quantity": None,
    "stop_loss": None,
    "take_profit": None,
    "confidence": 0.6,
    "reasoning": "RSI is 48.2 [indicators.rsi_14], which speaks for neither side, so the position stays as it is.",
    "evidence": [{"path": "indicators.rsi_14", "value": "48.2", "reading": "neither overbought nor oversold"}],
    "invalidation": "A close below the stop.",
    "valid_for": 30,
}

OUTPUT = OutputSchema("decision", _bounded_schema(), example=_EXAMPLE)
"""The output that a template with `output: decision` asks for."""
