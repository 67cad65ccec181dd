import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.decision.numbers.claim import Form, Loose
from llmctx.decision.numbers.claims import claims_of
from llmctx.decision.numbers.loose import looseness


@pytest.mark.parametrize(
    ("text", "value", "step", "form"),
    [
        ("at 152.50", 152.5, 0.01, Form.PLAIN),
        ("at $1,204.5", 1204.5, 0.1, Form.MONEY),
        ("about 1.9k shares", 1900, 100, Form.PLAIN),
        ("25M shares", 25e6, 1e6, Form.PLAIN),
        ("2.5 million", 2.5e6, 1e5, Form.PLAIN),
        ("up 0.5%", 0.5, 0.1, Form.PERCENT),
        ("up 0.5 percent", 0.5, 0.1, Form.PERCENT),
        ("147 bps away", 1.47, 0.01, Form.PERCENT),
        ("a ratio of 2.5:1", 2.5, 0.1, Form.RATIO),
        ("volume is 1.8x the mean", 1.8, 0.1, Form.RATIO),
        ("sixty-one point five on the RSI", 61.5, 0.1, Form.PLAIN),
        ("twelve shares", 12, 1, Form.PLAIN),
        ("about 650", 650, 10, Form.PLAIN),
        ("25 USD", 25, 1, Form.MONEY),
    ],
)
def test_a_number_has_value_step_and_form(text: str, value: float, step: float, form: Form) -> None:
    (claim,) = claims_of(text)
    assert claim.value == pytest.approx(value)
    assert claim.step == pytest.approx(step)
    assert claim.form is form


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("-0.5%", [-1]),
        ("+$25", [1]),
        ("\u22121.2", [-1]),
        ("149.5-151.2", [0, 0]),
        ("149.5 \u2013 151.2", [0, 0]),
        ("$-25.5", [-1]),
    ],
)
def test_a_sign_is_no_hyphen_and_no_range(text: str, signs: list[int]) -> None:
    assert [claim.sign for claim in claims_of(text)] == signs


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("RSI at 61.3", "rsi"),
        ("RSI (14) currently stands at 61.3", "rsi"),
        ("| RSI | 61.3 |", "rsi"),
        ("the stop-loss of 145.5", "stop"),
        ("a $145.50 stop", "stop"),
        ("take profit at 160.5", "target"),
        ("4 headlines", "news"),
        ("MACD and its signal line, 0.31", None),
        ("MACD above its signal (0.31)", "signal"),
        ("if the price reaches 160.5", None),
        ("the price is 152.5", "last"),
        ("price.price.last is 152.5", "last"),
    ],
)
def test_what_a_number_is_said_of_is_seen(text: str, bound: str | None) -> None:
    assert claims_of(text)[-1].bound == bound


@pytest.mark.parametrize(
    "text",
    ["on 2025-05-09T10:15:30Z", "at 14:30", "for 30 minutes", "RSI(14)", "EMA 26", "MACD (12, 26, 9)", "Q3", "S&P 500",
     "1. First", "v2", "the 3rd", "24/7", "in 5-minute bars", "May 9, 2025", "3 of 5", "https://e.com/1/2"],
)  # fmt: skip
def test_dates_horizons_periods_and_names_are_no_claims(text: str) -> None:
    assert claims_of(text) == []


@pytest.mark.parametrize("text", ["RSI above 70", "2 reasons", "in 2024", "trim 50% of it", "the 2% rule"])
def test_a_threshold_a_small_count_and_a_rule_are_loose(text: str) -> None:
    assert [looseness(claim) is Loose.CLAIM for claim in claims_of(text)] == [False]


@given(st.text(st.sampled_from("RSI stop 0123456789.,%$-\u2013()xkM\n:/'\u2028ab"), max_size=80))
def test_every_number_is_where_it_is_said_to_be(text: str) -> None:
    for claim in claims_of(text):
        assert claim.value > 0
        assert claim.step > 0
        assert text[claim.at : claim.at + 1].strip() != "" or not claim.text[:1].strip()


@given(
    st.decimals(min_value="0.01", max_value=99_999, places=2).filter(bool), st.sampled_from(["", "$", "stop at ", "("])
)
def test_a_number_that_is_written_is_the_number_that_is_read(number: object, before: str) -> None:
    (claim,) = claims_of(f"{before}{number} now")
    assert claim.value == pytest.approx(float(str(number)))
