import pytest

from llmctx.decision.numbers.arithmetic import result_before


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2.08 x 77 = ", 160.16),
        ("|144.11 - 141.95| = ", 2.16),
        ("Reward: 0.69/0.40 \u2248 ", 1.725),
        ("(144.11 - 141.95) / (141.95 - 139.87) = ", 2.16 / 2.08),
        ("77 shares \u00d7 $2.08 = $", 160.16),
        ("1 + 2 * 3 = ", 7),
        ("a gap of 1.5 - 0.5 = ", 1),
    ],
)
def test_a_sum_comes_to_what_one_works_out(text: str, value: float) -> None:
    found = result_before(text, len(text))
    assert found is not None
    assert found.value == pytest.approx(value)


@pytest.mark.parametrize("text", ["stop = ", "RSI(14) = ", "5 = ", "1 / 0 = ", "(1 + = ", "no sum at all"])
def test_what_is_no_sum_comes_to_nothing(text: str) -> None:
    assert result_before(text, len(text)) is None


def test_rounded_terms_leave_room_and_whole_ones_none() -> None:
    rounded, whole = result_before("0.69 / 0.40 = ", 14), result_before("69 / 40 = ", 10)
    assert rounded is not None
    assert whole is not None
    assert 0.02 < rounded.slack < 0.04
    assert whole.slack == 0
