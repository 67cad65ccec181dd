import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx import clock
from llmctx.context.package import Package, build_package
from llmctx.context.read_rules import ReadRules
from llmctx.context.snapshot import RawSection, Snapshot
from llmctx.context.staleness import Status
from tests.unit.context.scene import (
    END_OF_DAY,
    END_OF_DAY_MS,
    KEYS,
    TEXTS,
    TIMES,
    edited,
    only,
    package_of,
    section_of,
    snapshot_of,
    with_raw,
    without,
)

REQUIRED = ("position", "price")
OPTIONAL = [section for section in KEYS if section not in REQUIRED]
OBJECTS = [section for section in TEXTS if TEXTS[section].startswith("{")]
AGELESS = ReadRules(max_age_s={})


def at(text: str, later_ms: int = 0) -> str:
    """A time relative to the time of the package."""
    return clock.iso(clock.to_ms(clock.parse_iso(text)) + later_ms)


# The whole


def test_a_package_has_every_section_in_the_order_of_the_keys() -> None:
    assert list(package_of().sections) == list(KEYS)


def test_every_section_names_itself_and_its_key() -> None:
    assert {section.name: section.key for section in package_of().sections.values()} == dict(KEYS)


def test_the_examples_of_the_schema_document_can_be_decided_on() -> None:
    assert package_of().refusal is None


def test_position_and_price_are_at_hand() -> None:
    package = package_of()
    assert package.position is package.sections["position"].value
    assert package.price is package.sections["price"].value


@pytest.mark.parametrize("whose", ["server", "bars"])
def test_a_package_says_whose_time_it_is(whose: Any) -> None:
    package = package_of(whose=whose)
    assert (package.symbol, package.as_of_ms, package.clock) == ("AAPL", END_OF_DAY_MS, whose)


# Status


def test_a_section_within_its_limit_is_fresh() -> None:
    for section in TEXTS:
        found = package_of(rules=AGELESS).sections[section]
        assert (found.status, found.reason) == (Status.FRESH, None)
        assert found.value is not None


@pytest.mark.parametrize("section", [section for section in TEXTS if section not in ("watchlist", "performance")])
def test_a_section_beyond_its_limit_is_stale_and_still_has_its_value(section: str) -> None:
    found = package_of(rules=ReadRules(max_age_s={section: 1})).sections[section]
    assert (found.status, found.reason) == (Status.STALE, None)
    assert found.value is not None


def test_a_sections_age_is_counted_from_its_own_timestamp() -> None:
    assert package_of().sections["market"].age_ms == END_OF_DAY_MS - clock.to_ms(
        clock.parse_iso("2025-05-09T10:15:30.123Z")
    )


def test_a_section_without_a_key_is_missing_and_the_key_is_named() -> None:
    for section in OPTIONAL:
        found = section_of(section, None)
        assert (found.status, found.value, found.age_ms) == (Status.MISSING, None, None)
        assert found.reason == f"{KEYS[section]}: no such key"


@pytest.mark.parametrize("nothing", ["null", "{}", "[]", " [ ] ", "{\n}"])
def test_a_section_that_says_nothing_is_empty(nothing: str) -> None:
    for section in OPTIONAL:
        found = section_of(section, nothing)
        assert (found.status, found.value) == (Status.EMPTY, None)
        assert found.reason == f"{KEYS[section]}: says nothing"


@pytest.mark.parametrize("news", [[], json.loads(TEXTS["sentiment"])["latest_news"]])
def test_sentiment_on_no_news_is_empty(news: Any) -> None:
    text = json.dumps(json.loads(TEXTS["sentiment"]) | {"news_count": 0, "latest_news": news})
    found = section_of("sentiment", text)
    assert (found.status, found.reason) == (Status.EMPTY, "stocks:sentiment:AAPL: no news")


def test_sentiment_on_news_that_is_not_shown_is_not_empty() -> None:
    assert section_of("sentiment", edited("sentiment", "latest_news", to=[])).value is not None


