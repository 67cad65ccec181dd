"""How commands print: tables and colours for people, JSON for programs, troubles on standard error."""

import json
import logging
import os
import sys
import unicodedata
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any, NoReturn

import rich.markup
from pydantic import BaseModel
from rich.console import Console

from llmctx import clock
from llmctx.errors import LlmctxError

_STEERING = {"Cc", "Cf", "Cs"}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Whoever read our output has seen enough: that is no failure."""
        stop_writing()


def stop_writing() -> NoReturn:
    """End with 0; nothing more may be written, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


out = _Console(highlight=False, soft_wrap=True)
"""For people."""
err = _Console(stderr=True, highlight=False, soft_wrap=True)
"""For what went wrong."""

COLOURS = {
    "hold": "dim", "exit": "red", "reduce": "yellow", "add": "green", "adjust_stops": "cyan", "none": "magenta",
    "fresh": "green", "stale": "yellow", "empty": "dim", "missing": "dim", "invalid": "red",
}  # fmt: skip
"""What a word looks like."""


def coloured(word: str) -> str:
    """A word in its colour."""
    return f"[{COLOURS[word]}]{word}[/]" if word in COLOURS else word


def print_json(value: Any) -> None:
    """One JSON document on one line."""
    try:
        sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        stop_writing()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        number = float(value)
        return number if isfinite(number) else str(value)
    if isinstance(value, datetime):
        return clock.iso_of(value)
    if isinstance(value, BaseModel):
        return value.model_dump()
    raise TypeError(f"{type(value).__name__} is not JSON")


def complain(error: LlmctxError) -> None:
    """Say what went wrong and what to do."""
    err.print(f"[red]error:[/] {escape(error.what)}")
    err.print(f"  what to do: {escape(error.do)}")


def warn(text: str) -> None:
    """Say what went wrong and is being dealt with."""
    err.print(f"[yellow]warning:[/] {escape(text)}")


class LogHandler(logging.Handler):
    """Print the library's log records on standard error: warnings as `warn` does, information as notes."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        if record.levelno >= logging.WARNING:
            warn(record.getMessage())
        else:
            err.print(f"[dim]note: {escape(record.getMessage())}[/]")


def escape(text: str) -> str:
    """Text from anywhere, in which brackets are no markup and nothing steers the terminal."""
    return rich.markup.escape(visible(text))


def visible(text: str) -> str:
    """The text with control characters written out, line ends kept."""
    return "".join(c if c == "\n" or unicodedata.category(c) not in _STEERING else repr(c)[1:-1] for c in text)
