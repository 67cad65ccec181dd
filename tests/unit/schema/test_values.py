import re
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from llmctx import canonical
from llmctx.schema import values
from llmctx.schema.keys import model_of
from tests.unit.context.scene import TEXTS

from .examples import EVERY, FIELDS, NUMBERS, TIMES, WORDS, Field, Path, at, changed, document, without

WHOLES: list[Field] = [(section, ()) for section in TEXTS]
OBJECTS = [(s, p) for s, p, v in FIELDS if isinstance(v, dict)] + [
    (section, ()) for section in TEXTS if isinstance(document(section), dict)
]  # fmt: skip
SIDE: Field = ("position", ("side",))
POSITIVES: list[Field] = [
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
NULLABLE: list[Field] = [
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
NEVER_NULL: list[Field] = [("price", ("price", "last")), SIDE, ("position", ("entry_time",)), ("price", ("timestamp",))]
HUGE = [canonical.loads(text) for text in (b"1e999", b"-1e31", b"1e-31", b"1e999999999999999999")]
SECTORS: Path = ("sector_performance",)

# What is refused: in which fields, which values, and with what message.
REFUSED: dict[str, tuple[list[Field], list[Any], str]] = {
    "what is not a number, where a number stands": (
        NUMBERS, ["150.25", "", True, [], {}], r"must be a .*number.*, not (a|an) (string|boolean|list|object)",
    ),
    "a huge exponent": (NUMBERS, HUGE, ""),
    "a number or an object, where a time stands": (
        TIMES, [1746778530, Decimal("1746778530.5"), True, [], {}], "^must be an ISO 8601 text such as",
    ),
    "a time without a zone": (TIMES, ["2025-05-09T08:15:30.123", "2025-05-09", "2025-05-09 08:15"], "has no zone"),
    "what is not a time, where a time stands": (
        TIMES, ["", "soon", "2025-13-01T00:00:00Z", "1746778530"], "^must be ISO 8601 with a zone",
    ),
    "what is not text, where text stands": (WORDS, [1, Decimal("1.5"), True, [], {}], ""),
    "a whole value of another type": (WHOLES, [0, "text", True, Decimal("1.5"), None], ""),
    "a price or quantity of 0 or below": (
        POSITIVES, [0, -1, Decimal("-0.01"), Decimal("0.00")], "^must be greater than 0$",
    ),
    "null, where there is always a value": (NEVER_NULL, [None], ""),
    "a side that is neither long nor short": ([SIDE], ["LONG", "buy", "", "both"], ""),
    "a sector without a number": ([("market", (*SECTORS, "energy"))], [None, "0.5", True], ""),
}  # fmt: skip


def problems(section: str, value: Any) -> dict[Path, str]:
    """The validation errors of a section's model for a value: path to message."""
    try:
        model_of(section).model_validate(value)
    except ValidationError as error:
        return {problem["loc"]: problem["msg"] for problem in error.errors()}
    return {}


def test_the_tables_are_filled() -> None:
    assert min(len(NUMBERS), len(TIMES), len(WORDS)) > 15


@pytest.mark.parametrize(("places", "bad", "message"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_and_the_field_is_named(places: list[Field], bad: list[Any], message: str) -> None:
    for section, path in places:
        for value in bad:
            found = problems(section, changed(section, path, value))
            assert list(found) == [path], f"{section} {path} {value!r}"
            assert re.search(message, found[path]), f"{section} {path} {value!r}"


def test_a_missing_field_is_named() -> None:
    for section, path in EVERY:
        assert problems(section, without(section, path)) == {path: "Field required"}, f"{section} {path}"


def test_null_stands_where_there_is_nothing_to_say() -> None:
    assert {field: problems(field[0], changed(*field, None)) for field in NULLABLE} == {field: {} for field in NULLABLE}


def test_an_example_of_the_document_is_accepted_as_it_stands() -> None:
    assert {section: problems(section, document(section)) for section in TEXTS} == {section: {} for section in TEXTS}


def test_an_example_is_accepted_by_pydantics_own_parser_too() -> None:
    for section in TEXTS:
        if not section.startswith("signals"):
            model = model_of(section)
            assert model.model_validate_json(TEXTS[section]) == model.model_validate(document(section)), section


def test_no_field_is_added_lost_or_altered_when_a_value_is_written_again() -> None:
    optional = (
        "side",
        "entry_price",
        "held",
        "awaits",
        "rest",
        "repeat_of",
        "stands_for",
    )  # those of 0.1.0 have none of them
    for section in TEXTS:
        value = model_of(section).model_validate(document(section))
        written = canonical.loads(value.model_dump_json().encode())
        assert written == (dict.fromkeys(optional) | document(section) if section == "thesis" else document(section)), (
            section
        )
        assert model_of(section).model_validate(written) == value, section


def test_a_number_in_an_unknown_field_is_written_as_a_number() -> None:
    value = values.Thesis.model_validate(document("thesis") | {"brand_new": Decimal("1.5")})
    assert canonical.loads(value.model_dump_json().encode())["brand_new"] == Decimal("1.5")


@pytest.mark.parametrize("unknown", [7, "text", None, True, [1, {"a": []}], {"deep": {"deeper": "x"}}])
def test_an_unknown_field_is_kept_as_it_is_in_every_object(unknown: Any) -> None:
    for section, path in OBJECTS:
        added = 7 if path == SECTORS else unknown  # sectors are free names with a number each
        altered = changed(section, path, at(document(section), path) | {"brand_new": added})
        written = canonical.loads(model_of(section).model_validate(altered).model_dump_json().encode())
        assert at(written, path)["brand_new"] == added, f"{section} {path}"


def test_an_unknown_field_of_a_headline_is_kept() -> None:
    altered = changed("sentiment", ("latest_news", 0, "author"), "R. Roe")
    assert values.Sentiment.model_validate(altered).latest_news[0].model_extra == {"author": "R. Roe"}


def test_an_unknown_field_of_a_candidate_is_kept() -> None:
    altered = changed("candidates", (0, "rank"), 1)
    assert values.Candidates.model_validate(altered).root[0].model_extra == {"rank": 1}


def test_a_value_cannot_be_altered() -> None:
    for section in TEXTS:
        value = model_of(section).model_validate(document(section))
        with pytest.raises(ValidationError, match="frozen"):
            setattr(value, next(iter(type(value).model_fields)), None)
