import json
from typing import Any

import pytest

from llmctx.llm.completion import Outcome, read_completion
from llmctx.llm.usage import Usage
from tests.unit.makers import answer_text, body

ANSWER = answer_text()
STREAM, LENIENT = "event stream", "lenient JSON"


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
    return json.dumps(
        {"id": "c-1", "model": "served", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} | more
    )


def stream(*events: str, end: str = "\n\n") -> bytes:
    return "".join(f"data: {event}{end}" for event in events).encode()


def read(raw: bytes) -> tuple[str | None, tuple[str, ...]]:
    completion = read_completion(raw, {}, ())
    assert completion.body == raw
    return completion.content, completion.answer_from


@pytest.mark.parametrize(
    ("raw", "steps"),
    [
        (b"\n\n  \r\n" + body(), ()),
        (b"\xef\xbb\xbf" + body(), ("without a byte order mark",)),
        (b": keep-alive\n\n: keep-alive\n\n" + body(), ("without keep-alive comments",)),
        (b'{"logprobs": NaN, ' + body()[1:], (LENIENT,)),
        (b'{"logprobs": -Infinity, ' + body()[1:], (LENIENT,)),
        (b'{"created": 1, ' + body()[1:].replace(b'"created": 1', b'"created": 2'), (LENIENT,)),
        (b'{"note": "\\ud800", ' + body()[1:], (LENIENT,)),
        (b'{"note": "\xff", ' + body()[1:], (LENIENT,)),
        (b"data: " + body() + b"\n\n", (STREAM,)),
        (stream(chunk({"role": "assistant", "content": ""}), chunk({"content": ANSWER[:9]}),
                chunk({"content": ANSWER[9:]}), chunk({}, "stop"), "[DONE]"), (STREAM,)),
        (stream(chunk({"content": ANSWER[:9]}), chunk({"content": ANSWER[9:]}, "stop"), end="\r\n\r\n"), (STREAM,)),
        (b": OPENROUTER PROCESSING\n\n" + stream(chunk({"content": ANSWER}), "[DONE]"),
         ("without keep-alive comments", STREAM)),
        (b"event: chunk\n" + stream(chunk({"content": ANSWER}, "stop"), "[DONE]"), (STREAM,)),
        (stream(chunk({"reasoning_content": "hm"}), chunk({"content": ANSWER}, "stop"), "[DONE]"), (STREAM,)),
        (stream(chunk({"content": [{"type": "thinking", "thinking": []}]}), chunk({"content": ANSWER}, "stop")),
         (STREAM, "text parts")),
    ],
)  # fmt: skip
def test_the_answer_is_found_in_any_envelope(raw: bytes, steps: tuple[str, ...]) -> None:
    assert read(raw) == (ANSWER, steps)


def test_a_tool_call_that_came_in_pieces_is_whole() -> None:
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "decision", "arguments": ANSWER[:9]}}
    rest = {"index": 0, "function": {"arguments": ANSWER[9:]}}
    raw = stream(chunk({"tool_calls": [first]}), chunk({"tool_calls": [rest]}), chunk({}, "tool_calls"), "[DONE]")
    assert read(raw) == (ANSWER, (STREAM, "tool call"))


def test_a_stream_has_the_model_the_finish_reason_and_the_usage_of_its_chunks() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    raw = stream(chunk({"content": ANSWER}), chunk({}, "stop"), chunk({}, usage=usage, choices=[]), "[DONE]")
    completion = read_completion(raw, {}, ())
    assert (completion.model, completion.response_id, completion.finish_reason) == ("served", "c-1", "stop")
    assert completion.usage is not None
    assert (completion.usage.prompt, completion.usage.completion) == Usage(7, 3, 0, 0)[:2]


@pytest.mark.parametrize(
    "raw",
    [
        stream(chunk({"content": ANSWER})),
        stream("[DONE]"),
        stream(chunk({"content": ANSWER}, "stop"), '{"choices'),
        b"data: 5\n\n",
        b": keep-alive\n\n",
        b"\xef\xbb\xbf",
        body() + body(),
        body()[:-1],
        body().replace(b'"choices"', b'"choices": [], "choices"'),
        body().replace(b'"content": ', b'"content": "another", "content": '),
        body().replace(b'"finish_reason"', b'"finish_reason": "length", "finish_reason"'),
    ],
)
def test_a_body_that_breaks_off_or_contradicts_itself_is_unreadable(raw: bytes) -> None:
    completion = read_completion(raw, {}, ())
    assert (completion.outcome, completion.content) == (Outcome.UNREADABLE, None)
    assert completion.body == raw


def test_a_name_that_stands_twice_with_one_value_has_one_reading() -> None:
    raw = body().replace(b'"created": 1', b'"created": 1, "created": 1')
    assert read(raw) == (ANSWER, (LENIENT,))


def test_names_with_lone_surrogates_are_kept_out_of_the_record() -> None:
    completion = read_completion(body(model="x").replace(b'"model": "x"', b'"model": "\\ud800"'), {}, ())
    assert (completion.model, completion.content) == ("?", ANSWER)
