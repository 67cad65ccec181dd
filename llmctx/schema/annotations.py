"""The types that a field's annotation allows."""

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel


def alternatives(annotation: Any) -> Iterator[Any]:
    """The types that a value of an annotation can have: None among them, lists and dicts with their arguments."""
    if get_origin(annotation) in (list, dict, Literal) or not get_args(annotation):
        yield annotation
    else:
        for argument in get_args(annotation):
            yield from alternatives(argument)


def is_model(kind: Any) -> bool:
    """Whether a type is a model."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)
