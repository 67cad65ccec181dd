"""Where the commands of a replay write: never over a file of another kind, and never a file that is half written."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

from llmctx import canonical
from llmctx.errors import ReplayError

_BEGINNING_BYTES = 1 << 20


class Kind(NamedTuple):
    """What a file is."""

    name: str
    """In words."""
    fits: Callable[[bytes], bool]
    """Whether a file that begins so is one."""


def format_of(beginning: bytes) -> object:
    """The format that a file's first line names; None where it names none."""
    first = _first_line(beginning)
    return first.get("format")


def _first_line(beginning: bytes) -> dict[str, object]:
    try:
        document = canonical.loads(beginning.partition(b"\n")[0])
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


REBUILD_FORMAT = "llmctx-rebuild/1"
"""The first line of what a rebuild writes names this."""
PAGE_MARK = '<meta name="generator" content="llmctx compare">'
"""Stands in every page of a comparison."""

REBUILD = Kind("what a rebuild of `llmctx replay --out` wrote", lambda raw: format_of(raw) == REBUILD_FORMAT)
PAGE = Kind("a page of `llmctx compare --html`", lambda raw: PAGE_MARK.encode() in raw)
BATCH = Kind(
    "a batch file of `llmctx replay --batch`",
    lambda raw: _first_line(raw).keys() == {"custom_id", "method", "url", "body"},
)


def check_place(path: Path, option: str, kind: Kind, inputs: Iterable[Path | None] = ()) -> None:
    """See that a file can be put at a place: there is none, an empty one, or one of the same kind.

    Raises ReplayError for one of the `inputs`, a folder, and a file of another kind; nothing was written.
    """
    for used in inputs:
        if used is not None and path.exists() and used.exists() and path.samefile(used):
            raise ReplayError(f"{option} {path} is what is being read.", f"Name another file with {option}.")
    if not path.exists() or not (path.is_file() or path.is_dir()):
        return
    try:
        with path.open("rb") as file:
            beginning = file.read(_BEGINNING_BYTES)
    except OSError as error:
        raise unwritable(path, option, error) from error
    if beginning and not kind.fits(beginning):
        raise ReplayError(
            f"{option} {path} is there already, and is not {kind.name}; it was left as it is.",
            f"Name another file with {option}, or move that one away.",
        )


@contextmanager
def writing(path: Path, option: str, kind: Kind, inputs: Iterable[Path | None] = ()) -> Iterator[TextIO]:
    """A file that is put in its place when all of it is written; what stood there stays until then.

    Raises ReplayError where it cannot be written, or must not be (`check_place`).
    """
    check_place(path, option, kind, inputs)
    whole = path.resolve()
    draft = whole.with_name(f".{whole.name}.{os.getpid()}.new")
    if path.exists() and not path.is_file():
        draft = whole  # a pipe or a terminal takes what it is given
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        if draft != whole:
            draft.replace(whole)
    except OSError as error:
        raise unwritable(path, option, error) from error
    finally:
        if draft != whole:
            draft.unlink(missing_ok=True)


def unwritable(path: Path, option: str, error: OSError) -> ReplayError:
    """What to say of a file that cannot be written."""
    return ReplayError(
        f"{option} {path} cannot be written: {error.strerror or error}.", f"Name another file with {option}."
    )
