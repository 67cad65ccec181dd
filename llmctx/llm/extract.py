"""The one text of a response that claims to be the answer.

The envelope is read leniently, the answer strictly: a step unwraps a text and never changes one. Each is deterministic,
has a name that the record keeps, and is taken only where it leaves a single reading. Of several different readings all
are returned, one below the other, which is not one JSON text. A message whose text begins with { takes no step.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from llmctx import canonical
from llmctx.llm.envelope import BYTE_ORDER_MARK, field
from llmctx.llm.native.response import read_document

TEXT_PARTS = "text parts"
OBJECT = "JSON object"
AFTER_REASONING = "after the reasoning"
FENCED_BLOCK = "fenced block"
TOOL_CALL = "tool call"
SEVERAL = "several readings"

_TEXT_TYPES = ("text", "output_text")
_BLANKS = " \t\r\n\ufeff"
_FENCE = "```"
_LANGUAGE = re.compile(r"\A[\w.+-]*\s*")
_ANSWER_BEGINS = re.compile(rf"\s*(?:\{{|{_FENCE})")
_REASONING_ENDS = re.compile(
    r"</(?:think|thinking|reasoning|thought|seed:think)>|\[/THINK\]|◁/think▷"
    # Harmony, the format of gpt-oss, on servers that pass on its channels.
    r"|<\|channel\|>final(?: [^<]*)?<\|message\|>"
)

UNREADABLE = (ValueError, KeyError, IndexError, TypeError, AttributeError)
"""The errors that reading a malformed completion may raise."""


Extract = tuple[str | None, tuple[str, ...]]
"""The text that claims to be the answer, None if there is none, and the steps by which it was reached."""


def extract(choices: list[dict[str, Any]]) -> Extract:
    """Return the answer's text of a completion with these choices.

    Raises one of UNREADABLE if a choice has no message, a name that matters stands there twice, or the text is not
    UTF-8.
    """
    message = choices[0]["message"]
    content = message.get("content")
    if type(content) is str and content[:1] == "{" and len(choices) == 1 and not _has_calls(message):
        if not content.isascii():
            content.encode()  # it may hold a lone surrogate
        return content, ()
    found = [reading for choice in choices for reading in _readings(choice["message"])]
    readings = {text.strip(): (text, steps) for text, steps in found if text.strip()}
    "".join(readings).encode()
    if len(readings) > 1:
        return "\n".join(readings), (SEVERAL,)
    return next(iter(readings.values()), (None, ()))


def text_in(body: bytes) -> str | None:
    """The answer's text in the body of a response, whatever the call's outcome; None if there is none."""
    try:
        return extract(read_document(body)[0]["choices"])[0]
    except UNREADABLE:
        return None


def is_object(text: str) -> bool:
    """Whether a text is one complete JSON object."""
    try:
        return isinstance(canonical.loads(text.encode()), dict)
    except ValueError:
        return False


def _has_calls(message: dict[str, Any]) -> bool:
    return bool(message.get("tool_calls") or message.get("function_call"))


def _readings(message: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every text of a message that may be the answer: what it says, unless that is prose beside a call; each call."""
    text, steps = _said(field(message, "content"))
    said, unwrapping = unwrap(text)
    calls = [_text_of(arguments) for arguments in _arguments(message)] if _has_calls(message) else []
    if not calls or said.startswith("{"):
        yield said, steps + unwrapping
    for call in calls:
        yield call, (TOOL_CALL,)


def _said(content: Any) -> tuple[str, tuple[str, ...]]:
    """What the content of a message says, and the step it takes to have it as one text."""
    match content:
        case str():
            return content, ()
        case {"text": str(text)}:
            return text, (TEXT_PARTS,)
        case dict() if content:
            return _text_of(content), (OBJECT,)
        case list():
            return "".join(_part(part) for part in content), (TEXT_PARTS,)
    return "", ()


def _part(part: Any) -> str:
    """The text of one part of a content; empty for reasoning, references and the like."""
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and part.get("type", "text") in _TEXT_TYPES:
        return field(part, "text") or ""
    return ""


def _arguments(message: dict[str, Any]) -> Iterator[Any]:
    """The arguments of each call of a tool or, in the older form, of a function."""
    for call in field(message, "tool_calls") or ():
        yield field(field(call, "function"), "arguments")
    if (call := field(message, "function_call")) is not None:
        yield field(call, "arguments")


def _text_of(value: Any) -> str:
    """A text, or the JSON text of an object that came in its place; its numbers keep every digit."""
    if isinstance(value, str):
        return value
    return _json(value) if isinstance(value, dict) else ""


def _json(value: Any) -> str:
    match value:
        case dict():
            members = (f"{json.dumps(name)}:{_json(field(value, name))}" for name in value)
            return "{" + ",".join(members) + "}"
        case list():
            return "[" + ",".join(map(_json, value)) + "]"
        case Decimal():
            return str(value)
    return json.dumps(value)


def unwrap(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a text without reasoning before it and a fence around it, and the steps taken."""
    rest, steps = text.strip(_BLANKS), []
    if rest.startswith("{"):
        return (rest, (BYTE_ORDER_MARK,)) if "\ufeff" in text[: text.index("{")] else (text, ())
    if not rest.startswith(_FENCE):
        ends = list(_REASONING_ENDS.finditer(rest))
        if ends:
            end = next((end for end in ends if _ANSWER_BEGINS.match(rest, end.end())), ends[-1])
            rest = rest[end.end() :].strip()
            steps.append(AFTER_REASONING)
    inside = _fenced(rest)
    if inside is not None:
        rest = inside
        steps.append(FENCED_BLOCK)
    return (rest, tuple(steps)) if steps else (text, ())


def _fenced(text: str) -> str | None:
    """The inside of a text's only fenced block, if it begins like JSON and nothing outside it does."""
    before, _, rest = text.partition(_FENCE)
    inside, _, after = rest.partition(_FENCE)
    if _FENCE in after or "{" in before or "{" in after:
        return None
    inside = _LANGUAGE.sub("", inside).strip()
    return inside if inside.startswith("{") else None
