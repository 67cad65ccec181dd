import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.llm.completion import Outcome, read_completion
from llmctx.llm.extract import SEVERAL, is_object, unwrap
from tests.unit.llm.test_envelope import read
from tests.unit.makers import body

A, B = '{"action": "hold"}', '{"action": "exit"}'


def message(**fields: Any) -> bytes:
    return body(choices=[{"index": 0, "message": {"role": "assistant", **fields}, "finish_reason": "stop"}])


def call(arguments: Any) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": "decision", "arguments": arguments}}


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        (A, ()),
        (f"\n {A} ", ()),
        (f"\ufeff{A}", ("without a byte order mark",)),
        (f"```json\n{A}\n```", ("fenced block",)),
        (f"```\n{A}\n```", ("fenced block",)),
        (f"```JSON {A} ```", ("fenced block",)),
        (f"```json\n{A}", ("fenced block",)),
        (f"Here is my decision:\n```json\n{A}\n```\nI hope this helps.", ("fenced block",)),
        (f"<think>Perhaps {B}?</think>\n{A}", ("after the reasoning",)),
        (f"Perhaps exit?\n</think>\n\n{A}", ("after the reasoning",)),
        (f"<think>a</think> no, <think>b</think>{A}", ("after the reasoning",)),
        (f"<thinking>a</thinking>{A}", ("after the reasoning",)),
        (f"[THINK]a[/THINK]{A}", ("after the reasoning",)),
        (f"<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>{A}",
         ("after the reasoning",)),
        (f"<think>a</think>```json\n{A}\n```", ("after the reasoning", "fenced block")),
        (f"<think>a</think>Done:\n```json\n{A}\n```", ("after the reasoning", "fenced block")),
    ],
)  # fmt: skip
def test_a_text_is_unwrapped_by_named_steps(text: str, steps: tuple[str, ...]) -> None:
    content, taken = read(message(content=text))
    assert content is not None
    assert (content.strip(), taken) == (A, steps)


@pytest.mark.parametrize(
    "text",
    [
        f"My decision is {A}.",
        f"{A}\nI hope this helps.",
        f"{A}\n{B}",
        f"```json\n{A}\n```\n```json\n{B}\n```",
        f"```json\n{A}\n```\nor else {B}",
        f"{B}</think>{A}",
        f"<think>a</think>{B}</think>{A}",
        f"<think>{A}",
        f"```python\nprint({A})\n```",
        f"<answer>{A}</answer>",
        json.dumps(A),
    ],
)
def test_a_text_with_more_than_one_reading_or_with_prose_stays_as_it_is_and_is_no_json(text: str) -> None:
    content, _ = read(message(content=text))
    assert content is not None
    assert not is_object(content)


def test_what_looks_like_a_wrapping_inside_a_value_is_part_of_it() -> None:
    text = json.dumps({"reasoning": "<think>x</think> ```json {}``` ok"})
    assert read(message(content=text)) == (text, ())
    assert read(message(content=f"<think>a</think>{text}")) == (text, ("after the reasoning",))


@pytest.mark.parametrize("content", [None, "", "I record the decision."])
def test_the_arguments_of_the_only_call_are_the_answer(content: str | None) -> None:
    assert read(message(content=content, tool_calls=[call(A)])) == (A, ("tool call",))
    assert read(message(content=content, function_call={"name": "decision", "arguments": A})) == (A, ("tool call",))


def test_arguments_that_came_as_an_object_keep_every_digit() -> None:
    raw = message(content=None, tool_calls=[call({"stop": 0})]).replace(b'{"stop": 0}', b'{"stop": 145.10, "n": [1e5]}')
    assert read(raw) == ('{"stop":145.10,"n":[1E+5]}', ("tool call",))


@pytest.mark.parametrize(
    "fields", [{"content": A, "tool_calls": [call(B)]}, {"content": None, "tool_calls": [call(A), call(B)]}]
)
def test_two_different_answers_in_a_message_are_both_returned(fields: dict[str, Any]) -> None:
    assert read(message(**fields)) == (f"{A}\n{B}", (SEVERAL,))


def test_the_same_answer_twice_has_one_reading() -> None:
    assert read(message(content=A, tool_calls=[call(A)])) == (A, ("tool call",))


def test_two_choices_with_different_answers_are_both_returned() -> None:
    choices = [{"index": n, "message": {"content": text}, "finish_reason": "stop"} for n, text in enumerate((A, B))]
    assert read(body(choices=choices)) == (f"{A}\n{B}", (SEVERAL,))


@pytest.mark.parametrize(
    "parts",
    [
        [{"type": "text", "text": A}],
        [{"type": "thinking", "thinking": [{"type": "text", "text": B}]}, {"type": "text", "text": A}],
        [{"type": "text", "text": A[:5]}, {"type": "text", "text": A[5:]}],
        [A],
        {"type": "text", "text": A},
    ],
)
def test_the_text_parts_of_a_content_are_the_answer(parts: Any) -> None:
    assert read(message(content=parts)) == (A, ("text parts",))


def test_a_refusal_among_the_parts_is_a_refusal() -> None:
    completion = read_completion(message(content=[{"type": "refusal", "refusal": "No."}]), {}, ())
    assert (completion.outcome, completion.detail) == (Outcome.REFUSED, "the model refused: No.")


@given(st.text(alphabet="{}`<>/thinkjson\n \ufeff", max_size=60))
def test_unwrapping_only_ever_cuts_off(text: str) -> None:
    inside, steps = unwrap(text)
    assert inside in text
    assert (inside == text) or steps


def test_unwrapping_takes_no_longer_than_the_text_is_long() -> None:
    for text in ("</think>" * 100_000, "</think> \n" * 100_000, "```" * 300_000, "{" * 500_000, "<think>" * 100_000):
        unwrap(text)


def test_every_step_is_a_name_that_people_read() -> None:
    from llmctx.llm import envelope, extract  # noqa: PLC0415  both are read as modules

    names = [value for module in (envelope, extract) for name, value in vars(module).items()
             if name.isupper() and isinstance(value, str) and not name.startswith("_")]  # fmt: skip
    assert len(set(names)) == len(names) - 1  # a byte order mark may stand before the body and before the text
    assert all(re.fullmatch(r"[A-Za-z -]+", name) for name in names)
