"""The documents tell the truth: commands exist, examples run, links lead somewhere, tables match the code."""

import asyncio
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx import limits
from llmctx.context import plausibility, price_step
from llmctx.context.read_rules import DEFAULT_MAX_AGE_S
from llmctx.decision import guards, stop
from llmctx.llm import profile
from llmctx.llm.mode import Mode
from llmctx.llm.standin import MODEL, Standin
from llmctx.trail.log.leaf_schema import KINDS

from . import call, prefork
from .conftest import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "audit" / "README.md"]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))
COMMANDS = ("demo", "standin", "simulate", "feed", "run", "decide", "confirm", "context", "decisions", "show", "watch", "keys", "schema", "mandate", "query", "console", "verify", "reconcile", "export", "receipt", "report", "key", "replay", "compare", "prompts", "outcome", "trigger", "corpus", "backtest", "redis", "status", "halt", "resume", "approve", "override", "annotate", "people", "models", "doctor", "notary", "join", "archive", "erase", "hold", "backup", "restore", "alerts", "cleanup", "maintenance", "adopt", "acl")  # fmt: skip


@cache
def help_of(command: str) -> str:
    done = call.run(command, "--help")
    done.check_returncode()
    return done.stdout


def calls_in(text: str) -> Iterator[list[str]]:
    """Every llmctx call in code blocks and examples, as words."""
    for line in re.findall(r"^\s*(?:\S+=\S+ )*llmctx .*$", text, re.MULTILINE):
        words = shlex.split(line, comments=True)
        yield words[words.index("llmctx") + 1 :]


def documented_calls() -> list[tuple[str, list[str]]]:
    calls = []
    for document in DOCUMENTS:
        blocks = re.findall(
            r"^```sh\n(.*?)^```|^((?:    .*\n)+)", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        )
        for block in blocks:
            calls += [(document.name, call) for call in calls_in("".join(block))]
    for command in COMMANDS:
        calls += [(f"{command} --help", call) for call in calls_in(help_of(command))]
    return calls


def test_the_commands_are_these() -> None:
    done = subprocess.run([prefork.INSTALLED, "--help"], capture_output=True, text=True, check=True)
    listed = re.findall(r"^  (\w+) {2,}\w", done.stdout, re.MULTILINE)
    assert tuple(listed) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_explains_itself_with_an_example(command: str) -> None:
    text = help_of(command)
    assert [call for call in calls_in(text) if call[0] == command]
    assert "..." not in text.splitlines()[2]


def test_every_documented_call_names_a_command_and_options_that_exist() -> None:
    calls = documented_calls()
    assert len(calls) > 30
    for where, (command, *words) in calls:
        assert command in COMMANDS, f"{where}: llmctx {command}"
        options = [word.partition("=")[0] for word in words if word.startswith("--")]
        assert not [option for option in options if option not in help_of(command)], f"{where}: {command} {words}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), f"{document}: {target}"


def test_every_make_target_in_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make (demo|test|check|bench|\w+)\s", (ROOT / "README.md").read_text(encoding="utf-8")):
        if target in {"demo", "test", "check", "bench"}:
            assert re.search(rf"^{target}:", makefile, re.MULTILINE)


async def test_the_python_example_of_the_data_flow_runs(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    example = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "data-flow.md").read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", example[1], cwd=tmp_path,
        env={"LLMCTX_REDIS_URL": valkey_url, "PATH": "/usr/bin:/bin"}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert (process.returncode, out.decode().split()) == (0, ["1", "1"])
    assert await valkey.exists("stocks:sentiment:AAPL", "context:market", "candidates:ranked") == 3


async def test_the_python_example_of_the_readme_runs(
    valkey: Redis, valkey_url: str, standin: Standin, schema_examples: dict[str, str], tmp_path: Path
) -> None:
    for key, value in schema_examples.items():
        await valkey.set(key, value)
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    assert len([line for line in example[1].splitlines() if line]) == 6
    code = example[1].replace("redis://127.0.0.1", valkey_url).replace("http://127.0.0.1:8700/v1", standin.base_url)
    assert f'"{MODEL}"' in code
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert (process.returncode, out.decode().split()) == (0, ["hold"])


