"""Facts: each single value of a package, under the path by which a prompt shows it and an answer cites it."""

from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple

from pydantic import BaseModel

from llmctx.context import paths
from llmctx.context.section import Section
from llmctx.schema.values import Candidates, Position
from llmctx.schema.values.live_value import optional_fields

MAX_ITEMS_SHOWN = 5
"""How many items of a list are shown."""
_MAX_SCALARS_SHOWN = 30
_MAX_FACTS_SHOWN = 80
_LISTED = frozenset({str, int, bool, Decimal})
PERCENT_OF_MARGIN = "% of margin"
"""The unit of a percentage that is stated to be relative to the margin."""
_SCALARS = frozenset({str, int, bool, Decimal, datetime, type(None)})


class Fact(NamedTuple):
    """One value of a section."""

    path: str
    """Its path; one that ends with a parenthesis only counts what is not shown."""
    value: str | Decimal | int | bool | datetime | None
    """Its value."""
    unit: str | None
    """Its unit; None if the schema has none."""
    listed: bool = True
    """Whether the schema lists its field; if not, the writer of the value chose the name."""


_fact = partial(tuple.__new__, Fact)
"""Same as Fact(...), in a third of the time: a package has hundreds."""


def facts_of(section: Section) -> list[Fact]:
    """Return the facts of a section: fields in the schema's order, then unknown fields.

    Long lists are cut after a fixed number of items, and of a large section the schema's own fields come first; facts
    say how many were left out. Names that are not plain stand in quotes or are left out, and are counted.
    """
    return [] if section.value is None else collect_facts(section.name, section.value)


def collect_facts(name: str, value: BaseModel, held: str = "") -> list[Fact]:
    """Return the facts of a section's value, as `facts_of` does; for candidates also the entry and rank of `held`."""
    collected = _Facts()
    collected.model(value, paths.root(name), listed=True)
    found, counts = collected.found, []
    if isinstance(value, Position) and value.unrealized_pnl_pct_basis == "margin":
        on_margin = f"{name}.unrealized_pnl_pct"
        found[:] = [fact._replace(unit=PERCENT_OF_MARGIN) if fact.path == on_margin else fact for fact in found]
    if held and isinstance(value, Candidates):
        rank = next((i for i, one in enumerate(value.root, start=1) if one.symbol == held), None)
        if rank is not None and rank > MAX_ITEMS_SHOWN:
            collected.value(value.root[rank - 1], f"{name}[{rank - 1}]", None, listed=True)
        said = "not ranked" if rank is None else f"{rank} of {len(value.root)}"
        counts.append(Fact(f"{name} (rank of this symbol)", said, None))
    if len(found) > _MAX_FACTS_SHOWN:
        left_out = len(found) - _MAX_FACTS_SHOWN
        found = schema_first(found)[:_MAX_FACTS_SHOWN]
        counts.append(Fact(f"{name} (not shown)", f"{left_out} more fields", None))
    if collected.quoted or collected.left_out:
        counts.append(Fact(f"{name} (names)", f"{collected.quoted} in quotes, {collected.left_out} left out", None))
    return [*found, *counts]


def schema_first(facts: list[Fact]) -> list[Fact]:
    """Return the facts that the schema lists, then those named by their writers, each in order."""
    return sorted(facts, key=lambda fact: not fact.listed)


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
def _places(model: type[BaseModel], path: str) -> tuple[tuple[str, str, str | None, bool], ...]:
    """Return name, path and unit of each field of a model at this path, and whether it is optional."""
    optional = optional_fields(model)
    return tuple(
        (name, path if name == "root" else f"{path}.{name}", unit, name in optional)
        for name, unit in _shown(model).items()
    )


class _Facts:
    """The facts of a value, as they are collected."""

    def __init__(self) -> None:
        self.found: list[Fact] = []
        self.quoted = 0
        """How many names chosen by writers are shown in quotes."""
        self.left_out = 0
        """How many such names are left out."""

    def value(self, value: Any, path: str, unit: str | None, *, listed: bool) -> None:
        """Collect the facts of any value."""
        kind = type(value)
        if kind in _SCALARS:
            self.found.append(_fact((path, value, unit, listed)))
        elif kind is list:
            self._list(value, path, unit, listed=listed)
        elif kind is dict:
            self._named(value, path, unit)
        else:
            self.model(value, path, listed=listed)

    def model(self, value: BaseModel, path: str, *, listed: bool) -> None:
        """Collect the fields of a model in the schema's order, then its unknown ones."""
        own = value.__dict__
        for name, item_path, own_unit, optional in _places(type(value), path):
            item = own[name]
            if item is None and optional:
                continue
            if type(item) in _SCALARS:  # most values are scalars; this saves a call for each
                self.found.append(_fact((item_path, item, own_unit, listed)))
            else:
                self.value(item, item_path, own_unit, listed=listed)
        if value.__pydantic_extra__:
            self._named(value.__pydantic_extra__, path, None)

    def _named(self, items: dict[str, Any], path: str, unit: str | None) -> None:
        """Collect the fields whose names the writer of the value chose."""
        for name, item in items.items():
            item_path = paths.child(path, name)
            if len(item_path) > paths.MAX_PATH_CHARS or not paths.is_shown(name):
                self.left_out += 1
                continue
            if not paths.is_plain(name):
                self.quoted += 1
            self.value(item, item_path, unit, listed=False)

    def _list(self, items: list[Any], path: str, unit: str | None, *, listed: bool) -> None:
        if _LISTED.issuperset(map(type, items)):
            shown = ", ".join(_in_a_list(item) for item in items[:_MAX_SCALARS_SHOWN])
            more = len(items) - _MAX_SCALARS_SHOWN
            self.found.append(Fact(path, f"{shown}, and {more} more" if more > 0 else shown or "none", unit, listed))
            return
        for i, item in enumerate(items[:MAX_ITEMS_SHOWN]):
            self.value(item, f"{path}[{i}]", unit, listed=listed)
        if len(items) > MAX_ITEMS_SHOWN:
            self.found.append(Fact(f"{path} (not shown)", f"{len(items) - MAX_ITEMS_SHOWN} more", None, listed))


def _in_a_list(item: str | int | Decimal) -> str:
    return str(item).lower() if isinstance(item, bool) else str(item)
