import pytest

from llmctx.decision.grounding import ground
from tests.unit.decision.reasoned import package, unsupported
from tests.unit.makers import decision


@pytest.mark.parametrize(
    "reasoning",
    [
        "The price of $648.41 trades 0.51% above the entry of 645.10.",
        "RSI 61.3, MACD 0.48 above its signal 0.39, histogram 0.09.",
        "The price is 648.4, or about 648, roughly 650.",
        "Volume is 1.2M shares (1,204,332), or 1204k.",
        "The win rate is 71%, the signal's confidence 72%, which is 0.72.",
        "The stop is 150.5 bps away, the target 1.48%.",
        "It is 9.76 points to the stop and 9.59 to the target, a reward-to-risk of 0.98:1.",
        "The stop risks 1.0% of entry, that is 15 x 6.45 = 96.75.",
        "The day's range is 645.75\u2013649.37; the bands run from 644.88 to 650.12 around 647.50.",
        "Energy is down 0.44% while technology gains 0.62%; 1,820 advance, 1,150 decline, net 670.",
        "Sixty-one on the RSI and four headlines at 0.42.",
        "The stop moves from 638.65 to 645.10.",
        "The position is worth $9,726 and shows a gain of 49.65.",
        "The news speaks of a buyback of $90 billion.",
        "ATR of 1.85 is ordinary.",
        "MSFT at 412.30 scores 0.91.",
        "The price has done 26% of the way from entry to target.",
    ],
)
def test_what_stands_in_the_facts_or_follows_from_them_is_supported(reasoning: str) -> None:
    assert unsupported(reasoning) == []


@pytest.mark.parametrize(
    ("reasoning", "wrong"),
    [
        ("The price of $658.41 trades above the entry.", ["$658.41"]),
        ("RSI 71.3, MACD 0.48.", ["71.3"]),
        ("RSI is 0.48 and MACD 61.27.", ["0.48", "61.27"]),
        ("The stop at 658.00 protects the position.", ["658.00"]),
        ("The stop is 2.4% below the price.", ["2.4%"]),
        ("Volume is 2.1M shares.", ["2.1M"]),
        ("The sentiment score is -0.42.", ["-0.42"]),
        ("There are 7 headlines.", ["7"]),
        ("VIX at 24.8 is high.", ["24.8"]),
        ("The loss of $49.65 is small.", ["$49.65"]),
        ("Support at 641.20 was tested.", ["641.20"]),
        ("The reward-to-risk is 2.4:1.", ["2.4:1"]),
        ("ADX is 28.4.", ["28.4"]),
        ("The price is 0.9% above entry.", ["0.9%"]),
        ("The last trade was at 412.30.", ["412.30"]),
        ("648.41 - 638.65 = 11.76 is the distance.", ["11.76"]),
    ],
)
def test_what_does_not_is_listed(reasoning: str, wrong: list[str]) -> None:
    assert unsupported(reasoning) == wrong


@pytest.mark.parametrize(
    "reasoning",
    [
        "1. Hold for the next 30 minutes.\n2. Look again at 14:30 UTC on 2025-05-09.",
        "RSI(14), EMA 26, a 20-period SMA, Bollinger (20, 2) and MACD (12, 26, 9) agree.",
        "An RSI above 70 would be overbought, below 30 oversold; VIX under 20 is calm.",
        "Two of 3 checks pass, Q2 is over, the S&P 500 is flat, and the 10-K is out.",
        "The 5-minute MACD and the 1m RSI are no reason to act within 2-3 bars.",
        "Only 1 or 2 reasons speak for it; I would trim 50% on weakness, a 2% rule holds.",
    ],
)
def test_what_is_no_claim_is_passed_over(reasoning: str) -> None:
    grounding = ground(package(), decision(reasoning=reasoning, evidence=[_item("price.price.last", "648.41")]))
    assert grounding.unsupported == ()


def test_a_number_of_the_invalidation_is_held_to_the_facts_too() -> None:
    found = ground(package(), decision(reasoning="Nothing.", invalidation="A close below the stop of 640.65."))
    assert [(item.field, item.text, item.at) for item in found.unsupported] == [("invalidation", "640.65", 26)]


def test_the_nearest_fact_is_named_with_what_it_says() -> None:
    (item,) = ground(package(), decision(reasoning="The stop is at 636.5.")).unsupported
    assert (item.nearest, item.fact, item.price) == ("position.stop_loss", "638.65", True)


def test_only_prices_are_false_prices() -> None:
    wrong = ground(package(), decision(reasoning="RSI 71.3 at 655.20.", evidence=[_item("position.stop_loss", "640")]))
    assert wrong.false_prices == [
        "position.stop_loss = 640 (it is 638.65)",
        "655.20 in the reasoning (nearest: position.take_profit 658)",
    ]
    assert len(wrong.unsupported) == 2


def test_numbers_that_a_decision_proposes_are_its_own() -> None:
    moved = decision(action="adjust_stops", stop_loss=643, reasoning="The stop moves to 643.00, 5.41 below the price.")
    assert ground(package(), moved).unsupported == ()


def test_everything_is_counted() -> None:
    found = ground(
        package(), decision(reasoning="Price 648.41, RSI 61.27.", evidence=[_item("price.price.last", "648.41")])
    )
    assert (found.evidence, found.numbers, found.grounded) == (1, 2, True)


def test_hostile_texts_come_to_an_end() -> None:
    for text in (
        "9" * 20_000,
        "1," * 10_000,
        "RSI " * 5_000 + "5",
        "-" * 10_000 + "1",
        "1 x 1 = " * 3_000,
        "(1) " * 5_000,
    ):
        ground(package(), decision(reasoning=text))


def _item(path: str, value: str) -> dict[str, str]:
    return {"path": path, "value": value, "reading": "x"}
