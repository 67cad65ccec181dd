import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.decision.decision import Decision
from llmctx.decision.parse import Misfit, parse
from tests.unit.makers import answer, answer_text

WHOLE = answer_text()


def reason(content: str) -> str:
    found = parse(content)
    assert isinstance(found, Misfit), "it was taken for a decision"
    return found.reason


def test_an_answer_that_fits_is_a_decision() -> None:
    found = parse(WHOLE)
    assert isinstance(found, Decision)
    assert (found.action, found.confidence, found.valid_for) == ("hold", Decimal("0.8"), 5)


def test_space_around_the_answer_is_no_misfit() -> None:
    assert isinstance(parse(f"\n  {WHOLE}\n"), Decision)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "I would hold this position for now.",
        f"```json\n{WHOLE}\n```",
        f"```\n{WHOLE}\n```",
        f"Here is my decision: {WHOLE}",
        f"{WHOLE}\nI hope this helps.",
        f"{WHOLE}{WHOLE}",
        WHOLE[:-1],
        WHOLE[:-1] + ",}",
        WHOLE.replace('"', "'"),
        WHOLE.replace("null", "None"),
        "// a comment\n" + WHOLE,
        "\ufeff" + WHOLE,
        "[" * 100_000,
        WHOLE.replace("Nothing", "\ud800"),
        WHOLE.replace("Nothing", "\\ud800"),
        WHOLE.replace("Nothing", "a\nline"),
    ],
)
def test_what_is_not_one_json_text_is_never_repaired(content: str) -> None:
    assert reason(content).startswith("the answer is not one JSON text: ")


@pytest.mark.parametrize("name", answer())
def test_a_duplicate_key_makes_the_answer_no_json_and_is_named(name: str) -> None:
    again = json.dumps(answer()[name])
    assert name in reason(WHOLE[:-1] + f', "{name}": {again}}}')


def test_a_duplicate_key_inside_the_evidence_is_found() -> None:
    assert "path" in reason(WHOLE.replace('"path":', '"path":"other","path":'))


@pytest.mark.parametrize("name", ["confidence", "quantity", "stop_loss", "take_profit", "valid_for"])
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "nan", "+1", "01", ".5", "5.", "0x1", "1_0"])
def test_what_is_no_json_number_makes_the_answer_no_json(name: str, number: str) -> None:
    content = json.dumps(answer() | {name: "HERE"}).replace('"HERE"', number)
    assert reason(content).startswith("the answer is not one JSON text: ")


@pytest.mark.parametrize("name", answer())
def test_a_missing_field_is_named(name: str) -> None:
    document = answer()
    del document[name]
    assert reason(json.dumps(document)) == f"{name}: Field required"


@pytest.mark.parametrize("name", ["path", "value", "reading"])
def test_a_missing_field_of_the_evidence_is_named(name: str) -> None:
    document = answer()
    del document["evidence"][0][name]
    assert reason(json.dumps(document)) == f"evidence.0.{name}: Field required"


def test_an_extra_field_is_named_and_not_dropped() -> None:
    assert reason(answer_text(comment="x")) == "comment: Extra inputs are not permitted"


def test_an_extra_field_of_the_evidence_is_named() -> None:
    document = answer()
    document["evidence"][0]["weight"] = 1
    assert reason(json.dumps(document)) == "evidence.0.weight: Extra inputs are not permitted"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("action", "HOLD"),
        ("action", "sell"),
        ("action", " hold"),
        ("action", None),
        ("action", 1),
        ("quantity", "5"),
        ("quantity", True),
        ("quantity", []),
        ("quantity", 0),
        ("quantity", -5),
        ("stop_loss", "145"),
        ("stop_loss", 0),
        ("stop_loss", {}),
        ("take_profit", "160"),
        ("take_profit", -1),
        ("confidence", "0.8"),
        ("confidence", "high"),
        ("confidence", None),
        ("confidence", 80),
        ("confidence", -0.1),
        ("confidence", 1.01),
        ("confidence", True),
        ("reasoning", None),
        ("reasoning", ""),
        ("reasoning", 5),
        ("reasoning", ["because"]),
        ("evidence", None),
        ("evidence", {}),
        ("evidence", "price.price.last"),
        ("evidence", ["price.price.last"]),
        ("evidence", [{"path": "price.price.last", "value": True, "reading": "a truth"}]),
        ("evidence", [{"path": "", "value": "1", "reading": "no path"}]),
        ("invalidation", None),
        ("invalidation", " "),
        ("valid_for", "5"),
        ("valid_for", 5.5),
        ("valid_for", -1),
        ("valid_for", 10**20),
        ("valid_for", None),
    ],
)
def test_a_field_that_does_not_fit_is_named_and_never_converted(name: str, value: Any) -> None:
    assert reason(json.dumps(answer() | {name: value})).startswith((f"{name}: ", f"{name}.0"))


