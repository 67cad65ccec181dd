"""What the values of all live keys have in common: unknown fields are kept, numbers are JSON numbers."""

from decimal import Decimal
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer


def unit(unit: str, default: Any = ...) -> Any:
    """Mark a field with the unit shown in prompts."""
    return Field(default, json_schema_extra={"unit": unit})


def optional(unit: str | None = None) -> Any:
    """Mark a field that a value need not have, with its unit; prompts leave it out where it is absent."""
    return Field(None, json_schema_extra={"optional": True} if unit is None else {"unit": unit, "optional": True})


def unshown(default: Any = ...) -> Any:
    """Mark a field that prompts leave out: it informs no reader, and would make equal prompts differ."""
    return Field(default, json_schema_extra={"shown": False})


class LiveValue(BaseModel):
    """A value that other programs may write; unknown fields are kept."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    @model_serializer(mode="wrap", when_used="json")
    def _numbers_as_numbers(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write Decimals of unknown and free-form fields as JSON numbers too, and no optional field that is absent."""
        fields: dict[str, Any] = serialize(self)
        for name in optional_fields(type(self)):
            if fields.get(name) is None:
                fields.pop(name, None)
        own = type(self).model_fields
        for name, value in (*self.__dict__.items(), *(self.__pydantic_extra__ or {}).items()):
            if name not in own or own[name].annotation == dict[str, Any]:
                fields[name] = _plain(value)
        return fields


@cache
def optional_fields(model: type[BaseModel]) -> frozenset[str]:
    """The fields that a value of a model need not have."""
    return frozenset(
        name
        for name, field in model.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("optional")
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
