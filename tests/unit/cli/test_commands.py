"""The table of commands tells the truth, and the command line's modules form no circle."""

import ast
import inspect
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

from llmctx.cli.commands import COMMANDS, TASKS, Command
from tests.conftest import ROOT

CLI = ROOT / "llmctx" / "cli"


def by_name(command: Command) -> str:
    return command.name


@pytest.mark.parametrize("command", COMMANDS, ids=by_name)
def test_a_summary_is_the_first_line_of_the_commands_docstring(command: Command) -> None:
    function = getattr(import_module(command.module), command.name)
    assert (inspect.getdoc(function) or "").split("\n", 1)[0] == command.summary


def test_a_summary_fits_on_one_line_of_80_columns() -> None:
    assert max(len(command.name) for command in COMMANDS) + max(len(command.summary) for command in COMMANDS) < 76


def test_every_task_has_commands_in_one_block() -> None:
    assert list(dict.fromkeys(command.task for command in COMMANDS)) == list(TASKS)


def test_help_imports_no_command_and_shows_every_summary() -> None:
    script = (
        "import sys\nsys.argv = ['llmctx', '--help']\nfrom llmctx.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print([name for name in sys.modules if name.startswith('llmctx.')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    *shown, loaded = done.stdout.splitlines()
    assert all(any(line.endswith(f"  {command.summary}") for line in shown) for command in COMMANDS)
    assert set(ast.literal_eval(loaded)) == {
        "llmctx.cli", "llmctx.cli.app", "llmctx.cli.commands", "llmctx.errors", "llmctx.limits",
        "llmctx.version",
    }  # fmt: skip


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> set[str]:
    """The modules of the command line that a file imports, inside functions and for types too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("llmctx.cli"):
            found.add(node.module or "")
    return found


def test_no_modules_and_no_folders_of_the_command_line_import_each_other_in_a_circle() -> None:
    graph = {module_of(path): imports_of(path) for path in CLI.rglob("*.py")}
    assert len(graph) > len(COMMANDS)
    assert list(TopologicalSorter(graph).static_order())
    folders: dict[str, set[str]] = {}
    for module, imported in graph.items():
        folder = [*module.split("."), "main"][2]
        others = {name.split(".")[2] for name in imported if name.count(".") > 1}
        folders.setdefault(folder, set()).update(others - {folder})
    assert list(TopologicalSorter(folders).static_order())
    for task in TASKS:
        assert folders[task] <= {"shared"}
