"""Responses in the providers' own protocols, read as the chat completions that they amount to.

Which protocol a body speaks shows in the body, so a recorded one is read without its request. Sources as in `request`.
"""

from typing import Any

from llmctx.llm.envelope import field, read_envelope

ANTHROPIC = "Anthropic message"
RESPONSES = "Responses API"
CONVERSE = "Bedrock Converse"
FAILED_GENERATION = "failed generation"

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
"""Why a model stopped, in the terms of chat completions; other reasons stay as they are."""
_COUNTS = {
    "inputTokens": "input_tokens",
    "outputTokens": "output_tokens",
    "totalTokens": "total_tokens",
    "cacheReadInputTokens": "cache_read_input_tokens",
    "cacheWriteInputTokens": "cache_creation_input_tokens",
}
"""Bedrock's names of counts; like Anthropic it counts cached tokens beside the input."""


def read_document(body: bytes) -> tuple[Any, tuple[str, ...]]:
    """Return a response's body as the document of a chat completion, and the steps it took.

    Raises as `read_envelope` does.
    """
    document, steps = read_envelope(body)
    if not isinstance(document, dict) or "choices" in document:
        return document, steps
    if document.get("object") == "response":
        return _of_responses(document), (*steps, RESPONSES)
    if document.get("type") == "message" and isinstance(document.get("content"), list):
        return _of_anthropic(document), (*steps, ANTHROPIC)
    if isinstance(output := document.get("output"), dict) and "message" in output:
        return _of_converse(document, field(output, "message")), (*steps, CONVERSE)
    if isinstance(error := document.get("error"), dict) and isinstance(error.get("failed_generation"), str):
        # Groq refuses an answer that does not fit and shows it: it still counts as the model's answer.
        return _completion(document, {"content": error["failed_generation"]}, "stop"), (*steps, FAILED_GENERATION)
    return document, steps


def _of_anthropic(document: dict[str, Any]) -> dict[str, Any]:
    blocks = document["content"]
    message = _message(
        [block["text"] for block in blocks if block.get("type") == "text"],
        [block["input"] for block in blocks if block.get("type") == "tool_use"],
        [block.get("thinking") for block in blocks if block.get("type") == "thinking"],
    )
    reason = field(document, "stop_reason")
    if reason == "refusal":
        message["refusal"] = message["content"] or "stop_reason refusal"
    usage = document.get("usage")
    tier = usage.get("service_tier") if isinstance(usage, dict) else None
    return _completion(document, message, reason) | {"service_tier": tier}


def _of_responses(document: dict[str, Any]) -> dict[str, Any]:
    items = field(document, "output")
    parts = [part for item in items if item.get("type") == "message" for part in field(item, "content")]
    message = _message(
        [part["text"] for part in parts if part.get("type") == "output_text"],
        [item["arguments"] for item in items if item.get("type") == "function_call"],
        [item.get("summary") for item in items if item.get("type") == "reasoning"],
    )
    message["refusal"] = " ".join(str(part["refusal"]) for part in parts if part.get("type") == "refusal")
    reason = field(document, "status")
    if reason == "completed":
        reason = "stop"
    elif isinstance(details := document.get("incomplete_details"), dict):
        reason = details.get("reason")
    return _completion(document, message, reason)


def _of_converse(document: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    blocks = field(said, "content")
    message = _message(
        [block["text"] for block in blocks if "text" in block],
        [field(block["toolUse"], "input") for block in blocks if "toolUse" in block],
        ["reasoning" for block in blocks if "reasoningContent" in block],
    )
    completion = _completion(document, message, field(document, "stopReason"))
    usage = document.get("usage")
    if isinstance(usage, dict):
        completion["usage"] = {_COUNTS[name]: count for name, count in usage.items() if name in _COUNTS}
    return completion


def _message(texts: list[Any], calls: list[Any], thoughts: list[Any]) -> dict[str, Any]:
    """A chat completion's message. Texts and calls of other types are kept, and are found unreadable later."""
    message: dict[str, Any] = {"content": "".join(texts) if texts else None}
    if calls:
        message["tool_calls"] = [{"function": {"arguments": arguments}} for arguments in calls]
    if any(thoughts):
        message["reasoning"] = True
    return message


def _completion(document: dict[str, Any], message: dict[str, Any], reason: Any) -> dict[str, Any]:
    """The document of a chat completion with this message; names that it shares with chat completions stay."""
    finish = _FINISH.get(reason, reason) if isinstance(reason, str) else None
    return document | {"choices": [{"message": message, "finish_reason": finish}]}
