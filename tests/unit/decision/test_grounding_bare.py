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
