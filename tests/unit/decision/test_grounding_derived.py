"""What models work out of a package by themselves, one claim a manner: what comes out right stands, the rest does not."""

import pytest

from tests.unit.decision.reasoned import package_with_more, unsupported


@pytest.mark.parametrize(
    ("reasoning", "false"),
    [
        ("ATR(14) is 1.85, so price is 1.8 ATRs from entry.", []),
        ("ATR(14) is 1.85, so price is 2.9 ATRs from entry.", ["2.9"]),
        ("The stop at 638.65 is 5.3x ATR away.", []),
        ("The stop at 638.65 is 7.3x ATR away.", ["7.3x"]),
        ("ATR is 1.85 (0.29% of price).", []),
        ("ATR is 1.85 (0.49% of price).", ["0.49%"]),
    ],
)
def test_distances_in_multiples_of_an_atr_are_worked_out(reasoning: str, false: list[str]) -> None:
    assert unsupported(reasoning, package_with_more()) == false


@pytest.mark.parametrize(
    ("reasoning", "false"),
    [
        ("VWAP 647.10: price is above it by 1.31 or 0.20%.", []),
        ("VWAP 647.10: price is above it by 1.91.", ["1.91"]),
        ("Price vs VWAP: 0.20% apart.", []),
    ],
)
def test_averages_of_the_price_are_levels(reasoning: str, false: list[str]) -> None:
    assert unsupported(reasoning, package_with_more()) == false


@pytest.mark.parametrize(
    ("reasoning", "false"),
    [
        ("Profit factor 3.43.", []),
        ("Profit factor 2.43.", ["2.43"]),
        ("Expectancy +44.63 per trade.", []),
        ("Expectancy -44.63 per trade.", ["-44.63"]),
        ("From 648.41 reward:risk is 0.98. To break even one needs to win 50% of the time.", []),
        ("From 648.41 reward:risk is 0.98. To break even one needs to win 58% of the time.", ["58%"]),
    ],
)
def test_what_the_trades_of_the_day_come_to_is_worked_out(reasoning: str, false: list[str]) -> None:
    assert unsupported(reasoning, package_with_more()) == false


@pytest.mark.parametrize(
    ("reasoning", "false"),
    [
        ("Last decision: hold. Price 645.95 -> 648.41, it has moved 2.46 since.", []),
        ("Last decision: hold. Price 646.95 -> 648.41.", ["646.95"]),
        ("The last decision was made when we were at 645.95. Price has moved 3.46 since.", ["3.46"]),
        ("My last decision was 12 minutes ago.", []),
        ("My last decision was 18 minutes ago.", ["18 minutes"]),
    ],
)
def test_the_price_of_the_last_decision_may_be_measured_from(reasoning: str, false: list[str]) -> None:
    assert unsupported(reasoning, package_with_more()) == false


@pytest.mark.parametrize(
    ("reasoning", "false"),
    [
        ("Between stop and target there are 151 + 148 bps of room.", []),
        ("Between stop and target there are 191 + 148 bps of room.", ["191"]),
        ("In basis points 51 from entry.", []),
        ("Midpoint of price and target is 653.21.", []),
        ("Range today is 645.75 to 649.37, or 0.56% of the open.", []),
        ("Risk 1.51%, reward 1.48%, i.e. 0.98R.", []),
        ("At risk from here $146, from entry $97.", []),
        ("At risk from here $146, from entry $47.", ["$47"]),
        ("Position age 29m.", []),
        ("Position age 59m.", ["59m"]),
        ("Breadth 1,820/1,150/130 (adv/dec/unch).", []),
        ("Breadth 1,820/1,150/190 (adv/dec/unch).", ["190"]),
        ("The day is +312.40 (+0.31%).", []),
        ("The book: +312.40 (+0.41%).", ["+0.41%"]),
    ],
)
def test_distances_shares_and_spans_are_read_as_they_are_told(reasoning: str, false: list[str]) -> None:
    assert unsupported(reasoning, package_with_more()) == false


@pytest.mark.parametrize(
    ("reasoning", "false"),
    [
        ("Ratio 9.59 / 9.76 = 0.98.", []),
        ("Target 9.59 away, stop 9.76 away. Ratio 9.59 / 9.76 = 0.51.", ["0.51"]),
        ("Target 1.48% away, stop 1.51%. Ratio 1.48 / 1.51 = 0.98.", []),
    ],
)
def test_what_a_sum_comes_to_is_held_against_terms_that_stand(reasoning: str, false: list[str]) -> None:
    assert unsupported(reasoning, package_with_more()) == false


@pytest.mark.parametrize(
    ("reasoning", "false"),
    [
        ("Candidates: MSFT 0.91 @ 412.30; own AAPL 0.74 @ 648.41.", []),
        ("Candidates: MSFT 0.91 @ 412.30; own AAPL 0.64 @ 648.41.", ["0.64"]),
        ("MSFT leads with 0.91 while AAPL scores 0.74, a gap of 0.17.", []),
        ("MSFT leads with 0.91 while AAPL scores 0.74, a gap of 0.27.", ["0.27"]),
    ],
)
def test_scores_of_the_ranking_and_their_gap_are_worked_out(reasoning: str, false: list[str]) -> None:
    assert unsupported(reasoning, package_with_more()) == false
