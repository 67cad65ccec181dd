"""Keys of an existing system become the sections of a package."""

import json
import tomllib
from decimal import Decimal
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from llmctx import canonical
from llmctx.schema.mapping.document import hash_as_json
from llmctx.schema.mapping.rule import SectionRule
from llmctx.schema.mapping.sections import Sections
from tests.unit.makers import NOW, NOW_MS

_RULES = TypeAdapter(dict[str, SectionRule])


def sections(toml: str) -> Sections:
    return Sections(_RULES.validate_python(tomllib.loads(toml)["sections"]))


BOT = """
[sections.position]
key = "bot:pos:{symbol_lower}"
kind = "hash"
max_age_s = 60
[sections.position.fields]
entry_price = "avgPx"
current_price = "mark"
quantity = { path = "lots", factor = 100 }
side = { path = "dir", words = { "1" = "long", "-1" = "short" } }
entry_time = { path = "opened", epoch = "s" }
unrealized_pnl = "upl"
unrealized_pnl_pct = { path = "ratio", factor = 100 }
stop_loss = "sl"
last_update = { path = "ts", epoch = "ms" }
leverage = { constant = 3 }

[sections.price]
key = "tick:{symbol}"
[sections.price.fields]
"price.last" = "data[0].c"
"price.open" = "data[0].o"
"price.high" = "max_by(data, &to_number(h)).h"
"price.low" = "data[0].l"
"price.volume" = { path = "data[0].v" }
timestamp = { path = "data[0].t", epoch = "ns" }

[sections.sentiment]
key = "news"
kind = "hash"
field = "{symbol}"
[sections.sentiment.fields]
sentiment_score = "mood"
news_count = "length(items)"
timestamp = "at"
[sections.sentiment.fields.latest_news]
path = "items"
each = { headline = "title", timestamp = { path = "t", epoch = "s" } }
"""
BOT_SECTIONS = sections(BOT)
HASH = {
    "avgPx": "150.5", "mark": "151", "lots": "0.1", "dir": "-1", "opened": "1746783932", "upl": "-5e-1", "ratio": "-0.0033",
    "sl": "0", "ts": str(NOW_MS), "note": "x",
}  # fmt: skip


def document(section: str, raw: Any, rules: Sections = BOT_SECTIONS) -> Any:
    raw = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
    return rules.document(section, raw, "BTC-USD")


def test_a_hash_becomes_the_document_of_its_section() -> None:
    value = BOT_SECTIONS.model_of("position").model_validate(document("position", HASH))
    assert json.loads(value.model_dump_json()) == {
        "symbol": "BTC-USD", "entry_price": 150.5, "current_price": 151, "quantity": 10, "side": "short",
        "entry_time": "2025-05-09T09:45:32.000Z", "unrealized_pnl": -0.5, "unrealized_pnl_pct": -0.33,
        "stop_loss": None, "take_profit": None, "last_update": NOW, "leverage": 3,
    }  # fmt: skip


def test_a_jmespath_expression_reaches_what_a_plain_path_does_not() -> None:
    raw = {"data": [{"c": 1, "o": "2", "h": "3", "l": 1, "v": 7, "t": NOW_MS * 1_000_000}, {"h": "5"}]}
    price = document("price", raw)["price"]
    assert price == {"last": 1, "open": 2, "high": 5, "low": 1, "volume": 7}


def test_each_item_of_a_list_is_mapped() -> None:
    found = document("sentiment", {"items": [{"title": "Up", "t": 1746783932}], "mood": "0.5", "at": NOW})
    value: Any = BOT_SECTIONS.model_of("sentiment").model_validate(found)
    assert (value.latest_news[0].headline, value.latest_news[0].url) == ("Up", None)
    assert (value.sentiment_score, value.news_count) == (Decimal("0.5"), 1)


@pytest.mark.parametrize(
    ("name", "written", "read"),
    [
        ("side", "LONG", "long"), ("side", "Buy", "long"), ("side", " Short ", "short"), ("side", "flat", "flat"),
        ("stop_loss", 0, None), ("stop_loss", "", None), ("stop_loss", "0.00", None), ("stop_loss", "None", None),
        ("stop_loss", "145.5", Decimal("145.5")), ("quantity", "1e2", 100), ("quantity", "ten", "ten"),
        ("quantity", "1,000", "1,000"),
    ],
)  # fmt: skip
def test_values_are_read_as_people_write_them(name: str, written: Any, read: Any) -> None:
    rules = sections("[sections.position]\nmax_age_s = 5")
    assert document("position", {name: written}, rules)[name] == read


def test_numbers_as_text_are_read_only_in_mapped_sections() -> None:
    assert document("indicators", {"rsi_14": "61"}, sections("[sections.indicators]"))["rsi_14"] == 61


def test_the_keys_are_those_of_the_rules_and_else_the_schemas() -> None:
    keys = BOT_SECTIONS.keys("BTC-USD", ("entry",), 0)
    assert keys["position"] == "bot:pos:btc-usd"
    assert keys["sentiment"] == "news[BTC-USD]"
    assert keys["market"] == "context:market"
    assert BOT_SECTIONS.family("position").parts_of("bot:pos:btc-usd") == {"symbol": "BTC-USD"}


