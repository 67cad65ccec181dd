"""Once: a property that is worked out when it is first asked for, and kept.

As functools.cached_property, without the lock that it takes: an answer is grounded by one thread, and asks for dozens.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class once(Generic[T]):  # noqa: N801  it stands where property does
    """A method as a property that is worked out once; its owner keeps the value under the method's name."""

    def __init__(self, made: Callable[[Any], T]) -> None:
        self._made = made
        self._name = made.__name__
        self.__doc__ = made.__doc__

    @overload
    def __get__(self, owner: None, kind: type) -> "once[T]": ...

    @overload
    def __get__(self, owner: object, kind: type) -> T: ...

    def __get__(self, owner: object | None, kind: type) -> "T | once[T]":
        if owner is None:
            return self
        value = owner.__dict__[self._name] = self._made(owner)
        return value
