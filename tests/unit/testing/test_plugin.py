"""The plugin's fixtures and options, in a user's project."""

import subprocess
import sys

import pytest

from .project import DECISIONS, INI, run, run_pytest, write_module, write_prompt

ANSWER = """{"action": "exit", "quantity": None, "stop_loss": None, "take_profit": None,
        "confidence": 0.9, "reasoning": "Enough.", "evidence": [{"path": "price.price.last", "value": "1", "reading": ""}],
        "invalidation": "None.", "valid_for": 5}"""


def test_there_is_one_test_for_each_decision(project: pytest.Pytester) -> None:
    result = run(project, "assert 'prompt' in recorded.record", asks="recorded")
    result.assert_outcomes(passed=len(DECISIONS))


def test_recorded_completions_give_the_recorded_decisions(project: pytest.Pytester) -> None:
    result = run(project, "assert not decide().flipped")
    result.assert_outcomes(passed=len(DECISIONS))
    result.stdout.fnmatch_lines(
        [
            "*decisions compared with the recorded ones*",
            f"position/v1: {len(DECISIONS)} of {len(DECISIONS)} as recorded*",
            "*recorded \\ now*",
        ]
    )


def test_a_missing_answer_fails_at_the_line_of_the_test_and_says_what_to_do(project: pytest.Pytester) -> None:
    write_prompt(project, "position/v9")
    result = run(project, "decide('position/v9')", "--llmctx-prompts", "prompts", mark="'demo.jsonl', selection='1'")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">   *decide('position/v9')",
            "E *No answer is recorded for these messages of position/v9, neither in the corpus nor in demo.answers.jsonl.",
            "E *what to do: Record one with --llmctx-live URL --llmctx-model NAME --llmctx-record, or pass a scripted*",
            f"E *at: {project.path}/demo.jsonl, record 0:1 (HARP)",
            "FAILED test_prompts.py::test_decision?demo-0.1-HARP? - Failed: No answer is*",
        ]
    )
    assert len([line for line in result.outlines if line.startswith((">", "E"))]) == 4
    assert "/llmctx/" not in result.stdout.str()


def test_scripted_answers_come_in_turn_and_count_as_no_flips(project: pytest.Pytester) -> None:
    body = f"""said = scripted("no JSON", {ANSWER})
    assert decide(completer=said).decision is None
    exits = decide(completer=said)
    assert exits.flipped and exits.decision.action == "exit"
    assert len(said.prompts) == 2"""
    result = run(project, body, asks="decide, scripted")
    result.assert_outcomes(passed=len(DECISIONS))
    result.stdout.fnmatch_lines([f"not counted: {2 * len(DECISIONS)} answers of completers that tests passed"])
    result.stdout.no_fnmatch_line("*as recorded*")


def test_a_decision_counts_once_for_each_prompt(project: pytest.Pytester) -> None:
    result = run(project, "decide(); decide(); decide('position/v1')")
    result.stdout.fnmatch_lines([f"position/v1: {len(DECISIONS)} of {len(DECISIONS)} as recorded, 0 with*"])


def test_a_decision_can_be_rendered_with_any_template(project: pytest.Pytester) -> None:
    body = """import json
    sent = json.loads(recorded.pieces["messages"])
    assert [m.content for m in render().messages] == [m["content"] for m in sent]
    assert render("position/v1").messages == render().messages"""
    run(project, body, asks="render, recorded").assert_outcomes(passed=len(DECISIONS))


def test_an_unknown_prompt_fails_and_names_the_options(project: pytest.Pytester) -> None:
    write_prompt(project, "mine/v1")
    result = run(project, "render('mine/v7')", "--llmctx-prompts", "prompts", asks="render")
    result.assert_outcomes(failed=len(DECISIONS))
    result.stdout.fnmatch_lines(
        [
            "E *There is no prompt 'mine/v7' in prompts or */prompts.",
            "E *Name one of: mine/v1, perp/v1, position/v1, position/v2, position/v3, position/v4, small/v1; or *--llmctx-prompts DIR, or llmctx_prompts in the ini.",
        ]
    )
    result.stdout.no_fnmatch_line("* --prompt *")


