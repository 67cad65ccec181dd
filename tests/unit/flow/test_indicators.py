import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise

import pytest

from llmctx.flow.indicators import MEMORY, IndicatorSet
from tests.days import Day
from tests.unit.flow.makers import random_walk

TOLERANCE = 1e-6
Series = list[float | None]


def rsi(closes: Sequence[float], length: int = 14) -> Series:
    """Wilder's: the first average is a mean, later ones take a fourteenth of each new move."""
    moves = [after - before for before, after in pairwise(closes)]
    found: Series = [None] * len(closes)
    for at in range(length, len(closes)):
        if at == length:
            gain = sum(max(move, 0) for move in moves[:length]) / length
            loss = sum(max(-move, 0) for move in moves[:length]) / length
        else:
            gain = (gain * (length - 1) + max(moves[at - 1], 0)) / length
            loss = (loss * (length - 1) + max(-moves[at - 1], 0)) / length
        found[at] = 100 - 100 / (1 + gain / loss) if loss else 100
    return found


def ema(values: Series, length: int) -> Series:
    """The first is a mean of `length` values, later ones move towards each new value by 2 / (length + 1)."""
    first = next((at for at, value in enumerate(values) if value is not None), len(values))
    known = [value for value in values[first:] if value is not None]
    found: Series = [None] * len(values)
    if len(known) < length:
        return found
    average = sum(known[:length]) / length
    found[first + length - 1] = average
    for at in range(length, len(known)):
        average += (known[at] - average) * 2 / (length + 1)
        found[first + at] = average
    return found


def macd(closes: Sequence[float]) -> tuple[Series, Series]:
    fast, slow = ema(list(closes), 12), ema(list(closes), 26)
    line: Series = [None if f is None or s is None else f - s for f, s in zip(fast, slow, strict=True)]
    return line, ema(line, 9)


def bollinger(closes: Sequence[float], sign: int) -> Series:
    """The mean of twenty closes and twice their population deviation."""
    found: Series = [None] * len(closes)
    for at in range(19, len(closes)):
        window = closes[at - 19 : at + 1]
        mean = math.fsum(window) / 20
        found[at] = mean + sign * 2 * math.sqrt(math.fsum((close - mean) ** 2 for close in window) / 20)
    return found


REFERENCE: dict[str, Callable[[Sequence[float]], Series]] = {
    "rsi_14": rsi,
    "macd": lambda closes: macd(closes)[0],
    "macd_signal": lambda closes: macd(closes)[1],
    "bollinger_upper": lambda closes: bollinger(closes, 1),
    "bollinger_lower": lambda closes: bollinger(closes, -1),
}
NAMES = pytest.mark.parametrize("name", REFERENCE)


def bar_by_bar(closes: Sequence[Decimal]) -> list[dict[str, Decimal | None]]:
    indicators = IndicatorSet()
    found = []
    for close in closes:
        indicators.add(close)
        found.append(indicators.values())
    return found


def assert_as_reference(closes: Sequence[Decimal], *names: str) -> None:
    found = bar_by_bar(closes)
    for name in names:
        expected = REFERENCE[name]([float(close) for close in closes])
        for at, (values, known) in enumerate(zip(found, expected, strict=True)):
            value = values[name]
            if known is None:
                assert value is None, f"{name}, bar {at}"
            else:
                assert value is not None, f"{name}, bar {at}"
                assert abs(float(value) - known) <= TOLERANCE, f"{name}, bar {at}"


@NAMES
def test_on_a_random_walk_every_bar_is_as_the_formula_says(name: str) -> None:
    assert_as_reference(random_walk(500), name)


@NAMES
def test_forgetting_old_closes_changes_nothing(name: str) -> None:
    assert_as_reference(random_walk(5 * MEMORY + 7), name)


def test_on_whole_days_every_bar_is_as_the_formula_says(day: Day) -> None:
    for bars in day.by_symbol().values():
        closes = [bar.close for bar in bars]
        assert len(closes) > 700
        assert_as_reference(closes, *REFERENCE)


def test_old_closes_are_forgotten() -> None:
    indicators = IndicatorSet()
    for close in random_walk(5 * MEMORY):
        indicators.add(close)
    for indicator in (indicators._rsi, indicators._macd, indicators._bollinger):
        assert MEMORY <= len(indicator.input_values) <= 2 * MEMORY


def test_before_the_first_close_every_value_is_none() -> None:
    assert set(IndicatorSet().values().values()) == {None}


@pytest.mark.parametrize(
    ("name", "bars"),
    [
        ("rsi_14", 15), ("macd", 26), ("macd_signal", 34), ("bollinger_upper", 20), ("bollinger_lower", 20),
        ("bollinger_width", 20),
    ],
)  # fmt: skip
def test_an_indicator_is_none_until_it_is_warm(name: str, bars: int) -> None:
    values = [found[name] for found in bar_by_bar(random_walk(40))]
    assert [value is None for value in values] == [True] * (bars - 1) + [False] * (41 - bars)


def test_the_width_is_the_difference_of_the_bands_to_the_last_digit() -> None:
    for values in bar_by_bar(random_walk(100))[19:]:
        upper, lower = values["bollinger_upper"], values["bollinger_lower"]
        assert upper is not None
        assert lower is not None
        assert values["bollinger_width"] == upper - lower


def test_values_have_at_most_six_decimals() -> None:
    for values in bar_by_bar(random_walk(100)):
        assert all(value is None or value == round(value, 6) for value in values.values())


def test_whole_values_are_written_without_an_exponent() -> None:
    values = bar_by_bar([Decimal(100)] * 40)[-1]
    assert str(values["bollinger_upper"]) == "100"


def test_prices_that_do_not_move_have_bands_of_no_width() -> None:
    values = bar_by_bar([Decimal("12.34")] * 40)[-1]
    assert (values["bollinger_upper"], values["bollinger_lower"]) == (Decimal("12.34"), Decimal("12.34"))
    assert {values[name] for name in ("macd", "macd_signal", "bollinger_width")} == {Decimal(0)}


@pytest.mark.parametrize(("step", "extreme"), [(1, 100), (-1, 0)])
def test_prices_that_only_move_one_way_bring_rsi_to_its_end(step: int, extreme: int) -> None:
    values = bar_by_bar([Decimal(100 + step * at) for at in range(30)])[-1]
    assert values["rsi_14"] == extreme


def test_rsi_stays_within_its_scale() -> None:
    closes = [Decimal(100 if at % 3 else 200) for at in range(200)]
    for values in bar_by_bar(closes)[14:]:
        assert values["rsi_14"] is not None
        assert 0 <= values["rsi_14"] <= 100
