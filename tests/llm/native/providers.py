"""Responses as the providers' own documents show them, each with an answer in it."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from llmctx.llm.usage import Usage
from tests.unit.makers import answer_text

ANSWER = answer_text()


def anthropic(*, text: str | None = None, stop: str | None = None) -> dict[str, Any]:
    """A message; with a text in place of the tool's input if one is given."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "decision", "input": json.loads(ANSWER)}
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-served",
        "content": [call] if text is None else [{"type": "text", "text": text}],
        "stop_reason": stop or ("tool_use" if text is None else "end_turn"), "stop_sequence": None,
        "usage": {
            "input_tokens": 100, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 700,
            "output_tokens": 150, "service_tier": "standard",
        },
    }  # fmt: skip


def responses(*, text: str = ANSWER, **changes: Any) -> dict[str, Any]:
    """A response with one message behind its reasoning."""
    said = {"type": "output_text", "text": text, "annotations": []}
    return {
        "id": "resp_1", "object": "response", "created_at": 1764322000, "status": "completed", "error": None,
        "incomplete_details": None, "instructions": None, "model": "gpt-served", "parallel_tool_calls": True,
        "tool_choice": "auto", "tools": [], "temperature": None, "top_p": None, "metadata": {},
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [said]},
        ],
        "usage": {
            "input_tokens": 820, "input_tokens_details": {"cached_tokens": 700, "cache_write_tokens": 20},
            "output_tokens": 150, "output_tokens_details": {"reasoning_tokens": 64}, "total_tokens": 970,
        },
    } | changes  # fmt: skip


def converse(*, text: str | None = None, stop: str | None = None) -> dict[str, Any]:
    """A Converse response; with a text in place of the tool's input if one is given."""
    call = {"toolUse": {"toolUseId": "tooluse_1", "name": "decision", "input": json.loads(ANSWER)}}
    return {
        "output": {"message": {"role": "assistant", "content": [call] if text is None else [{"text": text}]}},
        "stopReason": stop or ("tool_use" if text is None else "end_turn"),
        "usage": {
            "inputTokens": 100, "outputTokens": 150, "totalTokens": 970,
            "cacheReadInputTokens": 700, "cacheWriteInputTokens": 20,
        },
        "metrics": {"latencyMs": 900},
    }  # fmt: skip


class Provider(NamedTuple):
    """A provider with a protocol of its own."""

    profile: str
    """The row that is named in the settings."""
    model: str
    """A model's name there."""
    path: str
    """Where a request goes, under the server's root."""
    request_id: str
    """The header with the request's id."""
    play: Callable[..., dict[str, Any]]
    """Its response."""
    steps: tuple[str, ...]
    """Where the answer is taken from."""
    usage: Usage
    """The tokens of that response."""


PROVIDERS = {
    "anthropic": Provider(
        "anthropic-messages", "claude-sonnet-5", "/v1/messages", "request-id", anthropic,
        ("Anthropic message", "tool call"), Usage(820, 150, 700, None, 20),
    ),
    "responses": Provider(
        "openai-responses", "gpt-5-mini", "/v1/responses", "x-request-id", responses,
        ("Responses API",), Usage(820, 150, 700, 64, 20),
    ),
    "bedrock": Provider(
        "bedrock", "eu.anthropic.claude-sonnet-5-v1:0",
        "/model/eu.anthropic.claude-sonnet-5-v1%3A0/converse", "x-amzn-requestid", converse,
        ("Bedrock Converse", "tool call"), Usage(820, 150, 700, None, 20),
    ),
}  # fmt: skip
