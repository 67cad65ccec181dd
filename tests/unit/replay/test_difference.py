import pytest

from llmctx.replay.answer import recorded_answer
from llmctx.replay.difference import cause_of_prompt, causes, changes, mismatch, mismatch_of_lines

from .cases import case

ANSWER = recorded_answer(case())


def why(**changed: object) -> list[str]:
    return [str(cause) for cause in causes(ANSWER, ANSWER._replace(**changed))]  # type: ignore[arg-type]


def test_equal_answers_have_no_cause_and_no_change() -> None:
    assert causes(ANSWER, ANSWER) == []
    assert changes(ANSWER, ANSWER) == []


def test_another_snapshot_is_blamed_on_the_data() -> None:
    assert why(snapshot="0" * 64)[0].startswith("data: the snapshot")


def test_another_template_is_blamed_on_the_template() -> None:
    changed = why(template="position/v2", template_sha256="f" * 64, messages=(("user", "other"),))
    assert changed == ["template: position/v1 became position/v2"]


def test_a_template_edited_in_place_is_blamed_on_the_template() -> None:
    assert why(template_sha256="f" * 64)[0].startswith("template: position/v1 was edited in place")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"requested": "b"}, "model: requested: asked-model became b"),
        ({"served": "b"}, "model: served: served-model became b"),
        ({"fingerprint": "fp_2"}, "model: fingerprint: fp_1 became fp_2"),
        ({"fingerprint": None}, "model: fingerprint: fp_1 became none"),
        ({"outcome": "refused", "kind": "failed"}, "model: outcome: answered became refused"),
        (
            {"parameters": {"temperature": "1"}},
            "model: parameters: {'max_completion_tokens': 1200, 'temperature': '0.0'} became {'temperature': '1'}",
        ),
    ],
)
def test_the_changed_property_of_the_model_is_named(changed: dict[str, object], expected: str) -> None:
    assert why(**changed) == [expected]


def test_another_requested_model_explains_another_served_model() -> None:
    assert why(requested="b", served="b-2026") == ["model: requested: asked-model became b"]


def test_all_changes_are_named() -> None:
    found = causes(ANSWER, ANSWER._replace(template_sha256="f" * 64, template="position/v2", requested="b"))
    assert [cause.by for cause in found] == ["template", "model"]


def test_another_rendering_of_the_same_data_and_template_is_blamed_on_the_code() -> None:
    assert why(messages=(("user", "other"),), code="llmctx 9")[0].startswith("code: ")


def test_another_answer_to_the_same_request_is_blamed_on_sampling() -> None:
    other = why(text="{}", decision={"action": "exit"}, verdict={"action": "exit"})
    assert other == ["model: sampling: the same request to the same model got another answer"]


def test_another_verdict_on_the_same_answer_is_blamed_on_the_code() -> None:
    assert why(verdict={"action": "exit"}, code="llmctx 9")[0].startswith("code: llmctx 0")
    assert why(verdict={"action": "exit"}) == ["code: the same answer led to another conclusion"]


def test_changes_are_named_by_field() -> None:
    other = ANSWER._replace(verdict=ANSWER.verdict | {"action": "exit"}, messages=())
    assert changes(ANSWER, other) == ["prompt", "verdict.action"]


SENT = (
    'You decide.\n## price: fresh, 0.0 s old\n- price.price.last: 152.5 [price]\n- sentiment: "calm"\nDecide at 10:15.'
)


@pytest.mark.parametrize(
    ("before", "after", "by"),
    [
        ("152.5", "151.5", "data"),
        ('"calm"', '"wild"', "data"),
        ('- sentiment: "calm"\n', "", "data"),
        ("fresh, 0.0 s old", "stale, 9 min 0 s old", "data"),
        ("at 10:15", "at 10:16", "data"),
        ("You decide.", "You judge.", "template"),
        ("Decide at", "Decide now, at", "template"),
        ("You decide.\n", "", "template"),
    ],
)
def test_values_are_blamed_on_the_data_and_words_on_the_template(before: str, after: str, by: str) -> None:
    assert SENT.count(before) == 1
    assert cause_of_prompt(SENT, SENT.replace(before, after)) == by


@pytest.mark.parametrize(
    ("found", "expected", "says"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, "x.a.c: the record has 2, its evidence yields 3"),
        ({"a": "old"}, {}, "x.a: the record has old, its evidence yields nothing"),
        (None, {"a": 1}, 'x: the record has nothing, its evidence yields {"a": 1}'),
        ([{"n": 1}, {"n": 2}], [{"n": 1}, {"n": 3}], "x[1].n: the record has 2, its evidence yields 3"),
        ([1], [1, "a"], "x[1]: the record has nothing, its evidence yields a"),
    ],
)
def test_the_first_differing_field_is_named_with_both_values(found: object, expected: object, says: str) -> None:
    assert mismatch("x", found, expected) == says


def test_a_long_value_is_shortened_with_its_length() -> None:
    assert mismatch("x", "a" * 500, "b") == f"x: the record has {'a' * 120}... (500 characters), its evidence yields b"


def test_the_first_differing_line_is_named() -> None:
    assert mismatch_of_lines("a\nb\nc", "a\nd\nc") == "line 2 was sent as b, its evidence yields d"
    assert mismatch_of_lines("a", "a\nb") == "line 2 was sent as nothing, its evidence yields b"
    assert mismatch_of_lines("a", "a") == "in their form, not in their words"
