"""What the site adds to the documents when it is built: the help of each command."""  # noqa: INP001  a file that mkdocs loads

from typing import Any

import typer
from typer.main import get_command

from llmctx.cli.app import app

_MARK = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the help of each command in place of the mark."""
    return markdown.replace(_MARK, _help()) if _MARK in markdown else markdown


def _help() -> str:
    group = get_command(app)
    parent = typer.Context(group, info_name="llmctx")
    parts = []
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        text = command.get_help(typer.Context(command, info_name=f"llmctx {name}", parent=None))
        parts.append(f"## {name}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)
