"""Live answers: only a model's answers count, they are kept, and the budget is not overrun."""

import re

import pytest

from llmctx import canonical
from llmctx.llm.standin import Standin
from llmctx.replay.corpus import Recorded, write_corpus

from .project import ALL, DECISIONS, run, run_live

HOLDS = "assert decide().action == 'hold'"
ONE = '"demo.jsonl", selection="1"'


async def test_live_answers_are_recorded_and_then_come_from_the_file(
    project: pytest.Pytester, standin: Standin
) -> None:
    body = "assert decide('position/v1').completion.model"
    result = await run_live(project, standin, body, "--llmctx-record")
    result.assert_outcomes(passed=len(DECISIONS))
    result.stdout.fnmatch_lines(["live calls took * tokens"])
    assert standin.requests == len(DECISIONS)
    kept = project.path.joinpath("demo.answers.jsonl").read_bytes()
    assert len(kept.splitlines()) == len(DECISIONS)
    again = run(project, body)
    again.assert_outcomes(passed=len(DECISIONS))
    again.stdout.no_fnmatch_line("live calls took*")


def test_an_endpoint_that_is_not_there_fails_and_takes_no_tokens(project: pytest.Pytester) -> None:
    live = ("--llmctx-live", "http://127.0.0.1:1/v1", "--llmctx-model", "m")
    result = run(project, HOLDS, *live, mark=ONE)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *No model answered at http://127.0.0.1:1/v1: connection: *", "live calls took 0 tokens"]
    )


def test_an_address_that_is_none_fails_in_a_sentence(project: pytest.Pytester) -> None:
    result = run(project, HOLDS, "--llmctx-live", "nonsense", "--llmctx-model", "m", mark=ONE)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["'nonsense' is no endpoint."])
    result.stdout.no_fnmatch_line("*/llmctx/*.py*")


@pytest.mark.parametrize(
    ("fault", "said"), [("http_429", "http 429"), ("http_500", "http 500"), ("garbage", "no chat completion")]
)
async def test_what_no_model_said_fails_and_is_not_kept(project: pytest.Pytester, fault: str, said: str) -> None:
    async with Standin(faults={fault: 1.0}) as standin:
        result = await run_live(project, standin, HOLDS, "--llmctx-record", mark=ONE)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"E *No model answered at {standin.base_url}: *{said}*", "live calls took 0 tokens"])
    assert not project.path.joinpath("demo.answers.jsonl").exists()


@pytest.mark.parametrize("fault", ["misfit", "refusal"])
async def test_an_answer_of_no_use_is_a_value_and_is_kept(project: pytest.Pytester, fault: str) -> None:
    body = """decided = decide()
    assert decided.decision is None and decided.failure and decided.action == "hold" """
    async with Standin(faults={fault: 1.0}) as standin:
        (await run_live(project, standin, body, "--llmctx-record", mark=ONE)).assert_outcomes(passed=1)
    run(project, body, mark=ONE).assert_outcomes(passed=1)


async def test_no_answer_is_a_column_and_a_flip_only_where_something_else_is_done(project: pytest.Pytester) -> None:
    body = "assert decide().flipped == (recorded.record['verdict']['action'] != 'hold')"
    async with Standin(faults={"prose": 1.0}) as standin:
        result = await run_live(project, standin, body, asks="decide, recorded")
    result.assert_outcomes(passed=len(DECISIONS))
    result.stdout.fnmatch_lines(
        [f"position/v1: 0 of 0 as recorded, {len(DECISIONS)} without a usable answer*", "*recorded*now*no answer"]
    )


async def test_a_budget_is_never_overrun(project: pytest.Pytester, standin: Standin) -> None:
    result = await run_live(project, standin, "decide()", "--llmctx-budget", "12000")
    outcomes = result.parseoutcomes()
    assert 0 < outcomes["passed"] < len(DECISIONS)
    assert outcomes["failed"] == len(DECISIONS) - outcomes["passed"]
    taken = re.search(r"live calls took (\d+) tokens", result.stdout.str())
    assert taken is not None
    assert 0 < int(taken[1]) <= 12000
    result.stdout.fnmatch_lines(["E *The live calls have taken * tokens of 12000, and one more may not fit.*"])


def test_a_recorded_call_that_got_no_answer_is_none_in_a_test_either(project: pytest.Pytester) -> None:
    was = DECISIONS[0]
    record = was.record | {"kind": "failed", "completion": was.record["completion"] | {"outcome": "rejected"}}
    failed = Recorded(canonical.dumps(record), was.pieces, index=was.index)
    write_corpus(project.path / "failed.jsonl", [failed], ALL.blobs)
    result = run(project, HOLDS, mark='"failed.jsonl"')
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *No answer is recorded *: the recorded call got none (rejected)."])
