"""The field types of live values: numbers, counts and times, parsed strictly.

Numbers are JSON numbers on the wire and Decimal here. A string is never parsed as a number, a number never as a time,
and a time needs a zone.
"""

from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Annotated, Any

from pydantic import AfterValidator, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from llmctx import clock
from llmctx.limits import MAX_EXPONENT, MAX_NUMBER_CHARS


def parse_number(value: Any) -> Decimal:
    """A JSON number as Decimal; pydantic reports whatever is wrong with it."""
    if type(value) is Decimal:
        number = value
    elif type(value) is int:
        number = Decimal(value)
    elif type(value) is float and isfinite(value):  # from Python code, or from pydantic's own JSON parser
        number = Decimal(repr(value))
    else:
        raise PydanticCustomError("number", "must be a JSON number, not {got}", {"got": _json_type(value)})
    text = str(number)
    if len(text) <= MAX_EXPONENT and "E" not in text and number.is_finite():  # the usual case
        return number
    # Check the exponent of zeros too: written out in full, 0e-1000000 is a megabyte.
    if not number.is_finite():
        raise PydanticCustomError("finite", "must be finite")
    if abs(number.adjusted()) > MAX_EXPONENT:
        raise PydanticCustomError("number_range", "is beyond 1e30 or below 1e-30")
    if len(text) > MAX_NUMBER_CHARS:
        raise PydanticCustomError("number_length", "has more than 60 characters")
    return number


def check_range(value: Decimal | None) -> Decimal | None:
    """A number in the settings, no longer than any other number may be; None stays None."""
    return None if value is None else parse_number(value)


def _positive(value: Decimal) -> Decimal:
    if value <= 0:
        raise PydanticCustomError("positive", "must be greater than 0")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise PydanticCustomError("count", "must be a whole number from 0 on, not {got}", {"got": _json_type(value)})
    return value


def _timestamp(value: Any) -> datetime:
    if type(value) is datetime and value.tzinfo is not None:
        return value
    if type(value) is not str:
        raise PydanticCustomError(
            "timestamp", "must be an ISO 8601 text such as 2025-05-09T08:15:30.123Z, not {got}",
            {"got": _json_type(value)},
        )  # fmt: skip
    try:
        return clock.parse_iso(value)
    except ValueError as error:
        raise PydanticCustomError(
            "timestamp", "must be ISO 8601 with a zone: {error}", {"error": str(error)}
        ) from error


def _json_type(value: Any) -> str:
    names = {
        str: "a string",
        bool: "a boolean",
        type(None): "null",
        dict: "an object",
        list: "a list",
        datetime: "a time without a zone",
    }
    return names.get(type(value), "a number")


Number = Annotated[
    Decimal, PlainValidator(parse_number), PlainSerializer(float, when_used="json"), WithJsonSchema({"type": "number"})
]
Positive = Annotated[Number, AfterValidator(_positive), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]
Setting = Annotated[Decimal, AfterValidator(check_range)]
"""A number in the settings, which may be given as text."""
Count = Annotated[int, PlainValidator(_count), WithJsonSchema({"type": "integer", "minimum": 0})]
Timestamp = Annotated[
    datetime,
    PlainValidator(_timestamp),
    PlainSerializer(clock.iso_of, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
