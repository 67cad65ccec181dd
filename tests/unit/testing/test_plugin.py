"""The plugin, in projects of its own."""

import shutil
import subprocess
import sys

import pytest

from llmctx.llm.standin import Standin
from llmctx.replay.corpus import read_corpus
from tests.conftest import ROOT

CORPUS = ROOT / "audit" / "corpus" / "demo.jsonl"
DECISIONS = [entry for entry in read_corpus(CORPUS).entries if "prompt" in entry.record]
MODULE = """
import pytest

@pytest.mark.corpus("demo.jsonl")
def test_decision(decide, recorded):
    {body}
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with the corpus of the demo."""
    shutil.copy(CORPUS, pytester.path / "demo.jsonl")
    pytester.makeini("[pytest]\naddopts = --strict-markers\nasyncio_default_fixture_loop_scope = function\n")
    return pytester


def passes(project: pytest.Pytester, body: str, *options: str) -> pytest.RunResult:
    """Run the body for every decision."""
    project.makepyfile(MODULE.format(body=body))
    return project.runpytest_subprocess(*options)


def test_there_is_one_test_for_each_decision(project: pytest.Pytester) -> None:
    passes(project, "assert 'prompt' in recorded.record").assert_outcomes(passed=len(DECISIONS))


def test_recorded_completions_give_the_recorded_decisions(project: pytest.Pytester) -> None:
    result = passes(project, "assert not decide().flipped")
    result.assert_outcomes(passed=len(DECISIONS))
    result.stdout.fnmatch_lines(
        [
            "*decisions against the recorded ones*",
            f"position/v1: {len(DECISIONS)} of {len(DECISIONS)} as recorded*",
            "*recorded \\ now*",
        ]
    )


def test_a_miss_fails_loudly_and_says_what_to_do(project: pytest.Pytester) -> None:
    project.mkdir("prompts").joinpath("position").mkdir()
    source = (ROOT / "prompts" / "position" / "v1.md.j2").read_text(encoding="utf-8")
    other = source.replace("version: 1", "version: 9").replace("risk-aware", "careful")
    project.path.joinpath("prompts", "position", "v9.md.j2").write_text(other, encoding="utf-8")
    result = passes(project, "decide('position/v9')", "--llmctx-prompts", "prompts")
    result.assert_outcomes(failed=len(DECISIONS))
    result.stdout.fnmatch_lines(["*No answer is recorded to these messages of position/v9.*"])


def test_a_scripted_completer_answers_in_turn(project: pytest.Pytester) -> None:
    body = """said = scripted("no JSON", {"action": "exit", "quantity": None, "stop_loss": None, "take_profit": None,
        "confidence": 0.9, "reasoning": "Enough.", "evidence": [{"path": "price.price.last", "value": "1", "reading": ""}],
        "invalidation": "None.", "valid_for": 5})
    assert decide(completer=said).decision is None
    assert decide(completer=said).decision.action == "exit"
    assert len(said.prompts) == 2"""
    project.makepyfile(MODULE.format(body=body).replace("(decide, recorded)", "(decide, scripted)"))
    project.runpytest_subprocess().assert_outcomes(passed=len(DECISIONS))


def test_a_decision_is_rendered_with_any_template(project: pytest.Pytester) -> None:
    body = """import json
    sent = json.loads(recorded.pieces["messages"])
    assert [m.content for m in render().messages] == [m["content"] for m in sent]
    assert render("position/v1").messages == render().messages
    with pytest.raises(Exception, match="v77"):
        render("position/v77")"""
    project.makepyfile(MODULE.format(body=body).replace("(decide, recorded)", "(render, recorded)"))
    project.runpytest_subprocess().assert_outcomes(passed=len(DECISIONS))


async def test_live_answers_are_recorded_and_then_come_from_the_file(
    project: pytest.Pytester, standin: Standin
) -> None:
    import asyncio  # noqa: PLC0415

    body = "assert decide('position/v1').completion.model"
    live = ("--llmctx-live", standin.base_url, "--llmctx-model", "llmctx-standin")
    project.path.joinpath("demo.answers.jsonl").unlink(missing_ok=True)
    result = await asyncio.to_thread(passes, project, body, *live, "--llmctx-record")
    result.assert_outcomes(passed=len(DECISIONS))
    result.stdout.fnmatch_lines(["live calls took * tokens"])
    assert standin.requests == len(DECISIONS)
    kept = project.path.joinpath("demo.answers.jsonl").read_bytes()
    assert len(kept.splitlines()) == len(DECISIONS)
    (await asyncio.to_thread(passes, project, body)).assert_outcomes(passed=len(DECISIONS))
    assert standin.requests == len(DECISIONS)


async def test_a_budget_that_is_used_up_fails_the_rest(project: pytest.Pytester, standin: Standin) -> None:
    import asyncio  # noqa: PLC0415

    live = ("--llmctx-live", standin.base_url, "--llmctx-model", "llmctx-standin", "--llmctx-budget", "10")
    result = await asyncio.to_thread(passes, project, "decide()", *live)
    result.assert_outcomes(passed=1, failed=len(DECISIONS) - 1)
    result.stdout.fnmatch_lines(["*The live calls have taken * tokens of 10.*"])


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--llmctx-record",), "name the endpoint"), (("--llmctx-live", "http://x"), "needs a model")],
)
def test_options_that_make_no_sense_alone_are_refused(
    project: pytest.Pytester, options: tuple[str, ...], said: str
) -> None:
    result = passes(project, "pass", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{said}*"])


def test_a_corpus_that_is_not_there_is_named(project: pytest.Pytester) -> None:
    project.path.joinpath("demo.jsonl").unlink()
    result = passes(project, "pass")
    assert result.ret != 0
    assert "demo.jsonl cannot be read" in result.stdout.str() + result.stderr.str()


def test_a_project_that_tests_no_prompts_loads_nothing_of_llmctx(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import sys\ndef test_nothing():\n"
        "    found = sorted(name for name in sys.modules if name.startswith('llmctx'))\n"
        "    assert found == ['llmctx', 'llmctx.testing', 'llmctx.testing.plugin', 'llmctx.version']\n"
        "    assert not {'pydantic', 'jinja2', 'redis', 'openai'} & {n for n in sys.modules if n in ('jinja2', 'redis', 'openai')}\n"
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_package_is_imported_without_pytest() -> None:
    code = "import sys, llmctx.testing; assert 'pytest' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
