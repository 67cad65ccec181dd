import math
import random
from decimal import Decimal

import pytest

from llmctx.flow.bars import Bar
from llmctx.flow.signals import TradeSignal, entries, exits, signal_value
from llmctx.flow.track import Track
from llmctx.schema.values import Signal as SignalValue
from tests.unit.flow.makers import bar, track

MIRROR = {
    "breakout": "breakdown",
    "volume_surge": "volume_surge_down",
    "support_bounce": "resistance_rejection",
    "macd_cross": "macd_cross_down",
}
MIRROR |= {other: reason for reason, other in MIRROR.items()}
BOUNCES = {"support_bounce", "resistance_rejection"}
"""Their tolerance is a share of the price, which has no exact mirror image."""
SIDES = {"long": "short", "short": "long"}


def upside_down(one: Bar, at: int = 200) -> Bar:
    """The bar's mirror image."""
    return one._replace(open=at - one.open, high=at - one.low, low=at - one.high, close=at - one.close)


def after_quiet(**newest: str) -> Track:
    """Twenty bars between 99 and 101, and a newest one."""
    return track(*(bar(at, high="101", low="99") for at in range(20)), bar(20, **newest))


def mirrored(**newest: str) -> Track:
    return track(*(upside_down(bar(at, high="101", low="99")) for at in range(20)), upside_down(bar(20, **newest)))


def of(track: Track) -> dict[str, tuple[str, Decimal]]:
    return {found.reason: (found.side, found.confidence) for found in entries(track)}


def test_there_is_no_signal_without_twenty_earlier_bars() -> None:
    jump = {"close": "110", "high": "110", "volume": "100000"}
    assert entries(track(*(bar(at) for at in range(19)), bar(19, **jump))) == []
    assert entries(track(*(bar(at) for at in range(20)), bar(20, **jump))) != []


def test_a_bar_like_the_previous_ones_gives_no_signal() -> None:
    assert entries(after_quiet()) == []


@pytest.mark.parametrize(
    ("volume", "confidence"),
    [
        ("100", "0.60"), ("200", "0.65"), ("50", "0.60"), ("0", "0.60"), ("780", "0.94"), ("800", "0.95"),
        ("9999", "0.95"),
    ],
)  # fmt: skip
def test_a_close_beyond_every_high_or_low_of_the_window_breaks_out(volume: str, confidence: str) -> None:
    beyond = {"close": "101.01", "high": "101.01", "open": "101.01", "low": "101", "volume": volume}
    assert of(after_quiet(**beyond)) == {"breakout": ("long", Decimal(confidence))}
    assert of(mirrored(**beyond)) == {"breakdown": ("short", Decimal(confidence))}


@pytest.mark.parametrize("close", ["101", "100.5"])
def test_a_close_at_the_highest_high_or_a_high_beyond_it_breaks_nothing(close: str) -> None:
    touched = {"close": close, "open": close, "high": "105", "low": "99"}
    assert entries(after_quiet(**touched)) == []
    assert entries(mirrored(**touched)) == []


def test_a_high_that_is_more_than_twenty_bars_old_is_forgotten() -> None:
    old = bar(0, high="150", low="50")
    beyond = bar(21, "102", high="102")
    assert "breakout" not in of(track(old, *(bar(at) for at in range(1, 20)), bar(20, "102", high="102")))
    assert "breakout" in of(track(old, *(bar(at, high="101") for at in range(1, 21)), beyond))


@pytest.mark.parametrize(
    ("volume", "confidence"), [("300", "0.55"), ("500", "0.65"), ("1100", "0.95"), ("9999", "0.95"), ("299", None)]
)
def test_three_times_the_usual_volume_is_a_surge_the_way_the_bar_went(volume: str, confidence: str | None) -> None:
    rose = {"open": "99.5", "close": "100.5", "high": "101", "low": "99", "volume": volume}
    expected, down = of(after_quiet(**rose)).get("volume_surge"), of(mirrored(**rose)).get("volume_surge_down")
    assert expected == (None if confidence is None else ("long", Decimal(confidence)))
    assert down == (None if confidence is None else ("short", Decimal(confidence)))


