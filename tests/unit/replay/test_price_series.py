from decimal import Decimal

import pytest

from llmctx.replay.price_series import Candle, Holding, PriceSeries, profit

MINUTE = 60_000
FREE = Decimal(0)


def candle(minute: int, open_: str, high: str, low: str, close: str) -> Candle:
    return Candle(minute * MINUTE, Decimal(open_), Decimal(high), Decimal(low), Decimal(close))


def test_a_bar_is_known_at_its_end() -> None:
    series = PriceSeries([candle(n, "1", "1", "1", "1") for n in range(10)], MINUTE)
    assert [c.start_ms // MINUTE for c in series.between(2 * MINUTE, 5 * MINUTE)] == [2, 3, 4]
    assert [c.start_ms // MINUTE for c in series.between(2 * MINUTE, 5 * MINUTE - 1)] == [2, 3]
    assert (series.reaches(10 * MINUTE), series.reaches(10 * MINUTE + 1)) == (True, False)


LONG = Holding(1, Decimal(10), Decimal(95), Decimal(110))
SHORT = Holding(-1, Decimal(10), Decimal(105), Decimal(90))


@pytest.mark.parametrize(
    ("holding", "bar", "ended"),
    [
        (LONG, ("100", "109", "96", "100"), None),
        (LONG, ("100", "101", "94", "100"), "95"),
        (LONG, ("93", "94", "92", "93"), "93"),
        (LONG, ("100", "111", "99", "100"), "110"),
        (LONG, ("112", "113", "111", "112"), "112"),
        (LONG, ("100", "111", "94", "100"), "95"),
        (SHORT, ("100", "106", "99", "100"), "105"),
        (SHORT, ("107", "108", "106", "107"), "107"),
        (SHORT, ("100", "101", "89", "100"), "90"),
        (Holding(1, Decimal(10), None, None), ("1", "999", "1", "5"), None),
    ],
)
def test_stops_and_targets_apply_inside_a_bar_and_the_stop_comes_first(
    holding: Holding, bar: tuple[str, str, str, str], ended: str | None
) -> None:
    assert holding.exit_price(candle(0, *bar)) == (None if ended is None else Decimal(ended))


def test_a_position_earns_nothing_after_its_stop() -> None:
    path = [
        candle(0, "100", "101", "99", "100"),
        candle(1, "96", "97", "94", "96"),
        candle(2, "96", "200", "96", "200"),
    ]
    assert profit(LONG, Decimal(100), path, FREE) == -50
    assert profit(LONG, Decimal(100), path, Decimal("0.001")) == -50 - Decimal("0.95")


def test_a_short_position_earns_on_a_falling_price() -> None:
    assert profit(SHORT, Decimal(100), [candle(0, "100", "100", "97", "98")], FREE) == 20


def test_no_bars_mean_no_profit() -> None:
    assert profit(LONG, Decimal(100), [], FREE) == 0
