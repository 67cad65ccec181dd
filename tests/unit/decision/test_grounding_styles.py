"""What models write besides the facts themselves, one claim a manner: what stands of it, and what does not."""

import pytest

from tests.unit.decision.reasoned import unsupported


@pytest.mark.parametrize(
    ("reasoning", "false"),
    [
        ("P&L of +49.65 (+0.51%).", []),
        ("P&L of -49.65.", ["-49.65"]),
        ("pnl=-49.65", ["-49.65"]),
        ('{"upnl":-49.65}', ["-49.65"]),
        ("The position shows (\u22120.51%).", ["\u22120.51%"]),
        ("MACD histogram +0.0906.", []),
        ("MACD histogram -0.0906.", ["-0.0906"]),
        ("The day is -312.40.", ["-312.40"]),
        ("Net breadth is -670.", ["-670"]),
        ("Sentiment minus 0.42.", ["0.42"]),
    ],
)
def test_a_sign_that_is_written_is_held_against_the_sign_of_the_fact(reasoning: str, false: list[str]) -> None:
    assert unsupported(reasoning) == false


@pytest.mark.parametrize(
    ("reasoning", "false"),
    [
        ("Step 3: what can we earn? 658.00 is 1.48% off, about $144.", []),
        ("From 645.10 to 648.41: 0.51%.", []),
        ("From 645.10 to 648.41: 0.91%.", ["0.91%"]),
        ("IF price trades 638.65 THEN out, cost 9.76/share.", []),
        ("let it run to 658.00, that is 2.0% from entry", []),
        ("The stop is at 638.65. Last is 648.41. The difference is 9.76.", []),
        ("Only 0.1% separates us from resistance 649.37.", []),
        ("Only 0.9% separates us from resistance 649.37.", ["0.9%"]),
        ("658.00 is 2.8% off.", ["2.8%"]),
    ],
)
def test_a_level_that_is_named_by_its_value_may_be_measured_from(reasoning: str, false: list[str]) -> None:
    assert unsupported(reasoning) == false


@pytest.mark.parametrize(
    ("reasoning", "false"),
    [
        ("|658.00 - 648.41| = 9.59. |648.41 - 638.65| = 9.76. 9.59/9.76 = 0.98.", []),
        ("(658.00 - 648.41) / (648.41 - 638.65) = 0.98", []),
        ("if filled there we'd give 9.76 x 15 = 146", []),
        ("15 shares x 9.76 = 176", ["176"]),
        ("(645.75 + 649.37) / 2 = 647.56", []),
        ("Average win 88.20, average loss -64.30, payoff 1.37.", []),
        ("Average win 88.20, average loss -64.30, payoff 2.37.", ["2.37"]),
    ],
)
def test_a_sum_that_is_written_out_must_come_out(reasoning: str, false: list[str]) -> None:
    assert unsupported(reasoning) == false


@pytest.mark.parametrize(
    "reasoning",
    [
        "RSI stays within 20 to 80, the bands are 30-70 (30/70).",
        "I start trailing at 50%, take half at 2R and the rest at 3R.",
        "It is not within 0.1R, and the daily limit of 3% holds.",
        "I rate this 7.5/10; bull probability 63%, 4 out of 6 checks pass.",
        "My process: 40% price, 30% momentum, 20% breadth, 10% news.",
        "Exit if RSI > 78 or P&L < -1.2%; a signal needs 0.7 or better.",
        "A move of 0.25% is what I call noise; fees of 0.05% are ignored.",
        "In 7 of the last 10 cases this held, and a print 1 cent beyond is a print.",
        "An RSI of 70+ is hot, sub-30 is cold.",
    ],
)
def test_what_somebody_sets_or_guesses_is_no_claim(reasoning: str) -> None:
    assert unsupported(reasoning) == []


