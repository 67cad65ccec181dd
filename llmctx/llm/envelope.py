"""The response as one JSON value, however its bytes arrived.

A body in the plain form is parsed strictly and at once. Any other is unwrapped by the steps below, each with a name
that the record keeps. A name that occurs twice with different values, NaN, and bytes that are not UTF-8 do no harm in
parts that nobody reads; in a part that is read they are an error.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from llmctx import canonical

BYTE_ORDER_MARK = "without a byte order mark"
COMMENTS = "without keep-alive comments"
EVENT_STREAM = "event stream"
LENIENT = "lenient JSON"

_BOM = "\ufeff"
_COMMENTS = re.compile(r"\s*(?::[^\r\n]*(?:\r\n|\r|\n|\Z)\s*)+")
_FIELD = re.compile(r"\s*(?:data|event|id|retry):")
_LINES = re.compile(r"\r\n|\r|\n")
_DONE = "[DONE]"
_GROWS = ("content", "refusal", "arguments")  # texts that arrive in pieces; for any other field the last piece wins


class _Twice:
    """Marks a value that occurs twice with different contents."""

    def __getitem__(self, _: object) -> Any:
        raise ValueError("it says two different things under one name")

    get = __getitem__


_TWICE = _Twice()


def read_envelope(body: bytes) -> tuple[Any, tuple[str, ...]]:
    """Return the JSON value of a response's body, and the steps it took; of an event stream the completion that its
    events amount to.

    Raises ValueError, TypeError or AttributeError if it is neither a JSON text nor a stream of them.
    """
    try:
        return canonical.loads(body), ()
    except ValueError as error:
        why = str(error)
    text, steps = body.decode("utf-8", "surrogateescape"), []
    if text.startswith(_BOM):
        text = text[1:]
        steps.append(BYTE_ORDER_MARK)
    if comments := _COMMENTS.match(text):
        text = text[comments.end() :]
        steps.append(COMMENTS)
    streamed = _FIELD.match(text) is not None
    events = list(_events(text)) if streamed else [text]
    documents = [_parse(event, why) for event in events if event != _DONE]
    if streamed:
        steps.append(EVENT_STREAM)
    if any(lenient for _, lenient in documents):
        steps.append(LENIENT)
    values = [value for value, _ in documents]
    return _joined(values, done=_DONE in events) if streamed else values[0], tuple(steps)


def field(mapping: dict[str, Any], name: str) -> Any:
    """The value of a name; None if it is missing. Raises ValueError if the name occurs twice, with different values."""
    value = mapping.get(name)
    if value is _TWICE:
        raise ValueError(f"it says two different things under the name {name}")
    return value


def _parse(text: str, why: str) -> tuple[Any, bool]:
    """A JSON text, and whether only a lenient parser takes it."""
    try:
        return canonical.loads(text.encode()), False
    except ValueError:
        pass
    try:
        return json.loads(text, object_pairs_hook=_object, parse_float=Decimal), True
    except (ValueError, RecursionError):
        raise ValueError(why) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found[name] = _TWICE if name in found and found[name] != value else value
    return found


def _events(text: str) -> Iterator[str]:
    """The data of each event. Source: WHATWG HTML, server-sent events, 9.2.6."""
    lines: list[str] = []
    for line in (*_LINES.split(text), ""):
        if line.startswith("data:"):
            lines.append(line[5:].removeprefix(" "))
        elif not line and lines:
            yield "\n".join(lines)
            lines = []


def _joined(chunks: list[Any], *, done: bool) -> dict[str, Any]:
    """The completion that a stream of chunks amounts to."""
    whole: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        whole |= {name: value for name, value in chunk.items() if name != "choices" and value is not None}
        for choice in field(chunk, "choices") or ():
            into = choices.setdefault(choice.get("index") or 0, {"message": {}})
            _merge(into["message"], field(choice, "delta") or field(choice, "message") or {})
            into |= {name: value for name, value in choice.items() if name == "finish_reason" and value is not None}
    if choices and not done and not all("finish_reason" in choice for choice in choices.values()):
        raise ValueError("the event stream ends before the answer does")
    return whole | {"choices": [_complete(choices[index]) for index in sorted(choices)]}


def _complete(choice: dict[str, Any]) -> dict[str, Any]:
    """A choice whose last piece has arrived: its tool calls as a list."""
    message = choice["message"]
    return choice | {"message": message | {"tool_calls": list(message.get("tool_calls", {}).values())}}


def _merge(message: dict[str, Any], delta: dict[str, Any]) -> None:
    """Add a piece of a message to the pieces before it."""
    for name, value in delta.items():
        before = message.get(name)
        if value is None:
            continue
        if name == "tool_calls":
            calls = message.setdefault(name, {})
            for place, call in enumerate(value):
                _merge(calls.setdefault(call.get("index", place), {}), call)
        elif isinstance(before, dict) and isinstance(value, dict):
            _merge(before, value)
        elif name in _GROWS and isinstance(before, str) and isinstance(value, str):
            message[name] = before + value
        elif name in _GROWS and isinstance(before, str | list) and isinstance(value, str | list):
            message[name] = [*_listed(before), *_listed(value)]
        else:
            message[name] = value


def _listed(value: str | list[Any]) -> list[Any]:
    return value if isinstance(value, list) else [value]
