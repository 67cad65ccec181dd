"""Shapes that hold one answer, however it is wrapped."""

import gzip
import json

from tests.llm.shapes.shape import JSON, TEXT, Shape, call, chunk, error, message, sent
from tests.unit.llm.wire import Answer, chunked, response
from tests.unit.makers import answer

_PLAIN = json.dumps(message()).encode()
_REASONING = "RSI is 48, so {nothing} speaks for a change."
_STREAM = (
    chunk({"role": "assistant", "content": ""})
    + chunk({"content": TEXT[:20]})
    + chunk({"content": TEXT[20:]})
    + chunk({}, "stop")
    + b"data: [DONE]\n\n"
)
_SSE = "content-type: text/event-stream"
_THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": _REASONING}]}
_NUMBERS = json.dumps(
    answer(valid_for=30.0, evidence=[{"path": "price.price.last", "value": 152.5, "reading": "a number"}])
)
_HARMONY = f"<|channel|>analysis<|message|>{_REASONING}<|end|><|start|>assistant<|channel|>final<|message|>{TEXT}"
_THOUGHT, _FENCED, _TOOL, _PARTS = "after the reasoning", "fenced block", "tool call", "text parts"
_STREAMED, _LENIENT = "event stream", "lenient JSON"


def _first_name(name: bytes) -> bytes:
    """The plain body with one more member, written as it is."""
    return b"{" + name + b", " + _PLAIN[1:]


def _decision(name: str, seen_at: str, what: str, document: object, *steps: str) -> Shape:
    played = document if isinstance(document, Answer) else sent(document)
    return Shape(name, seen_at, what, "decision", (played,), steps)


def _recovered(name: str, seen_at: str, what: str, result: str, said: object) -> Shape:
    first = sent(said, "200 OK", JSON, "retry-after-ms: 1")
    return Shape(name, seen_at, f"{what}, then an answer", "decision", (first, sent(message())), results=(result, "ok"))


