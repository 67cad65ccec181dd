import sys
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.decision.citations import find
from llmctx.decision.grounding import ground
from tests.unit.decision.scene import DOCUMENTS, found, item, package
from tests.unit.makers import decision


@pytest.mark.parametrize(
    "text",
    [
        "RSI is 61.3 [indicators.rsi_14].",
        "RSI is 61 [indicators.rsi_14], cut 61.2 [indicators.rsi_14], full 61.27 [ indicators.rsi_14 ].",
        "It is 1.5% [price.price.last / position.stop_loss - 1] above the stop, 0.0153 [price.price.last/position.stop_loss-1].",
        "152.8 bps [price.price.last / position.stop_loss - 1]",
        "1.5 percent [(price.price.last - position.stop_loss) / position.stop_loss * 100]",
        "0.513% [position.unrealized_pnl_pct], 0.51 [position.unrealized_pnl_pct], 51.3 bps [position.unrealized_pnl_pct]",
        "72% [signals.entry.confidence], 0.72 [signals.entry.confidence], 72 [signals.entry.confidence]",
        "down 0.44% [market.sector_performance.energy], -0.44% [market.sector_performance.energy]",
        "\u22120.44 % [market.sector_performance.energy]",
        "1.07% [market.sector_performance[\"Real Estate\"]], 1.1% [market.sector_performance['Real Estate']]",
        '0.62% [market.sector_performance["technology"]]',
        "1,06 % [market.sector_performance.technology - market.sector_performance.energy]",
        "1.2M [price.price.volume], 1,204,332 [price.price.volume], 120.4\u4e07 [price.price.volume], 1204k [price.price.volume]",
        "648,41 [price.price.last], $648.4 [price.price.last], \uff16\uff14\uff18\uff0e\uff14 [price.price.last]",
        "held 00:29:58 [monitoring.time_in_trade] or 29 minutes [monitoring.time_in_trade]",
        "1.5% [monitoring.stop_loss.distance] away",
        "$90 billion [sentiment.latest_news[0].headline]",
        "written at 10:15 [price.timestamp]",
        "412.3 [candidates[0].price] for MSFT",
        "\u635f\u76ca\u4e3a+49.65[position.unrealized_pnl]\uff0c\u6b62\u635f638.65[position.stop_loss]\u3002",
        "A middle of 647.50 [(indicators.bollinger_upper + indicators.bollinger_lower) / 2].",
        "RSI is 61.3. [indicators.rsi_14] It stands.",
        "| RSI | 61.3 | [indicators.rsi_14] |",
    ],
)
def test_a_number_that_is_what_it_cites_is_cited(text: str) -> None:
    grounding = found(text)
    assert (grounding.cited, grounding.miscited, grounding.false_prices) == (
        text.count(" [") + text.count("5["),
        (),
        (),
    )
    assert grounding.grounded


@pytest.mark.parametrize(
    ("text", "why", "stands"),
    [
        ("RSI is 61.4 [indicators.rsi_14].", "another value", "61.27"),
        ("RSI is 60 [indicators.rsi_14].", "another value", "61.27"),
        ("+0.44% [market.sector_performance.energy]", "another value", "-0.44"),
        ("-49.65 [position.unrealized_pnl]", "another value", "49.65"),
        ("6.127 [indicators.rsi_14]", "another value", "61.27"),
        ("648.41 [price.price.open]", "another value", "646.25"),
        ("1.6% [price.price.last / position.stop_loss - 1]", "another value", "0.0152822"),
        ("648.41% [price.price.last]", "another value", "648.41"),
        ("0.51% [position.unrealized_pnl_pct * 100]", "another value", "51.3"),
        ("00:30:58 [monitoring.time_in_trade]", "another value", '"00:29:58"'),
        ("$80 billion [sentiment.latest_news[0].headline]", "another value", '"Buyback raised to $90 billion"'),
        ("640 [position.stop_los]", "no such path", None),
        ("61.3 [indicators]", "no such path", None),
        ("61.3 [price.price.last - stop]", "no such path", None),
        ("645 [answer.stop_loss]", "null", "null"),
        ("20 [market.market_regime / 2]", "text in arithmetic", '"bullish_trend"'),
        ("5 [price.price.last / (1 - 1)]", "division by zero", None),
    ],
)
def test_a_number_that_is_not_is_miscited_with_why_and_what_stands_there(
    text: str, why: str, stands: str | None
) -> None:
    (wrong,) = found(text).miscited
    assert (wrong.why, wrong.field) == (why, "reasoning")
    assert text[wrong.at :].startswith(wrong.text)
    assert wrong.fact is None if stands is None else str(wrong.fact).startswith(stands)