def test_the_limits_in_the_concepts_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    names = "| " + " | ".join(DEFAULT_MAX_AGE_S) + " |"
    limits = "| " + " | ".join(str(limit) for limit in DEFAULT_MAX_AGE_S.values()) + " |"
    assert f"{names}\n|---|---|---|---|---|---|---|---|---|---|\n{limits}" in text


def test_every_guard_and_every_kind_of_record_stands_in_the_concepts() -> None:
    text = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    fired = re.findall(r'fire\(\s*"(\w+)"', Path(guards.__file__).read_text(encoding="utf-8"))
    assert len(fired) > 6
    fired += [guards.NO_ANSWER, guards.JUDGING_FAILED, stop.STOP_BREACHED, stop.STOP_UNCONFIRMED, stop.STALE]
    assert not [name for name in (*fired, *KINDS) if f"`{name}`" not in text]


def test_the_rules_of_plausibility_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "plausibility.md").read_text(encoding="utf-8")
    rules = (*plausibility.VALUE_RULES, *plausibility.CASE_RULES)
    rows = [f"| `{rule.name}` | {rule.section} | {rule.says} | {rule.confirmed_by} |" for rule in rules]
    assert re.findall(r"^\| `[a-z_]+` \| .*\|$", text, re.MULTILINE) == rows
    figures = (price_step.USUAL, price_step.COMPARABLE_MS // 86_400_000, price_step.LARGEST_RATIO)
    assert figures == (1.25, 10, 100)


def test_every_rule_of_the_verifiers_stands_in_the_evidence_room() -> None:
    text = (ROOT / "audit" / "README.md").read_text(encoding="utf-8")
    names = ("proof/verify", "proof/coverage", "export/reader", "proof/receipt")
    sources = [ROOT / "llmctx" / "trail" / f"{name}.py" for name in names]
    sources += [*(ROOT / "llmctx" / "replay").glob("*.py"), ROOT / "audit" / "verify.py"]
    named = r'Fault\([^"]*?f?"([a-z-]+)(?:"| of )'
    rules = {rule for source in sources for rule in re.findall(named, source.read_text("utf-8"))}
    assert len(rules) > 20
    assert not [rule for rule in rules if f"| `{rule}` |" not in text]


def test_the_constraints_name_no_registry() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert lines
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+", line) for line in lines)


def test_the_limits_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `(MAX_\w+)` \| (\d+) \|", text, re.MULTILINE))
    assert documented == {name: str(value) for name, value in vars(limits).items() if name.startswith("MAX_")}


def test_the_profiles_in_the_documents_are_those_of_the_table() -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in re.findall(r"^\| `[a-z0-9-]+` \| .*\|$", text, re.MULTILINE)]
    shown = {cells[0].strip("| `"): cells[1:] for cells in rows if len(cells) == 6}
    known = (*profile.table().providers, *profile.table().families)
    assert list(shown) == [row.name for row in known]
    for row in known:
        title, mode, parameters, note, source = shown[row.name]
        assert (title, note) == (row.title, row.note)
        assert mode.partition(",")[0] == (row.mode or "")
        assert ("full" in mode) is (row.form == "full")
        named = [*row.drop, *row.rename, *row.rename.values(), *row.body, *filter(None, [row.key_header])]
        assert all(f"`{name}`" in parameters for name in named)
        assert row.source == "docs/models.md" or f"[{row.as_of}]({row.source})" in source


def test_every_mode_stands_in_the_documents() -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert [name for name in re.findall(r"^\| `([a-z_]+)` \| ", text, re.MULTILINE) if name in set(Mode)] == [
        "schema_bounded", "schema", "tool", "json_object", "prompted",
    ]  # fmt: skip
