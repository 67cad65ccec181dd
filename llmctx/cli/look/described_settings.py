"""The descriptions of settings that `llmctx schema settings` prints."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from llmctx.settings import all_variables

if TYPE_CHECKING:
    from pydantic import BaseModel


class Described(NamedTuple):
    """A setting as its users see it."""

    variable: str
    """Its environment variable; a table ends in __..."""
    default: str
    """Its default; "" for none."""
    says: str
    """Its description."""


def described() -> Iterator[Described]:
    """Every setting; a table that occurs in several places is described at the first."""
    places: dict[type[BaseModel], str] = {}
    for each in all_variables():
        prefix = each.name.removesuffix(each.field.upper())
        if places.setdefault(each.model, prefix) != prefix:
            continue
        again = next((places[model] for model in each.tables if model in places), None)
        says = each.says if again is None else f"{each.says} Its fields are those of {again}..."
        yield Described(each.name + "__..." * bool(each.tables), each.default, says)