@pytest.mark.parametrize(
    "text",
    [
        "61.3 [price.price.last * 0 + 61.3]",
        "61.3 [price.price.last - price.price.last + indicators.rsi_14]",
        "100 [price.price.last / price.price.last * 100]",
        "61.3 [indicators.rsi_14 ^ 2]",
        "61.3 [see indicators.rsi_14]",
        "61.3 [1]",
        "61.3 [61.3]",
        "61.3 [indicators.rsi_14" + " + 1" * 9 + "]",
        "61.3 [" + "indicators.rsi_14 + " * 12 + "1]",
    ],
)
def test_a_citation_that_would_bear_out_anything_bears_out_nothing(text: str) -> None:
    grounding = found(text)
    assert (grounding.cited, grounding.miscited) == (0, ())
    assert grounding.uncited >= 1


@pytest.mark.parametrize(
    ("text", "cited", "uncited"),
    [
        ("[indicators.rsi_14] is 61.3.", 0, 1),
        ("RSI 61.3 [indicators.rsi_14] is above its [indicators.macd].", 1, 0),
        ("RSI is 99. The facts [indicators.rsi_14] speak for it.", 0, 1),
        ("RSI \u4e3a99\u3002\u4e8b\u5b9e [indicators.rsi_14]", 0, 1),
        ("- RSI 99\n- the stop [position.stop_loss]", 0, 1),
        ("RSI(14) [indicators.rsi_14] is calm", 0, 1),
        ("a 14-day RSI [indicators.rsi_14]", 0, 1),
        ("RSI14 [indicators.rsi_14]", 0, 0),
        ("15 shares held [position.quantity]", 1, 0),
        ("see [note 61.27 [indicators.rsi_14]]", 1, 0),
        ("61.3 [price is low: 648.41 [price.price.last]]", 1, 1),
    ],
)
def test_a_citation_belongs_to_the_nearest_number_before_it_in_its_sentence(
    text: str, cited: int, uncited: int
) -> None:
    grounding = found(text)
    assert (grounding.cited, grounding.uncited, grounding.miscited) == (cited, uncited, ())


def test_what_the_answer_proposes_can_be_cited() -> None:
    moved = found("The stop moves to 643.00 [answer.stop_loss].", action="adjust_stops", stop_loss=643)
    assert moved.grounded


SIZES = st.decimals("0.0001", 10**7, places=4)


@given(value=SIZES, digits=st.integers(0, 4), away=st.integers(-2, 2), negative=st.booleans())
def test_a_fact_rounded_or_cut_is_right_and_every_other_number_is_miscited(
    value: Decimal, digits: int, away: int, negative: bool
) -> None:
    step = Decimal(1).scaleb(-digits)
    right = {value.quantize(step, rounding) for rounding in (ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP)}
    shown = abs(value.quantize(step) + away * step)
    facts = package(indicators=DOCUMENTS["indicators"] | {"macd": -value if negative else value})
    text = f"{'-' if negative else ''}{shown} [indicators.macd]"
    grounding = ground(facts, decision(reasoning=text, evidence=[item("position.side", "long")]))
    assert (grounding.cited, len(grounding.miscited)) == ((1, 0) if shown in right else (0, 1))


def calls_of(text: str, heads: set[str]) -> int:
    """How many functions are called, Python's own included, to find the citations of a text."""
    count = 0

    def profile(frame: FrameType, event: str, argument: Any) -> None:  # noqa: ARG001
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        assert list(find(text, heads)) == []
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "near",
    [
        "[price.price.last ", "[price", "[", '[price["', "[price.price.last + ((", "[((((", "[price.a x]",
        '[price["a]', "[price[0][",
    ],
)  # fmt: skip
def test_near_misses_cost_a_bounded_number_of_steps_each(near: str) -> None:
    few, many = calls_of(near * 100, {"price"}), calls_of(near * 10_000, {"price"})
    assert many <= 102 * few
    assert many <= 10_000 * 120
