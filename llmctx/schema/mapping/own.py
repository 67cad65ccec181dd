"""The model of a custom section, from its JSON Schema with a `unit` for each number."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, create_model
from pydantic_core import PydanticCustomError

from llmctx.schema.fields import Number, Timestamp
from llmctx.schema.values import LiveValue

_KEYWORDS = {
    "type", "properties", "required", "items", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "maxLength", "format", "unit", "title", "description",
}  # fmt: skip
_MAX_DEPTH = 5
_COMPARISONS: dict[str, Any] = {
    "minimum": lambda value, limit: value >= limit,
    "maximum": lambda value, limit: value <= limit,
    "exclusiveMinimum": lambda value, limit: value > limit,
    "exclusiveMaximum": lambda value, limit: value < limit,
}


class OwnValue(LiveValue):
    """The value of a custom section."""

    written_field: ClassVar[str | None] = None
    """The field with its write time; None if it has none."""
    event_field: ClassVar[str | None] = None
    """The field with the time of the reported event; None if it has none."""


def own_model(name: str, schema: dict[str, Any], time: str | None = None, event: str | None = None) -> type[OwnValue]:
    """The model of a section with this schema, whose field `time` has the write time, and `event` the time of the
    event.

    Raises ValueError that names the place of the first keyword or type that is not supported.
    """
    if schema.get("type") != "object":
        raise ValueError('the schema of a section must have "type": "object"')
    for what, field in (("time", time), ("event", event)):
        if field is not None and schema.get("properties", {}).get(field, {}).get("format") != "date-time":
            raise ValueError(
                f'`{what}` names {field!r}, which the schema does not give as a property of "format": "date-time"'
            )
    model = _object(name, schema, 1)
    model.written_field, model.event_field = time, event
    return model


def _object(place: str, schema: dict[str, Any], depth: int) -> type[OwnValue]:
    _check_keywords(place, schema, depth)
    required = set(schema.get("required", ()))
    fields: dict[str, Any] = {}
    for name, inner in schema.get("properties", {}).items():
        if not name.isidentifier() or not name.isascii() or name.startswith("_") or hasattr(OwnValue, name):
            raise ValueError(f"{place}.{name}: a property needs another name; map it with `fields`")
        annotation = _annotation(f"{place}.{name}", inner, depth + 1)
        unit: dict[str, Any] | None = {"unit": str(inner["unit"])} if "unit" in inner else None
        if name in required:
            fields[name] = (annotation, Field(json_schema_extra=unit))
        else:
            fields[name] = (annotation | None, Field(None, json_schema_extra=unit))
    if unknown := required - fields.keys():
        raise ValueError(f"{place}: `required` names {min(unknown)!r}, which is no property")
    return create_model(place.replace(".", "_"), __base__=OwnValue, **fields)


def _annotation(place: str, schema: dict[str, Any], depth: int) -> Any:
    _check_keywords(place, schema, depth)
    if "enum" in schema:
        return Literal[tuple(schema["enum"])]
    kinds = schema.get("type")
    nullable = isinstance(kinds, list) and "null" in kinds
    rest = [kind for kind in kinds if kind != "null"] if isinstance(kinds, list) else [kinds]
    if len(rest) != 1:
        raise ValueError(f"{place}: `type` must be one type, or a list of one type and null")
    annotation = _of_type(place, rest[0], schema, depth)
    return annotation | None if nullable else annotation


def _of_type(place: str, kind: Any, schema: dict[str, Any], depth: int) -> Any:
    if kind in ("number", "integer"):
        return _number(schema, whole=kind == "integer")
    if kind == "string":
        return Timestamp if schema.get("format") == "date-time" else _text(schema)
    if kind == "boolean":
        return bool
    if kind == "object":
        return _object(place, schema, depth) if "properties" in schema else dict[str, Any]
    if kind == "array":
        return list[_annotation(f"{place}[]", schema.get("items", {"type": "string"}), depth + 1)]  # type: ignore[misc]
    raise ValueError(f"{place}: the type {kind!r} is not supported")


def _number(schema: dict[str, Any], *, whole: bool) -> Any:
    limits = {keyword: schema[keyword] for keyword in _COMPARISONS if keyword in schema}

    def check(value: Any) -> Any:
        if whole and value != value.to_integral_value():
            raise PydanticCustomError("whole_number", "must be a whole number")
        for keyword, limit in limits.items():
            if not _COMPARISONS[keyword](value, limit):
                raise PydanticCustomError(
                    "limit", "breaks {keyword} {limit}", {"keyword": keyword, "limit": str(limit)}
                )
        return value

    return Annotated[Number, AfterValidator(check)]


def _text(schema: dict[str, Any]) -> Any:
    longest = schema.get("maxLength")

    def check(value: str) -> str:
        if longest is not None and len(value) > longest:
            raise PydanticCustomError("too_long", "has more than {longest} characters", {"longest": longest})
        return value

    return Annotated[str, AfterValidator(check)]


def _check_keywords(place: str, schema: Any, depth: int) -> None:
    if not isinstance(schema, dict):
        raise ValueError(f"{place}: a schema must be a table")  # noqa: TRY004  pydantic reports ValueErrors
    if unknown := set(schema) - _KEYWORDS:
        raise ValueError(f"{place}: {min(unknown)!r} is not supported; supported are {', '.join(sorted(_KEYWORDS))}")
    if depth > _MAX_DEPTH:
        raise ValueError(f"{place}: nested deeper than {_MAX_DEPTH} levels")
