from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.flow.mark_to_market import position_to_wire
from llmctx.flow.signals import TradeSignal
from llmctx.flow.symbol import SIGNAL_LIFETIME, Screen, Symbol
from llmctx.flow.track import Track
from llmctx.schema.values import Candidate
from tests.unit.flow.makers import MINUTE, OPENING, bar, position, track


def test_a_new_symbol_holds_nothing() -> None:
    made = Symbol("AAPL", MINUTE)
    assert (made.raw_position, made.position, made.track.last) == (b"", None, None)


@pytest.mark.parametrize("raw", [b"x", b"not a string", b"{}", b"[]", b'{"symbol":"AAPL"}'])
def test_a_malformed_position_keeps_its_bytes_and_is_none(raw: bytes) -> None:
    made = Symbol("AAPL", MINUTE)
    made.set_position(raw)
    assert (made.raw_position, made.position) == (raw, None)


def test_a_deleted_position_is_none() -> None:
    made = Symbol("AAPL", MINUTE)
    made.set_position(position_to_wire(position()))
    made.set_position(b"")
    assert (made.raw_position, made.position) == (b"", None)


def test_a_parsed_position_is_not_parsed_again() -> None:
    made, held = Symbol("AAPL", MINUTE), position()
    made.set_position(position_to_wire(held), held)
    assert made.position is held


rows = st.lists(
    st.tuples(st.integers(1, 3) | st.just(1440), st.sampled_from([100, 101, 103, 99, 20, 500]), st.integers(0, 500)),
    min_size=1,
    max_size=80,
)


@given(rows, st.none() | st.just(Decimal(5)))
def test_a_symbol_that_recalls_its_bars_is_as_far_as_one_that_took_them(
    found: list[tuple[int, int, int]], ratio: Decimal | None
) -> None:
    first, again, told, at = Symbol("AAPL", MINUTE), Symbol("AAPL", MINUTE), [], OPENING
    for minutes, price, volume in found:
        at += minutes * MINUTE
        one = bar(at, price, volume=str(volume))
        told.append((one, first.add(one, ratio).ratio))
    again.replay(told)
    assert again.screen.candidate(again.track) == first.screen.candidate(first.track)
    assert (again.track.session, again.track.now) == (first.track.session, first.track.now)
    assert again.track.change_pct == first.track.change_pct


def quiet(close: str = "100", volume: str = "0") -> Track:
    """Twenty bars at 100 with a usual volume of 100, and a newest one."""
    low, high = sorted(["100", close], key=Decimal)
    return track(*(bar(at) for at in range(20)), bar(20, close, open="100", high=high, low=low, volume=volume))


def seen(*found: tuple[int, str, str]) -> Screen:
    """A screen of signals, each with its minute, reason and confidence."""
    made = Screen()
    for minute, reason, confidence in found:
        made.add(OPENING + minute * MINUTE, [TradeSignal(reason, "long", Decimal(confidence))])
    return made


@pytest.mark.parametrize(
    ("volume", "part"), [("0", "0"), ("150", "0.175"), ("300", "0.35"), ("100000", "0.35"), ("100", "0.1167")]
)
def test_the_volume_counts_up_to_three_times_the_usual_one(volume: str, part: str) -> None:
    assert Screen().candidate(quiet(volume=volume))["score"] == Decimal(part)


@pytest.mark.parametrize(
    ("close", "part"),
    [("100", "0"), ("101", "0.175"), ("99", "0.175"), ("102", "0.35"), ("98", "0.35"), ("50", "0.35")],
)
def test_the_move_of_the_day_counts_up_to_two_percent_whichever_way(close: str, part: str) -> None:
    assert Screen().candidate(quiet(close))["score"] == Decimal(part)