@pytest.mark.parametrize("raw", ["", "{", "AAPL", b"\xff\xfe", '{"a": NaN}', "[" * 1000 + "]" * 1000, "{} {}"])
def test_what_is_no_json_makes_the_section_invalid(raw: str | bytes) -> None:
    for section in KEYS:
        found = section_of(section, raw)
        assert (found.status, found.value, found.age_ms) == (Status.INVALID, None, None)
        assert (found.reason or "").startswith(f"{KEYS[section]}: not usable JSON: ")


def test_a_duplicate_field_makes_the_section_invalid_and_is_named() -> None:
    for section in OBJECTS:
        name = next(iter(json.loads(TEXTS[section])))
        reason = section_of(section, with_raw(section, name, "1")).reason or ""
        assert reason.startswith(KEYS[section])
        assert f'duplicate key "{name}"' in reason


@pytest.mark.parametrize("raw", ["0", '"text"', "true", "1.5", '""', "false"])
def test_a_value_of_another_type_makes_the_section_invalid(raw: str) -> None:
    for section in KEYS:
        found = section_of(section, raw)
        assert found.status is Status.INVALID
        assert (found.reason or "").startswith(f"{KEYS[section]}: Input should be a valid ")


@pytest.mark.parametrize(
    ("section", "path", "named"),
    [
        ("price", ("price", "last"), "price.last"),
        ("price", ("timestamp",), "timestamp"),
        ("sentiment", ("news_count",), "news_count"),
        ("position", ("quantity",), "quantity"),
        ("monitoring", ("time_in_trade",), "time_in_trade"),
        ("signals.entry", ("confidence",), "confidence"),
        ("market", ("market_breadth", "declining"), "market_breadth.declining"),
        ("thesis", ("entry_time",), "entry_time"),
    ],
)
def test_a_field_that_is_left_out_is_named_with_its_key(section: str, path: tuple[Any, ...], named: str) -> None:
    found = section_of(section, without(section, *path))
    assert (found.status, found.reason) == (Status.INVALID, f"{KEYS[section]}: {named} is missing")


@pytest.mark.parametrize(
    ("section", "path", "value", "told"),
    [
        ("price", ("price", "last"), "150.25", "price.last must be a JSON number, not a string"),
        ("price", ("price", "last"), 0, "price.last must be greater than 0"),
        ("price", ("timestamp",), 1746778530, "timestamp must be an ISO 8601 text such as"),
        ("sentiment", ("timestamp",), "2025-05-09", "timestamp must be ISO 8601 with"),
        ("position", ("side",), "flat", "side Input should be 'long' or 'short'"),
        ("sentiment", ("news_count",), 1.5, "news_count must be a whole number from 0 on, not a number"),
        ("position", ("quantity",), 1e31, "quantity is beyond 1e30 or below 1e-30"),
        ("watchlist", (2,), 7, "[2] Input should be a valid string"),
    ],
)
def test_a_field_that_cannot_be_used_is_named_with_its_key_and_the_rule(
    section: str, path: tuple[Any, ...], value: Any, told: str
) -> None:
    found = section_of(section, edited(section, *path, to=value))
    assert found.status is Status.INVALID
    assert (found.reason or "").startswith(f"{KEYS[section]}: {told}")


def test_three_problems_are_told_and_the_rest_is_counted() -> None:
    assert section_of("performance", '{"daily_pnl": 1}').reason == (
        "metrics:performance: daily_pnl_pct is missing; win_count is missing; loss_count is missing; and 6 more"
    )


def test_why_a_key_could_not_be_read_makes_the_section_invalid() -> None:
    snapshot = snapshot_of()
    unread = RawSection(KEYS["market"], unread="is a hash, not a string")
    package = build_package(snapshot.model_copy(update={"sections": snapshot.sections | {"market": unread}}))
    found = package.sections["market"]
    assert (found.status, found.reason) == (Status.INVALID, "context:market: is a hash, not a string")


@pytest.mark.parametrize("raw", [None, "{", "[]", "7", b"\xff"])
def test_what_cannot_be_used_costs_its_own_section_only(raw: str | bytes | None) -> None:
    for section in OPTIONAL:
        others = {name: found for name, found in package_of({section: raw}).sections.items() if name != section}
        assert others == {name: found for name, found in package_of().sections.items() if name != section}


