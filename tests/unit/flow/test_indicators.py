import math
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from talipp.indicators import MACD

from llmctx.flow.indicators import MEMORY, Indicators, SlowMacd
from tests.days import RECORDED, Day
from tests.unit.flow.makers import MINUTE, NEXT_DAY, OPENING

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


def random_walk(count: int, seed: int = 1) -> list[Decimal]:
    source, close = random.Random(seed), 100.0
    closes = []
    for _ in range(count):
        close *= math.exp(source.gauss(0, 0.002))
        closes.append(round(Decimal(close), 2))
    return closes


def bar_by_bar(closes: Sequence[Decimal]) -> list[dict[str, Decimal | None]]:
    indicators = Indicators()
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
    for bars in [bars for whole in (day, *RECORDED) for bars in whole.by_symbol().values()]:
        closes = [bar.close for bar in bars]
        assert len(closes) > 700
        assert_as_reference(closes, *REFERENCE)


def test_old_closes_are_forgotten() -> None:
    indicators = Indicators()
    for close in random_walk(5 * MEMORY):
        indicators.add(close)
    for indicator in (indicators._rsi, indicators._macd, indicators._bollinger):
        assert MEMORY <= len(indicator.input_values) <= 2 * MEMORY


def test_before_the_first_close_nothing_is_known() -> None:
    assert set(Indicators().values().values()) == {None}


@pytest.mark.parametrize(
    ("name", "bars"),
    [
        ("rsi_14", 15),
        ("macd", 26),
        ("macd_signal", 34),
        ("bollinger_upper", 20),
        ("bollinger_lower", 20),
        ("bollinger_width", 20),
    ],
)
def test_an_indicator_is_null_until_it_is_warm(name: str, bars: int) -> None:
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


FIVE = timedelta(minutes=5)
Timed = list[tuple[datetime, Decimal]]


def timed(closes: Sequence[Decimal], start: datetime = OPENING, step: timedelta = MINUTE) -> Timed:
    return [(start + at * step, close) for at, close in enumerate(closes)]


def two_days(count: int = 390) -> Timed:
    """Two sessions of one-minute closes, without one bar in eleven."""
    walk = random_walk(2 * count)
    bars = timed(walk[:count]) + timed(walk[count:], NEXT_DAY)
    return [one for at, one in enumerate(bars) if at % 11]


def buckets(bars: Timed, until: datetime, length: timedelta = FIVE) -> list[float]:
    """The last close of each five minutes that are over at a time: at their end, or because a later one has begun."""
    found: dict[datetime, Decimal] = {}
    for start, close in bars:
        found[start - (start - OPENING) % length] = close
    newest = max(found)
    return [float(close) for start, close in found.items() if start < newest or start + length <= until]


def batch(closes: list[float]) -> list[Any]:
    """The library's MACD of all closes at once."""
    return list(MACD(12, 26, 9, input_values=closes))


def assert_slow_as_batch(bars: Timed) -> None:
    slow = SlowMacd(FIVE, MINUTE)
    told = 0
    for at, (start, close) in enumerate(bars):
        slow.add(start, close)
        values = batch(buckets(bars[: at + 1], start + MINUTE))
        found = slow.reading()
        if not values or values[-1] is None or values[-1].signal is None:
            assert found is None, f"bar {at}"
            continue
        assert found is not None, f"bar {at}"
        assert float(found["value"]) == pytest.approx(values[-1].macd, rel=0, abs=TOLERANCE), f"bar {at}"
        assert found["signal"] == says(values), f"bar {at}"
        told += 1
    assert told > 100


def says(values: list[Any]) -> str:
    """What a histogram says: which side of zero it is on, and whether it is on its way back."""
    now = values[-1].macd - values[-1].signal
    before = None if values[-2].signal is None else values[-2].macd - values[-2].signal
    if now > 0:
        return "weakening" if before is not None and before > now else "rising"
    return "recovering" if before is not None and before < now else "falling"


def test_slow_macd_is_that_of_the_five_minute_closes_at_every_bar() -> None:
    assert_slow_as_batch(two_days())


def test_slow_macd_on_whole_days_is_that_of_the_five_minute_closes(day: Day) -> None:
    bars = next(iter(day.by_symbol().values()))
    assert_slow_as_batch([(bar.start, bar.close) for bar in bars])


def slow_of(bars: Timed, length: timedelta = FIVE, interval: timedelta = MINUTE) -> SlowMacd:
    slow = SlowMacd(length, interval)
    for start, close in bars:
        slow.add(start, close)
    return slow


@pytest.mark.parametrize(("bars", "warm"), [(169, False), (170, True)])
def test_slow_macd_is_warm_after_thirty_four_of_its_bars(bars: int, *, warm: bool) -> None:
    assert (slow_of(timed(random_walk(bars))).reading() is not None) == warm


def test_what_is_not_complete_does_not_count() -> None:
    closes = random_walk(200)
    complete = slow_of(timed(closes)).reading()
    assert slow_of(timed([*closes, *([Decimal(1)] * 4)])).reading() == complete
    assert slow_of(timed([*closes, *([Decimal(1)] * 5)])).reading() != complete


def test_a_bar_whose_last_minute_is_missing_counts_once_the_next_has_begun() -> None:
    bars = timed(random_walk(200))
    without = [*bars[:199], (bars[-1][0] + MINUTE, Decimal(100))]
    closed = [*bars[:199], (bars[-1][0], bars[198][1])]
    assert slow_of(without).reading() == slow_of(closed).reading()


def test_bars_of_its_own_length_are_taken_as_they_are() -> None:
    closes = random_walk(60)
    made = slow_of(timed(closes, step=FIVE), interval=FIVE).reading()
    last = batch([float(close) for close in closes])[-1]
    assert made is not None
    assert float(made["value"]) == pytest.approx(last.macd, rel=0, abs=TOLERANCE)


@pytest.mark.parametrize("minutes", [2, 3, 10, 60, 1440])
def test_bars_that_do_not_fit_into_its_length_give_no_value(minutes: int) -> None:
    interval = timedelta(minutes=minutes)
    assert slow_of(timed(random_walk(400), step=interval), interval=interval).reading() is None


@pytest.mark.parametrize(
    ("closes", "signal"),
    [
        ([100] * 40 + [101, 102, 104], "rising"),
        ([100] * 40 + [101, 102, 104, 104, 104, 104, 104], "weakening"),
        ([100] * 40 + [99, 98, 96], "falling"),
        ([100] * 40 + [99, 98, 96, 96, 96, 96, 96], "recovering"),
    ],
)
def test_the_histogram_tells_which_way_it_goes(closes: list[int], signal: str) -> None:
    found = slow_of(timed([Decimal(close) for close in closes], step=FIVE), interval=FIVE).reading()
    assert found is not None
    assert found["signal"] == signal


def test_slow_macd_forgets_old_closes_and_changes_nothing_by_it() -> None:
    closes = random_walk(3 * MEMORY + 7)
    slow = slow_of(timed(closes, step=FIVE), interval=FIVE)
    found, last = slow.reading(), batch([float(close) for close in closes])[-1]
    assert found is not None
    assert float(found["value"]) == pytest.approx(last.macd, rel=0, abs=TOLERANCE)
    assert len(slow._macd.input_values) <= 2 * MEMORY
