"""Live answers: only answers of models count and are kept, within the budget."""

import re

import pytest

from llmctx import canonical
from llmctx.llm.standin import Standin
from llmctx.replay.corpus import Recorded, write_corpus

from .project import ALL, DECISIONS, endpoint, run, run_live

HOLDS = "assert decide().action == 'hold'"
ONE = '"demo.jsonl", selection="1"'


def test_live_answers_are_kept_and_then_read_from_the_file(project: pytest.Pytester, standin: Standin) -> None:
    body = "assert decide('position/v1').completion.model"
    result = run_live(project, standin, body, "--llmctx-record")
    result.assert_outcomes(passed=len(DECISIONS))
    result.stdout.fnmatch_lines(["live calls used * tokens"])
    assert standin.requests == len(DECISIONS)
    kept = project.path.joinpath("demo.answers.jsonl").read_bytes()
    assert len(kept.splitlines()) == len(DECISIONS)
    again = run(project, body)
    again.assert_outcomes(passed=len(DECISIONS))
    again.stdout.no_fnmatch_line("live calls used*")


def test_an_unreachable_endpoint_fails_and_uses_no_tokens(project: pytest.Pytester) -> None:
    live = ("--llmctx-live", "http://127.0.0.1:1/v1", "--llmctx-model", "m")
    result = run(project, HOLDS, *live, mark=ONE)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *No model answered at http://127.0.0.1:1/v1: connection: *", "live calls used 0 tokens"]
    )


def test_a_malformed_address_fails_with_one_sentence(project: pytest.Pytester) -> None:
    result = run(project, HOLDS, "--llmctx-live", "nonsense", "--llmctx-model", "m", mark=ONE)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["The endpoint's base URL is malformed. *"])
    result.stdout.no_fnmatch_line("*/llmctx/*.py*")


@pytest.mark.parametrize(
    ("fault", "said"), [("http_429", "http 429"), ("http_500", "http 500"), ("garbage", "no chat completion")]
)
def test_an_error_page_fails_and_is_not_kept(project: pytest.Pytester, fault: str, said: str) -> None:
    with endpoint(**{fault: 1.0}) as standin:
        result = run_live(project, standin, HOLDS, "--llmctx-record", mark=ONE)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"E *No model answered at {standin.base_url}: *{said}*", "live calls used 0 tokens"])
    assert not project.path.joinpath("demo.answers.jsonl").exists()


@pytest.mark.parametrize("fault", ["misfit", "refusal"])
def test_an_unusable_answer_is_a_value_and_is_kept(project: pytest.Pytester, fault: str) -> None:
    body = """decided = decide()
    assert decided.decision is None and decided.failure and decided.action == "hold" """
    with endpoint(**{fault: 1.0}) as standin:
        run_live(project, standin, body, "--llmctx-record", mark=ONE).assert_outcomes(passed=1)
    run(project, body, mark=ONE).assert_outcomes(passed=1)


def test_an_unusable_answer_is_a_column_and_a_flip_only_if_the_action_differs(project: pytest.Pytester) -> None:
    body = "assert decide().flipped == (recorded.record['verdict']['action'] != 'hold')"
    with endpoint(prose=1.0) as standin:
        result = run_live(project, standin, body, asks="decide, recorded")
    result.assert_outcomes(passed=len(DECISIONS))
    result.stdout.fnmatch_lines(
        [f"position/v1: 0 of 0 as recorded, {len(DECISIONS)} without a usable answer*", "*recorded*now*no answer"]
    )


def test_the_budget_is_never_exceeded(project: pytest.Pytester, standin: Standin) -> None:
    result = run_live(project, standin, "decide()", "--llmctx-budget", "12000")
    outcomes = result.parseoutcomes()
    assert 0 < outcomes["passed"] < len(DECISIONS)
    assert outcomes["failed"] == len(DECISIONS) - outcomes["passed"]
    taken = re.search(r"live calls used (\d+) tokens", result.stdout.str())
    assert taken is not None
    assert 0 < int(taken[1]) <= 12000
    result.stdout.fnmatch_lines(
        ["E *The live calls have used * of 12000 tokens; another one might exceed the budget.*"]
    )


def test_a_recorded_call_without_an_answer_gives_no_answer_in_tests(project: pytest.Pytester) -> None:
    was = DECISIONS[0]
    record = was.record | {"kind": "failed", "completion": was.record["completion"] | {"outcome": "rejected"}}
    failed = Recorded(canonical.dumps(record), was.pieces, index=was.index)
    write_corpus(project.path / "failed.jsonl", [failed], ALL.blobs)
    result = run(project, HOLDS, mark='"failed.jsonl"')
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *No answer is recorded *; the recorded call got none (rejected)."])
