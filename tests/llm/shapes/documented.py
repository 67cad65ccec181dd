"""Shapes of single providers, as their own documents and users' reports show them.

Sources: Azure, learn.microsoft.com/azure/foundry/openai/concepts/content-filter; Groq,
console.groq.com/docs/structured-outputs; xAI, docs.x.ai; Mistral, docs.mistral.ai/api; DeepSeek,
api-docs.deepseek.com/api/create-chat-completion; MiniMax, platform.minimax.io/docs/api-reference/errorcode; Zhipu,
docs.bigmodel.cn; Cloudflare, developers.cloudflare.com/ai-gateway/features/guardrails; OpenRouter,
openrouter.ai/docs/api/reference/errors-and-debugging; LM Studio, lmstudio.ai/docs/developer; Amazon,
docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html.
"""

import json
from typing import Any

from tests.llm.shapes.shape import JSON, TEXT, Shape, Wanted, call, chunk, error, message, sent
from tests.unit.llm.wire import Answer
from tests.unit.makers import answer_text

_REASONING = "RSI is 48, so {nothing} speaks for a change."
_USAGE = {"input_tokens": 900, "output_tokens": 120, "total_tokens": 1020}
_TOOL, _PARTS, _THOUGHT = "tool call", "text parts", "after the reasoning"
_ANTHROPIC, _RESPONSES, _CONVERSE = "Anthropic message", "Responses API", "Bedrock Converse"
_STREAMED, _FAILED_GENERATION = "event stream", "failed generation"
_FILTER = "content filter"
_BLOCKED = "Prompt blocked due to security configurations"
_SAFE = {"hate": {"filtered": False, "severity": "safe"}}
_PROBABLE = {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH"}


def _choice(said: dict[str, Any], finish: Any, **more: Any) -> dict[str, Any]:
    """A completion whose one choice is as given."""
    choice = {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": finish, **more}
    return message() | {"choices": [choice]}


def _anthropic(*blocks: dict[str, Any], stop: str = "end_turn") -> dict[str, Any]:
    usage = {"input_tokens": 900, "output_tokens": 120, "service_tier": "standard"}
    fields = {"id": "msg_1", "role": "assistant", "model": "served-model", "stop_sequence": None}
    return {"type": "message", **fields, "content": list(blocks), "stop_reason": stop, "usage": usage}


def _response(*items: dict[str, Any], status: str = "completed", **more: Any) -> dict[str, Any]:
    fields = {"id": "resp_1", "model": "served-model", "error": None, "incomplete_details": None, "usage": _USAGE}
    return {"object": "response", **fields, "status": status, "output": list(items), **more}


def _said(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": list(parts)}


def _converse(text: str, stop: str) -> dict[str, Any]:
    usage = {"inputTokens": 900, "outputTokens": 120, "totalTokens": 1020}
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": stop,
        "usage": usage,
    }


def _one(name: str, seen_at: str, what: str, wanted: Wanted, document: Any, *steps: str, says: str = "",
         result: str = "ok") -> Shape:  # fmt: skip
    played = document if isinstance(document, Answer) else sent(document)
    return Shape(name, seen_at, what, wanted, (played,), steps, says, (result,))


def _recovered(name: str, seen_at: str, what: str, first: Any, result: str) -> Shape:
    failed = first if isinstance(first, Answer) else sent(first, "200 OK", JSON, "retry-after-ms: 1")
    return Shape(
        name, seen_at, f"{what}, then an answer", "decision", (failed, sent(message())), results=(result, "ok")
    )


_DECISIONS = (
    _one("azure-annotations", "Azure", "filter results beside the answer, one of them an error", "decision", _choice(
        {"content": TEXT, "refusal": None, "annotations": []}, "stop",
        content_filter_results={"error": {"code": "content_filter_error", "message": "The contents are not filtered"}},
    ) | {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _SAFE}]}),
    _one("gemini-thought", "Gemini", "<thought>...</thought> before the answer", "decision",
         _choice({"content": f"<thought>{_REASONING}</thought>{TEXT}", "extra_content": {"google": {"thought": True}}},
                 "stop"), _THOUGHT),
    _one("gemini-tool-call", "Gemini", "a thought signature in the tool call", "decision", message(
        None, finish="tool_calls",
        tool_calls=[call() | {"extra_content": {"google": {"thought_signature": "CiQB"}}}]), _TOOL),
    _one("reference-parts", "Mistral", "a reference part among the text parts", "decision",
         message([{"type": "reference", "reference_ids": [1]}, {"type": "text", "text": TEXT}]), _PARTS),
    _one("reasoning-part", "Databricks", "a reasoning part before the text part", "decision",
         message([{"type": "reasoning", "summary": [{"type": "summary_text", "text": _REASONING}]},
                  {"type": "text", "text": TEXT}]), _PARTS),
    _one("finish-eos", "Together", "finish_reason eos", "decision", message(finish="eos") | {"prompt": []}),
    _one("finish-object", "SGLang", "finish_reason is an object", "decision",
         message(finish={"type": "stop", "matched": 2}) | {"metadata": {"weight_version": "default"}}),
    _one("citations", "Perplexity", "reasoning in the text, search results and a cost beside it", "decision",
         message(f"<think>\n{_REASONING}\n</think>\n{TEXT}")
         | {"citations": ["https://news.test/1"], "search_results": [{"title": "T", "url": "https://news.test/1"}]},
         _THOUGHT),
    _one("anthropic-thinking", "Anthropic, Messages API", "thinking, hidden thinking and a tool call", "decision",
         _anthropic({"type": "thinking", "thinking": _REASONING, "signature": "EqQB"},
                    {"type": "redacted_thinking", "data": "EmwK"},
                    {"type": "tool_use", "id": "toolu_1", "name": "decision", "input": json.loads(TEXT)},
                    stop="tool_use"), _ANTHROPIC, _TOOL),
    _one("responses-reasoning", "OpenAI, Responses API", "a reasoning item before the message", "decision",
         _response({"type": "reasoning", "id": "rs_1", "summary": []},
                   _said({"type": "output_text", "text": TEXT, "annotations": []})), _RESPONSES),
    _one("failed-generation-that-fits", "Groq", "400 with a failed_generation that fits the schema", "decision",
         error("400 Bad Request", {"message": "Failed to validate JSON.", "type": "invalid_request_error",
                                   "code": "json_validate_failed", "failed_generation": TEXT}),
         _FAILED_GENERATION, result="http 400"),
    _recovered("no-resources", "DeepSeek", "finish_reason insufficient_system_resource",
               message("", finish="insufficient_system_resource"), "http 200 with an error 503"),
    _recovered("finish-error", "Mistral, OpenRouter", "finish_reason error without a reason",
               message(None, finish="error"), "http 200 with an error 502"),
    _recovered("error-within-stream", "OpenRouter", "an error after the first pieces of a stream",
               sent(chunk({"content": TEXT[:20]}) + b"data: %b\n\n" % json.dumps(
                   {"id": "c-1", "error": {"code": "server_error", "message": "Provider disconnected unexpectedly"},
                    "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]}).encode(),
                    "200 OK", "content-type: text/event-stream", "retry-after-ms: 1"), "http 200 with an error 502"),
    _recovered("response-failed", "OpenAI, Responses API", "status failed with an error",
               _response(status="failed", error={"code": "server_error", "message": "The model failed."}),
               "http 200 with an error 502"),
    _recovered("base-resp-busy", "MiniMax", "base_resp with a rate limit in a 200",
               {"id": "x", "choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit exceeded(RPM)"}},
               "http 200 with an error 429"),
    _recovered("proxy-timeout", "Cloudflare", "524 with a page",
               error("524 A Timeout Occurred", b"<html><h1>Error 524</h1></html>"), "http 524"),
    _recovered("proxy-limit", "Cloudflare", "429 with a text", error("429 Too Many Requests", b"error code: 1015"),
               "http 429"),
    _recovered("status-code-in-body", "Azure API Management", "429 with statusCode and message",
               sent({"statusCode": 429, "message": "Rate limit is exceeded. Try again in 1 seconds."},
                    "429 Too Many Requests", JSON, "retry-after-ms: 1"), "http 429"),
)  # fmt: skip

_FILTERED = (
    _one("azure-no-content", "Azure", "the filter stopped the answer, which has no content", "filtered",
         _choice({}, "content_filter", content_filter_results={"hate": {"filtered": True, "severity": "high"}}),
         says=_FILTER),
    _one("azure-no-message", "Azure", "the filter stopped the answer, which has no message", "filtered",
         message() | {"choices": [{"index": 0, "finish_reason": "content_filter"}]}, says=_FILTER),
    _one("flagged-prompt", "OpenAI", "400: the prompt was flagged", "filtered",
         error("400 Bad Request", {"message": "Invalid prompt: your prompt was flagged as potentially violating our "
                                   "usage policy.", "type": "invalid_request_error", "code": "invalid_prompt"}),
         says=_FILTER, result="http 400"),
    _one("output-blocked", "Anthropic", "400: the filter stopped the output", "filtered",
         sent({"type": "error", "request_id": "req_1", "error": {
             "type": "invalid_request_error", "message": "Output blocked by content filtering policy"}},
             "400 Bad Request"), says=_FILTER, result="http 400"),
    _one("usage-guidelines", "xAI", "403: the content violates guidelines", "filtered",
         sent({"code": "permission-denied", "error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"},
              "403 Forbidden"), says=_FILTER, result="http 403"),
    _one("content-risk", "DeepSeek", "400: Content Exists Risk", "filtered",
         error("400 Bad Request", {"message": "Content Exists Risk", "type": "invalid_request_error", "param": None}),
         says=_FILTER, result="http 400"),
    _one("finish-sensitive", "Zhipu", "finish_reason sensitive", "filtered", message("", finish="sensitive"),
         says=_FILTER),
    _one("output-sensitive", "MiniMax", "base_resp with a filter in a 200", "filtered",
         {"id": "x", "choices": None, "base_resp": {"status_code": 1027, "status_msg": "output new_sensitive"}},
         says=_FILTER, result="http 200 with an error 400"),
    _one("prohibited", "Gemini", "finish_reason content_filter: PROHIBITED_CONTENT", "filtered",
         _choice({}, "content_filter: PROHIBITED_CONTENT", safety_ratings=[_PROBABLE]), says=_FILTER),
    _one("gateway-guardrail", "Cloudflare", "errors in a list: the gateway stopped the prompt", "filtered",
         sent({"success": False, "result": [], "messages": [], "error": [{"code": 2016, "message": _BLOCKED}]},
              "424 Failed Dependency"), says=_FILTER, result="http 424"),
    _one("proxy-policy", "LiteLLM", "400: a filter's error by its class", "filtered",
         error("400 Bad Request", {"message": "litellm.ContentPolicyViolationError: AzureException - filtered",
                                   "type": None, "param": None, "code": "400"}), says=_FILTER, result="http 400"),
    _one("bedrock-guardrail", "Bedrock", "stopReason guardrail_intervened", "filtered",
         _converse("Sorry, the model cannot answer this question.", "guardrail_intervened"), says=_FILTER),
    _one("response-filtered", "OpenAI, Responses API", "incomplete because of the filter", "filtered",
         _response(_said({"type": "output_text", "text": TEXT[:50]}), status="incomplete",
                   incomplete_details={"reason": "content_filter"}), says=_FILTER),
)  # fmt: skip

_OTHERS = (
    _one("failed-generation", "Groq", "400 with a failed_generation that does not fit", "misfit",
         error("400 Bad Request", {"message": "Failed to generate JSON.", "type": "invalid_request_error",
                                   "code": "json_validate_failed", "failed_generation": answer_text(action="HOLD")}),
         _FAILED_GENERATION, says="action: ", result="http 400"),
    _one("anthropic-refusal", "Anthropic, Messages API", "stop_reason refusal without content", "refused",
         _anthropic(stop="refusal"), says="the model refused"),
    _one("model-length", "Mistral", "finish_reason model_length: the context is full", "truncated",
         message(TEXT[:50], finish="model_length"), says="length limit"),
    _one("no-content-at-limit", "Gemini", "finish_reason length without a content", "truncated",
         _choice({}, "length"), says="length limit"),
    _one("response-incomplete", "OpenAI, Responses API", "reasoning alone, up to the length limit", "truncated",
         _response({"type": "reasoning", "id": "rs_1", "summary": []}, status="incomplete",
                   incomplete_details={"reason": "max_output_tokens"}), says="length limit"),
    _one("wrong-path", "LM Studio", "200 with an error: there is no such path", "rejected",
         {"error": "Unexpected endpoint or method. (POST /chat/completions)"}, says="Unexpected endpoint",
         result="http 200 with an error 404"),
    _one("no-balance", "DeepSeek", "402: the balance is used up", "rejected",
         error("402 Payment Required", {"message": "Insufficient Balance", "type": "unknown_error",
                                        "code": "invalid_request_error"}), says="Insufficient Balance",
         result="http 402"),
    _one("no-balance-in-200", "MiniMax", "base_resp with a used-up balance in a 200", "rejected",
         {"id": "x", "choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
         says="insufficient balance", result="http 200 with an error 402"),
    _one("message-with-details", "Mistral", "422 with details inside the message", "rejected",
         sent({"object": "error", "type": "invalid_request_error", "message": {"detail": [
             {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}},
             "422 Unprocessable Entity"), says="http 422: body.seed: Extra inputs are not permitted", result="http 422"),
    _one("errors-in-a-list", "Cloudflare Workers AI", "400 with a list of errors", "rejected",
         sent({"success": False, "result": {}, "messages": [],
               "errors": [{"code": 5007, "message": "No such model @cf/x or task"}]}, "400 Bad Request"),
         says="http 400: No such model @cf/x or task", result="http 400"),
    _one("capital-message", "Bedrock", "403 with Message instead of message", "rejected",
         sent({"Message": "User is not authorized to perform: bedrock:InvokeModel"}, "403 Forbidden"),
         says="http 403: User is not authorized", result="http 403"),
    _one("problem-details", "NVIDIA NIM", "402 with problem details", "rejected",
         sent({"type": "urn:problem", "title": "Payment Required", "status": 402, "detail": "Cloud credits expired"},
              "402 Payment Required", "content-type: application/problem+json"), says="http 402: Cloud credits expired",
         result="http 402"),
    _one("blocked-page", "Cloudflare", "403 with a page", "rejected",
         sent(b"<html><title>Attention Required! | Cloudflare</title></html>", "403 Forbidden",
              "content-type: text/html"), says="Attention Required!", result="http 403"),
)  # fmt: skip

DOCUMENTED = (*_DECISIONS, *_FILTERED, *_OTHERS)
