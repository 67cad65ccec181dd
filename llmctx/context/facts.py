"""Facts: every single value of a package, under the path by which a prompt shows it and an answer cites it.

A path is the section's name and the way through its JSON: `price.price.last`, `sentiment.latest_news[0].headline`.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from pydantic import BaseModel

from llmctx.context.package import Section

_ITEMS_SHOWN = 5
_SCALARS_SHOWN = 30
_FACTS_SHOWN = 80


class Fact(NamedTuple):
    """One value of a section."""

    path: str
    """Where it stands."""
    value: str | Decimal | int | bool | datetime | None
    """What it says."""
    unit: str | None
    """Its unit; None where the schema knows none."""


def facts_of(section: Section) -> list[Fact]:
    """The facts of a section, fields in the schema's order, then the fields that the schema does not know.

    Long lists and large sections are cut after a fixed number of items; a last fact says what was left out.
    """
    if section.value is None:
        return []
    found = list(_walk(section.value, section.name, None))
    if len(found) <= _FACTS_SHOWN:
        return found
    left_out = Fact(f"{section.name} (not shown)", f"{len(found) - _FACTS_SHOWN} more fields", None)
    return [*found[:_FACTS_SHOWN], left_out]


@cache
def _units(model: type[BaseModel]) -> dict[str, str]:
    units: dict[str, str] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.json_schema_extra, dict) and "unit" in field.json_schema_extra:
            units[name] = str(field.json_schema_extra["unit"])
    return units


def _walk(value: Any, path: str, unit: str | None) -> Iterator[Fact]:
    if isinstance(value, BaseModel):
        units = _units(type(value))
        for name, item in value.__dict__.items():
            yield from _walk(item, path if name == "root" else f"{path}.{name}", units.get(name))
        for name, item in (value.__pydantic_extra__ or {}).items():
            yield from _walk(item, f"{path}.{name}", None)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _walk(item, f"{path}.{name}", unit)
    elif isinstance(value, list):
        yield from _walk_list(value, path, unit)
    else:
        yield Fact(path, value, unit)


def _walk_list(items: list[Any], path: str, unit: str | None) -> Iterator[Fact]:
    if all(isinstance(item, str | int | Decimal) for item in items):
        shown = ", ".join(str(item) for item in items[:_SCALARS_SHOWN])
        more = len(items) - _SCALARS_SHOWN
        yield Fact(path, f"{shown}, and {more} more" if more > 0 else shown or "none", unit)
        return
    for i, item in enumerate(items[:_ITEMS_SHOWN]):
        yield from _walk(item, f"{path}[{i}]", unit)
    if len(items) > _ITEMS_SHOWN:
        yield Fact(f"{path} (not shown)", f"{len(items) - _ITEMS_SHOWN} more", None)
