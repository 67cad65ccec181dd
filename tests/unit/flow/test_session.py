from datetime import timedelta
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.flow.bars import HEADER, Bar, parse_row
from llmctx.flow.session import OPENING, simulate

SYMBOLS = ["ACME", "BOLT", "CRUX", "DUNE"]


def session(seed: int = 1, minutes: int = 120) -> list[Bar]:
    return list(simulate(seed=seed, minutes=minutes))


def of(symbol: str, bars: list[Bar]) -> list[Bar]:
    return [bar for bar in bars if bar.symbol == symbol]


def test_the_same_seed_gives_the_same_bars() -> None:
    assert session(7) == session(7)


def test_another_seed_gives_other_bars() -> None:
    assert session(7) != session(8)


def test_a_session_has_a_bar_of_every_symbol_a_minute() -> None:
    assert [bar.symbol for bar in session(minutes=3)] == SYMBOLS * 3


def test_bars_come_minute_by_minute_from_the_opening() -> None:
    starts = [start for start, _ in groupby(bar.start for bar in session(minutes=30))]
    assert starts == [OPENING + timedelta(minutes=minute) for minute in range(30)]


@given(seed=st.integers(0, 2**32), minutes=st.integers(1, 60))
def test_low_and_high_enclose_open_and_close(seed: int, minutes: int) -> None:
    for bar in session(seed, minutes):
        assert 0 < bar.low <= min(bar.open, bar.close)
        assert max(bar.open, bar.close) <= bar.high
        assert bar.volume > 0


@given(seed=st.integers(0, 2**32))
def test_every_bar_could_stand_in_a_file(seed: int) -> None:
    for bar in session(seed, 10):
        assert parse_row([bar.start.isoformat(), *(str(cell) for cell in bar[1:])], 2) == bar
        assert len(bar) == len(HEADER)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_bar_opens_where_the_one_before_closed(symbol: str) -> None:
    for before, after in pairwise(of(symbol, session())):
        assert after.open == before.close


def test_prices_are_whole_cents_and_volumes_whole_shares() -> None:
    for bar in session(minutes=20):
        assert all(price == round(price, 2) for price in bar[2:6])
        assert bar.volume == int(bar.volume)


def test_no_minutes_are_no_bars() -> None:
    assert session(minutes=0) == []


@pytest.mark.parametrize("seed", range(5))
def test_one_symbol_rises_one_falls_and_one_keeps_its_price(seed: int) -> None:
    bars = session(seed, 390)
    moves = {symbol: of(symbol, bars)[-1].close / of(symbol, bars)[0].open - 1 for symbol in SYMBOLS}
    assert moves["ACME"] > 0.05
    assert moves["BOLT"] < -0.03
    assert abs(moves["CRUX"]) < 0.05


@pytest.mark.parametrize("seed", range(5))
def test_one_symbol_breaks_down_in_the_second_half(seed: int) -> None:
    dune = of("DUNE", session(seed, 390))
    assert dune[320].close / dune[230].close < 0.95
