from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.clock import iso, parse_iso, to_ms
from llmctx.flow.bars import FIELDS, Bar, parse_row
from llmctx.flow.news import Headline, headline_of
from llmctx.flow.simulated_market import GAPPING, HALTED, SECTORS, SHOCKED, SimulatedMarket, simulate

OPENING = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def market(seed: int = 1, days: int = 2, minutes: int = 100) -> SimulatedMarket:
    return simulate(seed=seed, days=days, minutes=minutes)


def of(symbol: str, bars: list[Bar], day: int = 0) -> list[Bar]:
    """The bars of one symbol on one day."""
    dates = sorted({bar.start.date() for bar in bars})
    return [bar for bar in bars if bar.symbol == symbol and bar.start.date() == dates[day]]


def test_the_same_seed_gives_the_same_market() -> None:
    assert market(7) == market(7)


def test_another_seed_gives_another_market() -> None:
    one, other = market(7), market(8)
    assert one.bars != other.bars
    assert one.news != other.news


def test_every_symbol_has_a_bar_a_minute_but_the_halted_one() -> None:
    made = market()
    for symbol in SECTORS:
        count = len(of(symbol, made.bars))
        assert count == 100 if symbol != HALTED else 80 < count < 95


def test_bars_come_minute_by_minute_from_each_days_opening() -> None:
    starts = [start for start, _ in groupby(bar.start for bar in market(minutes=30).bars)]
    assert starts == [OPENING + day * timedelta(days=1) + n * MINUTE for day in range(2) for n in range(30)]


def test_days_follow_the_exchanges_calendar_and_its_clock() -> None:
    openings = [parse_iso(iso(to_ms(bar.start))) for bar in market(days=7, minutes=1).bars if bar.symbol == "ACME"]
    assert [opening.weekday() for opening in openings] == [0, 1, 2, 3, 4, 0, 1]
    assert {opening.hour for opening in openings[:5]} == {14}
    assert {opening.hour for opening in openings[5:]} == {13}  # summer time began on the 8th of March


@given(seed=st.integers(0, 2**32), minutes=st.integers(1, 60))
def test_low_and_high_enclose_open_and_close(seed: int, minutes: int) -> None:
    for bar in simulate(seed=seed, days=1, minutes=minutes).bars:
        assert 0 < bar.low <= min(bar.open, bar.close)
        assert max(bar.open, bar.close) <= bar.high
        assert bar.volume > 0


@given(seed=st.integers(0, 2**32))
def test_everything_is_valid_file_content(seed: int) -> None:
    made = simulate(seed=seed, days=2, minutes=5)
    for bar in made.bars:
        assert parse_row([bar.start.isoformat(), *(str(cell) for cell in bar[1:])], 2) == bar
        assert len(bar) == len(FIELDS)
    assert all(isinstance(headline_of(line, 1), Headline) for line in made.news)


@pytest.mark.parametrize("symbol", sorted(set(SECTORS) - {HALTED}))
def test_a_bar_opens_where_the_one_before_closed(symbol: str) -> None:
    for day in (0, 1):
        for before, after in pairwise(of(symbol, market().bars, day)):
            assert after.open == before.close


@pytest.mark.parametrize("seed", range(5))
def test_the_halted_symbol_comes_back_lower(seed: int) -> None:
    bars = of(HALTED, market(seed).bars)
    gaps = [(before, after) for before, after in pairwise(bars) if after.start - before.start > MINUTE]
    [(before, after)] = gaps
    assert after.open < before.close * 99 / 100


@pytest.mark.parametrize("seed", range(5))
def test_the_news_moves_its_symbol_within_minutes_and_the_headline_says_which_way(seed: int) -> None:
    made = market(seed)
    [shock] = [line for line in made.news if line["symbol"] == SHOCKED and "regulator" in line["headline"]]
    at = parse_iso(shock["timestamp"])
    [before] = [bar for bar in of(SHOCKED, made.bars) if bar.start <= at < bar.start + MINUTE]
    later = next(bar for bar in of(SHOCKED, made.bars) if bar.start == before.start + 3 * MINUTE)
    move = later.close / before.open - 1
    assert abs(move) > 0.03
    assert ("surges" in shock["headline"]) == (move > 0)


@pytest.mark.parametrize("seed", range(5))
def test_the_second_day_begins_with_a_gap(seed: int) -> None:
    bars = market(seed).bars
    before, after = of(GAPPING, bars, 0)[-1].close, of(GAPPING, bars, 1)[0].open
    assert abs(after / before - 1) > 0.02


def test_the_first_day_trends_and_the_second_one_chops() -> None:
    moves: list[list[float]] = [[], []]
    for seed in range(20):
        bars = market(seed).bars
        for day in (0, 1):
            for symbol in ("ACME", "BOLT", "GILT", "HARP"):
                own = of(symbol, bars, day)
                moves[day].append(float(own[-1].close / own[0].open - 1))
    trend, chop = (sum(day) / len(day) for day in moves)
    assert trend > 2 * abs(chop)
    spread = [sum(abs(move) for move in day) / len(day) for day in moves]
    assert spread[1] < spread[0] * 0.7


def test_symbols_of_one_sector_move_together_more_than_those_of_two() -> None:
    bars = simulate(seed=4, days=1).bars
    moves = {
        symbol: [float(after.close / before.close - 1) for before, after in pairwise(of(symbol, bars))]
        for symbol in ("ACME", "BOLT", "FERN")
    }
    assert 0.2 < _correlation(moves["ACME"], moves["BOLT"]) > _correlation(moves["ACME"], moves["FERN"])


def _correlation(one: list[float], other: list[float]) -> float:
    mean = sum(one) / len(one), sum(other) / len(other)
    pairs = [(a - mean[0], b - mean[1]) for a, b in zip(one, other, strict=True)]
    top = sum(a * b for a, b in pairs)
    return float(top / (sum(a * a for a, _ in pairs) * sum(b * b for _, b in pairs)) ** 0.5)


def test_prices_are_whole_cents_and_volumes_whole_shares() -> None:
    for bar in market(minutes=20).bars:
        assert all(price.as_tuple().exponent == -2 for price in bar[2:6])
        assert bar.volume == bar.volume.to_integral_value()


def test_headlines_come_in_time_order_and_some_of_them_from_the_evening_before() -> None:
    times = [line["timestamp"] for line in market().news]
    assert times == sorted(times)
    assert times[0] < "2026-03-02T14:30"
