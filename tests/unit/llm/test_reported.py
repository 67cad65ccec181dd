"""Errors in the forms of the providers' own documents (llmctx/llm/reported.py names them), and what becomes of them."""

import json
from typing import Any

import httpx
import pytest
import respx

from llmctx.llm.completion import Outcome, read_completion
from llmctx.llm.reported import error_in_success, read_error
from tests.unit.llm.calls import Answered, good, results
from tests.unit.makers import body

AZURE_FILTER = {
    "error": {
        "message": "The response was filtered due to the prompt triggering the content management policy.",
        "type": None, "param": "prompt", "code": "content_filter", "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation"},
    }
}  # fmt: skip
FLAGGED = {"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["x"], "flagged_input": "y"}}}


@pytest.mark.parametrize(
    ("document", "status", "message"),
    [
        ({"error": {"message": "no", "type": "invalid_request_error", "code": None}}, 400, "no"),
        ({"error": {"code": 429, "message": "slow down"}}, 429, "slow down"),
        ({"error": {"code": "502", "message": "down"}}, 502, "down"),
        ({"error": "Loading model"}, 503, "Loading model"),
        ({"error": "something broke"}, 502, "something broke"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 503, "Overloaded"),
        ([{"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED"}}], 429, "quota"),
        ({"object": "error", "message": "bad", "type": "BadRequestError", "code": 400}, 400, "bad"),
        ({"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs"}]}, 502, "body.seed: Extra inputs"),
        ({"detail": "Not Found"}, 502, "Not Found"),
        (
            {"error": {"code": 502, "message": "Provider returned error",
                       "metadata": {"provider_name": "P", "raw": "out of memory"}}},
            502, "Provider returned error: P: out of memory",
        ),
    ],
)  # fmt: skip
def test_an_error_is_read_in_every_form(document: Any, status: int, message: str) -> None:
    error = read_error(json.dumps(document).encode())
    assert error is not None
    assert (error.status, error.message) == (status, message)


@pytest.mark.parametrize("raw", [None, b"", b"<html>", b"[]", b"7", b'{"error": ["x"]}', b'{"error": {}}', b"{}"])
def test_what_reports_no_error_is_none(raw: bytes | None) -> None:
    assert read_error(raw) is None
    assert error_in_success(raw) is None


@pytest.mark.parametrize("content", ['{"error": {"code": 429, "message": "x"}}', "error"])
def test_an_answer_that_speaks_of_errors_is_no_error(content: str) -> None:
    assert error_in_success(body(content)) is None
    assert error_in_success(body(content, error=None)) is None


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize(
    "document",
    [
        {"error": {"code": 429, "message": "slow down"}},
        {"choices": [{"index": 0, "error": {"code": 429, "message": "slow down"}, "finish_reason": "error"}]},
        {"id": "x", "choices": [], "error": "rate limit: slow down"},
    ],
)
async def test_an_error_in_a_200_is_its_status_and_is_retried(answered: Answered, document: dict[str, Any]) -> None:
    completion = await answered(httpx.Response(200, json=document), good())
    assert completion.outcome is Outcome.ANSWERED
    assert results(completion) == ["http 200 with an error 429", "ok"]


async def test_an_error_in_a_200_that_cannot_get_better_is_rejected(answered: Answered, wire: respx.Route) -> None:
    completion = await answered(httpx.Response(200, json={"error": {"code": 402, "message": "Insufficient credits"}}))
    assert (completion.outcome, wire.call_count) == (Outcome.REJECTED, 1)
    assert (completion.detail or "").startswith("http 402: Insufficient credits (1 attempt")


@pytest.mark.parametrize(("status", "document"), [(400, AZURE_FILTER), (200, AZURE_FILTER), (403, FLAGGED)])
async def test_a_filter_is_named_whatever_its_status_and_reads_the_same_again(
    answered: Answered, status: int, document: dict[str, Any], wire: respx.Route
) -> None:
    completion = await answered(httpx.Response(status, json=document))
    assert (completion.outcome, wire.call_count) == (Outcome.FILTERED, 1)
    assert completion.body is not None
    assert read_completion(completion.body, {}, ()).outcome is Outcome.FILTERED


@pytest.mark.parametrize(
    "document",
    [
        {"id": "x", "choices": [], "usage": {"prompt_tokens": 9}},
        {"model": "gemini", "choices": None},
        {"promptFeedback": {"blockReason": "SAFETY"}, "candidates": []},
    ],
)
def test_no_choices_are_a_filter(document: dict[str, Any]) -> None:
    assert read_completion(json.dumps(document).encode(), {}, ()).outcome is Outcome.FILTERED


@pytest.mark.parametrize("reason", ["content_filter", "SAFETY", "content_filter: PROHIBITED_CONTENT"])
def test_a_finish_reason_may_name_the_filter(reason: str) -> None:
    choices = [{"index": 0, "message": {"content": "cut"}, "finish_reason": reason}]
    assert read_completion(body(choices=choices), {}, ()).outcome is Outcome.FILTERED


@pytest.mark.parametrize(
    ("status", "message", "setting"),
    [
        (400, "This response_format type is unavailable now", "PROFILE__MODE=json_object"),
        (400, "Unsupported value: 'temperature' does not support 0.0 with this model.", '["temperature"]'),
        (400, "`temperature` is deprecated for this model.", '["temperature"]'),
        (
            400, "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            '{"max_tokens": "max_completion_tokens"}',
        ),
        (422, "body.max_completion_tokens: Extra inputs are not permitted", '{"max_completion_tokens": "max_tokens"}'),
        (400, "Failed to initialize samplers: failed to parse grammar", "PROFILE__MODE=schema"),
        (500, "tools param requires --jinja flag", "another mode than tool"),
        (400, "the request exceeds the available context size", "larger one in the server"),
        (401, "temperature", "1 attempt"),
    ],
)  # fmt: skip
async def test_a_refusal_says_first_what_the_provider_says_and_then_what_to_set(
    answered: Answered, status: int, message: str, setting: str
) -> None:
    detail = (await answered(httpx.Response(status, json={"error": {"message": message}}), max_attempts=1)).detail or ""
    assert detail.startswith(f"http {status}: {message}")
    assert setting in detail


@pytest.mark.parametrize(
    "message",
    [
        "Your account was disabled because it violates our usage policies.",
        "Unknown parameter: content_filter.",
        "Model names are case sensitive.",
    ],
)
def test_an_error_that_merely_speaks_of_policies_is_not_taken_for_a_filter(message: str) -> None:
    error = read_error(json.dumps({"error": {"message": message, "code": "bad_request"}}).encode())
    assert error is not None
    assert not error.is_filter
