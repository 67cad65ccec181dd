import pytest

from llmctx.replay.difference import mismatch, mismatch_of_lines


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