@pytest.mark.parametrize("raw", [None, "{", "[]", "7", b"\xff"])
def test_no_optional_section_is_needed_for_a_decision(raw: str | bytes | None) -> None:
    for section in OPTIONAL:
        assert package_of({section: raw}).refusal is None


# Refusal


def test_position_and_price_are_enough_for_a_decision() -> None:
    assert package_of(only("position", "price")).refusal is None


def test_a_required_section_may_be_stale() -> None:
    for section in REQUIRED:
        package = package_of(rules=ReadRules(max_age_s={section: 1}))
        assert package.sections[section].status is Status.STALE
        assert package.refusal is None


def test_without_its_key_a_required_section_refuses_the_call() -> None:
    for section in REQUIRED:
        assert package_of({section: None}).refusal == f"{section} is missing: {KEYS[section]}: no such key"


@pytest.mark.parametrize("raw", ["null", "{}", "[]", "{", b"\xff", "0", '"text"'])
def test_an_unusable_required_section_refuses_the_call_and_says_why(raw: str | bytes) -> None:
    for section in REQUIRED:
        refusal = package_of({section: raw}).refusal or ""
        assert refusal.startswith(f"{section} is invalid: {KEYS[section]}: ")


def test_a_refusal_names_the_field() -> None:
    for section in REQUIRED:
        field = next(iter(json.loads(TEXTS[section])))
        assert package_of({section: without(section, field)}).refusal == (
            f"{section} is invalid: {KEYS[section]}: {field} is missing"
        )


def test_the_position_is_told_first_where_both_are_gone() -> None:
    assert (package_of({"position": None, "price": None}).refusal or "").startswith("position is missing")


# Identity


def test_a_position_on_another_symbol_refuses_the_call() -> None:
    assert package_of({"position": edited("position", "symbol", to="MSFT")}).refusal == (
        "position is invalid: positions:active:AAPL: symbol is 'MSFT', expected 'AAPL'"
    )


@pytest.mark.parametrize("symbol", ["aapl", "AAPL ", "", "AAPL\n"])
def test_a_symbol_that_is_almost_the_same_is_another(symbol: str) -> None:
    assert package_of({"position": edited("position", "symbol", to=symbol)}).refusal is not None


# Nothing from the future

every_time = pytest.mark.parametrize(
    ("section", "path", "named"), TIMES, ids=[f"{section}.{named}" for section, _, named in TIMES]
)


@every_time
@pytest.mark.parametrize("whose", ["server", "bars"])
def test_a_time_after_that_of_the_package_makes_the_section_invalid(
    section: str, path: tuple[Any, ...], named: str, whose: Any
) -> None:
    future = at(END_OF_DAY, 2001)
    found = package_of({section: edited(section, *path, to=future)}, whose=whose).sections[section]
    assert (found.status, found.value) == (Status.INVALID, None)
    assert found.reason == f"{KEYS[section]}: {named} {future} lies after the time of the package, {END_OF_DAY}"


@every_time
def test_a_collectors_clock_may_be_a_little_ahead_of_the_servers(
    section: str, path: tuple[Any, ...], named: str
) -> None:
    assert named
    found = package_of({section: edited(section, *path, to=at(END_OF_DAY, 2000))}).sections[section]
    assert found.status is not Status.INVALID


@every_time
def test_nothing_is_forgiven_on_the_clock_of_the_bars(section: str, path: tuple[Any, ...], named: str) -> None:
    found = package_of({section: edited(section, *path, to=at(END_OF_DAY, 1))}, whose="bars").sections[section]
    assert found.status is Status.INVALID
    assert named in (found.reason or "")


@every_time
@pytest.mark.parametrize("whose", ["server", "bars"])
def test_the_time_of_the_package_itself_is_not_the_future(
    section: str, path: tuple[Any, ...], named: str, whose: Any
) -> None:
    assert named
    found = package_of({section: edited(section, *path, to=END_OF_DAY)}, whose=whose).sections[section]
    assert found.status is not Status.INVALID