def test_rules_and_their_blob_are_the_same() -> None:
    again = Sections.parse(BOT_SECTIONS.blob)
    assert (again, again.sha256, again.blob) == (BOT_SECTIONS, BOT_SECTIONS.sha256, BOT_SECTIONS.blob)
    assert document("position", HASH, again) == document("position", HASH)


def test_a_hash_has_one_form_whatever_the_order_of_its_fields() -> None:
    pairs = [(b"b", b"\xff\x00"), (b"a", '"é"'.encode())]
    assert hash_as_json(pairs) == hash_as_json(reversed(pairs)) == '{"a":"\\"é\\"","b":{"base64":"/wA="}}'.encode()
    assert canonical.loads(hash_as_json(pairs))["a"] == '"é"'


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ('[sections.position]\nkey = "pos"', "position: its key, or its field, must hold {symbol}"),
        ('[sections.position]\nkey = "pos:{sym}"', "may hold the placeholders"),
        ('[sections.position]\nkey = "pos:*:{symbol}"', "may hold the placeholders"),
        ('[sections.price]\nfield = "x"', 'need kind = "hash"'),
        ('[sections.price.fields]\ntimestamp = "a.[b"', "is not a JMESPath expression"),
        ('[sections.price.fields]\ntimestamp = { epoch = "s" }', "give either a path, a constant or first_seen = true"),
        (
            '[sections.price]\nkey = "p:{symbol}"\nkind = "json"',
            "RedisJSON keys are not read; keep the JSON in a string",
        ),
        ('[sections.funding]\nkey = "f:{symbol}"', "funding: a section of one's own needs `key`, `schema` and `says`"),
        ('[sections.Funding]\nkey = "f:{symbol}"', "Funding: a section's name"),
    ],
)
def test_a_rule_that_does_not_suit_is_refused_with_its_reason(toml: str, told: str) -> None:
    with pytest.raises(
        (ValueError, ValidationError), match=told.replace("{", r"\{").replace("(", r"\(").replace("*", r"\*")
    ):
        sections(toml)


@pytest.mark.parametrize(
    ("fields", "written", "side", "quantity"),
    [
        ('quantity = "q"', {"q": "-2"}, "short", 2),
        ('quantity = "q"', {"q": "2"}, "long", 2),
        ('quantity = "q"\nside = "s"', {"q": "-2", "s": "BOTH"}, "short", 2),
        ('quantity = "q"\nside = "s"', {"q": -2, "s": "SELL"}, "short", 2),
        ('quantity = "q"\nside = "s"', {"q": -2, "s": "long"}, "long", -2),  # a contradiction stays one
        ('quantity = "q"\nside = "s"', {"q": 2}, None, 2),  # it should say so, and does not
    ],
)
def test_the_sign_of_a_quantity_is_its_side_where_nothing_else_says_it(
    fields: str, written: Any, side: str | None, quantity: int
) -> None:
    found = document("position", written, sections(f"[sections.position.fields]\n{fields}"))
    assert (found.get("side"), found["quantity"]) == (side, quantity)


def test_a_position_of_nothing_is_no_position() -> None:
    assert (
        document("position", {"quantity": "0.0", "side": "long"}, sections("[sections.position]\nmax_age_s = 5")) == {}
    )


OWN = """
[sections.funding]
key = "funding:{symbol}"
max_age_s = 3600
says = "What a holder pays every eight hours; positive means that long positions pay."
time = "at"
[sections.funding.schema]
type = "object"
required = ["rate", "at"]
[sections.funding.schema.properties]
rate = { type = "number", unit = "%", minimum = -5, maximum = 5 }
at = { type = "string", format = "date-time" }
venue = { type = "string", maxLength = 10 }
side = { enum = ["long", "short"] }
levels = { type = "array", items = { type = "number", unit = "price" } }
"""


def own_value(**given: Any) -> Any:
    rules = sections(OWN)
    return rules.model_of("funding").model_validate(document("funding", {"rate": 1, "at": NOW} | given, rules))


def test_a_section_of_ones_own_is_checked_by_its_schema() -> None:
    value = own_value(rate="0.01", venue="X")
    assert (value.rate, value.venue, value.side) == (Decimal("0.01"), "X", None)
    for broken in (
        {"rate": 6},
        {"rate": "high"},
        {"at": "now"},
        {"venue": "X" * 11},
        {"side": "up"},
        {"levels": ["x"]},
    ):
        with pytest.raises(ValidationError):
            own_value(**broken)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('rate = { type = "number", pattern = "x" }', "funding.rate: 'pattern' is not supported"),
        ('rate = { type = "complex" }', "funding.rate: the type 'complex' is not supported"),
        ('"a b" = { type = "number" }', "funding.a b: a property needs another name"),
    ],
)
def test_a_schema_that_is_not_supported_names_the_place(line: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        sections(OWN.replace('rate = { type = "number", unit = "%", minimum = -5, maximum = 5 }', line))
