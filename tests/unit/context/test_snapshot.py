import json
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from llmctx import canonical
from llmctx.context.package import build_package
from llmctx.context.read_rules import DEFAULT_MAX_AGE_S, ReadRules
from llmctx.context.snapshot import RawSection, Snapshot, as_of
from llmctx.schema.keys import FAMILIES, section_keys
from tests.unit.context.scene import END_OF_DAY_MS, KEYS, snapshot_of, with_raw
from tests.unit.makers import is_canonical

NAMES = st.from_regex(r"[a-z][a-z_]{0,10}", fullmatch=True)
SAFE = st.integers(0, 10**12)
RULES = st.builds(
    ReadRules,
    signal_types=st.lists(NAMES, unique=True, max_size=3).map(tuple),
    max_age_s=st.dictionaries(NAMES, SAFE, max_size=4),
    max_value_bytes=SAFE,
    skew_ms=SAFE,
)
READ = st.binary(max_size=30) | st.text(st.characters(codec="utf-8"), max_size=30).map(str.encode)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    rules = draw(RULES)
    symbol = draw(st.from_regex(r"[A-Z0-9][A-Z0-9._/^=+-]{0,31}", fullmatch=True))
    partition = draw(st.integers(0, 1023))

    def section(key: str) -> RawSection:
        if draw(st.booleans()):
            return RawSection(key, draw(st.none() | READ))
        return RawSection(key, unread=draw(st.none() | st.text(st.characters(codec="utf-8"))))

    return Snapshot(
        symbol=symbol,
        partition=partition,
        server_ms=draw(SAFE),
        as_of_ms=draw(st.integers(-canonical.MAX_SAFE_INTEGER, canonical.MAX_SAFE_INTEGER)),
        clock=draw(st.sampled_from(["server", "bars"])),
        rules=rules,
        sections={name: section(key) for name, key in section_keys(symbol, rules.signal_types, partition).items()},
    )


@given(snapshots())
def test_a_snapshot_survives_a_round_trip_through_its_evidence(snapshot: Snapshot) -> None:
    assert Snapshot.from_evidence(snapshot.evidence()) == snapshot


@settings(max_examples=40)
@given(snapshots())
def test_evidence_survives_a_round_trip_byte_for_byte(snapshot: Snapshot) -> None:
    evidence = snapshot.evidence()
    assert Snapshot.from_evidence(evidence).evidence() == evidence


@settings(max_examples=40)
@given(snapshots())
def test_evidence_is_canonical(snapshot: Snapshot) -> None:
    assert is_canonical(snapshot.evidence())


@settings(max_examples=40)
@given(snapshots())
def test_the_order_of_the_sections_survives(snapshot: Snapshot) -> None:
    assert list(Snapshot.from_evidence(snapshot.evidence()).sections) == list(snapshot.sections)


@settings(max_examples=40)
@given(snapshots(), st.binary(max_size=5), st.binary(max_size=5))
def test_other_bytes_in_a_section_make_other_evidence(snapshot: Snapshot, one: bytes, other: bytes) -> None:
    def put(raw: bytes) -> bytes:
        price = snapshot.sections["price"]._replace(raw=raw, unread=None)
        return snapshot.model_copy(update={"sections": snapshot.sections | {"price": price}}).evidence()

    assert (put(one) == put(other)) == (one == other)


@pytest.mark.parametrize("raw", [b"\xff", b"\xed\xa0\x80", b"{\xc3", b"\x80abc"])
def test_invalid_utf_8_survives(raw: bytes) -> None:
    read = Snapshot.from_evidence(snapshot_of({"price": raw}).evidence())
    assert read.sections["price"] == RawSection("stocks:price:AAPL", raw)


def test_an_absent_key_is_null() -> None:
    evidence = canonical.loads(snapshot_of({"market": None}).evidence())
    assert evidence["sections"]["market"] is None


