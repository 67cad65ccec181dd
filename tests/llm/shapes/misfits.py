"""Shapes that hold an answer which is not the form asked for, or more than one: nothing is chosen or repaired."""

import json

from tests.llm.shapes.shape import TEXT, Shape, call, message, sent
from tests.unit.makers import answer, answer_text

_EXIT = answer_text(action="exit")
_LEFT_OUT = {name: value for name, value in answer().items() if value is not None}
_NO_JSON = "the answer is not one JSON text"


def _misfit(name: str, seen_at: str, what: str, document: object, says: str, *steps: str) -> Shape:
    return Shape(name, seen_at, what, "misfit", (sent(document),), steps, says)


MISFITS = (
    _misfit("prose", "small models", "no JSON at all", message("I would hold this position for now."), _NO_JSON),
    _misfit("prose-around", "small models", "words around a bare object",
            message(f"My decision is {TEXT} as of now."), _NO_JSON),
    _misfit("prose-behind", "small models", "words after the object", message(f"{TEXT}\n\nI hope this helps."), _NO_JSON),
    _misfit("two-objects", "small models", "two objects, one after the other", message(f"{TEXT}\n{_EXIT}"), _NO_JSON),
    _misfit("two-fences", "Anthropic", "two fenced blocks", message(f"```json\n{TEXT}\n```\nor\n```json\n{_EXIT}\n```"),
            _NO_JSON),
    _misfit("two-tool-calls", "every provider", "two calls with different arguments",
            message(None, tool_calls=[call(TEXT), call(_EXIT)], finish="tool_calls"), _NO_JSON, "several readings"),
    _misfit("text-against-tool-call", "proxies", "an object beside a call with another one",
            message(TEXT, tool_calls=[call(_EXIT)]), _NO_JSON, "several readings"),
    _misfit("unclosed-thought", "small models", "the reasoning never ends", message(f"<think>Perhaps {TEXT}"), _NO_JSON),
    _misfit("single-quotes", "small models", "Python's notation", message(TEXT.replace('"', "'")), _NO_JSON),
    _misfit("cut-json", "stop sequences", "the object does not end, and finish_reason is stop",
            message(TEXT[:-20]), _NO_JSON),
    _misfit("text-of-json", "small models", "the object as a JSON text", message(json.dumps(TEXT)), "valid dictionary"),
    _misfit("list-of-one", "small models", "the object in a list", message(f"[{TEXT}]"), "valid dictionary"),
    _misfit("upper-case", "small models", "HOLD instead of hold", message(answer_text(action="HOLD")), "action: "),
    _misfit("number-as-text", "small models", '"0.85" instead of 0.85', message(answer_text(confidence="0.85")),
            "confidence: must be a JSON number, not a string"),
    _misfit("percent", "small models", "85 instead of 0.85", message(answer_text(confidence=85)),
            "confidence: must lie between 0 and 1"),
    _misfit("nulls-left-out", "small models", "fields that are null are missing",
            message(json.dumps(_LEFT_OUT)), "quantity: Field required"),
    _misfit("more-in-the-answer", "small models", "an extra field of the model",
            message(answer_text(risk="low")), "risk: Extra inputs are not permitted"),
)  # fmt: skip
