import json
from typing import Any

from llmctx.schema.keys import model_of
from tests.unit.context.scene import TEXTS

from .examples import EVERY, NUMBERS, TIMES, Path, at, without

# A small JSON Schema validator for exactly the keywords that pydantic writes for these models.

_SAYS_NOTHING = {"title", "description", "unit", "shown", "optional", "$defs", "format"}


def fits(value: Any, schema: Any, root: Any) -> bool:
    """Whether a value fits a JSON Schema."""
    if isinstance(schema, bool):
        return schema
    return all(_holds(keyword, rule, value, schema, root) for keyword, rule in schema.items())


def _holds(keyword: str, rule: Any, value: Any, schema: Any, root: Any) -> bool:  # noqa: C901, PLR0911  a case each
    match keyword:
        case "type":
            return _is(value, rule)
        case "$ref":
            return fits(value, root["$defs"][rule.removeprefix("#/$defs/")], root)
        case "anyOf":
            return any(fits(value, option, root) for option in rule)
        case "enum":
            return value in rule
        case "required":
            return all(name in value for name in rule)
        case "properties":
            return all(fits(value[name], inner, root) for name, inner in rule.items() if name in value)
        case "additionalProperties":
            known = schema.get("properties", {})
            return all(fits(inner, rule, root) for name, inner in value.items() if name not in known)
        case "items":
            return all(fits(inner, rule, root) for inner in value)
        case "minimum":
            return bool(value >= rule)
        case "exclusiveMinimum":
            return isinstance(value, int | float) and value > rule
    if keyword not in _SAYS_NOTHING:
        raise AssertionError(f"this check does not know {keyword!r}")
    return True


def _is(value: Any, kind: str) -> bool:
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "null": type(None)}
    return isinstance(value, kinds[kind]) and not isinstance(value, bool)  # type: ignore[arg-type]  # types and a tuple


SCHEMAS = {section: model_of(section).model_json_schema() for section in TEXTS}


def accepted(section: str, value: Any) -> bool:
    return fits(value, SCHEMAS[section], SCHEMAS[section])


def test_the_json_schema_accepts_the_example_also_with_unknown_fields() -> None:
    for section, text in TEXTS.items():
        example = json.loads(text)
        assert accepted(section, example), section
        if isinstance(example, dict):
            assert accepted(section, example | {"brand_new": {"a": 1}}), section


def test_the_json_schema_refuses_what_lacks_a_field() -> None:
    assert not [field for field in EVERY if accepted(field[0], without(*field))]


def test_the_json_schema_refuses_a_boolean_for_a_number_or_time() -> None:
    for section, path in NUMBERS + TIMES:
        altered = json.loads(TEXTS[section])
        at(altered, path[:-1])[path[-1]] = True
        assert not accepted(section, altered), f"{section} {path}"


def test_the_json_schema_gives_times_the_date_time_format() -> None:
    assert {field: formats_of(*field) for field in TIMES} == {field: {"date-time"} for field in TIMES}


def formats_of(section: str, path: Path) -> set[str | None]:
    """The formats that a section's JSON Schema names for a field."""
    schema: Any = SCHEMAS[section]
    model = schema
    for part in path:
        if "$ref" in model:
            model = schema["$defs"][model["$ref"].removeprefix("#/$defs/")]
        model = model["items"] if isinstance(part, int) else model["properties"][part]
    return {option.get("format") for option in model.get("anyOf", [model]) if option.get("type") != "null"}
