from typing import Any

import pytest

from llmctx import canonical
from llmctx.decision.decision import OUTPUT, Decision
from llmctx.llm.form import brief, full
from llmctx.llm.mode import Mode
from llmctx.llm.output import OutputSchema
from tests.unit.decision.test_decision import nodes

BOUNDS = {"minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum"}


def test_the_bounds_are_in_the_bounded_schema_alone() -> None:
    assert set().union(*nodes(OUTPUT.bounded)) >= BOUNDS
    assert not set().union(*nodes(OUTPUT.schema)) & BOUNDS


def test_every_text_list_and_number_is_bounded() -> None:
    for node in nodes(OUTPUT.bounded):
        match node.get("type"):
            case "string" if "enum" not in node:
                assert 0 < node["maxLength"] < 2000  # llama.cpp refuses 2000 repetitions
            case "array":
                assert (node["minItems"], node["maxItems"]) == (1, 8)
            case "number" | "integer":
                assert "minimum" in node or "exclusiveMinimum" in node


def test_a_property_may_have_the_name_of_a_bound() -> None:
    schema = {"type": "object", "properties": {"minimum": {"type": "number", "minimum": 0}}}
    assert OutputSchema("probe", schema).schema == {"type": "object", "properties": {"minimum": {"type": "number"}}}


def test_the_example_fits_the_schema_that_it_explains() -> None:
    form = OUTPUT.asked(Mode.PROMPTED, "full").form
    example = form[form.index("{") :]
    assert Decision.model_validate(canonical.loads(example.encode())).action == "hold"


def test_the_full_form_states_every_bound() -> None:
    form = OUTPUT.asked(Mode.PROMPTED, "full").form
    for said in ("above 0", "from 0 to 1", "from 0 to 100000", "1 to 8 objects", "1 to 1000 characters", "or null"):
        assert said in form
    assert '"hold", "exit", "reduce", "add", "adjust_stops"' in form
    assert '  - "reading"' in form


def test_the_brief_form_names_every_field() -> None:
    form = brief(OUTPUT.bounded)
    assert "action, quantity, stop_loss" in form
    assert "each of evidence with path, value, reading" in form


def test_a_tool_is_named_where_it_is_to_be_called() -> None:
    assert "calling the tool `decision`" in OUTPUT.asked(Mode.TOOL).form
    assert "tool" not in OUTPUT.asked(Mode.JSON_OBJECT).form


@pytest.mark.parametrize("item", [{}, {"type": "object"}, {"type": "string"}, {"type": "array"}, {"type": "number"}])
def test_any_schema_can_be_described(item: dict[str, Any]) -> None:
    assert '- "x": a ' in full({"properties": {"x": item}}, None)


def test_every_variant_is_known_by_its_digest() -> None:
    for mode in Mode:
        assert canonical.sha256(OUTPUT.asked(mode, "full").bundle) in OUTPUT.variants
    assert OUTPUT.sha256 in OUTPUT.variants


def test_a_recorded_output_is_asked_for_with_the_form_that_it_had() -> None:
    recorded = OutputSchema("decision", OUTPUT.schema, form="As then.")
    assert {recorded.asked(mode).form for mode in Mode} == {"As then."}


def test_the_digest_of_an_output_covers_its_name_and_not_the_order_of_its_names() -> None:
    first, second = {"type": "object", "properties": {}}, {"properties": {}, "type": "object"}
    assert OutputSchema("a", first).sha256 == OutputSchema("a", second).sha256
    assert OutputSchema("a", first).sha256 != OutputSchema("b", first).sha256
