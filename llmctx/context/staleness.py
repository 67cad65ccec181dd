"""The age and status of a section."""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from llmctx import clock
from llmctx.context.read_rules import ReadRules
from llmctx.schema import values
from llmctx.schema.mapping.own import OwnValue


class Status(StrEnum):
    """Whether a section is usable."""

    FRESH = "fresh"
    """Present, and no older than its limit."""
    STALE = "stale"
    """Present, and older than its limit."""
    EMPTY = "empty"
    """Present, but without content: no news, no signal, a thesis on another position."""
    MISSING = "missing"
    """The key does not exist."""
    INVALID = "invalid"
    """Present but malformed; the reason names key, path and rule."""


@cache
def _timed_fields(model: type[BaseModel]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The time fields of a model, and its fields whose inner models contain times."""
    if issubclass(model, OwnValue):  # of other times in it, such as an expiry, only its owner knows what they mean
        return tuple(name for name in (model.written_field, model.event_field) if name is not None), ()
    own, inner = [], []
    for name, field in model.model_fields.items():
        types = set(_types_within(field.annotation))
        if datetime in types:
            own.append(name)
        if any(isinstance(t, type) and issubclass(t, BaseModel) and any(_timed_fields(t)) for t in types):
            inner.append(name)
    return tuple(own), tuple(inner)


def _types_within(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in get_args(annotation):
        yield from _types_within(argument)


def future_moment(value: BaseModel | list[BaseModel] | None, latest: datetime) -> str | None:
    """The path and moment of the first time in a value that is after `latest`, or None."""
    if type(value) is list:
        for i, item in enumerate(value):
            if (found := future_moment(item, latest)) is not None:
                return f"[{i}].{found}"
    elif value is not None:
        own, inner = _timed_fields(type(value))
        for name in own:
            moment = getattr(value, name)
            if moment is not None and moment > latest:
                return f"{name} {clock.iso_of(moment)}"
        for name in inner:
            if (found := future_moment(getattr(value, name), latest)) is not None:
                return found if name == "root" else f"{name}{found if found[0] == '[' else '.' + found}"
    return None


@cache
def _written_field(model: type[BaseModel]) -> str | None:
    if issubclass(model, OwnValue):
        return model.written_field
    return next((name for name in ("timestamp", "last_update", "as_of") if name in model.model_fields), None)


def written_at(value: BaseModel) -> datetime | None:
    """When a value was written, by its own timestamp; None if it has none."""
    name = _written_field(type(value))
    if name is not None:
        moment: datetime | None = getattr(value, name)
        return moment
    if isinstance(value, values.Candidates):
        return max(candidate.timestamp for candidate in value.root)
    return None


def age(value: BaseModel, section: str, as_of_ms: int, rules: ReadRules) -> tuple[int | None, Status]:
    """A value's age in milliseconds (None without a timestamp), and whether it is fresh or stale."""
    written = written_at(value)
    return age_of(None if written is None else clock.to_ms(written), section, as_of_ms, rules)


def age_of(written_ms: int | None, section: str, as_of_ms: int, rules: ReadRules) -> tuple[int | None, Status]:
    """The same for a value that was written at `written_ms`; None means that it carries no time."""
    if written_ms is None:
        return None, Status.FRESH
    age_ms = max(0, as_of_ms - written_ms)
    limit_s = rules.max_age_s.get(section)
    if limit_s is None and "." in section:  # one limit for all signal types
        limit_s = rules.max_age_s.get(section.partition(".")[0])
    stale = limit_s is not None and age_ms > limit_s * 1000
    return age_ms, Status.STALE if stale else Status.FRESH
