"""Values as people write them, turned into the schema's: only in sections that a mapping names.

A number may be a text, a side may be LONG, BUY or Short, a stop of 0 or "" is none, and what is absent is null where
the schema allows null. Whatever stays wrong is reported by the schema, as in any other section.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import cache
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, RootModel

from llmctx.schema.annotations import alternatives, is_model
from llmctx.schema.mapping.document import number_in
from llmctx.schema.values.live_value import optional_fields

Reading = Callable[[Any], Any]
"""Turns a value as it was written into the schema's."""

_NOTHING = {"", "-", "none", "null", "nil", "nan", "n/a", "na", "undefined"}
_ZERO_IS_NONE = {"stop_loss", "take_profit", "leverage", "margin", "liquidation_price", "mark_price"}
"""Fields for which 0 means that there is none."""
_SIDES = {
    "long": "long", "buy": "long", "bid": "long", "b": "long", "l": "long", "bull": "long",
    "short": "short", "sell": "short", "ask": "short", "s": "short", "bear": "short",
}  # fmt: skip
_SIGNED = {"both", "net", "oneway", "one_way", ""}
"""What an exchange says for a side if the sign of the quantity tells it."""


def as_schema(model: type[BaseModel], document: Any) -> Any:
    """The document with the values of this model's fields as the schema writes them; unknown fields stay unchanged."""
    if issubclass(model, RootModel):
        return _reading_of("root", model.model_fields["root"].annotation)(document)
    if not isinstance(document, dict):
        return document
    made = dict(document)
    for name, null_if_absent, reading in _fields(model):
        if name in document:
            made[name] = reading(document[name])
        elif null_if_absent:
            made[name] = None
    return made


def as_position(document: dict[str, Any], symbol: str, *, has_side: bool) -> dict[str, Any]:
    """The document of a position with its symbol, and with the side that the sign of the quantity says.

    The sign counts where no source is named for the side (`has_side`), or where that says that it counts. Empty if
    the quantity is 0: many systems keep what was closed.
    """
    made, quantity, side = {"symbol": symbol, **document}, document.get("quantity"), document.get("side")
    if isinstance(quantity, bool) or not isinstance(quantity, int | Decimal):
        return made
    if quantity == 0:
        return {}
    if not has_side or (isinstance(side, str) and side.strip().casefold() in _SIGNED):
        return made | {"side": "short" if quantity < 0 else "long", "quantity": abs(quantity)}
    return made | {"quantity": abs(quantity)} if side == "short" else made


@cache
def _fields(model: type[BaseModel]) -> tuple[tuple[str, bool, Reading], ...]:
    """Name, whether null takes its place if it is absent, and the reading, of each required or optional field."""
    return tuple(
        (
            name,
            field.is_required() and NoneType in set(alternatives(field.annotation)),
            _reading_of(name, field.annotation, *field.metadata),
        )
        for name, field in model.model_fields.items()
        if field.is_required() or name in optional_fields(model)
    )


def _reading_of(name: str, annotation: Any, *_: Any) -> Reading:
    types = list(alternatives(annotation))
    nullable = NoneType in types
    model = next(filter(is_model, types), None)
    plain: Reading = _unchanged
    if model is not None:
        plain = _reading_of_model(model)
    elif any(get_origin(found) is list for found in types):
        plain = _reading_of_list(annotation)
    elif Decimal in types or int in types:
        plain = _number
    elif any(get_origin(found) is Literal and "long" in get_args(found) for found in types):
        plain = _side
    if not nullable or set(types) == {str, NoneType}:
        return plain
    zero_is_none = name in _ZERO_IS_NONE and model is None

    def reading(value: Any) -> Any:
        if isinstance(value, str) and value.strip().casefold() in _NOTHING:
            return None
        found = plain(value)
        return None if zero_is_none and type(found) in (int, Decimal) and found == 0 else found

    return reading


def _reading_of_model(model: type[BaseModel]) -> Reading:
    return lambda value: as_schema(model, value)


def _reading_of_list(annotation: Any) -> Reading:
    (inner,) = get_args(annotation) or (Any,)
    if not is_model(inner):
        return _unchanged
    return lambda value: [as_schema(inner, item) for item in value] if isinstance(value, list) else value


def _unchanged(value: Any) -> Any:
    return value


def _number(value: Any) -> Any:
    if not isinstance(value, str | Decimal):
        return value
    number = number_in(value)
    if number is None:
        return value
    return int(number) if number == number.to_integral_value() and abs(number) < 2**53 else number


def _side(value: Any) -> Any:
    return _SIDES.get(value.strip().casefold(), value) if isinstance(value, str) else value
