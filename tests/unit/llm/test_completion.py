import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.llm.completion import Attempt, Completion, Outcome, read_completion
from llmctx.llm.usage import Usage
from tests.unit.makers import body

REQUEST = {"model": "asked-model"}
ATTEMPTS = (Attempt("http 500", 3, "req-1"), Attempt("ok", 5, "req-2"))


def read(raw: bytes) -> Completion:
    return read_completion(raw, REQUEST, ATTEMPTS)


def choice(*, finish: Any = "stop", **message: Any) -> bytes:
    return body(choices=[{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}])


def test_a_text_is_an_answer() -> None:
    completion = read(choice(content="the answer"))
    assert (completion.outcome, completion.content, completion.detail) == (Outcome.ANSWERED, "the answer", None)


def test_an_answer_without_a_finish_reason_is_an_answer() -> None:
    completion = read(choice(content="the answer", finish=None))
    assert (completion.outcome, completion.finish_reason) == (Outcome.ANSWERED, None)


def test_a_refusal_is_refused_and_says_what_the_model_said() -> None:
    completion = read(choice(content=None, refusal="I cannot help with that."))
    assert completion.outcome is Outcome.REFUSED
    assert completion.detail == "the model refused: I cannot help with that."


def test_a_refusal_beside_a_text_gives_no_content() -> None:
    completion = read(choice(content="{}", refusal="No."))
    assert (completion.outcome, completion.content) == (Outcome.REFUSED, None)


@pytest.mark.parametrize(("finish", "outcome"), [("length", Outcome.TRUNCATED), ("content_filter", Outcome.FILTERED)])
def test_a_text_that_was_cut_gives_no_content(finish: str, outcome: Outcome) -> None:
    completion = read(choice(content='{"action": "hold"', finish=finish))
    assert (completion.outcome, completion.content, completion.finish_reason) == (outcome, None, finish)


def test_a_whole_object_at_the_length_limit_is_an_answer() -> None:
    completion = read(choice(content='{"action": "hold"}', finish="length"))
    assert (completion.outcome, completion.content) == (Outcome.ANSWERED, '{"action": "hold"}')


def test_a_length_limit_before_the_first_word_is_truncated() -> None:
    assert read(choice(content=None, finish="length")).outcome is Outcome.TRUNCATED


def test_reasoning_is_not_the_answer_and_a_message_with_nothing_else_says_so() -> None:
    completion = read(choice(content=None, reasoning_content='{"action": "exit"}'))
    assert (completion.outcome, completion.content) == (Outcome.UNREADABLE, None)
    assert completion.detail is not None
    assert completion.detail.endswith("only reasoning_content has text, and reasoning is not the answer")


@pytest.mark.parametrize("content", [None, "", " \n", 5, [{"type": "image"}], [" "], {}, True])
def test_a_message_without_a_text_is_unreadable(content: Any) -> None:
    assert read(choice(content=content)).outcome is Outcome.UNREADABLE


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>not a completion</html>",
        b"null",
        b"[]",
        b'"text"',
        b"17",
        b"{}",
        b'{"choices": null}',
        b'{"choices": []}',
        b'{"choices": {}}',
        b'{"choices": [null]}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [{"message": "text"}]}',
        b'{"choices": ["message"]}',
        b'{"error": {"message": "overloaded"}}',
        b'{"choices": [{"message": {"content": "a"}}], "choices": []}',
        b'{"choices": [{"message": {"content": "a", "content": "b"}}]}',
        b'{"choices": [{"message": {"content": "\\ud800"}}]}',
        b'{"choices": [{"message": {"content": "\xff"}}]}',
        b"\xff\xfe",
        b"[" * 100_000,
        b"data: {}\n\n",
    ],
)
def test_a_body_that_is_no_completion_is_unreadable_and_kept(raw: bytes) -> None:
    completion = read(raw)
    assert (completion.outcome, completion.content, completion.body) == (Outcome.UNREADABLE, None, raw)
    assert completion.detail is not None
    assert completion.detail.startswith("the response is no chat completion: ")


@given(st.binary(max_size=200))
def test_no_bytes_make_reading_fail(raw: bytes) -> None:
    assert read(raw).body == raw


scalars = st.sampled_from([None, True, 0, -1, 2**70, 1.5, 1e300, "", "length", "content_filter", "é\u2028", "{}"])
json_values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.sampled_from("ab"), scalars, max_size=2)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "id": json_values,
            "model": json_values,
            "usage": json_values,
            "choices": st.lists(
                st.fixed_dictionaries(
                    {
                        "message": json_values
                        | st.fixed_dictionaries({}, optional={"content": json_values, "refusal": json_values})
                    },
                    optional={"finish_reason": json_values},
                ),
                max_size=2,
            ),
        },
    )
)
def test_any_document_has_an_outcome_and_only_an_answer_has_content(document: dict[str, Any]) -> None:
    completion = read(json.dumps(document).encode())
    assert (completion.content is not None) == (completion.outcome is Outcome.ANSWERED)
    assert (completion.detail is None) == (completion.outcome is Outcome.ANSWERED)


def test_usage_holds_cached_and_reasoning_tokens() -> None:
    assert read(body()).usage == Usage(prompt=1000, completion=200, cached=768, reasoning=64)


def test_the_ids_of_the_endpoint_are_kept() -> None:
    completion = read(body())
    assert (completion.model, completion.response_id) == ("served-model", "chatcmpl-1")
    assert (completion.system_fingerprint, completion.service_tier) == ("fp_1", "default")


@pytest.mark.parametrize("name", ["model", "id", "system_fingerprint", "service_tier"])
def test_an_id_that_is_no_text_is_left_out(name: str) -> None:
    completion = read(json.dumps(json.loads(body()) | {name: 5}).encode())
    field = "response_id" if name == "id" else name
    assert getattr(completion, field) is None
    assert completion.outcome is Outcome.ANSWERED


def test_the_request_id_is_that_of_the_last_attempt() -> None:
    completion = read(body())
    assert (completion.request_id, completion.attempts) == ("req-2", ATTEMPTS)


def test_the_request_id_of_an_unreadable_body_is_kept() -> None:
    assert read(b"").request_id == "req-2"


def test_the_body_is_kept_byte_for_byte() -> None:
    raw = b" " + body() + b"\n"
    assert read(raw).body == raw


def test_an_unusual_response_still_fits_the_value() -> None:
    completion = read(body(usage={"prompt_tokens": 7}))
    assert Completion.model_validate(completion.model_dump()) == completion
