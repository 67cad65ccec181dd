import copy
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from llmctx import canonical, clock
from llmctx.schema import values
from llmctx.schema.fields import Count, Number, Positive, Timestamp
from llmctx.schema.keys import model_of
from tests.unit.context.scene import TEXTS

Path = tuple[str | int, ...]
NUMBER: TypeAdapter[Decimal] = TypeAdapter(Number)
POSITIVE: TypeAdapter[Decimal] = TypeAdapter(Positive)
COUNT: TypeAdapter[int] = TypeAdapter(Count)
TIMESTAMP: TypeAdapter[datetime] = TypeAdapter(Timestamp)

# What its writer names freely: there no name is required.
FREE = {("market", "sector_performance"), ("signals.entry", "indicators"), ("signals.exit", "indicators")}


def document(section: str) -> Any:
    return canonical.loads(TEXTS[section].encode())


def fields(section: str) -> Iterator[tuple[Path, Any]]:
    """Every named field of an example, with the way to it."""

    def walk(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
        if isinstance(value, dict):
            for name, inner in value.items():
                yield (*path, name), inner
                yield from walk(inner, (*path, name))
        elif isinstance(value, list):
            for i, inner in enumerate(value):
                yield from walk(inner, (*path, i))

    for path, value in walk(document(section), ()):
        if (section, path[0]) not in FREE or len(path) == 1:
            yield path, value


def at(root: Any, path: Path) -> Any:
    for part in path:
        root = root[part]
    return root


def changed(section: str, path: Path, value: Any) -> Any:
    altered = copy.deepcopy(document(section))
    at(altered, path[:-1])[path[-1]] = value
    return altered


def without(section: str, path: Path) -> Any:
    altered = copy.deepcopy(document(section))
    del at(altered, path[:-1])[path[-1]]
    return altered


def problems(section: str, value: Any) -> dict[Path, str]:
    """What a section's model has against a value: the way to each problem, and the message."""
    with pytest.raises(ValidationError) as caught:
        model_of(section).model_validate(value)
    return {error["loc"]: error["msg"] for error in caught.value.errors()}


def named(cases: list[tuple[str, Path]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("section", "path"), cases, ids=[f"{section}.{'.'.join(map(str, path))}" for section, path in cases]
    )


FIELDS = [(section, path, value) for section in TEXTS for path, value in fields(section)]
NUMBERS = [(s, p) for s, p, v in FIELDS if isinstance(v, Decimal | int) and not isinstance(v, bool)]
TIMES = [(s, p) for s, p, v in FIELDS if isinstance(v, str) and v.startswith("2025-")]
WORDS = [(s, p) for s, p, v in FIELDS if isinstance(v, str) and not v.startswith("2025-")]
ROUND_TRIPS = [section for section in TEXTS if not section.startswith("signals")]


def test_the_tables_are_filled() -> None:
    assert min(len(NUMBERS), len(TIMES), len(WORDS)) > 15


@pytest.mark.parametrize("section", TEXTS)
def test_an_example_of_the_document_is_accepted_as_it_stands(section: str) -> None:
    model_of(section).model_validate(document(section))


@pytest.mark.parametrize("section", ROUND_TRIPS)
def test_an_example_is_accepted_by_pydantics_own_parser_too(section: str) -> None:
    model = model_of(section)
    assert model.model_validate_json(TEXTS[section]) == model.model_validate(document(section))


@pytest.mark.parametrize("section", ROUND_TRIPS)
def test_what_is_written_again_says_the_same(section: str) -> None:
    value = model_of(section).model_validate(document(section))
    assert model_of(section).model_validate(canonical.loads(value.model_dump_json().encode())) == value


@pytest.mark.parametrize("section", ROUND_TRIPS)
def test_no_field_is_added_or_lost_when_it_is_written_again(section: str) -> None:
    value = model_of(section).model_validate(document(section))
    assert canonical.loads(value.model_dump_json().encode()) == document(section)


@pytest.mark.parametrize("section", sorted(set(TEXTS) - set(ROUND_TRIPS)))
def test_a_number_in_a_free_form_object_is_written_as_a_number(section: str) -> None:
    value = model_of(section).model_validate(document(section))
    assert canonical.loads(value.model_dump_json().encode()) == document(section)


def test_a_number_in_an_unknown_field_is_written_as_a_number() -> None:
    value = values.Thesis.model_validate(document("thesis") | {"brand_new": Decimal("1.5")})
    assert canonical.loads(value.model_dump_json().encode())["brand_new"] == Decimal("1.5")


@named([(section, path) for section, path, _ in FIELDS])
def test_a_field_that_is_left_out_is_named(section: str, path: Path) -> None:
    assert problems(section, without(section, path)) == {path: "Field required"}


@named([(section, path) for section, path, value in FIELDS if isinstance(value, dict)])
def test_an_unknown_field_inside_is_kept(section: str, path: Path) -> None:
    altered = changed(section, path, at(document(section), path) | {"brand_new": 7})
    written = canonical.loads(model_of(section).model_validate(altered).model_dump_json().encode())
    assert at(written, path)["brand_new"] == 7


@pytest.mark.parametrize("section", [section for section in TEXTS if isinstance(document(section), dict)])
@pytest.mark.parametrize("unknown", [7, "text", None, True, [1, {"a": []}], {"deep": {"deeper": "x"}}])
def test_an_unknown_field_is_kept_as_it_is(section: str, unknown: Any) -> None:
    value = model_of(section).model_validate(document(section) | {"brand_new": unknown})
    assert value.model_extra == {"brand_new": unknown}


@pytest.mark.parametrize("path", [("latest_news", 0)])
def test_an_unknown_field_of_a_headline_is_kept(path: Path) -> None:
    altered = changed("sentiment", path, at(document("sentiment"), path) | {"author": "R. Roe"})
    value = values.Sentiment.model_validate(altered)
    assert value.latest_news[0].model_extra == {"author": "R. Roe"}


def test_an_unknown_field_of_a_candidate_is_kept() -> None:
    altered = changed("candidates", (0,), document("candidates")[0] | {"rank": 1})
    assert values.Candidates.model_validate(altered).root[0].model_extra == {"rank": 1}


@named(NUMBERS)
@pytest.mark.parametrize("bad", ["150.25", "", True, [], {}])
def test_what_is_no_number_is_refused_where_a_number_stands(section: str, path: Path, bad: Any) -> None:
    found = problems(section, changed(section, path, bad))
    assert list(found) == [path]
    assert re.search(r"must be a .*number.*, not (a|an) (string|boolean|list|object)", found[path])


@named(NUMBERS)
@pytest.mark.parametrize("bad", ["1e999", "-1e31", "1e-31", "1e999999999999999999"])
def test_a_huge_exponent_is_refused(section: str, path: Path, bad: str) -> None:
    assert list(problems(section, changed(section, path, canonical.loads(bad.encode())))) == [path]


@named(TIMES)
@pytest.mark.parametrize("bad", [1746778530, Decimal("1746778530.5"), True, [], {}])
def test_a_number_is_refused_where_a_time_stands(section: str, path: Path, bad: Any) -> None:
    found = problems(section, changed(section, path, bad))
    assert list(found) == [path]
    assert found[path].startswith("must be an ISO 8601 text such as")


@named(TIMES)
@pytest.mark.parametrize("bad", ["2025-05-09T08:15:30.123", "2025-05-09", "2025-05-09 08:15"])
def test_a_time_without_a_zone_is_refused(section: str, path: Path, bad: str) -> None:
    found = problems(section, changed(section, path, bad))
    assert list(found) == [path]
    assert "has no zone" in found[path]


@named(TIMES)
@pytest.mark.parametrize("bad", ["", "soon", "2025-13-01T00:00:00Z", "1746778530"])
def test_what_is_no_time_is_refused_where_a_time_stands(section: str, path: Path, bad: str) -> None:
    found = problems(section, changed(section, path, bad))
    assert list(found) == [path]
    assert found[path].startswith("must be ISO 8601 with a zone")


@named(WORDS)
@pytest.mark.parametrize("bad", [1, Decimal("1.5"), True, [], {}])
def test_what_is_no_text_is_refused_where_a_text_stands(section: str, path: Path, bad: Any) -> None:
    assert problems(section, changed(section, path, bad)).keys() == {path}


@pytest.mark.parametrize("section", TEXTS)
@pytest.mark.parametrize("bad", [0, "text", True, Decimal("1.5"), None])
def test_a_whole_value_of_another_type_is_refused(section: str, bad: Any) -> None:
    assert list(problems(section, bad)) == [()]


@named(
    [
        ("price", ("price", "last")),
        ("price", ("price", "open")),
        ("price", ("price", "high")),
        ("price", ("price", "low")),
        ("candidates", (0, "price")),
        ("position", ("entry_price",)),
        ("position", ("current_price",)),
        ("position", ("quantity",)),
        ("position", ("stop_loss",)),
        ("position", ("take_profit",)),
        ("signals.entry", ("price",)),
    ]
)
@pytest.mark.parametrize("bad", [0, -1, Decimal("-0.01"), Decimal("0.00")])
def test_a_price_or_quantity_is_greater_than_0(section: str, path: Path, bad: Any) -> None:
    assert problems(section, changed(section, path, bad)) == {path: "must be greater than 0"}


@named(
    [
        ("indicators", ("rsi_14",)),
        ("indicators", ("macd_signal",)),
        ("sentiment", ("sentiment_score",)),
        ("sentiment", ("sentiment_label",)),
        ("position", ("stop_loss",)),
        ("position", ("take_profit",)),
        ("monitoring", ("technical_signals", "rsi_1m")),
        ("monitoring", ("profit_target",)),
        ("monitoring", ("stop_loss", "value")),
        ("system", ("last_scan_time",)),
        ("performance", ("win_rate",)),
        ("market", ("vix",)),
        ("thesis", ("quantity",)),
    ]
)
def test_where_there_is_nothing_to_say_null_stands(section: str, path: Path) -> None:
    model_of(section).model_validate(changed(section, path, None))


@named(
    [("price", ("price", "last")), ("position", ("side",)), ("position", ("entry_time",)), ("price", ("timestamp",))]
)
def test_null_is_refused_where_there_is_always_something_to_say(section: str, path: Path) -> None:
    assert problems(section, changed(section, path, None)).keys() == {path}


@pytest.mark.parametrize("side", ["LONG", "buy", "", "both"])
def test_a_position_is_long_or_short(side: str) -> None:
    assert list(problems("position", changed("position", ("side",), side))) == [("side",)]


@pytest.mark.parametrize("bad", [-1, 2**53, Decimal("2.0"), Decimal("2.5"), "2", True, None])
def test_a_count_is_a_whole_number_from_0_on(bad: Any) -> None:
    with pytest.raises(ValidationError, match="whole number from 0 on"):
        COUNT.validate_python(bad)


@pytest.mark.parametrize("sector", [None, "0.5", True])
def test_a_sector_without_a_number_is_named(sector: Any) -> None:
    assert list(problems("market", changed("market", ("sector_performance", "energy"), sector))) == [
        ("sector_performance", "energy")
    ]


@given(st.decimals(-(10**12), 10**12, places=4, allow_nan=False, allow_infinity=False))
def test_a_number_is_kept_to_the_last_digit(number: Decimal) -> None:
    assert str(NUMBER.validate_python(number)) == str(number)


@given(st.decimals(-(10**10), 10**10, places=4, allow_nan=False, allow_infinity=False))
def test_a_number_survives_being_written_and_read(number: Decimal) -> None:
    assert NUMBER.validate_python(canonical.loads(NUMBER.dump_json(number))) == number


@given(st.floats(1e-20, 1e20))
def test_a_float_is_taken_at_its_shortest_form(number: float) -> None:
    assert NUMBER.validate_python(number) == Decimal(repr(number))


@pytest.mark.parametrize("number", ["1e30", "-1e30", "1e-30", "0", "0.000", "-0.0"])
def test_numbers_up_to_the_limits_are_accepted(number: str) -> None:
    assert NUMBER.validate_python(Decimal(number)) == Decimal(number)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_float_that_is_no_number_is_refused(number: float) -> None:
    with pytest.raises(ValidationError):
        NUMBER.validate_python(number)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_decimal_that_is_no_number_is_refused(number: str) -> None:
    with pytest.raises(ValidationError):
        NUMBER.validate_python(Decimal(number))


@pytest.mark.parametrize("number", [b"0e-5000", b"0e5000", b"-0e-5000", b"0e-999999999999"])
def test_a_huge_exponent_of_a_zero_is_refused(number: bytes) -> None:
    with pytest.raises(ValidationError):
        NUMBER.validate_python(canonical.loads(number))


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(ValidationError):
        NUMBER.validate_python(canonical.loads(b"0." + b"1" * 5000))


@pytest.mark.parametrize("adapter", [NUMBER, POSITIVE, COUNT])
def test_an_integer_of_thousands_of_digits_is_refused(adapter: TypeAdapter[Any]) -> None:
    with pytest.raises(ValidationError):
        adapter.validate_python(10**4000)


@given(st.integers(-(10**12), 10**14))
def test_a_time_survives_being_written_and_read(ms: int) -> None:
    moment = clock.from_ms(ms)
    assert TIMESTAMP.validate_python(canonical.loads(TIMESTAMP.dump_json(moment))) == moment


def test_a_time_in_another_zone_is_the_same_moment() -> None:
    assert TIMESTAMP.validate_python("2025-05-09T10:15:30.123+02:00") == datetime(
        2025, 5, 9, 8, 15, 30, 123_000, tzinfo=UTC
    )


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"])
def test_a_time_that_leaves_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TIMESTAMP.validate_python(text)


def test_a_datetime_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError):
        TIMESTAMP.validate_python(datetime(2025, 5, 9))  # noqa: DTZ001  that is the claim


@pytest.mark.parametrize("section", TEXTS)
def test_a_value_cannot_be_altered(section: str) -> None:
    value = model_of(section).model_validate(document(section))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(value, next(iter(type(value).model_fields)), None)


# JSON Schemas, checked by hand: the few keywords that pydantic writes for these models, and no other.

_SAYS_NOTHING = {"title", "description", "unit", "shown", "$defs", "format"}


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


def schema_of(section: str) -> Any:
    model: type[BaseModel] = model_of(section)
    return model.model_json_schema()


@pytest.mark.parametrize("section", TEXTS)
def test_the_json_schema_accepts_the_example(section: str) -> None:
    schema = schema_of(section)
    assert fits(json.loads(TEXTS[section]), schema, schema)


@pytest.mark.parametrize("section", [section for section in TEXTS if isinstance(document(section), dict)])
def test_the_json_schema_accepts_unknown_fields(section: str) -> None:
    schema = schema_of(section)
    assert fits(json.loads(TEXTS[section]) | {"brand_new": {"a": 1}}, schema, schema)


@named([(section, path) for section, path, _ in FIELDS])
def test_the_json_schema_refuses_what_lacks_a_field(section: str, path: Path) -> None:
    schema = schema_of(section)
    assert not fits(without(section, path), schema, schema)


@named(NUMBERS + TIMES)
def test_the_json_schema_refuses_a_truth_where_a_number_or_a_time_stands(section: str, path: Path) -> None:
    schema = schema_of(section)
    altered = json.loads(TEXTS[section])
    at(altered, path[:-1])[path[-1]] = True
    assert not fits(altered, schema, schema)


@named(TIMES)
def test_the_json_schema_says_that_a_time_is_a_time(section: str, path: Path) -> None:
    schema = schema_of(section)
    model = schema
    for part in path:
        if "$ref" in model:
            model = schema["$defs"][model["$ref"].removeprefix("#/$defs/")]
        model = model["items"] if isinstance(part, int) else model["properties"][part]
    formats = {option.get("format") for option in model.get("anyOf", [model]) if option.get("type") != "null"}
    assert formats == {"date-time"}