@pytest.mark.parametrize(
    ("reasoning", "false"),
    [
        ("RSI at 88.0, exit rule needs 80.", ["88.0"]),
        ("RSI at 61.3, exit rule needs 80.", []),
        ("RSI is 42.1 and crosses 80 never.", ["42.1"]),
        ("The entry signal's confidence of 20% is lower than I require (80%).", ["20%"]),
        ("VIX 24.8 is below my limit of 25.", ["24.8"]),
        ("The daily loss limit is 2% and the day stands at 1.31%.", ["1.31%"]),
    ],
)
def test_a_reading_beside_a_rule_does_not_escape(reasoning: str, false: list[str]) -> None:
    assert unsupported(reasoning) == false


@pytest.mark.parametrize(
    ("reasoning", "false"),
    [
        ("It has been on for 29 minutes.", []),
        ("It has been on for 250 minutes.", ["250 minutes"]),
        ("In position for 0.5 hours.", []),
        ("In position for 15.9 hours.", ["15.9 hours"]),
        ("Minutes in trade: 29.", []),
        ('{"minutes_held": 47}', ["47"]),
        ("I look again in 17 minutes, or within the next 3 hours.", []),
        ("My usual 30 minute window is over.", []),
    ],
)
def test_how_long_the_position_has_been_held_is_a_claim_and_a_horizon_is_none(reasoning: str, false: list[str]) -> None:
    assert unsupported(reasoning) == false


@pytest.mark.parametrize(
    ("reasoning", "false"),
    [
        ("Half of it (7 of 15) books about $23.17, the other 8 stay.", []),
        ("Half of it (9 of 15) could go.", ["9"]),
        ("Selling half frees $4,539.", []),
        ("With 1.5R to the target and 1.5R to the stop; distance in R: 0.51.", []),
        ("The profit is 3.5R.", ["3.5R"]),
        ("The 1R level would be 651.55, 2R is 658.00.", []),
        ("2R is 661.20.", ["661.20"]),
        ("That's 1.0 to one from here.", []),
        ("That's 3.4 to one from here.", ["3.4 to one"]),
        ("Each cent is worth $0.15.", []),
    ],
)
def test_halves_units_of_risk_and_odds_are_worked_out(reasoning: str, false: list[str]) -> None:
    assert unsupported(reasoning) == false


@pytest.mark.parametrize(
    ("reasoning", "false"),
    [
        ("Tech (+0.62%) and energy (-0.44%): a spread of 1.06 points.", []),
        ("The difference between MACD and its signal line is +0.091.", []),
        ("1,820 up / 1,150 down (61% advancing).", []),
        ("1,820 up / 950 down.", ["950"]),
        ("Record: 5-2.", []),
        ("Record: 5:7.", ["7"]),
        ("The day swing is 3.62 points.", []),
        ("The 61.8% retracement lies at 647.99, the 38.2% one at 647.13.", []),
    ],
)
def test_what_lies_between_two_facts_follows_from_them(reasoning: str, false: list[str]) -> None:
    assert unsupported(reasoning) == false


@pytest.mark.parametrize(
    ("reasoning", "false"),
    [
        ("SPX is up 0.5%.", ["0.5%"]),
        ("QQQ gained 1.5%, so the market helps.", ["1.5%"]),
        ("consumer +0.4%, technology +0.62%", ["+0.4%"]),
        ("Revenue growth 12.5% and EPS 6.13 in a list.", ["12.5%", "6.13"]),
    ],
)
def test_what_the_package_does_not_speak_of_is_supported_by_nothing(reasoning: str, false: list[str]) -> None:
    assert unsupported(reasoning) == false


@pytest.mark.parametrize(
    "reasoning",
    [
        "The price is 648,41.",
        "Volume 1 204 332.",
        "MACD is 4.8e-1.",
        "MV:9,726; uPL:+50.",
        "The stop has 976c of room.",
    ],
)
def test_numbers_are_read_in_the_ways_in_which_they_are_written(reasoning: str) -> None:
    assert unsupported(reasoning) == []