def test_an_absent_key_differs_from_an_empty_text() -> None:
    absent, blank = snapshot_of({"market": None}), snapshot_of({"market": b""})
    assert Snapshot.from_evidence(absent.evidence()) != Snapshot.from_evidence(blank.evidence())


def test_a_text_is_unchanged_in_the_evidence() -> None:
    text = '{ "b": 1.50,\n "a": "\\u00e9é" }'
    assert canonical.loads(snapshot_of({"market": text}).evidence())["sections"]["market"] == text


def test_why_a_key_could_not_be_read_survives() -> None:
    snapshot = snapshot_of()
    unread = RawSection(KEYS["price"], unread="is a hash, not a string")
    snapshot = snapshot.model_copy(update={"sections": snapshot.sections | {"price": unread}})
    assert Snapshot.from_evidence(snapshot.evidence()).sections["price"] == unread


def test_the_evidence_contains_the_rules() -> None:
    rules = ReadRules(max_age_s={"price": 7}, max_value_bytes=99, skew_ms=5)
    evidence = canonical.loads(snapshot_of(rules=rules).evidence())
    assert evidence["limits"] == {"max_age_s": {"price": 7}, "max_value_bytes": 99, "skew_ms": 5}
    assert evidence["signal_types"] == ["entry", "exit"]


def test_a_package_can_be_built_again_from_the_evidence_alone() -> None:
    snapshot = snapshot_of({"price": b"\xff", "market": None, "watchlist": "[]"}, whose="bars")
    assert build_package(Snapshot.from_evidence(snapshot.evidence())) == build_package(snapshot)


TOP_LEVEL = ["symbol", "partition", "server_ms", "as_of_ms", "clock", "signal_types", "limits", "sections"]


@pytest.mark.parametrize("name", TOP_LEVEL)
def test_evidence_without_one_of_its_names_is_refused(name: str) -> None:
    document = canonical.loads(snapshot_of().evidence())
    del document[name]
    with pytest.raises(ValueError, match=name):
        Snapshot.from_evidence(canonical.dumps(document))


@pytest.mark.parametrize("section", KEYS)
def test_evidence_without_a_section_is_refused_and_the_section_named(section: str) -> None:
    document = canonical.loads(snapshot_of().evidence())
    del document["sections"][section]
    with pytest.raises(ValueError, match=section):
        Snapshot.from_evidence(canonical.dumps(document))


# "x" is a valid symbol, and also a valid sequence of signal types
@pytest.mark.parametrize(
    ("name", "bad"),
    [
        (name, bad)
        for name in TOP_LEVEL
        for bad in (None, 1.5, {"a": 1}, [None], "x")
        if (name, bad) not in (("symbol", "x"), ("signal_types", "x"))
    ],
)
def test_evidence_with_a_name_of_another_type_is_refused(name: str, bad: Any) -> None:
    document = canonical.loads(snapshot_of().evidence())
    raw = json.dumps(document | {name: bad}).encode()
    with pytest.raises(ValueError, match=r"."):
        Snapshot.from_evidence(raw)


@pytest.mark.parametrize("section", [1, ["x"], {"a": 1}])
def test_evidence_with_a_section_that_is_not_a_string_is_refused(section: Any) -> None:
    document = canonical.loads(snapshot_of().evidence())
    document["sections"]["price"] = section
    with pytest.raises(ValueError, match=r"."):
        Snapshot.from_evidence(canonical.dumps(document))


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"{}", b"1", b"\xff", b'{"symbol":"A","symbol":"B"}'])
def test_malformed_evidence_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Snapshot.from_evidence(raw)


def test_evidence_with_an_unknown_limit_is_refused() -> None:
    document = canonical.loads(snapshot_of().evidence())
    document["limits"]["max_price"] = 1
    with pytest.raises(ValueError, match="max_price"):
        Snapshot.from_evidence(canonical.dumps(document))