ANSWERS = (
    _decision("plain", "OpenAI", "one message with one text", message()),
    _decision("more-fields", "Groq, llama.cpp, vLLM", "extra fields of the provider", message() | {
        "x_groq": {"id": "req_1"}, "timings": {"predicted_ms": 81.5}, "prompt_logprobs": None}),
    _decision("no-finish-reason", "local servers", "finish_reason is null", message(finish=None)),
    _decision("blank-lines", "DeepSeek", "blank lines keep the connection open before the body", b"\n\n\n" + _PLAIN),
    _decision("comments", "OpenRouter", "comments keep the connection open before the body",
              b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n" + _PLAIN, "without keep-alive comments"),
    _decision("byte-order-mark", ".NET proxies", "the body begins with a byte order mark",
              b"\xef\xbb\xbf" + _PLAIN, "without a byte order mark"),
    _decision("reasoning-content", "DeepSeek, vLLM, llama.cpp", "the reasoning is in a separate field",
              message(reasoning_content=_REASONING)),
    _decision("reasoning-details", "OpenRouter", "the reasoning is in two separate fields",
              message(reasoning=_REASONING, reasoning_details=[{"type": "reasoning.text", "text": _REASONING}])),
    _decision("think-tags", "Ollama, LM Studio", "<think>...</think> before the answer",
              message(f"<think>\n{_REASONING}\n</think>\n\n{TEXT}"), _THOUGHT),
    _decision("think-end-tag", "vLLM and SGLang without a reasoning parser", "only </think> before the answer",
              message(f"{_REASONING}\n</think>\n\n{TEXT}"), _THOUGHT),
    _decision("think-brackets", "Magistral", "[THINK]...[/THINK] before the answer",
              message(f"[THINK]{_REASONING}[/THINK]{TEXT}"), _THOUGHT),
    _decision("harmony", "gpt-oss on local servers", "the channels of the harmony format", message(_HARMONY), _THOUGHT),
    _decision("fence", "Anthropic, mlx-lm", "the answer in a code fence", message(f"```json\n{TEXT}\n```"), _FENCED),
    _decision("fence-in-prose", "Anthropic, mlx-lm", "words around the only code fence",
              message(f"Here is my decision:\n\n```json\n{TEXT}\n```\n\nI will watch the stop."), _FENCED),
    _decision("think-and-fence", "Ollama", "reasoning, then a code fence",
              message(f"<think>{_REASONING}</think>\n```json\n{TEXT}\n```"), _THOUGHT, _FENCED),
    _decision("text-parts", "Mistral", "content is a list of parts", message([{"type": "text", "text": TEXT}]), _PARTS),
    _decision("thinking-parts", "Mistral", "a thinking part before the text part",
              message([_THINKING, {"type": "text", "text": TEXT}]), _PARTS),
    _decision("tool-call", "every provider", "the answer is the arguments of a tool call",
              message(None, tool_calls=[call()], finish="tool_calls"), _TOOL),
    _decision("prose-and-tool-call", "Anthropic through LiteLLM", "words beside the tool call",
              message("I record my decision.", tool_calls=[call()], finish="tool_calls"), _TOOL),
    _decision("function-call", "older servers", "function_call instead of tool_calls",
              message(None, function_call={"name": "decision", "arguments": TEXT}, finish="function_call"), _TOOL),
    _decision("tool-arguments-object", "Ollama, proxies", "arguments are an object instead of a text",
              message(None, tool_calls=[call(json.loads(TEXT))], finish="tool_calls"), _TOOL),
    _decision("content-object", "proxies", "content is an object instead of a text",
              message(json.loads(TEXT)), "JSON object"),
    _decision("event-stream", "proxies that always stream", "an event stream nobody asked for",
              sent(_STREAM, "200 OK", _SSE), _STREAMED),
    _decision("event-stream-comments", "OpenRouter", "the same, with comments before it",
              sent(b": OPENROUTER PROCESSING\n\n" + _STREAM, "200 OK", _SSE), "without keep-alive comments", _STREAMED),
    _decision("event-stream-tool-call", "proxies that always stream", "a tool call in pieces",
              sent(chunk({"tool_calls": [{"index": 0, **call(TEXT[:20])}]})
                   + chunk({"tool_calls": [{"index": 0, "function": {"arguments": TEXT[20:]}}]})
                   + chunk({}, "tool_calls"), "200 OK", _SSE), _STREAMED, _TOOL),
    _decision("event-stream-whole", "proxies that always stream", "the whole completion as one event",
              sent(b"data: " + _PLAIN + b"\n\n", "200 OK", _SSE), _STREAMED),
    _decision("nan", "vLLM", "NaN among the log probabilities", _first_name(b'"logprobs": NaN'), _LENIENT),
    _decision("duplicate-name", "proxies", "an irrelevant name occurs twice",
              _first_name(b'"created": 1'), _LENIENT),
    _decision("lone-surrogate", "local servers", "half an emoji in an irrelevant field",
              _first_name(b'"note": "\\ud83d"'), _LENIENT),
    _decision("at-the-limit", "local servers", "finish_reason length, but the JSON is complete", message(finish="length")),
    _decision("other-numbers", "every provider", "30.0 minutes, and a number as the value of a fact", message(_NUMBERS)),
    _decision("gzip", "proxies", "a compressed body",
              sent(gzip.compress(_PLAIN), "200 OK", JSON, "content-encoding: gzip")),
    _decision("chunked", "every provider", "a chunked body",
              Answer(chunked(_PLAIN[:99], _PLAIN[99:]) + b"0\r\n\r\n")),
    _decision("slow-body", "every provider", "the body comes in pieces",
              Answer(response(_PLAIN[:50], length=len(_PLAIN)), later=(_PLAIN[50:400], _PLAIN[400:]))),
    _decision("wrong-content-type", "proxies", "JSON as text/html", sent(_PLAIN, "200 OK", "content-type: text/html")),
    Shape("rate-limit-then-answer", "every provider", "429 with the time to wait, then an answer", "decision",
          (error("429 Too Many Requests", {"message": "slow down", "code": "rate_limit_exceeded"}), sent(message())),
          results=("http 429", "ok")),
    Shape("overloaded-then-answer", "Anthropic", "529, then an answer", "decision",
          (error("529 Overloaded", {"type": "overloaded_error", "message": "Overloaded"}), sent(message())),
          results=("http 529", "ok")),
    Shape("loading-then-answer", "llama.cpp", "503 while the model is loaded, then an answer", "decision",
          (error("503 Service Unavailable", {"code": 503, "message": "Loading model", "type": "unavailable_error"}),
           sent(message())), results=("http 503", "ok")),
    Shape("html-then-answer", "proxies", "502 with a page, then an answer", "decision",
          (error("502 Bad Gateway", b"<html><h1>Bad Gateway</h1></html>"), sent(message())),
          results=("http 502", "ok")),
    Shape("cut-body-then-answer", "every provider", "the connection ends within the body, then an answer", "decision",
          (Answer(response(_PLAIN[:99], "200 OK", "retry-after-ms: 1", length=len(_PLAIN)), "close"), sent(message())),
          results=("connection", "ok")),
    _recovered("error-in-200", "OpenRouter", "an error object in a 200", "http 200 with an error 429",
               {"error": {"code": 429, "message": "Rate limit exceeded", "metadata": {"provider_name": "P"}}}),
    _recovered("error-in-choice", "OpenRouter", "an error object in a choice", "http 200 with an error 502",
               {"choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "error",
                             "error": {"code": 502, "message": "Provider returned error"}}]}),
    _recovered("error-as-text", "local servers", "an error as a text in a 200", "http 200 with an error 503",
               {"error": "Loading model"}),
    _recovered("error-in-stream", "OpenRouter", "an error as the event of a stream", "http 200 with an error 503",
               b'data: {"error": {"code": 503, "message": "overloaded"}}\n\n'),
    Shape("wait-in-body", "Gemini", "429 in a list, with the time to wait in the body", "decision",
          (sent([{"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED",
                            "details": [{"@type": "RetryInfo", "retryDelay": "0.01s"}]}}], "429 Too Many Requests"),
           sent(message())), results=("http 429", "ok")),
)  # fmt: skip
