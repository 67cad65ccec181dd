"""Facts: each single value of a package, under the path by which a prompt shows it and an answer cites it."""

from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple

from pydantic import BaseModel

from llmctx.context import paths
from llmctx.context.section import Section

_MAX_ITEMS_SHOWN = 5
_MAX_SCALARS_SHOWN = 30
_MAX_FACTS_SHOWN = 80
_LISTED = frozenset({str, int, bool, Decimal})
_SCALARS = frozenset({str, int, bool, Decimal, datetime, type(None)})


class Fact(NamedTuple):
    """One value of a section."""

    path: str
    """Its path."""
    value: str | Decimal | int | bool | datetime | None
    """Its value."""
    unit: str | None
    """Its unit; None if the schema has none."""


_fact = partial(tuple.__new__, Fact)
"""Like Fact(...), in a third of the time: a package has hundreds."""


def facts_of(section: Section) -> list[Fact]:
    """Return the facts of a section: fields in the schema's order, then unknown fields.

    Long lists and large sections are cut after a fixed number of items; a last fact says how many were left out.
    """
    return [] if section.value is None else collect_facts(section.name, section.value)


def collect_facts(name: str, value: BaseModel) -> list[Fact]:
    """Return the facts of a section's value, as `facts_of` does."""
    found: list[Fact] = []
    _collect(value, paths.root(name), None, found)
    if len(found) <= _MAX_FACTS_SHOWN:
        return found
    left_out = Fact(f"{name} (not shown)", f"{len(found) - _MAX_FACTS_SHOWN} more fields", None)
    return [*found[:_MAX_FACTS_SHOWN], left_out]


@cache
def _shown(model: type[BaseModel]) -> dict[str, str | None]:
    """Return the fields of a model that are facts, each with its unit."""
    units: dict[str, str | None] = {}
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        if extra.get("shown", True):
            unit = extra.get("unit")
            units[name] = None if unit is None else str(unit)
    return units


@lru_cache(maxsize=1024)
def _places(model: type[BaseModel], path: str) -> tuple[tuple[str, str, str | None], ...]:
    """Return name, path and unit of each field of a model that has this path."""
    return tuple((name, path if name == "root" else f"{path}.{name}", unit) for name, unit in _shown(model).items())


def _collect(value: Any, path: str, unit: str | None, found: list[Fact]) -> None:
    kind = type(value)
    if kind in _SCALARS:
        found.append(_fact((path, value, unit)))
    elif kind is list:
        _collect_list(value, path, unit, found)
    elif kind is dict:
        for name, item in value.items():
            _collect(item, paths.child(path, name), unit, found)
    else:
        _collect_model(value, path, found)


def _collect_model(value: BaseModel, path: str, found: list[Fact]) -> None:
    own = value.__dict__
    for name, item_path, own_unit in _places(type(value), path):
        item = own[name]
        if type(item) in _SCALARS:  # most are; a call less each
            found.append(_fact((item_path, item, own_unit)))
        else:
            _collect(item, item_path, own_unit, found)
    for name, item in (value.__pydantic_extra__ or {}).items():
        _collect(item, paths.child(path, name), None, found)


def _collect_list(items: list[Any], path: str, unit: str | None, found: list[Fact]) -> None:
    if _LISTED.issuperset(map(type, items)):
        shown = ", ".join(_in_a_list(item) for item in items[:_MAX_SCALARS_SHOWN])
        more = len(items) - _MAX_SCALARS_SHOWN
        found.append(Fact(path, f"{shown}, and {more} more" if more > 0 else shown or "none", unit))
        return
    for i, item in enumerate(items[:_MAX_ITEMS_SHOWN]):
        _collect(item, f"{path}[{i}]", unit, found)
    if len(items) > _MAX_ITEMS_SHOWN:
        found.append(Fact(f"{path} (not shown)", f"{len(items) - _MAX_ITEMS_SHOWN} more", None))


def _in_a_list(item: str | int | Decimal) -> str:
    return str(item).lower() if isinstance(item, bool) else str(item)
