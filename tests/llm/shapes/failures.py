"""Shapes without an answer."""

from typing import Any

from tests.llm.shapes.shape import JSON, TEXT, Shape, Wanted, chunk, error, message, sent
from tests.unit.llm.wire import Answer

_FILTERED_PROMPT = {
    "code": "content_filter", "status": 400, "type": None, "param": "prompt",
    "message": "The response was filtered due to the prompt triggering the content management policy.",
    "innererror": {"code": "ResponsibleAIPolicyViolation"},
}  # fmt: skip
_NO_TEMPERATURE = {
    "message": "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.",
    "type": "invalid_request_error", "param": "temperature", "code": "unsupported_value",
}  # fmt: skip
_TOO_LONG = {
    "message": "This model's maximum context length is 8192 tokens, however you requested 9216 tokens.",
    "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded",
}  # fmt: skip


def _without(name: str, seen_at: str, what: str, wanted: Wanted, document: Any, says: str, result: str = "ok") -> Shape:
    played = document if isinstance(document, Answer) else sent(document)
    return Shape(name, seen_at, what, wanted, (played,), (), says, (result,))


FAILURES = (
    _without("refusal", "OpenAI", "a refusal instead of a content", "refused",
             message(None, refusal="I cannot help with that."), "the model refused: I cannot help with that."),
    _without("refusal-part", "OpenAI", "a refusal among the parts of the content", "refused",
             message([{"type": "refusal", "refusal": "No."}]), "the model refused: No."),
    _without("content-filter", "OpenAI, Azure", "finish_reason content_filter", "filtered",
             message(TEXT[:50], finish="content_filter"), "content filter"),
    _without("azure-filter", "Azure", "400: the content filter stopped the prompt", "filtered",
             error("400 Bad Request", _FILTERED_PROMPT), "content filter", "http 400"),
    _without("no-choices", "Gemini", "an empty list of choices: the filter stopped the prompt", "filtered",
             {"id": "x", "model": "served-model", "choices": [], "usage": {"prompt_tokens": 9}}, "content filter"),
    _without("prompt-feedback", "Gemini", "promptFeedback with a blockReason", "filtered",
             {"promptFeedback": {"blockReason": "SAFETY"}, "model": "served-model"}, "content filter"),
    _without("safety", "Gemini", "finish_reason SAFETY in a provider's own spelling", "filtered",
             message(None, finish="SAFETY"), "content filter"),
    _without("no-credits", "OpenRouter", "402 as an error object in a 200", "rejected",
             {"error": {"code": 402, "message": "Insufficient credits"}}, "Insufficient credits",
             "http 200 with an error 402"),
    _without("length", "every provider", "the answer is cut at the length limit", "truncated",
             message(TEXT[:50], finish="length"), "length limit"),
    _without("empty-content", "every provider", "an empty text", "unreadable", message(""), "the message has no text"),
    _without("null-content", "every provider", "content is null", "unreadable", message(None), "no text"),
    _without("reasoning-alone", "vLLM, SGLang", "the whole answer is in reasoning_content", "unreadable",
             message(None, reasoning_content=TEXT), "only reasoning_content has text"),
    _without("no-message", "proxies", "a choice without a message", "unreadable",
             {"choices": [{"index": 0, "finish_reason": "stop"}]}, "no chat completion"),
    _without("cut-stream", "proxies that always stream", "an event stream that breaks off", "unreadable",
             sent(chunk({"content": TEXT[:20]}), "200 OK", "content-type: text/event-stream"), "ends before the answer"),
    _without("two-contents", "proxies", "content occurs twice, with two texts", "unreadable",
             b'{"choices": [{"message": {"content": "{}", "content": "[]"}}]}', "two different things"),
    _without("two-bodies", "proxies", "two JSON texts in one body", "unreadable", b'{"choices": []}{"choices": []}',
             "no chat completion"),
    _without("cut-json-body", "proxies", "the body is half a JSON text", "unreadable", b'{"choices": [{"mess',
             "no chat completion"),
    _without("html", "login pages", "200 with a page", "unreadable",
             sent(b"<html>Please sign in</html>", "200 OK", "content-type: text/html"), "no chat completion"),
    _without("empty-body", "proxies", "200 without a body", "unreadable", b"", "no chat completion"),
    _without("quota", "OpenAI", "429 that will not pass: the quota is used up", "rejected",
             error("429 Too Many Requests", {"message": "You exceeded your quota.", "code": "insufficient_quota"}),
             "insufficient_quota", "http 429"),
    _without("wrong-key", "every provider", "401", "rejected",
             error("401 Unauthorized", {"message": "Incorrect API key provided.", "code": "invalid_api_key"}),
             "Incorrect API key", "http 401"),
    _without("unknown-model", "every provider", "404", "rejected",
             error("404 Not Found", {"message": "The model `x` does not exist.", "code": "model_not_found"}),
             "does not exist", "http 404"),
    _without("no-json-schema", "DeepSeek", "400: this response_format is not available", "rejected",
             error("400 Bad Request", {"message": "This response_format type is unavailable now"}),
             "This response_format type is unavailable now", "http 400"),
    _without("no-temperature", "OpenAI, gpt-5", "400: a parameter is refused", "rejected",
             error("400 Bad Request", _NO_TEMPERATURE), "'temperature' does not support 0", "http 400"),
    _without("context-length", "OpenAI, vLLM", "400: the prompt is too long", "rejected",
             error("400 Bad Request", _TOO_LONG), "maximum context length", "http 400"),
    _without("unprocessable", "Mistral, FastAPI servers", "422 with a list of details", "rejected",
             sent({"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]},
                  "422 Unprocessable Entity", JSON), "Extra inputs", "http 422"),
    _without("redirect", "misspelt addresses", "307 to another host", "rejected",
             sent(b"", "307 Temporary Redirect", "location: https://elsewhere.test/v1"),
             "redirects are not followed", "http 307"),
    _without("silence", "every provider", "no answer in time", "timeout", Answer(b"", "hang"),
             "no answer before the deadline", "cancelled at the deadline"),
)  # fmt: skip
