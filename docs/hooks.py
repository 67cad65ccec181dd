"""What the site adds to the documents when it is built: the help of each command, and every setting."""  # noqa: INP001  a file that mkdocs loads

from typing import Any

import typer
from typer.main import get_command

from llmctx.cli.app import app
from llmctx.cli.look.schema import described

_COMMANDS, _SETTINGS = "<!-- commands -->", "<!-- settings -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the help of each command, or every setting, in place of their marks."""
    if _COMMANDS in markdown:
        return markdown.replace(_COMMANDS, _help())
    return markdown.replace(_SETTINGS, _settings()) if _SETTINGS in markdown else markdown


def _settings() -> str:
    rows = (f"| `{each.variable}` | {each.says} | {each.default and f'`{each.default}`'} |" for each in described())
    return "\n".join(["| setting | what it is | default |", "|---|---|---|", *rows])


def _help() -> str:
    group = get_command(app)
    parent = typer.Context(group, info_name="llmctx")
    parts = []
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        text = command.get_help(typer.Context(command, info_name=f"llmctx {name}", parent=None))
        parts.append(f"## {name}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)
