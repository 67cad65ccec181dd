import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmctx.errors import SchemaError
from llmctx.schema import keys, values
from llmctx.schema.keys import FAMILIES, Family

SYMBOLS = st.from_regex(r"[.^=$@/#]?[A-Za-z0-9][A-Za-z0-9._/^=+:&$@#!-]{0,30}", fullmatch=True)
DOCUMENTED = [
    "stocks:price:{symbol}", "stocks:indicators:{symbol}", "stocks:sentiment:{symbol}", "watchlist:current",
    "candidates:ranked", "positions:active:{symbol}", "positions:monitoring:{symbol}",
    "signals:{signal_type}:{symbol}", "system:state", "metrics:performance", "context:market",
]  # fmt: skip


def test_the_families_are_those_of_the_schema_document_in_its_order() -> None:
    assert [family.pattern for family in FAMILIES] == DOCUMENTED


def test_no_two_families_share_a_section() -> None:
    assert len({family.section for family in FAMILIES}) == len(FAMILIES)


def test_every_example_of_the_document_has_a_family(schema_examples: dict[str, str]) -> None:
    assert {keys.find_family(key).pattern for key in schema_examples} == set(DOCUMENTED)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.section)
@settings(max_examples=30)
@given(symbol=SYMBOLS, signal_type=st.from_regex(r"[a-z_]{1,20}", fullmatch=True))
def test_a_family_is_found_by_every_key_it_makes(family: Family, symbol: str, signal_type: str) -> None:
    key = family.key(symbol, signal_type)
    assert keys.find_family(key) is family
    parts = {"symbol": symbol, "signal_type": signal_type}
    assert family.parts_of(key) == {name: part for name, part in parts.items() if f"{{{name}}}" in family.pattern}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.section)
def test_a_family_is_found_by_its_pattern_and_its_section(family: Family) -> None:
    assert keys.find_family(family.pattern) is keys.find_family(family.section) is family


@pytest.mark.parametrize(
    "key",
    [
        "", "stocks", "stocks:price", "stocks:price:", "stocks:price:{AAPL}", "stocks:price:A  B",
        "xstocks:price:AAPL", "stocksXprice:AAPL", "signals:AAPL", "signals::AAPL", "watchlist:other", "PRICE",
        "stocks:bars:AAPL", "thesis",
    ],
)  # fmt: skip
def test_a_key_of_no_family_is_refused_and_named(key: str) -> None:
    with pytest.raises(SchemaError) as caught:
        keys.find_family(key)
    assert repr(key) in caught.value.what


def test_only_positions_never_expire() -> None:
    assert {family.section for family in FAMILIES if family.lifetime_s is None} == {"position", "monitoring"}


@pytest.mark.parametrize("family", [f for f in FAMILIES if f.lifetime_s is not None], ids=lambda f: f.section)
def test_every_lifetime_is_at_least_a_day(family: Family) -> None:
    assert family.lifetime_s is not None
    assert family.lifetime_s >= 24 * 3600


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.section)
def test_a_family_names_its_writer_and_content(family: Family) -> None:
    assert family.writer
    assert family.says


@given(SYMBOLS, st.integers(1, 1024))
def test_a_partition_is_the_crc32_of_the_symbol(symbol: str, partitions: int) -> None:
    assert keys.partition_of(symbol, partitions) == zlib.crc32(symbol.encode()) % partitions


@given(SYMBOLS)
def test_a_single_partition_holds_every_symbol(symbol: str) -> None:
    assert keys.partition_of(symbol, 1) == 0


def test_a_partition_never_changes() -> None:
    assert [keys.partition_of(symbol, 4) for symbol in ("AAPL", "MSFT", "GOOGL", "AMZN")] == [0, 3, 3, 2]


def test_a_package_has_every_family_then_the_thesis() -> None:
    assert dict(keys.section_keys("AAPL", ("entry", "exit"), 2)) == {
        "price": "stocks:price:AAPL",
        "indicators": "stocks:indicators:AAPL",
        "sentiment": "stocks:sentiment:AAPL",
        "watchlist": "watchlist:current",
        "candidates": "candidates:ranked",
        "position": "positions:active:AAPL",
        "monitoring": "positions:monitoring:AAPL",
        "signals.entry": "signals:entry:AAPL",
        "signals.exit": "signals:exit:AAPL",
        "system": "system:state",
        "performance": "metrics:performance",
        "market": "context:market",
        "thesis": "decisions:{2}:latest:AAPL",
    }


def test_the_thesis_comes_last() -> None:
    assert list(keys.section_keys("AAPL", ("entry",), 0))[-1] == "thesis"


@pytest.mark.parametrize("kinds", [(), ("entry",), ("exit", "entry", "scale_in")])
def test_there_is_one_section_for_each_signal_type_in_the_order_given(kinds: tuple[str, ...]) -> None:
    sections = keys.section_keys("AAPL", kinds, 0)
    assert [name for name in sections if name.startswith("signals")] == [f"signals.{kind}" for kind in kinds]


@given(SYMBOLS, st.integers(0, 1023))
def test_the_keys_of_a_package_are_all_different(symbol: str, partition: int) -> None:
    sections = keys.section_keys(symbol, ("entry", "exit"), partition)
    assert len(set(sections.values())) == len(sections)


def test_the_keys_of_a_package_are_read_only() -> None:
    with pytest.raises(TypeError):
        keys.section_keys("AAPL", ("entry",), 0)["price"] = "x"  # type: ignore[index]  # that is the claim


@pytest.mark.parametrize(
    ("section", "model"),
    [
        ("price", values.Price),
        ("position", values.Position),
        ("signals.entry", values.Signal),
        ("signals.anything", values.Signal),
        ("thesis", values.Thesis),
    ],
)
def test_a_section_has_its_model(section: str, model: type[values.LiveValue]) -> None:
    assert keys.model_of(section) is model


def test_every_section_of_a_package_has_a_model() -> None:
    models = [keys.model_of(section) for section in keys.section_keys("AAPL", ("entry",), 0)]
    assert models == [*(family.model for family in FAMILIES), values.Thesis]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (keys.bars("AAPL"), "stocks:bars:AAPL"),
        (keys.ticks(0), "ticks:{0}"),
        (keys.attempts(3), "ticks:{3}:attempts"),
        (keys.decisions(0), "decisions:{0}"),
        (keys.latest(12, "BRK.B"), "decisions:{12}:latest:BRK.B"),
    ],
)
def test_work_keys_carry_their_partition_as_a_hash_tag(key: str, expected: str) -> None:
    assert key == expected
