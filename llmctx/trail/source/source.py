"""A source: one place that records are read from, whatever stores them. Every mere reader of the trail takes one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from llmctx.errors import TrailError
from llmctx.trail.log.leaf_schema import FaultError
from llmctx.trail.log.records import Records


class Source(NamedTuple):
    """A place that records are read from."""

    name: str
    """Its name, for messages."""
    origin: str
    """The trail that it holds records of: llmctx/<instance>; empty if they may come from several."""
    parts: Sequence[Records]
    """Its partitions, in order."""
    partitions: int
    """The number of partitions that addresses distinguish; the source may lack records of some."""


@contextmanager
def source_errors(name: str) -> Iterator[None]:
    """Turn the fault of a malformed file into a TrailError that names the source."""
    try:
        yield
    except FaultError as broken:
        raise TrailError(
            f"{name} cannot be read: {broken.fault}.",
            f"Run `llmctx verify --from {name}` to find out more.",
            exit_code=1,
        ) from broken
