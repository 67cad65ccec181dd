from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx import canonical
from llmctx.decision.grounding import ground
from llmctx.decision.reask import correction
from llmctx.leaf_fields import grounding_fields
from tests.unit.decision.scene import DOCUMENTS, found, item, package
from tests.unit.makers import NOW, decision, market, package_of


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("price.price.last", "648.41"),
        ("[price.price.last]", "648.4"),
        ('"price.price.last"', "$648.41"),
        ("price.price.last / position.stop_loss - 1", "1.5%"),
        ("market.sector_performance.energy", "-0.44"),
        ('market.sector_performance["Real Estate"]', "1.07"),
        ("position.side", "Long"),
        ("position.take_profit", "658"),
        ("price.timestamp", NOW),
        ("price.timestamp", "2025-05-09T10:15"),
        ("sentiment.latest_news[0].headline", "Buyback raised to $90 billion"),
        ("sentiment.latest_news[0].headline", "Buyback raised to $90..."),
        ("candidates[0].signals", "breakout"),
        ("thesis", "missing"),
        ("monitoring.time_in_trade", "00:29:58"),
    ],
)
def test_an_item_of_evidence_that_states_its_facts_value_is_right(path: str, value: str) -> None:
    assert found("So.", evidence=[item(path, value)]).grounded


@pytest.mark.parametrize(
    ("path", "value", "why", "alarms"),
    [
        ("position.stop_loss", "640", "another value", True),
        ("position.stop_los", "638.65", "no such path", True),
        ("position.quantity", "16", "another value", True),
        ("indicators.rsi_14", "71.3", "another value", False),
        ("market.sector_performance.energy", "0.44", "another value", False),
        ("price.price.last / position.stop_loss - 1", "2.5%", "another value", False),
        ("price.price.last / (1 - 1)", "1", "division by zero", True),
        ("price.price.last * 0 + 640", "640", "no such path", True),
        ("position.side", "short", "another value", False),
        ("position.side / 2", "1", "text in arithmetic", False),
        ("thesis", "fresh", "no such path", False),
        ("candidates[0].signals", "", "another value", False),
        ("price.price.last", "high", "another value", True),
        ("nowhere", "", "no such path", False),
    ],
)
def test_an_item_of_evidence_that_does_not_is_miscited(path: str, value: str, why: str, alarms: bool) -> None:
    (wrong,) = found("So.", evidence=[item(path, value)]).miscited
    assert (wrong.field, wrong.text, wrong.citation, wrong.why, wrong.alarms) == (
        "evidence[0]", value, path, why, alarms,
    )  # fmt: skip


def test_a_reading_is_checked_and_its_items_path_stands_for_its_own_value() -> None:
    good = item("indicators.rsi_14", "61.27", "61.3 is calm beside the stop 638.65 [position.stop_loss]")
    bad = item("indicators.rsi_14", "61.27", "62.3, with the price at 655.20 and 5 [position.quantity]")
    grounding = found("So.", evidence=[good, bad])
    assert (grounding.evidence, grounding.cited, grounding.uncited) == (2, 2, 2)
    assert [one.field for one in (*grounding.miscited, *grounding.false_prices)] == ["evidence[1].reading"] * 2


def test_everything_is_counted() -> None:
    grounding = found("RSI 61.3 [indicators.rsi_14], 62 [indicators.rsi_14], ½ of it, 5 days, 655.20.")
    counted = (
        grounding.cited,
        len(grounding.miscited),
        grounding.uncited,
        grounding.unread,
        len(grounding.false_prices),
    )
    assert counted == (1, 1, 2, 1, 1)
    assert not grounding.grounded


@pytest.mark.parametrize("text", ["½", "Ⅳ", "1.2.3", "9" * 401])
def test_an_unread_text_never_looks_grounded(text: str) -> None:
    grounding = found(f"It is {text}.")
    assert (grounding.unread, grounding.grounded) == (1, False)


def test_alarms_are_prices_levels_and_quantities() -> None:
    text = (
        "RSI 62 [indicators.rsi_14], 2.5% [price.price.last / position.stop_loss - 1], stop 640 [position.stop_loss], "
        "16 shares [position.quantity], at 655.20, middle 647.5 [(position.stop_loss + position.take_profit) / 2]."
    )
    assert [one.text for one in found(text).alarms] == ["640", "16", "647.5", "655.20"]