@pytest.mark.parametrize(("written", "minutes"), [("30.0", 30), ("3e1", 30), ("0.0", 0)])
def test_a_whole_number_of_minutes_has_more_than_one_form(written: str, minutes: int) -> None:
    found = parse(WHOLE.replace('"valid_for":5', f'"valid_for":{written}'))
    assert isinstance(found, Decision)
    assert found.valid_for == minutes


@pytest.mark.parametrize(("written", "value"), [("152.50", "152.50"), ("7", "7"), ("1e3", "1000")])
def test_a_number_as_the_value_of_a_fact_is_its_text(written: str, value: str) -> None:
    found = parse(WHOLE.replace('"value":"152.5"', f'"value":{written}'))
    assert isinstance(found, Decision)
    assert found.evidence[0].value == value


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("1e1000000 as the value of a fact", WHOLE.replace('"value":"152.5"', '"value":1e1000000')),
        ("1e400 as confidence", WHOLE.replace("0.8", "1e400")),
        ("a number below every price", answer_text(action="reduce", quantity=1).replace(":1,", ":1e-400,")),
    ],
)
def test_a_number_beyond_all_measure_is_a_misfit(name: str, content: str) -> None:
    assert content != WHOLE, name
    assert "is beyond 1e30 or below 1e-30" in reason(content)


def test_a_zero_of_a_million_digits_is_a_misfit() -> None:
    assert isinstance(parse(WHOLE.replace("0.8", "0e-1000000")), Misfit)


@pytest.mark.parametrize("content", ["null", "[]", '"hold"', "5", "true", f"[{WHOLE}]"])
def test_json_that_is_no_object_is_a_misfit(content: str) -> None:
    assert "valid dictionary" in reason(content)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"action": "reduce"}, "reduce needs a quantity"),
        ({"action": "add"}, "add needs a quantity"),
        ({"action": "adjust_stops"}, "adjust_stops needs a stop_loss or a take_profit"),
        ({"evidence": []}, "evidence must name at least one fact"),
    ],
)
def test_an_answer_that_contradicts_itself_says_where(changes: dict[str, Any], text: str) -> None:
    assert reason(answer_text(**changes)) == text


def test_several_misfits_are_all_named() -> None:
    assert reason(answer_text(action="sell", confidence=2)).startswith("action: ")
    assert "; confidence: must lie between 0 and 1" in reason(answer_text(action="sell", confidence=2))


def test_no_more_than_five_misfits_are_told() -> None:
    assert reason("{}").count("; ") == 4


def test_a_decision_needs_no_quantity_to_hold_or_exit() -> None:
    assert isinstance(parse(answer_text(action="exit")), Decision)


@given(st.text(max_size=50))
def test_no_text_makes_parsing_fail(content: str) -> None:
    assert isinstance(parse(content), Misfit)


@given(st.integers(0, len(WHOLE)), st.sampled_from('"{}[],:0 \\x'))
def test_one_character_too_many_never_makes_parsing_fail(at: int, character: str) -> None:
    found = parse(WHOLE[:at] + character + WHOLE[at:])
    assert isinstance(found, Misfit) or found.action == "hold"


prices = st.decimals("0.0001", "1000000", places=4)


@given(
    quantity=prices,
    stop_loss=st.none() | prices,
    take_profit=st.none() | prices,
    confidence=st.decimals(0, 1, places=3),
    reasoning=st.text(min_size=1).filter(lambda text: bool(text.strip())),
    valid_for=st.integers(0, 100_000),
)
def test_what_was_written_is_what_is_read(
    quantity: Decimal,
    stop_loss: Decimal | None,
    take_profit: Decimal | None,
    confidence: Decimal,
    reasoning: str,
    valid_for: int,
) -> None:
    said = {
        "action": "reduce",
        "quantity": quantity,
        "stop_loss": stop_loss,
        "take_profit": take_profit,
        "confidence": confidence,
        "reasoning": reasoning,
        "valid_for": valid_for,
    }
    found = parse(answer_text(**said))
    assert isinstance(found, Decision)
    assert found.model_dump(include=set(said)) == said
