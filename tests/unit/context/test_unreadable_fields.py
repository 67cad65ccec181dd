"""A broken field that may be null, or a broken item of a list, costs only itself, and the section says so."""

import json
from typing import Any

import pytest

from llmctx import clock
from llmctx.context.section import Section
from llmctx.context.staleness import Status
from tests.unit.context.scene import END_OF_DAY_MS, TEXTS, edited, package_of, section_of, without
from tests.unit.makers import NOW

HEADLINE = {"headline": "Profit doubles", "source": None, "timestamp": NOW, "url": None}


def findings(section: Section) -> list[str]:
    return [str(finding) for finding in section.implausible]


@pytest.mark.parametrize(
    ("section", "path", "value", "told"),
    [
        ("position", ("take_profit",), "soon", "position.take_profit must be a JSON number, not a string"),
        ("position", ("stop_loss",), 0, "position.stop_loss must be greater than 0"),
        ("indicators", ("rsi_14",), "n/a", "indicators.rsi_14 must be a JSON number, not a string"),
        ("market", ("vix",), 1e31, "market.vix is beyond 1e30 or below 1e-30"),
        ("monitoring", ("technical_signals", "rsi_1m", "value"), [],
         "monitoring.technical_signals.rsi_1m.value must be a JSON number, not a list"),
        ("performance", ("avg_win",), "", "performance.avg_win must be a JSON number, not a string"),
    ],
)  # fmt: skip
def test_a_broken_field_is_null_and_named(section: str, path: tuple[str, ...], value: Any, told: str) -> None:
    found = section_of(section, edited(section, *path, to=value))
    assert found.status is not Status.INVALID
    assert findings(found) == [f"unreadable: left out as unreadable: {told}"]
    read: Any = found.value
    for name in path:
        read = getattr(read, name)
    assert read is None


def test_a_stop_that_cannot_be_read_is_told_apart_from_none() -> None:
    rules = {finding.rule for finding in section_of("position", edited("position", "stop_loss", to="145")).implausible}
    assert rules == {"unreadable", "unreadable_stop"}


def test_a_field_that_may_be_null_and_is_absent_is_null_and_named() -> None:
    found = section_of("position", without("position", "stop_loss"))
    assert findings(found) == ["unreadable: left out as unreadable: position.stop_loss is missing"]


@pytest.mark.parametrize(
    "broken",
    [HEADLINE | {"timestamp": "yesterday"}, HEADLINE | {"headline": None}, {"headline": "no time"}, "a headline"],
)
def test_a_broken_headline_costs_itself(broken: Any) -> None:
    found = section_of("sentiment", edited("sentiment", "latest_news", to=[broken, HEADLINE]))
    value: Any = found.value
    assert [news.headline for news in value.latest_news] == ["Profit doubles"]
    assert findings(found)[0].startswith("unreadable: left out as unreadable: sentiment.latest_news[0]")


def test_a_headline_without_source_and_address_is_shown() -> None:
    found = section_of("sentiment", edited("sentiment", "latest_news", to=[HEADLINE]))
    value: Any = found.value
    assert (value.latest_news[0].source, findings(found)) == (None, [])


def test_half_an_emoji_costs_one_character() -> None:
    text = TEXTS["sentiment"].replace("Strong", r"\ud83d Strong \\ud83d \ud83d\ude80")
    value: Any = section_of("sentiment", text).value
    assert value.latest_news[0].headline == "Company XYZ Reports � Strong \\ud83d 🚀 Earnings"


def test_a_headline_of_the_future_costs_itself() -> None:
    later = HEADLINE | {"timestamp": clock.iso(END_OF_DAY_MS + 60_000)}
    text = edited("sentiment", "latest_news", to=[later, HEADLINE])
    found = package_of({"sentiment": text}).sections["sentiment"]
    value: Any = found.value
    assert [news.timestamp.isoformat() for news in value.latest_news] == ["2025-05-09T10:15:30.123000+00:00"]
    assert findings(found) == ["unreadable: left out as later than this package: 1 of 2 headlines"]
    known = package_of({"sentiment": text}, as_of_ms=END_OF_DAY_MS + 120_000).sections["sentiment"]
    assert findings(known) == []


def test_a_broken_candidate_costs_itself() -> None:
    found = section_of("candidates", edited("candidates", 0, "price", to="150"))
    value: Any = found.value
    assert len(value.root) == len(json.loads(TEXTS["candidates"])) - 1


def test_a_broken_field_that_may_not_be_null_costs_the_section() -> None:
    text = edited("position", "quantity", to="ten")
    assert section_of("position", json.dumps(json.loads(text) | {"stop_loss": "soon"})).status is Status.INVALID


def test_a_broken_entry_of_a_table_costs_itself_and_its_name_is_not_repeated() -> None:
    found = section_of("market", edited("market", "sector_performance", to={"energy": 1, "buy everything": "x"}))
    value: Any = found.value
    assert list(value.sector_performance) == ["energy"]
    assert findings(found) == [
        "unreadable: left out as unreadable: an entry of market.sector_performance must be a JSON number, not a string"
    ]
