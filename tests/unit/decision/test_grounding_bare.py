"""Bare numbers, said of little or nothing: which of them stand, which do not, and which are no claim at all."""

from decimal import Decimal

import pytest

from llmctx.decision.grounding import ground
from tests.unit.decision.reasoned import package_at, unsupported
from tests.unit.makers import decision


@pytest.mark.parametrize(
    "reasoning", ["At 14, no rule asks for a change.", "last 14", "price: 14", "It trades at 14.", "Price is 14 now."]
)
def test_a_price_that_is_a_whole_number_stands(reasoning: str) -> None:
    assert ground(package_at(Decimal(14)), decision(reasoning=reasoning)).unsupported == ()


def test_a_price_that_is_another_whole_number_does_not() -> None:
    wrong = ground(package_at(Decimal(14)), decision(reasoning="The price is 15 now.")).unsupported
    assert [item.text for item in wrong] == ["15"]


@pytest.mark.parametrize(
    "reasoning",
    [
        "The moving averages (20: 645.10; 50: 646.25) show where the trend is.",
        "The 12/26 MACD at 0.4821 and the 14-period RSI at 61.27 agree.",
        "My threshold for acting on a signal is 0.85.",
        "Entry signal (stop near) at 645.05.",
        "In the day's range at 645.75 to 649.37 nothing stands out.",
        "price [645.75 ... 648.41 ... 649.37]",
    ],
)
def test_what_only_names_or_rules_and_what_stands_between_marks_is_not_called_false(reasoning: str) -> None:
    assert unsupported(reasoning) == []


def test_a_price_that_goes_on_to_another_may_be_any_that_the_package_knows() -> None:
    assert unsupported("Price 645.05 -> 648.41.") == []
    assert unsupported("Price 645.05 -> 649.99.") == ["649.99"]


@pytest.mark.parametrize(
    ("reasoning", "false"),
    [
        ("The price is +0.33% from open.", []),
        ("The price is -0.33% from open.", ["-0.33%"]),
        ("Down 0.33% since the open.", ["0.33%"]),
        ("Daily P&L is +312.40 (+0.31%).", []),
        ("Daily P&L is +312.40 (-0.31%).", ["-0.31%"]),
        ("With the day at +0.31% and the P&L of this trade at -0.51%, hold.", ["-0.51%"]),
        ("We have lost 49.65 on it.", ["49.65"]),
    ],
)
def test_moves_and_results_are_told_with_their_own_sign(reasoning: str, false: list[str]) -> None:
    assert unsupported(reasoning) == false


@pytest.mark.parametrize(
    ("reasoning", "false"),
    [
        ("The exit and the entry signal agree | mark 648.41.", []),
        ("The exit and the entry signal agree | mark 645.10.", ["645.10"]),
        ("Entry seen (conf. 0.72).", []),
        ("Confidence was 0.91, mine is now 0.60.", ["0.91"]),
        ("Is there news? 4 item(s).", []),
        ("Is there news? 2 item(s).", ["2"]),
        ("Sectors: tech +0.62, energy -0.44.", []),
    ],
)
def test_few_words_are_enough_to_say_what_a_number_is(reasoning: str, false: list[str]) -> None:
    assert unsupported(reasoning) == false


@pytest.mark.parametrize(
    "reasoning",
    [
        "I would trail the stop by 0.5%.",
        "Trailing at 1.5x ATR would be too tight.",
        "Moving the stop up by 20 cents gains nothing.",
        "A 1% adverse move would not hurt.",
        "Revisit on a move of 50 bps.",
        "It is within the 0.5-1% that this name does every day.",
        "RSI of 61.3 is not there (I look for 75+).",
        "RSI 61.3 has room up to 70.",
        "I bank when RSI hits 80.",
        "I act on 5+ articles.",
        "I act on 0.7 and more.",
        "RSI = 61.27 (30 < RSI < 70).",
        "Every 10 cents on 15 shares is real money.",
        "My definition needs 1.5%.",
        "8 out of 10 headlines do not matter.",
    ],
)
def test_what_may_come_is_no_claim(reasoning: str) -> None:
    assert unsupported(reasoning) == []


@pytest.mark.parametrize(
    ("reasoning", "false"),
    [
        ("The distance to stop (9.76) versus target (9.59).", []),
        ("The distance to stop (9.16) versus target (9.59).", ["9.16"]),
        ("Record 5-2 today.", []),
        ("Record 5-3 today.", ["-3"]),
        ("5 of 7 trades won (71%).", []),
        ("5 of 7 trades won (61%).", ["61%"]),
        ("o 646.25 h 649.37 l 645.75", []),
    ],
)
def test_short_marks_are_read_as_what_they_say(reasoning: str, false: list[str]) -> None:
    assert unsupported(reasoning) == false
