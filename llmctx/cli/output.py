"""How commands print: tables and colours for people, JSON for programs, troubles on standard error."""

import json
import sys
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel
from rich.console import Console

from llmctx import clock
from llmctx.errors import LlmctxError

out = Console(highlight=False, soft_wrap=True)
"""For people."""
err = Console(stderr=True, highlight=False, soft_wrap=True)
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
    sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return clock.iso(clock.to_ms(value))
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


def escape(text: str) -> str:
    """Text in which brackets are no markup."""
    return text.replace("[", r"\[")
