"""Time frames: their bars and indicators equal those computed from the closes."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from llmctx import clock
from llmctx.flow.exchange import Exchange
from llmctx.flow.timeframes import LENGTHS, NO_FRAMES, FrameRules, Timeframes
from llmctx.flow.track import Track
from tests.unit.flow.makers import MINUTE, OPENING, bar, indicators_of, random_walk

ALL = FrameRules(tuple(LENGTHS), 3)
MIDNIGHT = OPENING.replace(hour=0, minute=0)


def frames(closes: list[Decimal], start: datetime = MIDNIGHT, rules: FrameRules = ALL) -> Timeframes:
    made = Timeframes(rules, MINUTE, Exchange("always").date_at)
    for at, close in enumerate(closes):
        made.add(start + at * MINUTE, close)
    return made


@pytest.mark.parametrize(
    ("name", "minutes"), [("m1", 1), ("m5", 5), ("m15", 15), ("h1", 60), ("h4", 240), ("d1", 1440)]
)
def test_indicators_are_those_of_the_complete_bars(name: str, minutes: int) -> None:
    closes = random_walk(min(30 * 1440, 1200 * minutes) + 7)
    last = closes[minutes - 1 :: minutes]
    found = frames(closes, rules=FrameRules((f"{name[1:]}{name[0]}",), 3)).value()[name]
    assert {field: found[field] for field in indicators_of(*last[-900:])} == indicators_of(*last[-900:])
    assert found["close"] == last[-1]
    assert found["closes"] == last[-3:]
    assert found["rsi_series"][-1] == found["rsi_14"]
    assert [len(found[series]) for series in ("rsi_series", "macd_series")] == [3, 3]
    assert found["at"] == clock.iso_of(MIDNIGHT + len(last) * minutes * MINUTE)


def test_an_incomplete_bar_does_not_count() -> None:
    made = frames([Decimal(100)] * 4)
    assert list(made.value()) == ["m1"]
    made.add(MIDNIGHT + 4 * MINUTE, Decimal(101))
    assert made.value()["m5"]["close"] == 101


def test_a_bar_with_a_gap_at_its_end_is_complete_once_a_later_one_begins() -> None:
    made = frames([Decimal(100), Decimal(101)])
    made.add(MIDNIGHT + 7 * MINUTE, Decimal(102))
    assert made.value()["m5"] == {
        "at": clock.iso_of(MIDNIGHT + 2 * MINUTE), "close": Decimal(101), "closes": [101], **indicators_of("101"),
    }  # fmt: skip


def test_a_day_is_a_date_at_the_exchange() -> None:
    made = Timeframes(ALL, MINUTE, Exchange("XNYS").date_at)
    for at in (OPENING, OPENING + timedelta(hours=12), OPENING + timedelta(days=3)):  # 01:30 UTC is the same day there
        made.add(at, Decimal(at.hour + 1))
    assert made.value()["d1"]["closes"] == [2]


def test_only_what_is_asked_for_is_computed_and_no_frame_that_the_bars_do_not_fill() -> None:
    assert frames([Decimal(100)] * 300, rules=NO_FRAMES).value() == {}
    assert list(frames([Decimal(100)] * 300, rules=FrameRules(("1h", "5m"))).value()) == ["m5", "h1"]
    assert "closes" not in frames([Decimal(100)] * 300, rules=FrameRules(("1h",))).value()["h1"]
    made = Timeframes(ALL, timedelta(minutes=10), Exchange("always").date_at)
    made.add(MIDNIGHT, Decimal(1))
    made.add(MIDNIGHT + timedelta(hours=1), Decimal(1))
    assert list(made.value()) == ["h1"]


def test_a_split_adjusts_every_frame() -> None:
    made = Track(MINUTE, frames=FrameRules(("5m",), 2))
    for at in range(10):
        made.add(bar(at, "300"))
    made.add(bar(OPENING + timedelta(days=3), "100"), Decimal(3))
    assert made.timeframes.value()["m5"]["closes"] == [100, 100]
