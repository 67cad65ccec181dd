"""What the current task is about: a handler adds it to each log record, so that no message has to carry it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_fields: ContextVar[Mapping[str, str]] = ContextVar("llmctx_log_fields", default={})  # noqa: B039  never changed


def put(**fields: str) -> None:
    """Add fields to what this task, and the tasks that it starts from here on, log."""
    _fields.set({**_fields.get(), **fields})


@contextmanager
def about(**fields: str) -> Iterator[None]:
    """Add fields to what is logged inside."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


def current() -> Mapping[str, str]:
    """The fields of this task."""
    return _fields.get()
