"""A section of a package: one key's typed value, with its age and status."""

from typing import NamedTuple

from pydantic import BaseModel

from llmctx.context.finding import Finding
from llmctx.context.staleness import Status


class Section(NamedTuple):
    """One section of a package. A tuple, because a dozen are made on every tick."""

    name: str
    """price, indicators, signals.entry, ..."""
    key: str
    """The Redis key it was read from."""
    status: Status
    """fresh, stale, empty, missing or invalid."""
    age_ms: int | None = None
    """Milliseconds from its own timestamp to as_of; None if it carries no timestamp."""
    reason: str | None = None
    """Why it is invalid or empty: names key, path and rule."""
    value: BaseModel | None = None
    """The typed value; None unless the section is fresh or stale."""
    implausible: tuple[Finding, ...] = ()
    """What is implausible about the value."""