@pytest.mark.parametrize(
    "rules",
    [{"signal_types": ["übernahme"]}, {"max_age_s": {"größe": 1}}, {"skew_ms": 2**53}, {"max_age_s": {"price": 2**60}}],
)
def test_rules_invalid_in_a_record_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ReadRules.model_validate(rules)


def test_every_section_but_the_watchlist_has_a_limit() -> None:
    assert set(DEFAULT_MAX_AGE_S) == {family.section for family in FAMILIES} - {"watchlist"}


SERVER_MS = END_OF_DAY_MS


def bars(**changes: Any) -> bytes:
    document: dict[str, Any] = {"clock": "bars", "timestamp": "2020-01-02T15:30:00.250Z"}
    return canonical.wire(document | changes)


def test_as_of_is_the_servers_time() -> None:
    assert as_of(b'{"timestamp": "2020-01-02T15:30:00Z"}', SERVER_MS) == (SERVER_MS, "server")


def test_without_a_system_state_as_of_is_the_servers_time() -> None:
    assert as_of(None, SERVER_MS) == (SERVER_MS, "server")


def test_with_the_bars_clock_as_of_is_system_states_own_time() -> None:
    assert as_of(bars(), SERVER_MS) == (1_577_979_000_250, "bars")


def test_the_bars_clock_may_lie_ahead_of_the_server() -> None:
    assert as_of(bars(timestamp="2090-01-01T00:00:00Z"), SERVER_MS) == (3_786_912_000_000, "bars")


def test_the_zone_of_the_bars_clock_counts() -> None:
    assert as_of(bars(timestamp="2020-01-02T10:30:00.250-05:00"), SERVER_MS) == (1_577_979_000_250, "bars")


def test_the_bars_clock_is_found_in_any_form_of_json() -> None:
    raw = json.dumps(json.loads(bars()), indent=4).encode()
    assert as_of(raw, SERVER_MS) == (1_577_979_000_250, "bars")


@pytest.mark.parametrize(
    "raw",
    [
        bars(clock="server"),
        bars(clock="Bars"),
        bars(clock=None),
        bars(clock=["bars"]),
        bars(timestamp="2020-01-02T15:30:00"),
        bars(timestamp="soon"),
        bars(timestamp=1577979000),
        bars(timestamp=None),
        b'{"clock": "bars"}',
        b'{"clock": "bars", "clock": "bars", "timestamp": "2020-01-02T15:30:00Z"}',
        b'["clock", "bars"]',
        b'{"inner": {"clock": "bars"}, "timestamp": "2020-01-02T15:30:00Z"}',
        b'"clock"',
        b'{"clock": "bars"',
        b'"clock"\xff',
        b"",
    ],
)
def test_the_servers_time_is_used_if_the_bars_clock_is_malformed(raw: bytes) -> None:
    assert as_of(raw, SERVER_MS) == (SERVER_MS, "server")


@pytest.mark.parametrize("timestamp", ["9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"])
def test_the_servers_time_is_used_if_the_bars_clock_leaves_the_calendar(timestamp: str) -> None:
    assert as_of(bars(timestamp=timestamp), SERVER_MS) == (SERVER_MS, "server")


@given(st.binary(max_size=40))
def test_any_bytes_in_system_state_give_a_time(raw: bytes) -> None:
    assert as_of(b'{"clock"' + raw, SERVER_MS) == (SERVER_MS, "server")


def test_a_whole_system_state_is_read_as_the_clock_of_the_bars() -> None:
    raw = with_raw("system", "clock", '"bars"').encode()
    expected: tuple[int, Literal["server", "bars"]] = (1_746_785_730_123, "bars")
    assert as_of(raw, SERVER_MS) == expected


def test_a_snapshot_has_no_other_fields() -> None:
    with pytest.raises(ValidationError, match="extra"):
        Snapshot.model_validate(snapshot_of().model_dump() | {"more": 1})
