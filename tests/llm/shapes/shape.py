"""A shape: what a server sends, and what must come of it."""

import json
from typing import Any, Literal, NamedTuple

from tests.unit.llm.wire import Answer, response
from tests.unit.makers import answer_text

TEXT = answer_text()
"""An answer that fits the schema: hold."""
JSON = "content-type: application/json"

Wanted = Literal[
    "decision", "misfit", "refused", "truncated", "filtered", "unreadable", "rejected", "unreachable", "timeout"
]


class Shape(NamedTuple):
    """One way in which an endpoint may answer."""

    name: str
    """Its name, and the first part of the path at which the server plays it."""
    seen_at: str
    """Where it is documented or was met."""
    what: str
    """What is unusual about it."""
    wanted: Wanted
    """What must come of it: a decision, a misfit, or the outcome of a call without an answer."""
    answers: tuple[Answer, ...]
    """What is sent for each request; the last one for all that follow."""
    steps: tuple[str, ...] = ()
    """Where the answer is taken from, beside the text of a plain message."""
    says: str = ""
    """What the reason must contain."""
    results: tuple[str, ...] = ("ok",)
    """The result of each attempt."""


def message(content: Any = TEXT, *, finish: Any = "stop", **fields: Any) -> dict[str, Any]:
    """A completion with one message, as a document."""
    said = {"role": "assistant", "content": content, **fields}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1764322000,
        "model": "served-model",
        "choices": [{"index": 0, "message": said, "finish_reason": finish}],
        "usage": {"prompt_tokens": 900, "completion_tokens": 120, "total_tokens": 1020},
    }


def call(arguments: Any = TEXT) -> dict[str, Any]:
    """A tool call with these arguments."""
    return {"id": "call_1", "type": "function", "function": {"name": "decision", "arguments": arguments}}


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    """One event of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    document = {"id": "c-1", "object": "chat.completion.chunk", "model": "served-model", "choices": [choice]}
    return b"data: %b\n\n" % json.dumps(document).encode()


def sent(document: Any, status: str = "200 OK", *headers: str) -> Answer:
    """A response with this document, or these bytes, as its body."""
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Answer(response(raw, status, *(headers or (JSON,))))


def error(status: str, said: Any, *headers: str) -> Answer:
    """A response with an error, after which no time need be waited."""
    return sent(said if isinstance(said, bytes) else {"error": said}, status, JSON, "retry-after-ms: 1", *headers)
