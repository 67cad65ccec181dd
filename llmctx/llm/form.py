"""A JSON schema in words, for the end of a prompt's system message.

It is a pure function of the schema, and so the same for every tick: providers can cache it with the text before it.
"""

import json
from collections.abc import Iterator
from typing import Any

_HEADING = "# The form of your answer"
_RULES = (
    "Every field is there, in this order, and no other. What does not apply is null, not left out. A number is written "
    'as a number (0.85), not as a text ("0.85").'
)


def brief(schema: dict[str, Any]) -> str:
    """Name the fields, for an endpoint that receives the schema itself."""
    names = ", ".join(schema["properties"])
    inner = [
        f"each of {name} with {', '.join(item['items']['properties'])}"
        for name, item in schema["properties"].items()
        if "properties" in item.get("items", {})
    ]
    listed = "; ".join([names, *inner])
    return f"{_HEADING}\n\nAnswer with one JSON object and nothing else. Its fields, in this order: {listed}."


def full(schema: dict[str, Any], example: dict[str, Any] | None, *, tool: str | None = None) -> str:
    """Describe every field with its type and bounds, and show an example.

    `tool` is the name of the tool that is to be called with the object.
    """
    first = (
        f"Answer by calling the tool `{tool}` once; its arguments are one JSON object with these fields:"
        if tool
        else "Answer with one JSON object and nothing else: no words around it, no code fence. Its fields:"
    )
    parts = [_HEADING, first, "\n".join(_fields(schema, "")), _RULES]
    if example is not None:
        shown = json.dumps(example, ensure_ascii=False, indent=1)
        parts.append(f"An example of the form as JSON. Its values are made up; take yours from the facts:\n\n{shown}")
    return "\n\n".join(parts)


def _fields(schema: dict[str, Any], indent: str) -> Iterator[str]:
    for name, item in schema["properties"].items():
        said = item.get("description", "")
        yield f'{indent}- "{name}": {_type(item)}.{f" {said}" if said else ""}'
        if "properties" in item.get("items", {}):
            yield from _fields(item["items"], indent + "  ")


def _type(item: dict[str, Any]) -> str:
    if "anyOf" in item:
        return ", or ".join(_type(one) for one in item["anyOf"])
    if "enum" in item:
        return "one of " + ", ".join(json.dumps(value) for value in item["enum"])
    match item.get("type"):
        case "null":
            return "null"
        case "number":
            return f"a number{_range(item)}"
        case "integer":
            return f"a whole number{_range(item)}"
        case "string":
            return f"a text{_count(item, 'Length', 'characters')}"
        case "array":
            what = "objects, each with the fields below" if "properties" in item.get("items", {}) else "items"
            return f"a list{_count(item, 'Items', what)}"
        case other:
            return f"a JSON {other or 'value'}"


def _range(item: dict[str, Any]) -> str:
    if "exclusiveMinimum" in item:
        return f" above {item['exclusiveMinimum']}"
    if "minimum" in item and "maximum" in item:
        return f" from {item['minimum']} to {item['maximum']}"
    return ""


def _count(item: dict[str, Any], what: str, unit: str) -> str:
    low, high = item.get(f"min{what}"), item.get(f"max{what}")
    if high is None:
        return f" of {unit}"
    return f" of {low} to {high} {unit}" if low else f" of at most {high} {unit}"
