import pytest

from llmctx.decision.citation import Miscited
from llmctx.decision.grounding import ground
from tests.unit.decision.reasoned import package
from tests.unit.makers import decision


def miscited(path: str, value: str) -> list[Miscited]:
    item = {"path": path, "value": value, "reading": "x"}
    return list(ground(package(), decision(reasoning="Nothing.", evidence=[item])).miscited)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("price.price.last", "648.41"),
        ("price.price.last", "$648.41"),
        ("price.price.last", "648.4"),
        ("`price.price.last`", '"648.41 [price]"'),
        ("price.price.volume", "1,204,332"),
        ("price.price.volume", "1.20M"),
        ("indicators.rsi_14", "61.3"),
        ("signals.entry.confidence", "72%"),
        ("signals.entry.confidence", "0.72"),
        ("position.unrealized_pnl_pct", "0.51%"),
        ("performance.largest_loss", "-81.00"),
        ("monitoring.stop_loss.distance", "1.5%"),
        ("monitoring.time_in_trade", "00:29:58"),
        ("sentiment.latest_news[0].headline", "Buyback raised to $90 billion"),
        ("sentiment.latest_news[0].headline", "Buyback raised to $90..."),
        ("sentiment.sentiment_label", "Bullish"),
        ("position.entry_time", "2025-05-09T09:45:32Z"),
        ("system.state", "running"),
        ("indicators.atr_14", "1.85"),
        ("thesis", "missing"),
    ],
)
def test_a_fact_as_it_is_shown_agrees(path: str, value: str) -> None:
    assert miscited(path, value) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("price.price.last", "648.14"),
        ("price.price.last", "640"),
        ("price.price.last", "about where it was"),
        ("price.price.volume", "1.3M"),
        ("indicators.rsi_14", "71.3"),
        ("performance.largest_loss", "81"),
        ("signals.entry.confidence", "0.9"),
        ("sentiment.sentiment_label", "bearish"),
        ("monitoring.stop_loss.distance", "2.5%"),
        ("position.entry_time", "2025-05-09T09:40:32Z"),
        ("sentiment.news_count", "5"),
    ],
)
def test_another_value_does_not(path: str, value: str) -> None:
    (item,) = miscited(path, value)
    assert (item.why, item.nearest) == ("another value", path)


def test_a_path_that_is_none_is_named_with_the_most_similar_one() -> None:
    (item,) = miscited("price.last", "648.41")
    assert item == Miscited("price.last", "648.41", "no such path", "price.price.last", "648.41", price=True)


def test_a_path_like_no_other_has_no_nearest() -> None:
    (item,) = miscited("qqqq", "1")
    assert (item.why, item.nearest, item.fact, item.price) == ("no such path", None, None, False)
