"""How commands print: tables and colours for people, JSON for programs, messages on standard error."""

import json
import logging
import os
import sys
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any, NoReturn

import rich.markup
from rich.console import Console

from llmctx import clock
from llmctx.errors import LlmctxError
from llmctx.visible import visible

if TYPE_CHECKING:
    from rich.table import Table


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """The reader closed the pipe because it has seen enough; that is not a failure."""
        stop_writing()


def stop_writing() -> NoReturn:
    """Exit with 0 and write nothing more, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


out = _Console(highlight=False, soft_wrap=True)
"""Standard output, for people."""
err = _Console(stderr=True, highlight=False, soft_wrap=True)
"""Standard error, for people."""

COLOURS = {
    "hold": "dim", "exit": "red", "reduce": "yellow", "add": "green", "adjust_stops": "cyan", "none": "magenta",
    "fresh": "green", "stale": "yellow", "empty": "dim", "missing": "dim", "invalid": "red",
}  # fmt: skip
"""The colour of each action and section status."""


def coloured(word: str) -> str:
    """An action or a status in its colour, as markup."""
    return f"[{COLOURS[word]}]{word}[/]" if word in COLOURS else word


def plain_table(*left: str, right: Iterable[str] = (), title: str | None = None) -> "Table":
    """An empty table without lines: columns aligned to the left, then columns aligned to the right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    for heading in left:
        table.add_column(heading, no_wrap=True)
    for heading in right:
        table.add_column(heading, no_wrap=True, justify="right")
    return table


def print_json(value: Any) -> None:
    """Print one JSON document on one line."""
    try:
        sys.stdout.write(_dumps(value) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        stop_writing()


def _dumps(value: Any) -> str:
    return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        number = float(value)
        return number if isfinite(number) else str(value)
    if isinstance(value, datetime):
        return clock.iso_of(value)
    if hasattr(value, "model_dump"):  # a pydantic model, without importing pydantic
        return value.model_dump()
    raise TypeError(f"{type(value).__name__} has no JSON form")


class _Messages:
    """Errors, warnings and notes on standard error: lines for people, or one JSON object each."""

    logger: logging.Logger | None = None
    """Writes them among the log records; None to write them directly."""

    def error(self, error: LlmctxError) -> None:
        """Print what went wrong and what to do."""
        text = f"[red]error:[/] {escape(error.what)}\n  what to do: {escape(error.do)}"
        self._print(logging.ERROR, text, error=error.what, what_to_do=error.do)

    def warning(self, text: str) -> None:
        """Print a problem that does not stop the command."""
        self._print(logging.WARNING, f"[yellow]warning:[/] {escape(text)}", warning=text)

    def note(self, text: str) -> None:
        """Print something worth knowing."""
        self._print(logging.INFO, f"[dim]note: {escape(text)}[/]", note=text)

    def _print(self, level: int, text: str, **fields: str) -> None:
        if self.logger is not None:
            message, *_ = fields.values()
            more = {name: value for name, value in fields.items() if value != message}
            self.logger.log(level, "%s", message, extra={"fields": more})
        elif "--json" in sys.argv:  # a malformed command line cannot be parsed, so it is only searched
            sys.stderr.write(_dumps(fields) + "\n")
        else:
            err.print(text)


messages = _Messages()
"""The one place for messages."""


def escape(text: str) -> str:
    """Text from anywhere: its brackets are not markup, and no character controls the terminal."""
    return rich.markup.escape(visible(text))