@pytest.mark.parametrize(("skew_ms", "status"), [(0, Status.INVALID), (499, Status.INVALID), (500, Status.FRESH)])
def test_how_far_ahead_a_collector_may_be_is_a_rule(skew_ms: int, status: Status) -> None:
    changes: dict[str, str | bytes | None] = {"price": edited("price", "timestamp", to=at(END_OF_DAY, 500))}
    assert package_of(changes, rules=ReadRules(skew_ms=skew_ms)).sections["price"].status is status


def test_what_comes_from_slightly_ahead_is_of_no_age() -> None:
    assert section_of("price", edited("price", "timestamp", to=at(END_OF_DAY, 1500))).age_ms == 0


def test_a_required_section_from_the_future_refuses_the_call() -> None:
    for section in REQUIRED:
        name = "timestamp" if section == "price" else "last_update"
        assert "lies after the time of the package" in (
            package_of({section: edited(section, name, to=at(END_OF_DAY, 5000))}).refusal or ""
        )


def test_the_system_state_that_sets_the_clock_of_the_bars_is_not_from_the_future() -> None:
    now = "2025-05-09T16:00:00.000456Z"
    found = package_of({"system": edited("system", "timestamp", to=now)}, whose="bars").sections["system"]
    assert found.status is Status.FRESH


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"])
def test_a_time_that_leaves_the_calendar_costs_its_own_section_only(moment: str) -> None:
    assert section_of("sentiment", edited("sentiment", "timestamp", to=moment)).status is Status.INVALID


# Thesis


def test_the_thesis_on_the_same_position_is_carried() -> None:
    assert package_of().sections["thesis"].value is not None


def test_the_same_entry_time_may_be_written_in_another_zone() -> None:
    text = edited("thesis", "entry_time", to="2025-05-09T11:45:32+02:00")
    assert section_of("thesis", text).value is not None


def test_the_thesis_on_another_position_is_empty() -> None:
    found = section_of("thesis", edited("thesis", "entry_time", to="2025-05-08T09:45:32.000Z"))
    assert (found.status, found.value) == (Status.EMPTY, None)
    assert found.reason == "decisions:{0}:latest:AAPL: the last decision was on another position"


@pytest.mark.parametrize(
    ("position", "thesis", "same"),
    [
        ({}, {}, True),
        ({"quantity": 14}, {}, True),
        ({"quantity": 15.01}, {}, False),
        ({"side": "short"}, {}, False),
        ({"entry_price": 648.3700000000001}, {}, True),
        ({"entry_price": 648.38}, {}, False),
        ({}, {"action": "exit"}, False),
        ({}, {"action": "exit", "entry_time": "2025-05-09T09:59:59.000Z"}, True),
        ({}, {"side": None, "entry_price": None, "held": None}, False),
        ({}, {"entry_time": None}, True),
    ],
)
def test_a_position_whose_entry_time_was_set_anew_is_known_by_side_price_and_quantity(
    position: dict[str, Any], thesis: dict[str, Any], same: bool
) -> None:
    now = json.loads(TEXTS["position"]) | {
        "side": "long",
        "entry_price": 648.37,
        "quantity": 15,
        "entry_time": "2025-05-09T09:59:59.000Z",
    }
    before = {"side": "long", "entry_price": 648.37, "held": 15.0, "action": "hold"}
    found = package_of(
        {"position": json.dumps(now | position), "thesis": json.dumps(json.loads(TEXTS["thesis"]) | before | thesis)}
    ).sections["thesis"]
    assert (found.value is not None) == same


@pytest.mark.parametrize("position", [None, "{", edited("position", "symbol", to="MSFT")])
def test_without_a_position_no_thesis_is_carried(position: str | None) -> None:
    assert package_of({"position": position}).sections["thesis"].value is None


def test_a_thesis_that_cannot_be_used_says_why() -> None:
    found = section_of("thesis", without("thesis", "action"))
    assert (found.status, found.reason) == (Status.INVALID, "decisions:{0}:latest:AAPL: action is missing")


