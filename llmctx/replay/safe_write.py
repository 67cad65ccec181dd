"""Write an output file safely: never over a file of another kind, never over an input, never half of it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

from llmctx import canonical
from llmctx.errors import ReplayError

_HEAD_BYTES = 1 << 20
"""How much of an existing file is read to recognise its kind."""


class FileKind(NamedTuple):
    """A kind of output file."""

    name: str
    """Its name in messages."""
    matches: Callable[[bytes], bool]
    """Whether the first bytes of a file are those of this kind."""


def format_of(head: bytes) -> object:
    """Return the format named by the first line of a file, None if it names none."""
    return _first_line(head).get("format")


def _first_line(head: bytes) -> dict[str, object]:
    try:
        document = canonical.loads(head.partition(b"\n")[0])
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


REBUILD_FORMAT = "llmctx-rebuild/1"
"""The format named by the first line of a rebuild file."""
PAGE_MARK = '<meta name="generator" content="llmctx compare">'
"""The tag by which a comparison page is recognised."""

REBUILD = FileKind("a rebuild file of `llmctx replay --out`", lambda head: format_of(head) == REBUILD_FORMAT)
PAGE = FileKind("a page of `llmctx compare --html`", lambda head: PAGE_MARK.encode() in head)
BATCH = FileKind(
    "a batch file of `llmctx replay --batch`",
    lambda head: _first_line(head).keys() == {"custom_id", "method", "url", "body"},
)


class Destination(NamedTuple):
    """A file to write, as the user named it."""

    path: Path
    """Its path."""
    option: str
    """The option that named it, for messages."""
    kind: FileKind
    """The kind of file that may be replaced."""
    inputs: tuple[Path | None, ...] = ()
    """Input files, which must not be overwritten."""


def check_destination(destination: Destination) -> None:
    """Check that the destination is free, empty, or a file of the same kind. Nothing is written.

    Raises ReplayError for an input file, a folder, or a file of another kind.
    """
    path, option, kind, inputs = destination
    for used in inputs:
        if used is not None and path.exists() and used.exists() and path.samefile(used):
            raise ReplayError(f"{option} {path} is also an input.", f"Name another file with {option}.")
    if not path.exists() or not (path.is_file() or path.is_dir()):
        return
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise write_error(destination, error) from error
    if head and not kind.matches(head):
        raise ReplayError(
            f"{option} {path} already exists and is not {kind.name}; it was left unchanged.",
            f"Name another file with {option}, or move the existing one.",
        )


@contextmanager
def replacing(destination: Destination) -> Iterator[TextIO]:
    """Open a text file that replaces the destination once it is complete; until then the old file stays.

    Raises ReplayError if the destination must not be replaced (`check_destination`) or cannot be written.
    """
    check_destination(destination)
    path = destination.path
    target = path.resolve()
    is_pipe = path.exists() and not path.is_file()  # a pipe or terminal is written directly
    draft = target if is_pipe else target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        if draft != target:
            draft.replace(target)
    except OSError as error:
        raise write_error(destination, error) from error
    finally:
        if draft != target:
            draft.unlink(missing_ok=True)


def write_error(destination: Destination, error: OSError) -> ReplayError:
    """Return the error for a file that cannot be written."""
    option = destination.option
    return ReplayError(
        f"{option} {destination.path} cannot be written: {error.strerror or error}.",
        f"Name another file with {option}.",
    )
