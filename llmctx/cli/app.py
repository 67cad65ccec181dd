"""The program `llmctx`: a group that imports a command's module only when the command runs."""

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer
from typer.core import TyperGroup

from llmctx.cli.commands import COMMANDS, TASKS
from llmctx.version import VERSION

UsageError: Any = typer.BadParameter.__base__
"""The error of a misused command line. Typer carries its own copy of click and does not export this class."""

_COMPLETION: Any = import_module("typer.core").CompletionItem
_PLACEHOLDERS = {Path: "PATH", float: "N", str: "TEXT", int: "N"}
_PLACEHOLDER_OF = {
    "redis_url": "URL", "endpoint": "URL", "since": "TIME", "until": "TIME", "at": "TIME", "day": "DATE", "by": "NAME",
    "prompt": "NAME", "model": "NAME", "origin": "NAME", "names": "NAME", "host": "HOST", "metrics_host": "HOST",
    "symbol": "SYMBOL", "action": "ACTION", "guard": "GUARD", "kind": "KIND", "zone": "ZONE", "bars_format": "LAYOUT",
    "exchange": "CODE", "horizon": "MINUTES", "mode": "MODE", "cost_bps": "N", "vix": "N", "speed": "N", "lot": "N",
    "min_notional": "N", "move_pct": "N", "near_level_pct": "N", "budget_cost": "N", "key": "VKEY",
}  # fmt: skip
"""The placeholder of an option's value in --help, by parameter name; otherwise its type decides."""
_MODULES = {command.name: command.module for command in COMMANDS}


def _name_values(parameters: list[Any], function: Any) -> None:
    """Show plain names for values in --help (N, TIME, PATH) instead of typer's types, and ranges in words."""
    hints = get_type_hints(function)
    for parameter in parameters:
        if parameter.param_type_name == "argument":
            parameter.metavar = parameter.metavar or parameter.name.upper()
            parameter.display_type_rich = lambda **_: None
        elif parameter.metavar is None and parameter.name in hints:
            parameter.metavar = _placeholder(parameter.name, hints[parameter.name])
        parameter._get_number_range_help_str = partial(_range_in_words, parameter)  # noqa: SLF001  typer writes "x>=1"


def _placeholder(name: str, annotation: Any) -> str | None:
    """The name of an option's value; None for a flag."""
    inner = {annotation, *get_args(annotation), *(each for part in get_args(annotation) for each in get_args(part))}
    kind = next((word for kind, word in _PLACEHOLDERS.items() if kind in inner), None)
    return kind and _PLACEHOLDER_OF.get(name, kind)


def _range_in_words(parameter: Any) -> str | None:
    if parameter.min is None:
        return None
    return f"at least {parameter.min}" if parameter.max is None else f"{parameter.min} to {parameter.max}"


class _Group(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        # only names: get_command imports the requested one
        super().__init__(**attributes | {"commands": dict.fromkeys(_MODULES)})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  the signature is typer's
        """Return the command of this name, or None."""
        if cmd_name not in _MODULES:
            return None
        function = getattr(import_module(_MODULES[cmd_name]), cmd_name)
        single = typer.Typer(rich_markup_mode=None, add_completion=False)
        single.command(cmd_name, context_settings={"help_option_names": ["-h", "--help"]})(function)
        command = typer.main.get_command(single)
        _name_values(command.params, function)
        return command

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Complete a command's name from the table, without imports, or an option of the program."""
        found = [command for command in COMMANDS if command.name.startswith(incomplete)]
        options = super(TyperGroup, self).shell_complete(ctx, incomplete)
        return [*(_COMPLETION(command.name, help=command.summary) for command in found), *options]

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  the signature is typer's
        """Write the summaries, grouped by task, from the table, without imports."""
        width = max(map(len, _MODULES))  # the same in every section
        for task, heading in TASKS.items():
            rows = [(f"{command.name:<{width}}", command.summary) for command in COMMANDS if command.task == task]
            with formatter.section(heading):
                formatter.write_dl(rows)


app = typer.Typer(
    name="llmctx",
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Shows a trading system's live Redis state to an LLM, and keeps a provable record of every decision.\n\n"
    "Start with `llmctx demo`. `llmctx COMMAND --help` explains a command, with examples.",
    epilog="Exit codes: 0 success; 1 the evidence or a check failed; 2 wrong usage or unusable input; 3 a server, "
    "endpoint or trail that is needed is not available. With --json, results go to standard output, and each message "
    'on standard error is one JSON object: {"error": ..., "what_to_do": ...}, {"warning": ...} or {"note": ...}.',
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"llmctx {VERSION}")
        raise typer.Exit


@app.callback()
def _before_each_command(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    from llmctx.cli.shared.logs import show_logs

    show_logs()