def test_a_surge_on_an_unchanged_bar_gives_no_signal() -> None:
    assert entries(after_quiet(volume="1000", high="101", low="99")) == []


def valley() -> list[Bar]:
    """Thirty bars with a swing low at 95 and a swing high at 105, which end at 100."""
    path = [100, 99, 98, 97, 96, 95, 96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 104, 103, 102, 101, *[100] * 10]
    return [bar(at, str(price)) for at, price in enumerate(path)]


@pytest.mark.parametrize(
    ("low", "seen"), [("95", True), ("95.09", True), ("94.91", True), ("95.2", False), ("94.8", False)]
)
def test_a_bar_that_touches_a_level_below_and_rises_bounces(low: str, *, seen: bool) -> None:
    rose = bar(30, "97", open="96", high="97", low=low)
    found, down = of(track(*valley(), rose)), of(track(*map(upside_down, [*valley(), rose])))
    assert found.get("support_bounce") == (("long", Decimal("0.60")) if seen else None)
    assert down.get("resistance_rejection") == (("short", Decimal("0.60")) if seen else None)


@pytest.mark.parametrize(
    "newest",
    [
        {"close": "95.5", "open": "96", "high": "96", "low": "95"},  # it fell
        {"close": "97", "open": "97", "high": "97", "low": "95"},  # it went nowhere
        {"close": "97", "open": "94", "high": "97", "low": "94"},  # it came from below
        {"close": "97", "open": "94.95", "high": "97", "low": "94.92"},
        {"close": "97", "open": "95", "high": "97", "low": "95"},
    ],
)
def test_a_bar_that_does_not_turn_away_from_the_level_bounces_nowhere(newest: dict[str, str]) -> None:
    last = bar(30, **newest)
    assert "support_bounce" not in of(track(*valley(), last))
    assert "resistance_rejection" not in of(track(*map(upside_down, [*valley(), last])))


def falling_then_rising() -> list[Bar]:
    """Sixty bars that fall a little faster and then turn up, so that MACD crosses its signal line once."""
    path = [Decimal(120) - Decimal(at * at) / 200 for at in range(50)] + [Decimal(108) + at for at in range(10)]
    return [bar(at, price, high=str(price + 20), low=str(price - 20)) for at, price in enumerate(path)]


def crossings(bars: list[Bar]) -> list[tuple[int, str]]:
    made, found = track(), []
    for at, one in enumerate(bars):
        made.add(one)
        found += [(at, signal.reason) for signal in entries(made) if signal.reason.startswith("macd")]
    return found


def test_macd_crossing_its_signal_line_is_seen_at_the_bar_of_the_crossing_alone() -> None:
    up, down = crossings(falling_then_rising()), crossings([upside_down(one, 300) for one in falling_then_rising()])
    assert [reason for _, reason in up] == ["macd_cross"]
    assert up[0][0] >= 50
    assert down == [(up[0][0], "macd_cross_down")]


def test_a_crossing_has_its_documented_confidence() -> None:
    bars = falling_then_rising()
    at = crossings(bars)[0][0]
    assert of(track(*bars[: at + 1]))["macd_cross"] == ("long", Decimal("0.55"))


def walk(seed: int, count: int = 300) -> list[Bar]:
    """A random walk around 100 with a burst of volume now and then."""
    source, price, made = random.Random(seed), Decimal(100), []
    for at in range(count):
        close = price + round(Decimal(source.gauss(0, 0.3)), 2)
        high, low = max(price, close) + Decimal("0.05"), min(price, close) - Decimal("0.05")
        volume = round(100 * math.exp(source.gauss(0, 0.7)))
        made.append(bar(at, close, open=str(price), high=str(high), low=str(low), volume=str(volume)))
        price = close
    return made


@pytest.mark.parametrize("seed", range(4))
def test_a_market_upside_down_gives_the_mirror_image_of_every_signal(seed: int) -> None:
    one, other, told = track(), track(), set()
    for row in walk(seed):
        one.add(row)
        other.add(upside_down(row))
        found, image = ({signal for signal in entries(made) if signal.reason not in BOUNCES} for made in (one, other))
        assert image == {TradeSignal(MIRROR[reason], SIDES[side], sure) for reason, side, sure in found}
        for side, opposite in SIDES.items():
            assert [seen.reason for seen in exits(one, side)] == [seen.reason for seen in exits(other, opposite)]
        told |= {signal.reason for signal in found}
    assert told == set(MIRROR) - BOUNCES