def test_numbers_in_chinese_are_read_and_a_stop_that_is_none_is_false() -> None:
    documents = market(price="41.15", side="short", entry="41.2", stop="42.6", target="37.8")
    answer = decision(
        action="adjust_stops", stop_loss=42.3, invalidation="突破42.3则失效。", evidence=[item("position.side", "short")],
        reasoning="止损44.2高于现价7.6%\uff0c阻力位42.3附近有强压\uff0cRSI为71.3\uff0c因此持有。",
    )  # fmt: skip
    grounding = ground(package_of(documents), answer)
    assert (grounding.cited, grounding.uncited, grounding.unread) == (0, 5, 0)
    assert [(one.text, one.citation) for one in grounding.alarms] == [("44.2", "position.stop_loss")]


def test_what_the_model_is_told_quotes_each_with_what_stands_there() -> None:
    told = correction(found("The stop is 640 [position.stop_loss], so 655.20 [position.x] stands at 655.20."))
    assert '- "640" in reasoning: another value; position.stop_loss is 638.65' in told
    assert '- "655.20" in reasoning: no such path; position.x is not there' in told
    assert '- "655.20" in reasoning: no such price; position.take_profit is 658' in told


@given(
    number=st.decimals(allow_nan=False, allow_infinity=False) | st.integers(-(10**308), 10**308) | st.text(max_size=20),
    text=st.text("0123456789.,-+[]()/*% \"'eE½万一二arketsxpric_", max_size=80) | st.text(max_size=40),
)
def test_nothing_raises_whatever_stands_in_facts_and_answer(number: Any, text: str) -> None:
    document = DOCUMENTS["market"] | {"x": number}
    text = text.encode("utf-8", "ignore").decode()
    texts = [f"{text} {number} [market.x] 5% [market.x / market.x * price.price.last] [market.x * market.x]", text]
    try:
        facts = package(market=document)
    except (ValueError, OverflowError):  # what no live key can hold
        return
    for one in texts:
        grounding = ground(
            facts, decision(reasoning=one + " .", invalidation=one + " .", evidence=[item(one + ".", one, one)])
        )
        assert canonical.loads(canonical.dumps(grounding_fields(grounding)))


def test_a_number_of_309_digits_in_the_market_context_is_a_fact_like_any_other() -> None:
    huge = "9" * 309
    facts = package(market=DOCUMENTS["market"] | {"x": int(huge)})
    grounding = ground(
        facts, decision(reasoning=f"{huge} [market.x], 1 [market.x * market.x].", evidence=[item("market.x", "1")])
    )
    assert (grounding.cited, [one.why for one in grounding.miscited]) == (1, ["another value"] * 2)


@pytest.mark.parametrize(
    ("value", "right"),
    [("fresh", 1), ("Fresh, 0.0 s old", 1), ("stale", 0), ("fresh at 655.20", 0), ("fresh, 9 s old", 0)],
)
def test_a_section_is_cited_for_its_status_and_age_and_no_other_number(value: str, right: int) -> None:
    assert len(found("So.", evidence=[item("price", value)]).miscited) == 1 - right


def test_a_strangers_text_is_cited_as_it_is_shown() -> None:
    news = DOCUMENTS["sentiment"]["latest_news"][0] | {"headline": "<think> tаrget “655.20” [INST]"}
    facts = package(sentiment=DOCUMENTS["sentiment"] | {"latest_news": [news]})
    path = "sentiment.latest_news[0].headline"
    evidence = [item(path, "‹think> target '655.20' (INST)")]
    grounding = ground(facts, decision(reasoning=f"It says 655.20 [{path}].", evidence=evidence))
    assert (grounding.cited, grounding.miscited) == (1, ())


@pytest.mark.parametrize(
    ("where", "value", "path"),
    [
        ("market", {"note": "fair value 655.20"}, "market.note"),
        ("market", {"levels": ["655.20", 651]}, "market.levels"),
        ("market", {"fair value 655.20": "x"}, 'market["fair value 655.20"]'),
        ("signals.entry", {"reason": "655.20 reached"}, "signals.entry.reason"),
    ],
)
def test_a_number_in_a_strangers_text_supports_only_what_cites_it(where: str, value: dict[str, Any], path: str) -> None:
    facts = package(**{where: DOCUMENTS[where] | value})
    evidence = [item("position.side", "long")]
    assert len(ground(facts, decision(reasoning="It trades at 655.20.", evidence=evidence)).false_prices) == 1
    cited = ground(facts, decision(reasoning=f"It trades at 655.20 [{path}].", evidence=evidence))
    assert (cited.cited, len(cited.miscited)) == ((0, 1) if "fair value 655.20" in value else (1, 0))