@pytest.mark.parametrize(("confidence", "part"), [("0.95", "0.285"), ("0.55", "0.165"), ("0.60", "0.18")])
def test_the_signal_with_the_highest_confidence_counts(confidence: str, part: str) -> None:
    found = seen((1, "breakout", "0.5"), (2, "macd_cross", confidence), (3, "volume_surge", "0.1"))
    assert found.candidate(quiet())["score"] == Decimal(part)


def test_the_parts_add_up() -> None:
    score = seen((1, "breakout", "0.95")).candidate(quiet("103", "400"))["score"]
    assert score == Decimal("0.35") + Decimal("0.35") + Decimal("0.285")


def test_while_the_window_is_not_full_the_volume_counts_nothing() -> None:
    assert Screen().candidate(track(bar(0), bar(1, volume="100000")))["score"] == 0


def test_a_candidate_has_the_shape_of_the_schema() -> None:
    found = seen((1, "breakout", "0.6")).candidate(quiet("101"))
    Candidate.model_validate(found | {"timestamp": "2014-06-06T13:30:00.000Z"})
    assert (found["symbol"], found["price"]) == ("AAPL", 101)


def test_signals_are_listed_once_newest_first_then_by_confidence() -> None:
    made = seen((1, "breakout", "0.6"), (2, "macd_cross", "0.55"))
    pair = [TradeSignal("volume_surge", "long", Decimal("0.9")), TradeSignal("breakout", "long", Decimal("0.7"))]
    made.add(OPENING + 3 * MINUTE, pair)
    assert made.candidate(quiet())["signals"] == ["volume_surge", "breakout", "macd_cross"]


def test_a_signal_counts_for_half_an_hour_and_no_longer() -> None:
    made = seen((0, "breakout", "0.6"))
    made.add(OPENING + SIGNAL_LIFETIME - MINUTE, [])
    assert made.candidate(quiet())["signals"] == ["breakout"]
    made.add(OPENING + SIGNAL_LIFETIME, [])
    assert made.candidate(quiet())["signals"] == []
    assert made.candidate(quiet())["score"] == 0


reasons = st.sampled_from(["breakout", "breakdown", "macd_cross", "support_bounce"])
bars_seen = st.lists(
    st.tuples(st.integers(1, 5), st.lists(st.tuples(reasons, st.decimals("0.5", "0.95", places=2)), max_size=4)),
    max_size=40,
)


@given(bars_seen)
def test_the_strongest_signal_of_the_last_half_hour_is_never_lost(
    rows: list[tuple[int, list[tuple[str, Decimal]]]],
) -> None:
    made, told, at = Screen(), [], OPENING
    for minutes, found in rows:
        at += minutes * MINUTE
        surest_first = sorted(found, key=lambda one: -one[1])
        made.add(at, [TradeSignal(reason, "long", confidence) for reason, confidence in surest_first])
        told += [(at, confidence) for _, confidence in found]
    fresh = [confidence for when, confidence in told if when > at - SIGNAL_LIFETIME]
    surest = max(fresh, default=Decimal(0))
    assert made.candidate(quiet())["score"] == (Decimal("0.30") * surest).quantize(Decimal("0.0001"))


@pytest.mark.parametrize("crowd", [["breakdown"], ["breakdown", "volume_surge_down"]])
def test_a_signal_is_not_crowded_out_by_many_later_ones(crowd: list[str]) -> None:
    made = seen((0, "breakout", "0.95"))
    for at in range(1, 29):
        made.add(OPENING + at * MINUTE, [TradeSignal(reason, "short", Decimal("0.60")) for reason in crowd])
    found = made.candidate(quiet())
    assert found["signals"] == [*crowd, "breakout"]
    assert found["score"] == Decimal("0.285")


@given(st.integers(1, 300), st.integers(0, 1000), st.decimals("0", "0.95", places=2))
def test_a_score_lies_between_0_and_1(close: int, volume: int, confidence: Decimal) -> None:
    score = seen((0, "breakout", str(confidence))).candidate(quiet(str(close), str(volume)))["score"]
    assert 0 <= score <= 1
