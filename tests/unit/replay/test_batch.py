import json
from pathlib import Path
from typing import Any

import pytest

from llmctx.errors import ReplayError
from llmctx.llm.completion import Outcome
from llmctx.replay.batch import BatchAnswers, batch_line, custom_id
from llmctx.replay.plan import Plan, ReplayRequest, build_request
from llmctx.replay.results import ResultsFile, read_results
from llmctx.replay.run import Replay, ReplaySummary
from tests.unit.makers import answer_text, body, template_of

from .cases import blobs, case


def request(index: int = 4, plan: Plan | None = None) -> ReplayRequest:
    return build_request(case(index), plan or Plan(), blobs())


def answered(asked: ReplayRequest, repeat: int = 1, **response: Any) -> str:
    ok = {"status_code": 200, "request_id": "req-1", "body": json.loads(body(answer_text(action="exit")))}
    return json.dumps(
        {"id": "batch_req_1", "custom_id": custom_id(asked, repeat), "response": ok | response, "error": None}
    )


def test_a_line_has_the_form_of_a_batch_request() -> None:
    line = json.loads(batch_line(request(), 2))
    assert line.keys() == {"custom_id", "method", "url", "body"}
    assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions")
    asked = line["body"]
    assert [message["role"] for message in asked["messages"]] == ["system", "user"]
    assert (asked["model"], asked["max_completion_tokens"]) == ("asked-model", 1200)
    assert asked["response_format"]["json_schema"]["strict"] is True


def test_every_request_has_a_short_unique_name() -> None:
    other = Plan(template_of("{{ symbol }}", ref="position/v2"))
    names = {
        custom_id(request(4), 1),
        custom_id(request(4), 2),
        custom_id(request(5), 1),
        custom_id(request(4, other), 1),
    }
    assert len(names) == 4
    assert all(len(name) <= 64 and name.isascii() for name in names)


async def test_answers_are_matched_to_their_requests(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text(answered(request(0)) + "\n\n" + answered(request(2)) + "\n", encoding="utf-8")
    with ResultsFile(tmp_path / "r.jsonl", {}) as file:
        run = Replay(Plan(), blobs(), BatchAnswers([output]).completer, file)
        assert await run.run([case(0), case(1), case(2)]) == ReplaySummary(asked=2, before=0, left_out=1, stopped=False)
    found = read_results(tmp_path / "r.jsonl").results
    assert [(result.index, result.replayed.action) for result in found] == [(0, "exit"), (2, "exit")]
    assert found[0].replayed.latency_ms is None


def test_an_answer_to_another_prompt_is_not_taken(tmp_path: Path) -> None:
    other = request(0, Plan(template_of("{{ symbol }}", ref="position/v2")))
    (tmp_path / "out.jsonl").write_text(answered(other) + "\n", encoding="utf-8")
    assert BatchAnswers([tmp_path / "out.jsonl"]).completer(request(0), 1) is None


async def test_a_failed_request_is_a_rejected_completion(tmp_path: Path) -> None:
    asked = request(0)
    assert asked.prompt is not None
    line = answered(asked, status_code=400, body={"error": {"message": "too long"}})
    (tmp_path / "out.jsonl").write_text(line + "\n", encoding="utf-8")
    completer = BatchAnswers([tmp_path / "out.jsonl"]).completer(asked, 1)
    assert completer is not None
    completion = await completer.complete(asked.prompt, asked.output)
    assert completion.outcome is Outcome.REJECTED
    assert "too long" in (completion.detail or "")


@pytest.mark.parametrize("content", ["{}\n", "no json\n", "[]\n"])
def test_a_malformed_batch_output_is_reported_with_its_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "out.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(ReplayError, match=r"Line 1 of .* is not a line of a batch output"):
        BatchAnswers([tmp_path / "out.jsonl"])
    with pytest.raises(ReplayError, match="cannot be read"):
        BatchAnswers([tmp_path / "none.jsonl"])


def test_a_batch_input_is_not_an_output(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(batch_line(request(), 1) + "\n", encoding="utf-8")
    with pytest.raises(ReplayError, match=r"Line 1 of .* is a request of the batch, not an answer"):
        BatchAnswers([tmp_path / "in.jsonl"])
