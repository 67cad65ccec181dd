from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from llmctx.decision.decision import OUTPUT, Action, Decision, Evidence
from tests.unit.makers import answer, decision


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON document."""
    if isinstance(schema, dict):
        yield schema
        for item in schema.values():
            yield from nodes(item)
    elif isinstance(schema, list):
        for item in schema:
            yield from nodes(item)


def objects() -> list[dict[str, Any]]:
    return [node for node in nodes(OUTPUT.schema) if node.get("type") == "object"]


def depth(schema: Any) -> int:
    """How many objects and arrays stand inside each other, definitions followed."""
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]
    inner += [schema["items"]] if "items" in schema else []
    own = 1 if schema.get("type") in ("object", "array") else 0
    return own + max((depth(item) for item in inner), default=0)


def test_the_output_bears_the_name_that_templates_ask_for() -> None:
    assert OUTPUT.name == "decision"


def test_the_schema_covers_every_field_of_the_value() -> None:
    assert OUTPUT.schema["properties"].keys() == Decision.model_fields.keys()
    assert OUTPUT.schema["properties"]["evidence"]["items"]["properties"].keys() == Evidence.model_fields.keys()


def test_there_are_two_objects_to_check() -> None:
    assert len(objects()) == 2


def test_every_property_of_every_object_is_required() -> None:
    for node in objects():
        assert sorted(node["required"]) == sorted(node["properties"])


def test_no_object_takes_other_properties() -> None:
    for node in objects():
        assert node["additionalProperties"] is False


def test_no_object_is_free_in_form() -> None:
    for node in objects():
        assert node["properties"]


def test_nothing_has_a_default() -> None:
    assert not [node for node in nodes(OUTPUT.schema) if "default" in node]


def test_only_keywords_that_strict_endpoints_take_are_used() -> None:
    allowed = {
        "additionalProperties", "anyOf", "description", "enum", "items", "properties",
        "required", "type",
    }  # fmt: skip
    schemas = objects()
    used = set().union(*schemas, *(item for schema in schemas for item in schema.get("properties", {}).values()))
    assert used <= allowed


def test_nothing_is_a_reference() -> None:
    assert [node for node in nodes(OUTPUT.schema) if "$ref" in node or "$defs" in node] == []


def test_nesting_stays_within_five_levels() -> None:
    assert depth(OUTPUT.schema) <= 5


def test_every_property_tells_the_model_what_it_is() -> None:
    for node in objects():
        for name, item in node["properties"].items():
            assert item.get("description"), name


def test_the_actions_are_those_of_the_value() -> None:
    assert OUTPUT.schema["properties"]["action"]["enum"] == [action.value for action in Action]


@pytest.mark.parametrize("name", ["quantity", "stop_loss", "take_profit"])
def test_what_an_action_does_not_need_may_be_null(name: str) -> None:
    assert OUTPUT.schema["properties"][name]["anyOf"] == [{"type": "number"}, {"type": "null"}]


def test_numbers_are_decimals_exactly_as_written() -> None:
    found = decision(action="reduce", quantity=Decimal("2.5"), confidence=Decimal("0.1"))
    assert (found.quantity, found.confidence) == (Decimal("2.5"), Decimal("0.1"))


@pytest.mark.parametrize("confidence", [0, 1, Decimal("0.5")])
def test_a_confidence_may_lie_on_its_limits(confidence: Decimal) -> None:
    assert decision(confidence=confidence).confidence == confidence


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3).filter(lambda value: not 0 <= value <= 1))
def test_a_confidence_outside_its_limits_is_refused(confidence: Decimal) -> None:
    with pytest.raises(ValidationError, match="confidence"):
        Decision.model_validate(answer(confidence=confidence))


@pytest.mark.parametrize("name", ["quantity", "stop_loss", "take_profit"])
@pytest.mark.parametrize("value", [0, -1, Decimal("1e31"), Decimal("1e-31")])
def test_an_amount_is_positive_and_of_a_believable_size(name: str, value: Decimal) -> None:
    with pytest.raises(ValidationError, match=name):
        Decision.model_validate(answer(**{name: value}))


@pytest.mark.parametrize("valid_for", [0, 1, 100_000])
def test_minutes_may_lie_on_their_limits(valid_for: int) -> None:
    assert decision(valid_for=valid_for).valid_for == valid_for


@pytest.mark.parametrize("valid_for", [-1, 100_001, Decimal("1.5"), True, None, "5"])
def test_minutes_are_whole_and_within_their_limits(valid_for: Any) -> None:
    with pytest.raises(ValidationError, match="valid_for"):
        Decision.model_validate(answer(valid_for=valid_for))


@pytest.mark.parametrize("action", ["reduce", "add"])
def test_an_action_on_a_part_needs_a_quantity(action: str) -> None:
    with pytest.raises(ValidationError, match=f"{action} needs a quantity"):
        Decision.model_validate(answer(action=action))


def test_moving_stops_needs_a_stop_or_a_target() -> None:
    with pytest.raises(ValidationError, match="adjust_stops needs a stop_loss or a take_profit"):
        Decision.model_validate(answer(action="adjust_stops"))


@pytest.mark.parametrize("name", ["stop_loss", "take_profit"])
def test_moving_one_of_the_stops_is_enough(name: str) -> None:
    assert decision(action="adjust_stops", **{name: 5}).action is Action.ADJUST_STOPS


def test_evidence_names_at_least_one_fact() -> None:
    with pytest.raises(ValidationError, match="evidence must name at least one fact"):
        Decision.model_validate(answer(evidence=[]))


@pytest.mark.parametrize("name", ["reasoning", "invalidation"])
@pytest.mark.parametrize("text", ["", " \n\t"])
def test_a_text_says_something(name: str, text: str) -> None:
    with pytest.raises(ValidationError, match=name):
        Decision.model_validate(answer(**{name: text}))


def test_a_decision_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        decision().confidence = Decimal(1)  # type: ignore[misc]  # the claim is that it fails
