"""With --json every command says what went wrong as one JSON object on standard error; completion knows every command."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from llmctx.cli.commands import COMMANDS, TASKS
from tests import call, prefork
from tests.conftest import free_port

ALONE = {
    "adopt": ["redis://127.0.0.1:{port}/0"], "annotate": ["1", "--by", "me", "--why", "so"],
    "approve": ["1", "--by", "me", "--why", "so"], "backup": [], "cleanup": [], "confirm": ["A", "--by", "me", "--why", "so"],
    "context": ["AAPL"], "decide": ["AAPL"], "decisions": [], "doctor": [], "export": ["out"], "halt": ["--by", "me", "--why", "so"],
    "keys": [], "outcome": [], "override": ["1", "--by", "me", "--why", "so"], "receipt": ["1"], "reconcile": [],
    "replay": [], "report": ["1", "--html", "out.html"], "resume": ["--by", "me", "--why", "so"], "show": ["1"],
    "status": [], "verify": [], "watch": ["AAPL"], "console": ["--port", "0"],
}  # fmt: skip
"""Commands that need a server, with what they must be given."""


def ask(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    address = f"redis://127.0.0.1:{free_port()}/0"
    environment = os.environ | {"LLMCTX_REDIS_URL": address, "LLMCTX_STATE_DIR": str(folder / "var")}
    given = [word.format(port=free_port()) for word in words]
    return call.run(*given, cwd=folder, env=environment)


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_a_wrong_option_is_one_json_object_on_standard_error(command: str, tmp_path: Path) -> None:
    ended = ask(tmp_path, command, "--json", "--no-such-option")
    assert (ended.returncode, ended.stdout) == (2, "")
    said = json.loads(ended.stderr)
    assert said.keys() == {"error", "what_to_do"}
    assert "--no-such-option" in said["error"]


@pytest.mark.parametrize("command", sorted(ALONE))
def test_a_server_that_is_not_there_is_one_json_object(command: str, tmp_path: Path) -> None:
    ended = ask(tmp_path, command, *ALONE[command], "--json")
    assert ended.returncode == 3
    said = json.loads(ended.stdout)["findings"][0] if command == "doctor" else json.loads(ended.stderr)
    assert "127.0.0.1" in said["what" if command == "doctor" else "error"]
    assert said["do" if command == "doctor" else "what_to_do"]


@pytest.mark.parametrize(("words", "wanted"), [("llmctx rep", "report replay"), ("llmctx report --da", "--day")])
def test_a_shell_completes_commands_and_options(words: str, wanted: str) -> None:
    asked = {"_LLMCTX_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run([prefork.INSTALLED], capture_output=True, text=True, check=True, env=os.environ | asked)
    assert done.stdout.split() == wanted.split()


def test_help_groups_the_commands_by_task_and_cuts_no_summary() -> None:
    shown = subprocess.run([prefork.INSTALLED, "--help"], capture_output=True, text=True, check=True).stdout
    places = [shown.index(heading) for heading in TASKS.values()]
    assert places == sorted(places)
    for command in COMMANDS:
        assert f"  {command.name:<11}  {command.summary}\n" in shown
        assert len(command.summary) <= 80 - len("  maintenance  ")
