"""What `llmctx schema settings` says of each setting."""

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
    """What holds without it; "" for nothing."""
    says: str
    """What it is."""


def described() -> Iterator[Described]:
    """Every setting; of a table that stands in several places the fields are described at the first."""
    places: dict[type[BaseModel], str] = {}
    for each in all_variables():
        prefix = each.name.removesuffix(each.field.upper())
        if places.setdefault(each.model, prefix) != prefix:
            continue
        again = next((places[model] for model in each.tables if model in places), None)
        says = each.says if again is None else f"{each.says} Its fields are those of {again}..."
        yield Described(each.name + "__..." * bool(each.tables), each.default, says)