@pytest.mark.parametrize("seed", range(4))
def test_signals_are_ordered_by_confidence_which_stays_in_range(seed: int) -> None:
    made = track()
    for row in walk(seed):
        made.add(row)
        sure = [signal.confidence for signal in entries(made)]
        assert sure == sorted(sure, reverse=True)
        assert all(Decimal("0.55") <= one <= Decimal("0.95") for one in sure)
        assert all(MIRROR[signal.reason] for signal in entries(made))


def straight(step: str) -> Track:
    """Prices that only move one way: RSI is at its end."""
    return track(*(bar(at, Decimal(100) + at * Decimal(step)) for at in range(30)))


@pytest.mark.parametrize(("step", "side"), [("1", "long"), ("-1", "short")])
def test_an_extreme_rsi_speaks_against_the_side_that_it_has_favoured(step: str, side: str) -> None:
    assert exits(straight(step), side) == [TradeSignal("rsi_extreme", side, Decimal("0.60"))]
    assert exits(straight(step), SIDES[side]) == []


@pytest.mark.parametrize(
    ("rsi", "long", "short"), [("80", 1, 0), ("79.999999", 0, 0), ("20.000001", 0, 0), ("20", 0, 1)]
)
def test_rsi_is_extreme_from_eighty_and_from_twenty_on(rsi: str, long: int, short: int) -> None:
    made = track(bar())
    made.now = made.now | {"rsi_14": Decimal(rsi)}
    assert (len(exits(made, "long")), len(exits(made, "short"))) == (long, short)


@pytest.mark.parametrize("side", SIDES)
def test_a_crossing_against_the_position_signals_lost_momentum(side: str) -> None:
    bars = falling_then_rising() if side == "short" else [upside_down(one, 300) for one in falling_then_rising()]
    made = track(*bars[: crossings(bars)[0][0] + 1])
    lost = TradeSignal("momentum_lost", side, Decimal("0.55"))
    assert lost in exits(made, side)
    assert "momentum_lost" not in {signal.reason for signal in exits(made, SIDES[side])}


def test_the_exit_with_the_highest_confidence_comes_first() -> None:
    made = track(bar())
    made.before = {"macd": Decimal(1), "macd_signal": Decimal(0)}
    made.now = {"macd": Decimal(-1), "macd_signal": Decimal(0), "rsi_14": Decimal(90)}
    assert [signal.reason for signal in exits(made, "long")] == ["rsi_extreme", "momentum_lost"]


@pytest.mark.parametrize(
    ("before", "now", "crossed"),
    [
        ("-1", "1", "macd_cross"), ("0", "1", "macd_cross"), ("1", "1", None), ("-1", "0", None), ("1", "0", None),
        ("0", "-1", "macd_cross_down"), ("1", "-1", "macd_cross_down"),
    ],
)  # fmt: skip
def test_a_crossing_ends_on_the_other_side(before: str, now: str, crossed: str | None) -> None:
    made = after_quiet()
    made.before = {"macd": Decimal(before), "macd_signal": Decimal(0)}
    made.now = {"macd": Decimal(now), "macd_signal": Decimal(0)}
    assert list(of(made)) == ([] if crossed is None else [crossed])


def test_there_is_no_exit_signal_until_indicators_are_warm() -> None:
    assert exits(track(bar(0), bar(1)), "long") == []


def test_a_signal_is_written_with_its_indicators() -> None:
    made = straight("1")
    value = signal_value(TradeSignal("breakout", "long", Decimal("0.6")), Decimal(129), made)
    SignalValue.model_validate(value | {"timestamp": "2014-06-06T13:30:00.000Z"})
    assert value == {
        "reason": "breakout",
        "price": 129,
        "indicators": {"macd": made.now["macd"], "rsi": Decimal(100)},
        "confidence": Decimal("0.6"),
    }