def test_prompts_missing_in_the_users_folder_are_the_shipped_ones(project: pytest.Pytester) -> None:
    write_prompt(project, "mine/v1")
    project.makeini(INI + "llmctx_prompts = prompts\n")
    body = """assert render("mine").template == render("mine/v1").template == "mine"
    assert render("position/v1").evidence == render().evidence
    assert render("position").version == 4"""
    run(project, body, asks="render").assert_outcomes(passed=len(DECISIONS))


def test_the_users_template_comes_before_a_shipped_one_of_the_same_name(project: pytest.Pytester) -> None:
    write_prompt(project, "position/v1", words="reckless")
    body = "assert 'reckless' in render('position/v1').messages[0].content"
    result = run(project, body, "--llmctx-prompts", "prompts", asks="render")
    result.assert_outcomes(passed=len(DECISIONS))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--llmctx-record",), "name the endpoint"),
        (("--llmctx-live", "http://x"), "needs a model"),
        (("--llmctx-budget", "0"), "at least one token"),
        (("--llmctx-key-file", "no.key"), "--llmctx-key-file cannot be read: *no.key"),
        (("--llmctx-key-file", "empty.key"), "empty.key is empty"),
        (("--llmctx-prompts", "nowhere"), "the folder of prompts does not exist: nowhere"),
        (("-n2", "--llmctx-live", "http://x", "--llmctx-model", "m"), "--llmctx-live asks from one process"),
        (
            ("--tx=2*popen", "--dist=load", "--llmctx-live", "http://x", "--llmctx-model", "m"),
            "--llmctx-live asks from one process",
        ),
    ],
)
def test_contradictory_options_are_refused(project: pytest.Pytester, options: tuple[str, ...], said: str) -> None:
    project.path.joinpath("empty.key").write_text("\n", encoding="utf-8")
    result = run(project, "pass", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{said}*"])
    result.stderr.no_fnmatch_line("*Traceback*")


def test_a_malformed_line_of_the_answers_is_reported(project: pytest.Pytester) -> None:
    answers = project.path / "demo.answers.jsonl"
    answers.write_text('{"body":"{}","prompt":"position/v1","question":"x"}\n{"body":"{}","pro', encoding="utf-8")
    result = run(project, "decide()")
    result.assert_outcomes(errors=len(DECISIONS))
    result.stdout.fnmatch_lines(
        [f"Line 2 of {answers} is not an answer: ValueError: *", "*Restore the file from version*"]
    )
    result.stdout.no_fnmatch_line("*/llmctx/*")


def test_a_project_without_prompt_tests_loads_nothing_of_llmctx(pytester: pytest.Pytester) -> None:
    pytester.makeini(INI)
    pytester.makepyfile(
        "import sys\ndef test_nothing():\n"
        "    found = sorted(name for name in sys.modules if name.startswith('llmctx'))\n"
        "    assert found == ['llmctx', 'llmctx.testing', 'llmctx.testing.options', 'llmctx.testing.plugin', 'llmctx.version']\n"
        "    assert not {'pydantic', 'jinja2', 'redis', 'openai'} & {n for n in sys.modules if n in ('jinja2', 'redis', 'openai')}\n"
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_test_that_requests_none_of_the_fixtures_is_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makeini(INI + "markers = corpus: of this project\n")
    pytester.makepyfile(
        "import pytest\n"
        "@pytest.fixture\ndef corpus(request):\n    return request.node.get_closest_marker('corpus').kwargs['language']\n"
        "@pytest.mark.corpus(language='nl')\ndef test_theirs(corpus):\n    assert corpus == 'nl'\n"
        "@pytest.mark.corpus\ndef test_bare():\n    pass\n"
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=2)


def test_the_fixtures_without_a_mark_say_what_to_write(project: pytest.Pytester) -> None:
    write_module(project, "pass")
    project.makepyfile(test_prompts="def test_decision(decide):\n    pass\n")
    result = run_pytest(project)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*write @pytest.mark.corpus(FILE) above the test.*"])


def test_the_package_is_imported_without_pytest() -> None:
    code = "import sys, llmctx.testing; assert 'pytest' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
