"""The sources of a template: its file and every file that it includes, read from one folder."""

import re
from pathlib import Path, PurePosixPath
from typing import Any

from jinja2 import TemplateSyntaxError
from jinja2.meta import find_referenced_templates
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llmctx.errors import TemplateError

FRONT_MATTER = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)
MAX_FILE_BYTES = 256 * 1024
"""The maximum size of a template or an include."""
MAX_FILES = 100
"""The maximum number of a template's files."""


def collect(folder: Path, file: str, wanted_by: str) -> dict[str, str]:
    """Return a template and everything it includes, by file name.

    Raises TemplateError for a file that is missing, unreadable, too large, or outside the folder, also through a link.
    """
    sources: dict[str, str] = {}
    _collect(folder, file, sources, wanted_by)
    return sources


def _collect(folder: Path, file: str, sources: dict[str, str], wanted_by: str) -> None:
    if file in sources:
        return
    if len(sources) == MAX_FILES:
        raise TemplateError(f"{wanted_by} asks for more than {MAX_FILES} files.", "Join some of the files.")
    sources[file] = _read(folder, file, wanted_by)
    body = FRONT_MATTER.sub("", sources[file])
    try:
        included: list[Any] = list(find_referenced_templates(ImmutableSandboxedEnvironment().parse(body)))
    except (TemplateSyntaxError, RecursionError):
        return  # compiling it reports the error with the right line
    for name in included:
        if name is None:
            raise TemplateError(
                f"{file} includes a template whose name is computed.",
                "Write the name as a plain text, so that the digest can cover it.",
            )
        _collect(folder, name, sources, file)


def _read(folder: Path, file: str, wanted_by: str) -> str:
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts:
        raise TemplateError(f"{wanted_by} asks for {file}, outside {folder}.", "Keep templates in one folder.")
    if not file.isascii():
        raise TemplateError(f"{wanted_by} asks for {file}.", "Name templates in ASCII, so that records can name them.")
    try:
        found = (folder / path).resolve(strict=True)
        if not found.is_relative_to(folder.resolve()):
            raise TemplateError(
                f"{wanted_by} asks for {file}, a link to {found}, outside {folder}.", "Keep templates in one folder."
            )
        if found.exists() and not found.is_file() and not found.is_dir():
            raise TemplateError(f"{wanted_by} asks for {file}, which is not a file.", "Replace it by a text file.")
        if found.stat().st_size > MAX_FILE_BYTES:
            raise TemplateError(
                f"{wanted_by} asks for {file}, which is larger than {MAX_FILE_BYTES} bytes.", "Shorten the file."
            )
        return found.read_text(encoding="utf-8")
    except (OSError, ValueError, RuntimeError) as error:
        raise TemplateError(
            f"{wanted_by} asks for {file}, which cannot be read in {folder}: {error}.",
            "Correct the name, or add the file.",
        ) from error