def test_the_thesis_is_carried_where_the_entry_time_has_microseconds() -> None:
    moment = "2025-05-09T09:45:32.123456+00:00"
    published = package_of(
        {"position": edited("position", "entry_time", to=moment), "thesis": edited("thesis", "entry_time", to=moment)}
    ).sections["thesis"]
    assert published.value is not None
    package = package_of(
        {"position": edited("position", "entry_time", to=moment), "thesis": published.value.model_dump_json()}
    )
    assert package.sections["thesis"].value is not None


# Unknown fields


@pytest.mark.parametrize("raw", ["7", '"text"', "null", "[1]", '{"deep": {"deeper": []}}'])
def test_an_unknown_field_is_kept(raw: str) -> None:
    for section in OBJECTS:
        value = section_of(section, with_raw(section, "brand_new", raw)).value
        assert value is not None
        assert value.model_extra == {"brand_new": json.loads(raw)}


def test_an_unknown_field_changes_no_status() -> None:
    for section in OBJECTS:
        assert section_of(section, with_raw(section, "brand_new", "7")).status is package_of().sections[section].status


# A pure function


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, st.none() | st.binary(max_size=20))))
def test_the_same_snapshot_gives_the_same_package(changes: dict[str, bytes | None]) -> None:
    snapshot = snapshot_of({**changes})
    assert build_package(snapshot) == build_package(snapshot)


def test_building_a_package_leaves_the_snapshot_as_it_was() -> None:
    snapshot = snapshot_of({"price": edited("price", "price", "last", to=15)})
    before = snapshot.evidence()
    build_package(snapshot)
    assert snapshot.evidence() == before


@given(st.integers(0, 86_400 * 1000))
def test_a_package_hangs_on_its_own_time_and_no_other(later_ms: int) -> None:
    def shifted(ms: int) -> Package:
        moment = at(END_OF_DAY, ms)
        changes: dict[str, str | bytes | None] = {
            **only("position", "price"),
            "price": edited("price", "timestamp", to=moment),
        }
        return package_of(changes, as_of_ms=END_OF_DAY_MS + ms)

    assert shifted(later_ms).sections["price"].age_ms == shifted(0).sections["price"].age_ms == 0


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(-1e40, 1e40)
    | st.text(st.characters(codec="utf-8"), max_size=8)
    | st.sampled_from([END_OF_DAY, "2099-01-01T00:00:00Z", "2025-05-09", "long"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def ways(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, inner in items:
        found += ways(inner, (*path, part))
    return found


PLACES = [(section, path) for section in TEXTS for path in ways(json.loads(TEXTS[section]))]


@given(st.sampled_from(PLACES), JSON)
def test_whatever_stands_in_a_field_the_section_has_a_status(place: tuple[str, tuple[Any, ...]], value: Any) -> None:
    section, path = place
    found = section_of(section, edited(section, *path, to=value))
    assert (found.value is None) == (found.status in (Status.EMPTY, Status.MISSING, Status.INVALID))
    assert (found.reason is None) == (found.value is not None)


@given(st.sampled_from(list(KEYS)), st.binary(max_size=30))
def test_whatever_bytes_stand_in_a_key_the_section_has_a_status(section: str, raw: bytes) -> None:
    found = section_of(section, raw)
    assert found.status in (Status.INVALID, Status.EMPTY, Status.FRESH)


@given(st.timedeltas(timedelta(days=-5), timedelta(days=5)))
def test_no_time_later_than_that_of_the_package_reaches_it_on_the_clock_of_the_bars(ahead: timedelta) -> None:
    moment = (clock.parse_iso(END_OF_DAY) + ahead).isoformat()
    text = edited("market", "timestamp", to=moment)
    found = package_of({"market": text}, whose="bars").sections["market"]
    assert (found.value is None) == (ahead > timedelta(0))


@given(st.sampled_from(PLACES), JSON)
def test_a_package_built_again_from_evidence_is_the_same(place: tuple[str, tuple[Any, ...]], value: Any) -> None:
    section, path = place
    snapshot = snapshot_of({section: edited(section, *path, to=value)})
    assert build_package(Snapshot.from_evidence(snapshot.evidence())) == build_package(snapshot)
