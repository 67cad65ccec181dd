"""What llmctx.toml says about one section: its key, its type, and how its fields map to the schema's."""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from llmctx.schema.mapping.path import check_path

WHOLE = "."
"""The name under which `fields` maps a whole value, such as a list of symbols."""

ENTRY_TIME = "entry_time"
"""The time that identifies a position; if it is first_seen, it is that of the first package with the position."""

_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_PLACEHOLDERS = {"symbol", "symbol_lower", "signal_type"}
_PATTERN_CHARACTERS = set("*?[]\\")
_MAX_KEY_CHARS = 200

Scalar = str | bool | int | Decimal | None
"""What a constant, or the meaning of a word, may be."""


def _from_text(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


def _readable(kind: Any) -> Any:
    if isinstance(kind, str) and "json" in kind.casefold():
        raise ValueError("RedisJSON keys are not read; keep the JSON in a string, or its fields in a hash")
    return kind


class FieldRule(BaseModel):
    """Where one field of the schema comes from; a text alone is its path."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = None
    """Its place in the source: a plain path such as `ticker.bid[0]`, or any JMESPath expression."""
    constant: Scalar = None
    """Its value, if the source has none."""
    first_seen: bool = False
    """For a time that the source lacks: when the present bytes of the section first appeared in a package."""
    factor: Decimal | None = None
    """The factor that its number is multiplied by."""
    epoch: Literal["s", "ms", "us", "ns"] | None = None
    """The unit of its time, if that is a number since 1970."""
    words: dict[str, Scalar] = {}
    """The meanings of its words; case is ignored, and other words stay as they are."""
    each: dict[str, "FieldSource"] = {}
    """The mapping of each item of its list."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(("path" in self.model_fields_set, "constant" in self.model_fields_set, self.first_seen)) != 1:
            raise ValueError("give either a path, a constant or first_seen = true")
        if self.path is not None:
            check_path(self.path)
        return self


FieldSource = Annotated[FieldRule, BeforeValidator(_from_text)]


class SectionRule(BaseModel):
    """One section of llmctx.toml: `[sections.NAME]`."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    key: str | None = Field(None, min_length=1, max_length=_MAX_KEY_CHARS)
    """The key, with {symbol} (or {symbol_lower}) and {signal_type} as placeholders; by default the schema's own."""
    kind: Annotated[Literal["string", "hash"], BeforeValidator(_readable)] = "string"
    """What is stored there: one JSON text, or a hash."""
    field: str | None = Field(None, min_length=1, max_length=_MAX_KEY_CHARS)
    """The field of the hash that holds the value as JSON, with the same placeholders; by default the whole hash."""
    json_fields: tuple[str, ...] = ()
    """The fields of the hash that hold JSON."""
    max_age_s: int | None = Field(None, ge=0, le=10**12)
    """Seconds after which the section is stale; by default the section's own limit."""
    fields: dict[str, FieldSource] = {}
    """The schema's fields, each with its source; empty if the value already has the schema's names."""
    says: str = Field("", max_length=500)
    """For a custom section: the sentence that explains it to the model."""
    time: str | None = None
    """For a custom section: the field with the write time; by default, when its bytes were first seen."""
    event: str | None = None
    """For a custom section: the field with the time of the reported event."""
    json_schema: dict[str, Any] | None = Field(None, alias="schema")
    """Of a section of one's own: its JSON Schema, with a `unit` for each number."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        for name in (self.key or "", self.field or ""):
            unknown = set(_PLACEHOLDER.findall(name)) - _PLACEHOLDERS
            if unknown or _PATTERN_CHARACTERS & set(name) or "{" in _PLACEHOLDER.sub("", name):
                raise ValueError(
                    f"{name!r} may hold the placeholders {{symbol}}, {{symbol_lower}} and {{signal_type}}, "
                    "and none of * ? [ ] \\ { }"
                )
        if self.kind != "hash" and (self.field is not None or self.json_fields):
            raise ValueError('`field` and `json_fields` need kind = "hash"')
        if self.field is not None and self.json_fields:
            raise ValueError("give either `field` or `json_fields`")
        if WHOLE in self.fields and len(self.fields) > 1:
            raise ValueError(f"{WHOLE!r} maps the whole value, so it stands alone")
        return self

    @property
    def first_seen(self) -> tuple[str, ...]:
        """The fields that hold when the bytes of the section were first seen."""
        return tuple(target for target, source in self.fields.items() if source.first_seen)
