from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from talipp.indicators import MACD

from llmctx.flow.indicators import MEMORY, SlowMacd
from tests.days import Day
from tests.unit.flow.makers import MINUTE, NEXT_DAY, OPENING, random_walk

TOLERANCE = 1e-6

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
    """The last close of each completed five-minute bar: at its end, or once a later one has begun."""
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
    """The signal of a histogram: its side of zero, and whether it is moving back towards zero."""
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


def test_an_incomplete_long_bar_does_not_count() -> None:
    closes = random_walk(200)
    complete = slow_of(timed(closes)).reading()
    assert slow_of(timed([*closes, *([Decimal(1)] * 4)])).reading() == complete
    assert slow_of(timed([*closes, *([Decimal(1)] * 5)])).reading() != complete


def test_a_bar_whose_last_minute_is_missing_counts_once_the_next_has_begun() -> None:
    bars = timed(random_walk(200))
    without = [*bars[:199], (bars[-1][0] + MINUTE, Decimal(100))]
    closed = [*bars[:199], (bars[-1][0], bars[198][1])]
    assert slow_of(without).reading() == slow_of(closed).reading()


def test_bars_of_its_own_length_are_used_unchanged() -> None:
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
def test_the_signal_follows_the_histogram(closes: list[int], signal: str) -> None:
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
